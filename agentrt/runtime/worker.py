"""Takes jobs under a new epoch and has them driven, hears what is lost or cancelled, and hands back what it must.

What a job of a kind is, its JobDriver knows (runtime/run_driver.py for runs).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from agentrt.clock import Clock
from agentrt.dispatch.ports import Bus, Dispatcher
from agentrt.engine.events import CancelRequested
from agentrt.errors import FencedError, StoreError
from agentrt.runtime.drive import Interrupt
from agentrt.runtime.recorder import CancelWonError
from agentrt.store.database import Store, Tx
from agentrt.store.jobs import Hold, hand_back, take_job

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY_AFTER_S = 2.0
"""How long a job rests when the database failed under its driver."""

RETRY_CRASHED_AFTER_S = 60.0
"""How long a job rests whose driver failed, and could not even say so."""

_HAND_BACK_TIMEOUT_S = 5.0


class JobDriver(Protocol[T]):
    """Drives jobs of one kind."""

    def begin(self, tx: Tx, hold: Hold) -> T | None:
        """In the transaction that took the job: what to drive. None: nothing, and the job is finished or rests."""
        ...

    async def drive(self, begun: T, interrupt: Interrupt) -> None:
        """Drive it as far as it goes; then the job is finished or rests, or the interrupt asked for an early end.

        Every write is fenced by the hold. Raises FencedError, StoreError.
        """
        ...

    async def fail(self, hold: Hold, message: str) -> None:
        """Our own code failed, and would again: end the job, so that it does not stay for ever.

        Raises FencedError, CancelWonError, StoreError.
        """
        ...


@dataclass(slots=True, eq=False)
class _Drive:
    """One job in work here."""

    interrupt: Interrupt
    task: asyncio.Task[object] | None
    hold: Hold | None = None
    is_lost: bool = False


class Worker:
    """Has the jobs driven that the dispatcher hands it. drivers: by the job's kind."""

    def __init__(
        self,
        worker_id: str,
        *,
        store: Store,
        dispatcher: Dispatcher,
        bus: Bus,
        clock: Clock,
        lease_s: float,
        drivers: Mapping[str, JobDriver[Any]],
    ) -> None:
        self.id = worker_id
        self._store = store
        self._dispatcher = dispatcher
        self._clock = clock
        self._lease_s = lease_s
        self._drivers = drivers
        self._drives: dict[str, _Drive] = {}
        self._is_resting = False
        bus.listen("cancel", self.cancel)

    @property
    def n_driving(self) -> int:
        """How many jobs are being driven now."""
        return len(self._drives)

    def held(self) -> dict[str, int]:
        """The epoch of every job that is being driven here."""
        return {job_id: drive.hold.epoch for job_id, drive in self._drives.items() if drive.hold is not None}

    def cancel(self, job_id: str) -> None:
        """Tell the driver of a job, if it is here, that the job was cancelled."""
        drive = self._drives.get(job_id)
        if drive is not None:
            drive.interrupt.send(CancelRequested())

    def lose(self, job_id: str) -> None:
        """Stop driving a job that another process has taken over."""
        drive = self._drives.get(job_id)
        if drive is not None and drive.task is not None:
            drive.is_lost = True
            drive.task.cancel()

    def rest(self) -> None:
        """Begin nothing more: each job stops where it can well go on elsewhere, and is handed back."""
        self._is_resting = True
        for drive in self._drives.values():
            drive.interrupt.rest()

    async def handle(self, job_id: str) -> None:
        """Drive one job as far as it goes. Never raises but for cancellation of the task."""
        if job_id in self._drives:
            return  # its row says that it is ready again: who lets go of it there hands it out again
        # Before the take: a cancel that is accepted right behind it must find somebody who hears.
        drive = self._drives[job_id] = _Drive(Interrupt(), asyncio.current_task())
        if self._is_resting:
            drive.interrupt.rest()
        try:
            await self._drive(job_id, drive)
        except FencedError:
            log.warning("job.fenced", extra={"job": job_id})
        except (StoreError, SQLAlchemyError) as error:
            log.error("job.store_failed", extra={"job": job_id, "error": type(error).__name__})
            self._dispatcher.retry(job_id, delay_s=RETRY_AFTER_S)
        except asyncio.CancelledError:
            if drive.is_lost and drive.task is not None and drive.task.uncancel() == 0:
                log.warning("job.lost", extra={"job": job_id})
                return
            await self._hand_back(drive)
            raise
        except Exception as error:
            log.exception("job.crashed", extra={"job": job_id})
            if drive.hold is not None:
                await self._fail(drive.hold, f"agentrt failed inside: {type(error).__name__}: {error}")
        finally:
            del self._drives[job_id]

    async def _drive(self, job_id: str, drive: _Drive) -> None:
        begun = await self._take(job_id, drive)
        if begun is None or drive.hold is None:
            return
        await self._drivers[drive.hold.kind].drive(begun, drive.interrupt)
        if drive.interrupt.is_resting:
            await self._hand_back(drive)

    async def _fail(self, hold: Hold, message: str) -> None:
        # Whatever happens here, the job is ended or tried again: its row says that this process drives it, and as long
        # as this process lives nobody else takes it.
        try:
            await self._drivers[hold.kind].fail(hold, message)
        except FencedError:
            log.warning("job.fenced", extra={"job": hold.job_id})
        except (StoreError, SQLAlchemyError, CancelWonError) as error:
            log.error("job.not_failed", extra={"job": hold.job_id, "error": type(error).__name__})
            self._dispatcher.retry(hold.job_id, delay_s=RETRY_AFTER_S)
        except Exception:
            log.exception("job.cannot_be_failed", extra={"job": hold.job_id})
            self._dispatcher.retry(hold.job_id, delay_s=RETRY_CRASHED_AFTER_S)

    async def _take(self, job_id: str, drive: _Drive) -> object | None:
        def take(tx: Tx) -> tuple[Hold, object | None] | None:
            hold = take_job(tx, job_id, worker=self.id, now=self._clock.now(), lease_s=self._lease_s)
            return None if hold is None else (hold, self._drivers[hold.kind].begin(tx, hold))

        while True:
            try:
                taken = await self._store.write(take)
            except CancelWonError:
                continue  # what `begin` had read was overtaken
            if taken is None:
                return None
            drive.hold, begun = taken
            return begun

    async def _hand_back(self, drive: _Drive) -> None:
        hold = drive.hold
        if hold is None:
            return

        def write(tx: Tx) -> bool:
            ready = hand_back(tx, hold.job_id, hold.epoch, now=self._clock.now())
            if ready is not None:
                self._dispatcher.submit(tx, ready)
            return ready is not None

        try:
            async with asyncio.timeout(_HAND_BACK_TIMEOUT_S):
                if await self._store.write(write):
                    log.info("job.handed_back", extra={"job": hold.job_id})
        except (StoreError, SQLAlchemyError, TimeoutError) as error:
            # The lease runs out, or the next start finds it.
            log.warning("job.not_handed_back", extra={"job": hold.job_id, "error": type(error).__name__})
