"""Under which name this process finds its sandboxes again: the next process in its place has the same.

Sandboxes that outlive a process belong to an owner. Two processes that are up at once must not have the same one, or
each would take the other's away; a process that was killed must be followed by one that has it.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from pathlib import Path
from typing import Final

_MAX_PROCESSES: Final = 1000
_NAME_CHARS: Final = 16


class SandboxOwner:
    """The first name in a folder that no other process has, taken when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fd = -1
        self._name = ""

    @property
    def name(self) -> str:
        """Ours until `release`, or until the process dies. Raises OSError when the folder cannot be written."""
        if not self._name:
            self._name = self._take()
        return self._name

    def release(self) -> None:
        """Let the name go. A second call does nothing."""
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)

    def _take(self) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        for n in range(_MAX_PROCESSES):
            fd = os.open(self._folder / f"owner-{n}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(fd)
                continue
            self._fd = fd
            return _name(fd)
        return secrets.token_hex(_NAME_CHARS // 2)  # nobody will find its sandboxes again: their leases end them


def _name(fd: int) -> str:
    """Of a secret in the file and of the file itself: a copy of the folder is another owner."""
    secret = os.pread(fd, 64, 0)
    if not secret:
        secret = secrets.token_hex(16).encode()
        os.pwrite(fd, secret, 0)
    identity = f"{secret.decode()}:{os.fstat(fd).st_ino}"
    return hashlib.sha256(identity.encode()).hexdigest()[:_NAME_CHARS]
