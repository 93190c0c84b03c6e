"""FleetClock: one time for all processes that share a database, the server's.

Leases, deadlines and schedules compare times that different machines wrote down; their own clocks differ, and jump.
"""

from __future__ import annotations

from collections import deque

from agentrt.clock import Clock
from agentrt.store.clock import database_time
from agentrt.store.database import Store, Tx

_SAMPLES = 10
_TOLERATED_S = 0.01
"""How far two clocks may drift apart between two measurements."""


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
        delay_s, offset = answered - asked, shown - (asked + answered) / 2
        known_delay_s = min(self._samples)[0] if self._samples else 0.0
        if abs(offset - self._offset) > (delay_s + known_delay_s) / 2 + _TOLERATED_S:
            self._samples.clear()  # the server's clock was set, or this machine slept: what was measured is void
        self._samples.append((delay_s, offset))
        self._offset = min(self._samples)[1]
