"""What falls due without anybody asking: overdue runs, expired files. Idempotent, so that every node may sweep."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable

from sqlalchemy.exc import SQLAlchemyError

from agentrt.clock import Clock
from agentrt.dispatch.ports import Dispatcher
from agentrt.errors import StoreError
from agentrt.store.database import Store, Tx
from agentrt.store.runs import list_overdue_runs

log = logging.getLogger(__name__)

SWEEP_EVERY_S = 5.0


class Sweeper:
    """Sweeps for ever; the owner cancels it. expire_files: deletes the files whose time is over."""

    def __init__(
        self, *, store: Store, dispatcher: Dispatcher, clock: Clock, expire_files: Callable[[], Awaitable[int]]
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._clock = clock
        self._expire_files = expire_files

    async def serve(self) -> None:
        """Sweep every few seconds. A database that is away is tried again the next time."""
        while True:
            await self._clock.sleep(SWEEP_EVERY_S)
            try:
                await self.sweep()
            except (StoreError, SQLAlchemyError, OSError) as error:
                log.warning("sweep.failed", extra={"error": type(error).__name__})

    async def sweep(self) -> int:
        """Once: hand overdue runs to a driver, which ends them, and delete expired files. Returns how many runs."""
        now = self._clock.now()
        overdue = await self._store.read(lambda tx: list_overdue_runs(tx, now))
        if overdue:

            def dispatch(tx: Tx) -> None:
                for run_id in overdue:
                    self._dispatcher.submit(tx, run_id, 0)

            await self._store.write(dispatch)
        await self._expire_files()
        return len(overdue)
