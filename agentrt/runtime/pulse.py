"""What waits, what is at work and who works, as the database has it: the same for every process that asks."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from agentrt.clock import Clock
from agentrt.errors import StoreError, UnavailableError
from agentrt.runtime.leases import ALONE_BEAT_S
from agentrt.store.clock import database_time
from agentrt.store.database import Store, Tx
from agentrt.store.embedded_files import EmbeddingProgress, embedding_progress
from agentrt.store.jobs import driven_jobs, waiting_jobs
from agentrt.store.runs import count_resting_runs
from agentrt.store.vector_store_files import count_files as count_store_files
from agentrt.store.watched_folders import count_watched, list_watches
from agentrt.store.workers import WorkerProcess, list_workers

_FRESH_S = 1.0
_LONGEST_S = 2.0
_REST_AFTER_COUNTING = 20
"""Files are counted again after so many times as long as counting them took: however many there are, and whoever asks
how often, that is a twentieth of one processor at most."""


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """Of all projects. waiting: jobs that somebody should drive and nobody does, the oldest since oldest_waiting_s.

    driving: jobs that are being driven. waiting_for_caller: runs that wait for outputs. held: runs that wait for
    another one of their thread to end.
    """

    waiting: int
    oldest_waiting_s: float | None
    driving: int
    waiting_for_caller: int
    held: int


class WorkerState(msgspec.Struct, frozen=True, kw_only=True):
    """A process on this database. seen_s: how long ago it gave a sign of life; is_alive: not too long ago.

    driving: how many jobs it holds.
    """

    id: str
    host: str
    pid: int
    role: str
    version: str
    started_at: int
    seen_s: float
    driving: int
    is_alive: bool

    @property
    def drives(self) -> bool:
        """Whether it takes jobs at all."""
        return self.role != "api"


class FolderPulse(msgspec.Struct, frozen=True, kw_only=True):
    """The watched folders of a store. checked_at: of the last look. problems: how many the folders have. found: how
    many files of the store can be found, also those that are from no folder."""

    store_id: str
    checked_at: int | None
    files: int
    pending: int
    failed: int
    problems: int
    found: int = 0

    @property
    def is_troubled(self) -> bool:
        """Whether something is not found as it lies in the folders."""
        return self.failed > 0 or self.problems > 0


class Pulse(msgspec.Struct, frozen=True, kw_only=True):
    """vectors: how far files have those of the model that search uses; None when it uses none."""

    queue: Queue
    workers: list[WorkerState]
    vectors: EmbeddingProgress | None = None
    folders: list[FolderPulse] = []


class FileCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What has to be counted file by file; see Pulse."""

    vectors: EmbeddingProgress | None = None
    folders: list[FolderPulse] = []


def read_pulse(
    tx: Tx, *, now: float, lease_s: float, embedding: str | None = None, files: FileCounts | None = None
) -> Pulse:
    """now: by the clock that the workers' signs of life go by. lease_s: after that long without one, a worker counts
    as dead; alone with its database, a process gives one every half minute only. embedding: the name of the vectors
    that files shall have. files: what has been counted already; None = count now."""
    n_waiting, oldest_at = waiting_jobs(tx, now=now)
    driven = driven_jobs(tx)
    n_asked, n_held = count_resting_runs(tx)
    silent_s = lease_s if _is_shared(tx) else 3 * ALONE_BEAT_S
    queue = Queue(
        waiting=n_waiting,
        oldest_waiting_s=None if oldest_at is None else round(max(0.0, now - oldest_at), 3),
        driving=driven.total(),
        waiting_for_caller=n_asked,
        held=n_held,
    )
    workers = [_state(worker, now, driving=driven[worker.id], silent_s=silent_s) for worker in list_workers(tx)]
    files = files or count_files(tx, embedding)
    return Pulse(queue=queue, workers=workers, vectors=files.vectors, folders=files.folders)


def count_files(tx: Tx, embedding: str | None) -> FileCounts:
    """embedding: as for read_pulse."""
    vectors = None if embedding is None else embedding_progress(tx, embedding)
    return FileCounts(vectors=vectors, folders=_folders(tx))


def _folders(tx: Tx) -> list[FolderPulse]:
    found = []
    for watch in list_watches(tx):
        counts = count_watched(tx, watch.store_id)
        found.append(
            FolderPulse(
                store_id=watch.store_id,
                checked_at=watch.checked_at,
                files=counts.files,
                pending=counts.pending,
                failed=counts.failed,
                problems=len(watch.problems),
                found=count_store_files(tx, watch.store_id).completed,
            )
        )
    return found


def shared_time(tx: Tx, clock: Clock) -> float:
    """The time by which workers' signs of life go, for a process that is none."""
    return database_time(tx) if _is_shared(tx) else clock.now()


class PulseReader:
    """The pulse for whoever asks often: read once a second at most, also when many ask at once; files are counted more
    seldom when there are many."""

    def __init__(self, store: Store, clock: Clock, *, lease_s: float, embedding: str | None = None) -> None:
        self._store = store
        self._embedding = embedding
        self._clock = clock
        self._lease_s = lease_s
        self._lock = asyncio.Lock()
        self._last: tuple[float, Pulse] | None = None
        self._files = FileCounts()
        self._count_at = float("-inf")

    async def read(self) -> Pulse:
        """At most a second old, but for the counts of files. Raises UnavailableError when the database does not answer
        soon."""
        async with self._lock:
            asked_at = self._clock.monotonic()
            if self._last is not None and asked_at - self._last[0] < _FRESH_S:
                return self._last[1]
            try:
                await self._count()
                async with asyncio.timeout(_LONGEST_S):
                    read = partial(read_pulse, now=self._clock.now(), lease_s=self._lease_s, files=self._files)
                    pulse = await self._store.read(read)
            except (StoreError, SQLAlchemyError, TimeoutError) as error:
                raise UnavailableError("The database does not answer.") from error
            self._last = (asked_at, pulse)
            return pulse

    async def _count(self) -> None:
        began = self._clock.monotonic()
        if began < self._count_at:
            return
        with suppress(TimeoutError):  # then the last counts stand; whether the database answers, the next read tells
            async with asyncio.timeout(_LONGEST_S):
                self._files = await self._store.read_long(lambda tx: count_files(tx, self._embedding))
        now = self._clock.monotonic()
        self._count_at = now + (now - began) * _REST_AFTER_COUNTING


def _state(worker: WorkerProcess, now: float, *, driving: int, silent_s: float) -> WorkerState:
    seen_s = max(0.0, now - worker.seen_at)
    return WorkerState(
        id=worker.id,
        host=worker.host,
        pid=worker.pid,
        role=worker.role,
        version=worker.version,
        started_at=worker.started_at,
        seen_s=round(seen_s, 3),
        driving=driving,
        is_alive=seen_s <= silent_s,
    )


def _is_shared(tx: Tx) -> bool:
    return tx.conn.dialect.name != "sqlite"
