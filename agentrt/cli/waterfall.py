"""Bars on one axis of time, in characters. An idle stretch that would leave no room for the rest is folded."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_FULL: Final = "█"
_WAITING: Final = "░"
_IDLE: Final = "┄"
_FOLD: Final = "≈"
_MOST_IDLE: Final = 0.25
"""How much of what is busy one idle stretch may take on the axis."""


class Axis:
    """From begin to end on `width` cells. idle: stretches (begin, end) in which nothing was at work."""

    def __init__(self, begin: float, end: float, *, width: int, idle: Iterable[tuple[float, float]] = ()) -> None:
        self.width = width
        stretches: list[tuple[float, float]] = []
        for a, b in sorted(idle):  # clocks that were set back make stretches overlap
            a, b = max(a, stretches[-1][1] if stretches else begin), min(b, end)
            if a < b:
                stretches.append((a, b))
        busy_s = max(0.0, end - begin - sum(b - a for a, b in stretches))
        most_s = busy_s * _MOST_IDLE if busy_s > 0 else end - begin
        self._folded = {(a, b) for a, b in stretches if b - a > most_s}
        self._times, self._places = [begin], [0.0]
        for a, b in stretches:
            self._mark(a, a - self._times[-1])
            self._mark(b, min(b - a, most_s))
        self._mark(end, end - self._times[-1])
        whole = self._places[-1] or 1.0
        self._places = [place / whole * width for place in self._places]

    def bar(self, begin: float, end: float, *, first_at: float | None = None) -> str:
        """Something at work. Until first_at it waited for its first piece."""
        start, stop = self._cell(begin), self._place(end)
        n_waiting = 0 if first_at is None else max(0, round(self._place(first_at)) - start)
        n_full = int(stop) - start
        rest = _EIGHTHS[int((stop - int(stop)) * 8)] if n_full >= 0 else " "
        body = _WAITING * min(n_waiting, n_full) + _FULL * max(0, n_full - n_waiting) + rest
        return " " * start + (body if body.strip() else _EIGHTHS[1]).rstrip()

    def idle_bar(self, begin: float, end: float) -> str:
        """Nothing at work."""
        start = self._cell(begin)
        n = max(1, round(self._place(end)) - start)
        is_folded = n > 2 and any(a >= begin and b <= end for a, b in self._folded)
        body = _IDLE * (n // 2) + _FOLD + _IDLE * (n - n // 2 - 1) if is_folded else _IDLE * n
        return " " * start + body

    def tick(self, at: float, mark: str) -> str:
        """A moment."""
        return " " * self._cell(at) + mark

    def _mark(self, time: float, length: float) -> None:
        self._times.append(time)
        self._places.append(self._places[-1] + max(0.0, length))

    def _cell(self, time: float) -> int:
        return min(int(self._place(time)), self.width - 1)

    def _place(self, time: float) -> float:
        """Cells from the left."""
        i = min(max(bisect_right(self._times, time), 1), len(self._times) - 1)
        begin, end = self._times[i - 1], self._times[i]
        share = 0.0 if end <= begin else min(max((time - begin) / (end - begin), 0.0), 1.0)
        return self._places[i - 1] + share * (self._places[i] - self._places[i - 1])
