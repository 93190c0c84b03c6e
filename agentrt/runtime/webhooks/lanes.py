"""Lanes: how many deliveries of this process may be on their way at once, so that receivers that hang hold up
neither the runs, which share the worker's places, nor each other's."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import Final

_PER_ENDPOINT: Final = 8
_FIRST_GUESS_S: Final = 0.05
_LONGEST_WAIT_S: Final = 300.0
_SHORTEST_WAIT_S: Final = 0.05


@dataclass(slots=True)
class _Lane:
    """n_open: on their way now. mean_s: how long one takes, lately. free_at: when the next one put off may come."""

    n_open: int = 0
    mean_s: float = _FIRST_GUESS_S
    free_at: float = 0.0


class Lanes:
    """Places for deliveries: width in all, and no more than eight of them for one endpoint."""

    def __init__(self, *, width: int) -> None:
        self._width = width
        self._n_open = 0
        self._lanes: defaultdict[str, _Lane] = defaultdict(_Lane)

    def enter(self, endpoint: str, *, now: float) -> float | None:
        """Take a place; None. When there is none: how long to wait, behind those that were told to wait before.

        now: seconds that never go back. Nobody waits longer than five minutes, however long the queue: the endpoint
        may be well again by then.
        """
        lane = self._lanes[endpoint]
        width = min(_PER_ENDPOINT, self._width)
        if self._n_open < self._width and lane.n_open < width:
            self._n_open += 1
            lane.n_open += 1
            return None
        lane.free_at = min(max(lane.free_at, now) + lane.mean_s / width, now + _LONGEST_WAIT_S)
        return max(_SHORTEST_WAIT_S, lane.free_at - now)

    def leave(self, endpoint: str, *, took_s: float) -> None:
        """Give the place back."""
        lane = self._lanes[endpoint]
        self._n_open -= 1
        lane.n_open -= 1
        lane.mean_s += (took_s - lane.mean_s) / 4
