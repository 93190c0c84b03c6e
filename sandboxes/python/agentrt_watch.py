"""Memory of the whole box, watched where no cgroup does it. Stdlib only; runs in the box, see runner.py."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic, process_time

from agentrt_processes import kernel_bytes, resident_bytes, shares

_BUSY_S = 0.05
_IDLE_S = 0.5
_SHARE = 3
_LOOK_S = 0.05
SCRATCH_FOLDERS = ("/tmp", "/dev/shm")  # in memory
_NEVER = float("inf")


class MemoryWatch:
    """due: when to look, on the clock of `monotonic`. limit_bytes: 0 = never look. data: the folder of the files."""

    def __init__(self, limit_bytes: int, data: str) -> None:
        self.due = monotonic() if limit_bytes else _NEVER
        self._limit = limit_bytes
        self._folders = (data, *SCRATCH_FOLDERS)
        self._uncounted: Iterator[int] | None = None  # of an exact count that is not finished
        self._n_counted = 0

    def is_hopeless(self) -> bool:
        """Files stay whoever is killed: what the names of all files cost is too much by itself."""
        return kernel_bytes(self._folders) > self._limit

    def is_too_much(self, *, is_busy: bool) -> bool:
        """Whether the processes use more than they may, and when to look next.

        A look is short, for who calls has calls to end in time: an exact count may take several.
        """
        used_s = process_time()
        # The exact count is slow: it is taken only where the rough one, which counts shared pages twice, is too much.
        if self._uncounted is None and resident_bytes() > self._limit:
            self._uncounted, self._n_counted = shares(), 0
        is_over = self._uncounted is not None and self._count(self._uncounted, monotonic() + _LOOK_S)
        pause_s = (_BUSY_S if is_busy else _IDLE_S) if self._uncounted is None else 0.0
        # A box full of processes takes long to look at, and has little time to give to it.
        self.due = monotonic() + max(pause_s, _SHARE * (process_time() - used_s))
        return is_over

    def _count(self, uncounted: Iterator[int], until: float) -> bool:
        """Go on counting, at least one process; whether it is too much already."""
        for n_bytes in uncounted:
            self._n_counted += n_bytes
            if self._n_counted > self._limit:
                break
            if monotonic() > until:
                return False
        self._uncounted = None
        return self._n_counted > self._limit
