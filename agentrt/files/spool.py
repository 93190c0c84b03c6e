"""Where bytes wait on this machine's disk until it is known what becomes of them: temporary files that nobody can leave
behind. Each is locked by the process that writes it; what no living process holds is removed.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import secrets
from collections.abc import AsyncGenerator, AsyncIterable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from agentrt.errors import UnavailableError

_WRITE_BYTES = 1 << 20
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class Spooled:
    """A temporary file of ours, and the hash of what is in it."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path = path
        # Buffered, because its lock makes `discard` wait for a write that a cancelled task left in its thread.
        self.file = file
        self.size_bytes = 0
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def add(self, data: bytes) -> None:
        self.file.write(data)
        self._hash.update(data)
        self.size_bytes += len(data)

    def discard(self) -> None:
        """Remove it, unless it has been moved elsewhere."""
        with suppress(OSError):  # what cannot be flushed any more need not be: it goes
            self.file.close()
        self.path.unlink(missing_ok=True)


class Spool:
    """A folder of temporary files. Several processes, also of several machines, may have it; what a dead one left is
    removed by whoever opens it next."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.sweep()

    def sweep(self) -> None:
        """Remove what dead processes left."""
        for path in self._folder.glob("*"):
            with suppress(FileNotFoundError), path.open("rb") as file:
                if _lock(file):
                    path.unlink(missing_ok=True)

    @asynccontextmanager
    async def fill(self, chunks: AsyncIterable[bytes]) -> AsyncGenerator[Spooled, None]:
        """Take bytes in, a megabyte in memory at most. What is still in the folder at the end of the block goes.

        Raises what chunks raises, and UnavailableError when there is no room.
        """
        try:
            # On the loop: a file that a thread opens for a task that was cancelled meanwhile would belong to nobody.
            spooled = self._open()
        except OSError as error:
            raise refusal(error) from error
        try:
            await _fill(spooled, chunks)
            yield spooled
        finally:
            spooled.discard()

    def _open(self) -> Spooled:
        self._folder.mkdir(parents=True, exist_ok=True)
        while True:
            path = self._folder / secrets.token_hex(16)
            file = path.open("xb")
            # Between the two somebody who sweeps may have taken it for a dead process's.
            if _lock(file) and os.fstat(file.fileno()).st_nlink:
                return Spooled(path, file)
            file.close()
            path.unlink(missing_ok=True)


def refusal(error: OSError) -> Exception:
    """What a caller is told of a disk's error."""
    if error.errno in _FULL:
        return UnavailableError("There is no room left for files on the server. The file was not stored.")
    return error


def _lock(file: BinaryIO) -> bool:
    """Lock it for as long as it is open. False: somebody else has it."""
    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def _fill(spooled: Spooled, chunks: AsyncIterable[bytes]) -> None:
    """Write pieces of about a megabyte, off the event loop."""
    waiting: list[bytes] = []
    n_waiting = 0
    async for chunk in chunks:
        waiting.append(chunk)
        n_waiting += len(chunk)
        if n_waiting >= _WRITE_BYTES:
            await _write(spooled, waiting)
            waiting, n_waiting = [], 0
    await _write(spooled, waiting, is_last=True)


async def _write(spooled: Spooled, pieces: list[bytes], *, is_last: bool = False) -> None:
    def write() -> None:
        spooled.add(b"".join(pieces))
        if is_last:
            spooled.file.flush()  # others will read it by its name

    try:
        await asyncio.to_thread(write)
    except OSError as error:  # of the disk alone: where the chunks come from has errors of its own
        raise refusal(error) from error
