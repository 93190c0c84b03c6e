"""The host's end of a sandbox's way out: `net` frames of its kernel → connections, each served by the proxy.

The kernel's end is sandboxes/python/agentrt_relay.py. Everything in a frame may be a lie: a number that is not known, a
window that is not kept, any amount of connections. A lie ends the connection that it is about.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Final, TypeAlias

from agentrt.sandbox.allowed_hosts import AllowedHosts
from agentrt.sandbox.netframe import NetFrame
from agentrt.sandbox.proxy import serve

log = logging.getLogger(__name__)

MAX_CONNECTIONS: Final = 32
WINDOW_BYTES: Final = 256 * 1024
_PIECE: Final = 64 * 1024

Send: TypeAlias = Callable[[NetFrame, bytes], None]


class Tunnel:
    """All connections of one sandbox. send must not wait: what is under way is bounded by the windows."""

    def __init__(self, allowed: AllowedHosts, send: Send, *, session: str) -> None:
        self._allowed = allowed
        self._send = send
        self._session = session
        self._streams: dict[int, _Stream] = {}
        self._group: asyncio.TaskGroup | None = None

    async def __aenter__(self) -> Tunnel:
        self._group = await asyncio.TaskGroup().__aenter__()
        return self

    async def __aexit__(self, *error: object) -> None:
        assert self._group is not None
        group, self._group = self._group, None
        for stream in list(self._streams.values()):
            stream.task.cancel()
        await group.__aexit__(None, None, None)

    def feed(self, frame: NetFrame, raw: bytes) -> None:
        """A frame of the kernel."""
        if frame.op == "open":
            self._open(frame.c)
            return
        stream = self._streams.get(frame.c)
        if stream is None:
            return
        match frame.op:
            case "data" if stream.has_room(raw):
                stream.put(raw)
            case "end":
                stream.end()
            case "ack" if 0 < frame.n <= stream.n_under_way:
                stream.acknowledge(frame.n)
            case _:
                stream.task.cancel()

    def _open(self, number: int) -> None:
        if self._group is None or number in self._streams or len(self._streams) >= MAX_CONNECTIONS:
            return
        stream = _Stream(number, self._send)
        self._streams[number] = stream
        stream.task = self._group.create_task(self._serve(stream))
        # Not in a finally: a task that is cancelled before its first step never comes to one.
        stream.task.add_done_callback(lambda task: self._forget(number))

    async def _serve(self, stream: _Stream) -> None:
        try:
            refused = await serve(stream, self._allowed)
        except Exception:  # in a task group it would end all connections, and the pool of whose sandbox this is
            log.exception("sandbox.connection_failed", extra={"session": self._session})
            return
        if refused is not None:
            log.info("sandbox.host_refused", extra={"session": self._session, "host": refused[:253]})

    def _forget(self, number: int) -> None:
        del self._streams[number]
        self._send(NetFrame(op="close", c=number), b"")


class _Stream:
    """One connection, as the proxy sees it. What it holds is one buffer: a piece of one byte costs one byte."""

    task: asyncio.Task[None]

    def __init__(self, number: int, send: Send) -> None:
        self.number = number
        self.n_under_way = 0
        self._send = send
        self._held = bytearray()
        self._has_ended = False
        self._news = asyncio.Event()
        self._has_window = asyncio.Event()
        self._has_window.set()

    def has_room(self, data: bytes) -> bool:
        return not self._has_ended and len(self._held) + len(data) <= WINDOW_BYTES + _PIECE

    def put(self, data: bytes) -> None:
        self._held += data
        self._news.set()

    def end(self) -> None:
        """The code has closed its side."""
        self._has_ended = True
        self._news.set()

    def acknowledge(self, n_bytes: int) -> None:
        self.n_under_way -= n_bytes
        if self.n_under_way < WINDOW_BYTES:
            self._has_window.set()

    async def read(self) -> bytes:
        while not self._held:
            if self._has_ended:
                return b""
            self._news.clear()
            await self._news.wait()
        data = bytes(self._held)
        self._held.clear()
        self._send(NetFrame(op="ack", c=self.number, n=len(data)), b"")
        return data

    async def write(self, data: bytes) -> None:
        await self._has_window.wait()
        self._send(NetFrame(op="data", c=self.number), data)
        self.n_under_way += len(data)
        if self.n_under_way >= WINDOW_BYTES:
            self._has_window.clear()
