"""Blobs: bytes named by the SHA-256 of their content. The port, and its driver on a disk.

What a file is called, whom it belongs to and when it goes is in the database (store/files.py), not here.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Protocol

from agentrt.errors import RequestTooLargeError, UnavailableError

_WRITE_BYTES = 1 << 20
_READ_BYTES = 1 << 18
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Received(Protocol):
    """Bytes that have come in and are not kept yet."""

    @property
    def sha256(self) -> str: ...

    @property
    def size_bytes(self) -> int: ...

    async def keep(self) -> None:
        """Make them durable under their hash. Raises UnavailableError when there is no room."""
        ...


class Blobs(Protocol):
    """A place for bytes."""

    def receive(self, chunks: AsyncIterable[bytes], *, max_bytes: int) -> AbstractAsyncContextManager[Received]:
        """Take bytes in, without ever holding them all in memory. Leaving the block without `keep` forgets them.

        Raises RequestTooLargeError, UnavailableError when there is no room; nothing is left behind.
        """
        ...

    async def has(self, sha256: str) -> bool: ...

    def read(self, sha256: str, *, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """The bytes from start to before stop, in pieces. Raises FileNotFoundError."""
        ...

    async def delete(self, sha256: str) -> None:
        """Forget them; nothing happens when they are not there."""
        ...


class DiskBlobs:
    """Blobs in a folder: `ab/abcdef…`, each moved to its place whole; `incoming/` holds what is still coming in.

    One process owns the folder: what a dead one left in `incoming/` is removed here.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._incoming = folder / "incoming"
        for left in self._incoming.glob("*"):
            left.unlink(missing_ok=True)

    @asynccontextmanager
    async def receive(self, chunks: AsyncIterable[bytes], *, max_bytes: int) -> AsyncGenerator[Received, None]:
        """See Blobs.receive."""
        try:
            # On the loop: a file that a thread opens for a task that was cancelled meanwhile would belong to nobody.
            upload = _Upload(self._incoming / secrets.token_hex(16), self._folder)
        except OSError as error:
            raise _refusal(error) from error
        try:
            await _fill(upload, chunks, max_bytes)
            yield upload
        finally:
            upload.discard()

    async def has(self, sha256: str) -> bool:
        """See Blobs.has."""
        return await asyncio.to_thread(_place(self._folder, sha256).is_file)

    async def read(self, sha256: str, *, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        """See Blobs.read."""
        with _open_at(_place(self._folder, sha256), start) as file:
            left = None if stop is None else stop - start
            while left is None or left > 0:
                piece = await asyncio.to_thread(file.read, _READ_BYTES if left is None else min(left, _READ_BYTES))
                if not piece:
                    return
                if left is not None:
                    left -= len(piece)
                yield piece

    async def delete(self, sha256: str) -> None:
        """See Blobs.delete."""
        await asyncio.to_thread(_place(self._folder, sha256).unlink, missing_ok=True)


class _Upload:
    """Received, on a disk: a temporary file and the hash of what is in it."""

    def __init__(self, path: Path, folder: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path = path
        self._folder = folder
        # Buffered, because its lock makes `discard` wait for a write that a cancelled task left in its thread.
        self._file: BinaryIO = path.open("xb")
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def add(self, data: bytes) -> None:
        self._file.write(data)
        self._hash.update(data)
        self.size_bytes += len(data)

    async def keep(self) -> None:
        try:
            await asyncio.to_thread(self._keep)
        except OSError as error:
            raise _refusal(error) from error

    def discard(self) -> None:
        with suppress(OSError):  # what cannot be flushed any more need not be: it goes
            self._file.close()
        self._path.unlink(missing_ok=True)

    def _keep(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        place = _place(self._folder, self.sha256)
        place.parent.mkdir(exist_ok=True)
        self._path.replace(place)
        # The name is durable only when its folder is.
        folder = os.open(place.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


async def _fill(upload: _Upload, chunks: AsyncIterable[bytes], max_bytes: int) -> None:
    """Write pieces of about a megabyte, off the event loop."""
    waiting: list[bytes] = []
    n_waiting = 0
    try:
        async for chunk in chunks:
            waiting.append(chunk)
            n_waiting += len(chunk)
            if upload.size_bytes + n_waiting > max_bytes:
                raise RequestTooLargeError(f"The file is too large: at most {max_bytes} bytes.", param="file")
            if n_waiting >= _WRITE_BYTES:
                await asyncio.to_thread(upload.add, b"".join(waiting))
                waiting, n_waiting = [], 0
        if waiting:
            await asyncio.to_thread(upload.add, b"".join(waiting))
    except OSError as error:
        raise _refusal(error) from error


def _open_at(path: Path, start: int) -> BinaryIO:
    file = path.open("rb")
    file.seek(start)
    return file


def _place(folder: Path, sha256: str) -> Path:
    return folder / sha256[:2] / sha256


def _refusal(error: OSError) -> Exception:
    if error.errno in _FULL:
        return UnavailableError("There is no room left for files on the server. The file was not stored.")
    return error
