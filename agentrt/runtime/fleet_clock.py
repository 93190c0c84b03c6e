"""FleetClock: one time for all processes that share a database, the server's.

Leases, deadlines and schedules compare times that different machines wrote down; their own clocks differ, and jump.
"""

from __future__ import annotations

from collections import deque

from agentrt.clock import Clock
from agentrt.store.clock import database_time
from agentrt.store.database import Store, Tx

_SAMPLES = 10


class FleetClock:
    """A Clock that shows the database server's time: the machine's monotonic clock plus a measured offset."""

    def __init__(self, base: Clock) -> None:
        self._base = base
        self._samples: deque[tuple[float, float]] = deque(maxlen=_SAMPLES)
        self._offset = base.now() - base.monotonic()

    def now(self) -> float:
        return self._base.monotonic() + self._offset

    def monotonic(self) -> float:
        return self._base.monotonic()

    async def sleep(self, seconds: float) -> None:
        await self._base.sleep(seconds)

    async def measure(self, store: Store) -> None:
        """Ask the server for the time. Of the last answers the fastest counts: it is off by half its delay at most."""

        def ask(tx: Tx) -> tuple[float, float, float]:
            asked = self._base.monotonic()
            shown = database_time(tx)
            return asked, shown, self._base.monotonic()

        asked, shown, answered = await store.read(ask)
        self._samples.append((answered - asked, shown - (asked + answered) / 2))
        self._offset = min(self._samples)[1]
