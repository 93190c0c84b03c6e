"""Memory of the whole box, watched where no cgroup does it. Stdlib only; runs in the box, see runner.py."""

from __future__ import annotations

from time import monotonic, process_time

from agentrt_processes import kernel_bytes, proportional_bytes, resident_bytes

_BUSY_S = 0.05
_IDLE_S = 0.5
_SHARE = 3
SCRATCH_FOLDERS = ("/tmp", "/dev/shm")  # in memory
_NEVER = float("inf")


class MemoryWatch:
    """due: when to look, on the clock of `monotonic`. limit_bytes: 0 = never look. data: the folder of the files."""

    def __init__(self, limit_bytes: int, data: str) -> None:
        self.due = monotonic() if limit_bytes else _NEVER
        self._limit = limit_bytes
        self._folders = (data, *SCRATCH_FOLDERS)

    def is_hopeless(self) -> bool:
        """Files stay whoever is killed: what the names of all files cost is too much by itself."""
        return kernel_bytes(self._folders) > self._limit

    def is_too_much(self, *, is_busy: bool) -> bool:
        """Whether the processes use more than they may, and when to look next."""
        used_s = process_time()
        # The exact count is slow: it is taken only where the rough one, which counts shared pages twice, is too much.
        is_over = resident_bytes() > self._limit and proportional_bytes() > self._limit
        # A box full of processes takes long to look at, and has little time to give to it.
        self.due = monotonic() + max(_BUSY_S if is_busy else _IDLE_S, _SHARE * (process_time() - used_s))
        return is_over
