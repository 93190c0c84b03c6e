"""Places: how many jobs of this process may be indexing at once. Jobs share the worker's slots with runs, and must not
take all of them to wait in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_LOOK_AGAIN_S: Final = 5.0
_QUEUE_UNIT: Final = 20


class Places:
    """So many places, and who waits for one here. wake: called with the id of the job that may try now."""

    def __init__(self, n: int, *, wake: Callable[[str], None]) -> None:
        self._n_free = n
        self._wake = wake
        self._waiting: dict[str, None] = {}  # in order, each once

    def enter(self, job_id: str) -> float | None:
        """Take a place; None. When there is none: after how many seconds the job should try again if nobody woke it.

        Other processes may have a place before that: the more wait here, the less often all of them are asked.
        """
        if self._n_free:
            self._n_free -= 1
            self._waiting.pop(job_id, None)
            return None
        self._waiting[job_id] = None
        return _LOOK_AGAIN_S * (1 + len(self._waiting) / _QUEUE_UNIT)

    def leave(self) -> None:
        """Give the place back."""
        self._n_free += 1
        if self._waiting:
            job_id = next(iter(self._waiting))
            del self._waiting[job_id]
            self._wake(job_id)
