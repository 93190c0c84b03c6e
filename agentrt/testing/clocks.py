"""FakeClock: time that moves when the test says so."""

from __future__ import annotations

import asyncio


class FakeClock:
    """A Clock that stands still. `advance` moves it and wakes the sleepers whose time has come."""

    def __init__(self, start: float = 1_800_000_000.0) -> None:
        self._now = start
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def now(self) -> float:
        return self._now

    def monotonic(self) -> float:
        return self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + seconds, future))
        await future

    def set(self, now: float) -> None:
        """Set the clock, forward or back. Nobody is woken: waiting is by another clock than the one on the wall."""
        self._now = now

    async def advance(self, seconds: float) -> None:
        """Move the time on and let everybody who was waiting for it run."""
        self._now += seconds
        due = [(at, future) for at, future in self._sleepers if at <= self._now]
        self._sleepers = [(at, future) for at, future in self._sleepers if at > self._now]
        for _, future in sorted(due, key=lambda sleeper: sleeper[0]):
            if not future.done():
                future.set_result(None)
        await asyncio.sleep(0)
