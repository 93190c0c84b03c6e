"""The machinery behind tools/: a plain function becomes a tool that a model can call safely.

Import from the modules: this package re-exports nothing (`tool` is both a module here and a function in it).
"""
