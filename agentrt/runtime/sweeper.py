"""Does what falls due without anybody asking, each thing in a rhythm of its own. What there is to do stands elsewhere.

Every sweep is idempotent, so that every process may sweep and nobody has to be the one who does.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sqlalchemy.exc import SQLAlchemyError

from agentrt.clock import Clock
from agentrt.errors import StoreError

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 5.0
_SHORTEST_PAUSE_S = 0.01


@dataclass(frozen=True, slots=True)
class DueIn:
    """What a sweep returns that knows when there will be something to do."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Sweep:
    """once: does what is due. It is called every so many seconds, and sooner when it returns a DueIn that says so.

    name: for the log.
    """

    name: str
    once: Callable[[], Awaitable[object]]
    every_s: float = SWEEP_EVERY_S


class Sweeper:
    """Sweeps for ever; the owner cancels it. A slow sweep holds no other one up."""

    def __init__(self, sweeps: Sequence[Sweep], *, clock: Clock) -> None:
        self._sweeps = sweeps
        self._clock = clock

    async def serve(self) -> None:
        """Run all sweeps, each for the first time after its pause."""
        async with asyncio.TaskGroup() as group:
            for sweep in self._sweeps:
                group.create_task(self._repeat(sweep), name=f"sweep {sweep.name}")

    async def _repeat(self, sweep: Sweep) -> None:
        due: object = None
        while True:
            # Not all processes at the same moment: the first one does the work, the others find nothing.
            pause_s = sweep.every_s * random.uniform(0.8, 1.0)  # noqa: S311 - no secret hangs on it
            if isinstance(due, DueIn):
                pause_s = min(pause_s, max(due.seconds, _SHORTEST_PAUSE_S))
            await self._clock.sleep(pause_s)
            try:
                due = await sweep.once()
            except (StoreError, SQLAlchemyError, OSError) as error:  # the database is away: the next time
                log.warning("sweep.failed", extra={"sweep": sweep.name, "error": type(error).__name__})
                due = None
            except Exception:  # a bug, but one that concerns this sweep: the runs of this process must not die of it
                log.exception("sweep.crashed", extra={"sweep": sweep.name})
                due = None
