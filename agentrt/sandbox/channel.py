"""A duplex byte stream to a kernel, over any connected socket: an engine's attach socket, or one end of a socketpair.

Push, not pull: bytes go to a callback of the event loop, so that a frame costs no task switch and no task is needed.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Final, cast

# Docker multiplexes a container's stdout and stderr: one byte for which, three of nothing, four for the length.
_HEADER_BYTES: Final = 8
_STDERR: Final = 2
_LAST_WORDS_BYTES: Final = 4096


class Channel(asyncio.Protocol):
    """Bytes to and from a kernel. `listen` before anything is to be heard; what came earlier is kept."""

    def __init__(self, *, multiplexed: bool = False) -> None:
        self._transport: asyncio.Transport | None = None
        self._demux = _Demux() if multiplexed else None
        self._on_data: Callable[[bytes], None] | None = None
        self._on_end: Callable[[], None] | None = None
        self._early: list[bytes] = []
        self._writable = asyncio.Event()
        self._writable.set()
        self._ended = asyncio.Event()

    @classmethod
    async def open(cls, sock: socket.socket, *, multiplexed: bool = False, received: bytes = b"") -> Channel:
        """Over a connected stream socket, which now belongs to the channel.

        multiplexed: the other side is a container engine's attach. received: bytes that were read from it already.
        """
        sock.setblocking(False)
        channel = cls(multiplexed=multiplexed)
        await asyncio.get_running_loop().create_connection(lambda: channel, sock=sock)
        if received:
            channel.data_received(received)
        return channel

    @property
    def is_open(self) -> bool:
        return not self._ended.is_set()

    @property
    def stderr(self) -> str:
        """The end of what the kernel's own process said on stderr, if the channel carries it."""
        return self._demux.stderr.decode("utf-8", "replace") if self._demux else ""

    def listen(self, on_data: Callable[[bytes], None], on_end: Callable[[], None]) -> None:
        """Deliver every piece from now on; on_end comes once, after the last piece."""
        self._on_data, self._on_end = on_data, on_end
        early, self._early = self._early, []
        for piece in early:
            on_data(piece)
        if not self.is_open:
            on_end()

    def write(self, *pieces: bytes) -> None:
        """Send; bytes for a channel that has ended are dropped (on_end has said so)."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.writelines(pieces)

    async def drain(self) -> None:
        """Wait until the other side has taken enough of what was written, or has gone."""
        await self._writable.wait()

    def pause(self) -> None:
        """Take no more bytes in; the kernel is made to wait."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def close(self) -> None:
        """Hang up at once. on_end follows."""
        if self._transport is not None:
            self._transport.abort()

    async def wait_ended(self) -> None:
        await self._ended.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but its class
        self._transport.set_write_buffer_limits(high=1 << 20)

    def data_received(self, data: bytes) -> None:
        for piece in self._demux.feed(data) if self._demux else (data,):
            if self._on_data:
                self._on_data(piece)
            else:
                self._early.append(piece)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended.set()
        self._writable.set()
        if self._on_end:
            self._on_end()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()


class _Demux:
    """Takes an engine's multiplexed stream apart: stdout goes on, the end of stderr is kept."""

    def __init__(self) -> None:
        self.stderr = b""
        self._header = b""
        self._left = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of stdout in data."""
        pieces: list[bytes] = []
        at = 0
        while at < len(data):
            if not self._left:
                taken = data[at : at + _HEADER_BYTES - len(self._header)]
                self._header += taken
                at += len(taken)
                if len(self._header) < _HEADER_BYTES:
                    break
                self._left = int.from_bytes(self._header[4:], "big")
                self._stream = self._header[0]
                self._header = b""
                continue
            piece = data[at : at + self._left]
            self._left -= len(piece)
            at += len(piece)
            if self._stream == _STDERR:
                self.stderr = (self.stderr + piece)[-_LAST_WORDS_BYTES:]
            else:
                pieces.append(piece)
        return pieces
