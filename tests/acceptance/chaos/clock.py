"""A machine clock that the test can set: the real one plus an offset from a file, read every time anybody asks."""

from __future__ import annotations

import os
from pathlib import Path

from agentrt.clock import SystemClock

_WIDTH = 24


class JumpingClock(SystemClock):
    """A node's wall clock. Only the time of day jumps: monotonic time does not on a real machine either."""

    def __init__(self, file: Path) -> None:
        self._fd = os.open(file, os.O_RDONLY)

    def now(self) -> float:
        return super().now() + float(os.pread(self._fd, _WIDTH, 0))


def set_offset(file: Path, seconds: float) -> None:
    """Set the clock that reads this file. One write of a fixed width: nobody reads half a number."""
    fd = os.open(file, os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        os.pwrite(fd, f"{seconds:<{_WIDTH}.3f}".encode(), 0)
    finally:
        os.close(fd)
