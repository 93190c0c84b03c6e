"""One process per SQLite file: a lock beside it that says who holds it and where to reach them.

flock, not a pid file: the system lets go of it when the process dies, whatever it died of.
"""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

import msgspec

from agentrt.errors import StoreError

# A reader holds the lock for microseconds to see whether somebody has it: that must not look like another server.
_ATTEMPTS = 20
_PAUSE_S = 0.005


class LockInfo(msgspec.Struct, frozen=True):
    """Who holds the lock. url: where that process answers HTTP, None when it does not."""

    pid: int
    url: str | None = None


class FileLock:
    """A lock that is held. Made by acquire_lock."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def release(self) -> None:
        """Let go. A second call does nothing."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            # The file stays: who waits for a lock on a deleted file waits for nobody.
            os.ftruncate(fd, 0)
            os.close(fd)


def lock_path(database: Path) -> Path:
    """`agentrt.db` → `agentrt.db.lock`."""
    return database.with_name(f"{database.name}.lock")


def acquire_lock(database: Path, *, url: str | None = None) -> FileLock:
    """Take the database for this process. Raises StoreError when another one has it, naming it."""
    path = lock_path(database)
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        why = f"{error.strerror}: {path}"
        raise StoreError(f"Database {database}: cannot make its lock file\n  why: {why}\n  fix: {_WRITABLE}") from error
    for attempt in range(_ATTEMPTS):
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if attempt == _ATTEMPTS - 1:
                os.close(fd)
                raise _taken(database) from None
            time.sleep(_PAUSE_S)
    info = msgspec.json.encode(LockInfo(os.getpid(), url)) + b"\n"
    os.pwrite(fd, info, 0)  # before the old end is cut off: who reads in between finds a whole first line
    os.ftruncate(fd, len(info))
    return FileLock(fd)


def read_lock(database: Path) -> LockInfo | None:
    """Who has the database open now; None when nobody alive does."""
    try:
        fd = os.open(lock_path(database), os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return None
    except BlockingIOError:
        line, _, _ = os.pread(fd, 4096, 0).partition(b"\n")
        return msgspec.json.decode(line, type=LockInfo) if line else LockInfo(0)
    finally:
        os.close(fd)


_WRITABLE = "change the folder's owner or mode, or name a file elsewhere"


def _taken(database: Path) -> StoreError:
    holder = read_lock(database)
    who = "another process"
    if holder is not None and holder.pid:
        who = f"process {holder.pid}" + (f", which answers at {holder.url}" if holder.url else "")
    return StoreError(
        f"Database {database}: another process has it open\n"
        f"  why: {who} holds {lock_path(database).name}; a SQLite file serves one process\n"
        "  fix: use that process, or stop it, or name another database (PostgreSQL for several)"
    )
