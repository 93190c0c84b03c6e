"""Signs of life: this process's beat, and what becomes of the jobs of processes that have fallen silent."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from typing import Literal, TypeAlias

from sqlalchemy.exc import SQLAlchemyError

from agentrt.clock import Clock
from agentrt.dispatch.ports import Dispatcher
from agentrt.engine.run import RunStatus
from agentrt.errors import StoreError
from agentrt.runtime.fleet_clock import FleetClock
from agentrt.runtime.worker import Worker
from agentrt.store.database import Store, Tx
from agentrt.store.jobs import HeldJob, Ready, free_all_jobs, free_dead_jobs, free_jobs_of, touch_held
from agentrt.store.workers import (
    WorkerProcess,
    beat_worker,
    forget_silent_workers,
    forget_worker,
    list_workers,
)
from agentrt.version import __version__

log = logging.getLogger(__name__)

Role: TypeAlias = Literal["all", "api", "worker"]
"""What a process does: answer HTTP, drive runs, or both."""

BEAT_S = 1.0
ALONE_BEAT_S = 30.0
"""Alone with its database, a process need not prove to anybody that it lives; `agentrt doctor` likes to see it."""
FORGET_WORKERS_AFTER_S = 24 * 3600.0

_SILENT_BEATS = 3
_RECONCILE_EVERY_S = 5.0
_made_here: set[str] = set()  # an application may have several runtimes


def new_worker_id() -> str:
    """Names a process for its whole life: `host:pid:6 hex digits`."""
    worker_id = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(3)}"
    _made_here.add(worker_id)
    return worker_id


def needs_postgres(role: Role, database: object) -> StoreError:
    """database: its URL, as it may be shown."""
    return StoreError(
        f"Role `{role}` needs a database that processes can share\n"
        f"  why: {database} is a SQLite file, which serves one process\n"
        '  fix: [runtime] database = "postgresql://…", or the role `all`'
    )


class Leases:
    """Beats for ever; the owner cancels it. worker: what this process drives; url: where it answers HTTP.

    embedding: the name of the vectors that this process gives files.
    """

    def __init__(
        self,
        worker: Worker,
        *,
        role: Role,
        url: str | None,
        store: Store,
        dispatcher: Dispatcher,
        clock: Clock,
        lease_s: float,
        embedding: str | None = None,
    ) -> None:
        self._worker = worker
        self._role = role
        self._url = url
        self._store = store
        self._dispatcher = dispatcher
        self._clock = clock
        self._lease_s = lease_s
        self._embedding = embedding
        self._beat_s = min(BEAT_S, lease_s / 4) if store.is_shared else ALONE_BEAT_S
        self._started_at = int(clock.now())
        self._missed: set[tuple[str, int]] = set()

    async def begin(self) -> None:
        """Enter the list of workers, and have done what dead ones left: all that there is, if nobody else is here."""

        def write(tx: Tx) -> int:
            now = self._clock.now()
            if self._store.is_shared:
                n_left = self._free_the_dead(tx, now)
            else:
                left = free_all_jobs(tx, now=now)
                for job, ready_at in left:
                    self._dispatcher.submit(tx, job, delay_s=max(0.0, ready_at - now))
                forget_silent_workers(tx, before=float("inf"))
                n_left = len(left)
            beat_worker(tx, self._myself(now))
            return n_left

        n_left = await self._store.write(write)
        if n_left:
            log.info("jobs.recovered", extra={"n": n_left})

    async def serve(self) -> None:
        """Beat, and every few seconds look after the others. A database that is away is tried again."""
        reconcile_every_s = min(self._lease_s / 3, _RECONCILE_EVERY_S)
        reconciled_at = self._clock.monotonic()
        while True:
            await self._clock.sleep(self._beat_s)
            try:
                await self.beat()
                if self._clock.monotonic() - reconciled_at >= reconcile_every_s:
                    reconciled_at = self._clock.monotonic()
                    await self.reconcile()
            except (StoreError, SQLAlchemyError) as error:
                log.warning("beat.failed", extra={"error": type(error).__name__})

    async def beat(self) -> None:
        """One sign of life for this process and all that it drives. What was cancelled or lost meanwhile hears it."""
        before = set(self._worker.held().items())

        def write(tx: Tx) -> list[HeldJob]:
            now = self._clock.now()
            beat_worker(tx, self._myself(now))
            return touch_held(tx, self._worker.id, now=now)

        found = await self._store.write(write)
        if isinstance(self._clock, FleetClock):
            await self._clock.measure(self._store)
        for job in found:
            if job.run_status == RunStatus.CANCELLING:
                self._worker.cancel(job.job_id)
        # A job that has just ended is not ours any more either, and its driver is about to leave: look twice.
        missing = before - {(job.job_id, job.epoch) for job in found}
        still_driven = set(self._worker.held().items())
        for job_id, epoch in missing & self._missed & still_driven:
            log.warning("job.taken_over", extra={"job": job_id, "epoch": epoch})
            self._worker.lose(job_id)
        self._missed = missing & still_driven

    async def reconcile(self) -> int:
        """Hand out again what dead processes hold, and what nobody has taken for too long. Returns how many jobs."""

        def write(tx: Tx) -> int:
            now = self._clock.now()
            n_freed = self._free_the_dead(tx, now) if self._store.is_shared else 0
            jobs = free_dead_jobs(tx, self._worker.id, now=now, lease_s=self._lease_s)
            self._submit(tx, jobs)
            forget_silent_workers(tx, before=now - FORGET_WORKERS_AFTER_S)
            return n_freed + len(jobs)

        n = await self._store.write(write)
        if n:
            log.info("jobs.reconciled", extra={"n": n})
        return n

    async def end(self) -> None:
        """Leave the list of workers."""
        try:
            await self._store.write(lambda tx: forget_worker(tx, self._worker.id))
        except (StoreError, SQLAlchemyError) as error:
            log.warning("worker.not_forgotten", extra={"error": type(error).__name__})

    def _free_the_dead(self, tx: Tx, now: float) -> int:
        n_freed = 0
        for other in list_workers(tx):
            if _is_known_dead(other, now=now):
                jobs = free_jobs_of(tx, other.id, now=now)
                self._submit(tx, jobs)
                forget_worker(tx, other.id)
                n_freed += len(jobs)
        return n_freed

    def _submit(self, tx: Tx, jobs: list[Ready]) -> None:
        for job in jobs:
            self._dispatcher.submit(tx, job)

    def _myself(self, now: float) -> WorkerProcess:
        host, pid, _ = self._worker.id.rsplit(":", 2)
        return WorkerProcess(
            id=self._worker.id,
            role=self._role,
            host=host,
            pid=int(pid),
            version=__version__,
            url=self._url,
            started_at=self._started_at,
            seen_at=now,
            n_driving=self._worker.n_driving,
            embedding=self._embedding,
        )


def _is_known_dead(worker: WorkerProcess, *, now: float) -> bool:
    """A process of this machine that is not there any more need not be waited for. Of others one cannot know.

    Nor of one that has just given a sign of life: containers may have our host's name, and numbers of their own.
    """
    if worker.host != socket.gethostname() or now - worker.seen_at < _SILENT_BEATS * BEAT_S:
        return False
    if worker.pid == os.getpid():
        return worker.id not in _made_here  # it had our number before us, as in a container that was started again
    try:
        os.kill(worker.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
