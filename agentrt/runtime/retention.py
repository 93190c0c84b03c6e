"""Deletes what is older than agents.toml's `retention` allows, a little at a time.

Each sweep reads an index from its old end, so that it costs as much as there is to delete and nothing more.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial

from agentrt.clock import Clock
from agentrt.config.schema import RetentionSpec
from agentrt.runtime.files import Files
from agentrt.runtime.threads import Threads
from agentrt.runtime.webhooks.desk import Webhooks
from agentrt.store.database import Store, Tx
from agentrt.store.run_events import delete_events
from agentrt.store.runs import date_ended_runs, list_runs_past_retention, list_undated_runs, mark_events_gone

log = logging.getLogger(__name__)

RETENTION_EVERY_S = 60.0
_RUNS_AT_ONCE = 20
_DATED_AT_ONCE = 200


class Retention:
    """Keeps threads, files, events and deliveries of webhooks no longer than the spec says. None = for ever."""

    def __init__(
        self, spec: RetentionSpec, *, store: Store, clock: Clock, threads: Threads, files: Files, webhooks: Webhooks
    ) -> None:
        self._spec = spec
        self._store = store
        self._clock = clock
        self._threads = threads
        self._files = files
        self._webhooks = webhooks

    async def sweep(self) -> None:
        """Delete what is too old by now. Raises StoreError when the database fails."""
        now, spec = self._clock.now(), self._spec
        n_threads = n_files = n_logs = n_deliveries = 0
        if spec.threads_s is not None:
            n_threads = await self._threads.delete_inactive(before=now - spec.threads_s)
        if spec.files_s is not None:
            n_files = await self._files.delete_old(before=now - spec.files_s)
        if spec.events_s is not None:
            n_logs = await self._delete_events(before=now - spec.events_s)
        if spec.webhook_deliveries_s is not None:
            n_deliveries = await self._webhooks.delete_old(before=now - spec.webhook_deliveries_s)
        deleted = {"threads": n_threads, "files": n_files, "logs": n_logs, "deliveries": n_deliveries}
        if any(deleted.values()):
            log.info("retention.swept", extra=deleted)

    async def _delete_events(self, *, before: float) -> int:
        while undated := await self._store.read(lambda tx: list_undated_runs(tx, limit=_DATED_AT_ONCE)):
            await self._store.write(partial(date_ended_runs, run_ids=undated))
        n = 0
        while old := await self._store.read(
            lambda tx: list_runs_past_retention(tx, before=before, limit=_RUNS_AT_ONCE)
        ):
            await self._store.write(partial(_delete_logs, run_ids=old, now=self._clock.now()))
            n += len(old)
        return n


def _delete_logs(tx: Tx, *, run_ids: Sequence[str], now: float) -> None:
    for run_id in run_ids:
        delete_events(tx, run_id)
        mark_events_gone(tx, run_id, now=now)
