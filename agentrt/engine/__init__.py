"""The agent loop as values: no I/O, no clock, no asyncio."""
