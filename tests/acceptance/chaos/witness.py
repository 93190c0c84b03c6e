"""The witness looks at the database ten times a second: how long runs are without a driver when a process dies, and
whether a thread ever has two active runs."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.acceptance.chaos.database import Database, Row, UnreachableError

_EVERY_S = 0.1
_JOBS = "SELECT id, epoch, worker FROM job WHERE kind = 'run'"
_CROWDED = """
SELECT thread_id FROM run WHERE status IN ('queued', 'in_progress', 'requires_action', 'cancelling') AND NOT is_held
GROUP BY thread_id HAVING count(*) > 1
"""


@dataclass(frozen=True, slots=True)
class _Orphan:
    """A run whose driver died or was frozen. epoch: that driver's."""

    epoch: int
    since: float
    cause: str


@dataclass(slots=True)
class Witness:
    """What was seen of a database while runs were on. recovered_s: how long orphans waited, by what had happened.

    crowded: threads that were seen with two active runs. outages_s: how long the database did not answer.
    """

    database: Database
    crowded: set[str] = field(default_factory=set)
    outages_s: list[float] = field(default_factory=list)
    recovered_s: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    _jobs: Sequence[Row] = ()
    _orphans: dict[str, _Orphan] = field(default_factory=dict)
    _away_since: float | None = None

    async def watch(self) -> None:
        """Look for ever; the owner cancels it."""
        while True:
            try:
                self._look(await self.database.rows(_JOBS), await self.database.rows(_CROWDED))
            except UnreachableError:
                self._away_since = self._away_since or time.monotonic()
            await asyncio.sleep(_EVERY_S)

    def note_loss(self, pid: int, cause: str) -> None:
        """The process does not drive any more what it drove a moment ago."""
        now = time.monotonic()
        for job_id, epoch, worker in self._jobs:
            if worker is not None and int(worker.split(":")[-2]) == pid:
                self._orphans[job_id] = _Orphan(epoch, now, cause)

    def _look(self, jobs: Sequence[Row], crowded: Sequence[Row]) -> None:
        now = time.monotonic()
        self._jobs = jobs
        self.crowded.update(row[0] for row in crowded)
        if self._away_since is not None:
            self.outages_s.append(now - self._away_since)
            self._away_since = None
        epochs = {job_id: epoch for job_id, epoch, _ in jobs}
        for job_id, orphan in list(self._orphans.items()):
            if epochs.get(job_id) != orphan.epoch:  # taken over, or at its end
                self.recovered_s[orphan.cause].append(now - orphan.since)
                del self._orphans[job_id]
