"""Blobs: bytes under names. The port, and its driver on a disk; files/s3.py is the other one.

A name begins with the hash of the bytes and is never given to others (store/blobs.py makes them, and knows which are
still needed). What a file is called, whom it belongs to and when it goes is in the database, not here.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterable, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from agentrt.files.spool import Spool, Spooled, refusal

_READ_BYTES = 1 << 18


class Received:
    """Bytes that have come in and are not kept yet."""

    def __init__(self, spooled: Spooled, put: Callable[[Spooled, str], Awaitable[None]]) -> None:
        self._put = put
        self._spooled = spooled
        self.sha256 = spooled.sha256
        self.size_bytes = spooled.size_bytes

    async def keep(self, name: str) -> None:
        """Make them durable under a new name, once. Raises UnavailableError when that is not possible now."""
        await self._put(self._spooled, name)


class Blobs(Protocol):
    """A place for bytes, to which all processes that share a database have access."""

    def receive(self, chunks: AsyncIterable[bytes]) -> AbstractAsyncContextManager[Received]:
        """Take bytes in, without ever holding them all in memory. Leaving the block without `keep` forgets them.

        Raises what chunks raises, and UnavailableError when there is no room; nothing is left behind.
        """
        ...

    async def has(self, name: str) -> bool:
        """Whether they are there. This and everything below raises UnavailableError when the place does not answer."""
        ...

    def read(self, name: str, *, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from start to before stop, in pieces. Raises FileNotFoundError."""
        ...

    def as_path(self, name: str) -> AbstractAsyncContextManager[Path]:
        """A file of this machine that holds the bytes as long as the block lasts; it must not be written to.

        Raises FileNotFoundError.
        """
        ...

    async def delete(self, name: str) -> None:
        """Forget them; nothing happens when they are not there."""
        ...


class DiskBlobs:
    """Blobs in a folder: `ab/abcdef…`, each moved to its place whole; `incoming/` holds what is still coming in."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._spool = Spool(folder / "incoming")

    @asynccontextmanager
    async def receive(self, chunks: AsyncIterable[bytes]) -> AsyncGenerator[Received, None]:
        """See Blobs.receive."""
        async with self._spool.fill(chunks) as spooled:
            yield Received(spooled, self._keep)

    async def has(self, name: str) -> bool:
        """See Blobs.has."""
        return await asyncio.to_thread(self._place(name).is_file)

    async def read(self, name: str, *, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See Blobs.read."""
        with _open_at(self._place(name), start) as file:
            left = None if stop is None else stop - start
            while left is None or left > 0:
                piece = await asyncio.to_thread(file.read, _READ_BYTES if left is None else min(left, _READ_BYTES))
                if not piece:
                    return
                if left is not None:
                    left -= len(piece)
                yield piece

    @asynccontextmanager
    async def as_path(self, name: str) -> AsyncGenerator[Path, None]:
        """See Blobs.as_path."""
        if not await self.has(name):
            raise FileNotFoundError(name)
        yield self._place(name)

    async def delete(self, name: str) -> None:
        """See Blobs.delete."""
        await asyncio.to_thread(self._place(name).unlink, missing_ok=True)

    async def _keep(self, spooled: Spooled, name: str) -> None:
        try:
            await asyncio.to_thread(_move, spooled, self._place(name))
        except OSError as error:
            raise refusal(error) from error

    def _place(self, name: str) -> Path:
        return self._folder / name[:2] / name


def _move(spooled: Spooled, place: Path) -> None:
    os.fsync(spooled.file.fileno())
    if not place.parent.is_dir():
        place.parent.mkdir(exist_ok=True)
        _sync_folder(place.parent.parent)
    spooled.path.replace(place)
    _sync_folder(place.parent)  # a name is durable only when its folder is


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _open_at(path: Path, start: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(start)
    return file
