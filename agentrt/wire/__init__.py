"""The JSON that clients send and get, one module per resource.

Requests are pydantic models (closed and strict), answers are TypedDicts that nothing validates at run time, and pure
functions turn requests into engine values and back. No I/O, no defaults of a deployment, no HTTP.
"""
