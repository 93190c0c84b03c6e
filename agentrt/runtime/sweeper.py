"""What falls due without anybody asking: overdue runs, old things. Idempotent, so that every process may sweep."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy.exc import SQLAlchemyError

from agentrt.clock import Clock
from agentrt.engine.events import DeadlinePassed
from agentrt.errors import FencedError, StoreError
from agentrt.runtime.recorder import CancelWonError
from agentrt.store.database import Store
from agentrt.store.runs import list_overdue_runs

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 5.0


class Sweeper:
    """Sweeps for ever; the owner cancels it.

    end_run: ends a run whose time is over, in one transaction. expire: each deletes things whose time is over (files,
    deliveries of webhooks), and says how many.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        end_run: Callable[[str, DeadlinePassed], Awaitable[bool]],
        expire: Sequence[Callable[[], Awaitable[int]]],
    ) -> None:
        self._store = store
        self._clock = clock
        self._end_run = end_run
        self._expire = expire

    async def serve(self) -> None:
        """Sweep every few seconds. A database that is away is tried again the next time."""
        while True:
            # Not all processes at the same moment: the first one does the work, the others find nothing.
            await self._clock.sleep(SWEEP_EVERY_S * random.uniform(0.8, 1.0))  # noqa: S311 - no secret hangs on it
            try:
                await self.sweep()
            except (StoreError, SQLAlchemyError, OSError) as error:
                log.warning("sweep.failed", extra={"error": type(error).__name__})

    async def sweep(self) -> int:
        """Once: end overdue runs that nobody drives, and delete what has expired. Returns how many runs.

        One that is being driven is ended by its driver, who has a timer.
        """
        now = self._clock.now()
        overdue = await self._store.read(lambda tx: list_overdue_runs(tx, now))
        n_ended = 0
        for run_id in overdue:
            try:
                n_ended += await self._end_run(run_id, DeadlinePassed())
            except (FencedError, CancelWonError):
                continue  # somebody else is at it
        for expire in self._expire:
            await expire()
        return n_ended
