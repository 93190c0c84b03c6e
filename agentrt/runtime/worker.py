"""Takes runs under a new epoch, drives them, hears cancels and deadlines, and gives up what it lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass

from msgspec.structs import replace
from sqlalchemy.exc import SQLAlchemyError

from agentrt.clock import Clock
from agentrt.dispatch.ports import Bus, Dispatcher
from agentrt.engine.commands import Wait
from agentrt.engine.events import CancelRequested, DeadlinePassed, Event, RunStarted, TurnFailed
from agentrt.engine.fold import fold
from agentrt.engine.loop import next_command, recover
from agentrt.engine.run import Run, RunStatus
from agentrt.errors import FencedError, StoreError
from agentrt.runtime.drive import Interrupt, Perform, drive, settle
from agentrt.runtime.feed import Feeds
from agentrt.runtime.recorder import CancelWonError, Flusher, Hold, Recorder, store_batch
from agentrt.store.database import Store, Tx
from agentrt.store.jobs import finish_job, take_job
from agentrt.store.run_events import NumberedEvent, next_seq, read_events
from agentrt.store.runs import load_run

log = logging.getLogger(__name__)

RETRY_AFTER_S = 2.0
"""How long a run rests when the database failed under its driver."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A run under this worker's epoch. opened: what the take-over itself stated; word: what it must hear first."""

    hold: Hold
    run: Run
    seq: int
    opened: list[NumberedEvent]
    word: CancelRequested | DeadlinePassed | None


class Worker:
    """Drives the runs that the dispatcher hands it.

    make_performer: (run, project) → what performs its commands. repeatable: names of tools declared idempotent.
    """

    def __init__(
        self,
        *,
        store: Store,
        dispatcher: Dispatcher,
        bus: Bus,
        feeds: Feeds,
        flusher: Flusher,
        clock: Clock,
        make_performer: Callable[[Run, str], Perform],
        repeatable: Collection[str] = (),
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._feeds = feeds
        self._flusher = flusher
        self._clock = clock
        self._make_performer = make_performer
        self._repeatable = repeatable
        self._interrupts: dict[str, Interrupt] = {}
        bus.listen("cancel", self._hear_cancel)

    @property
    def n_driving(self) -> int:
        """How many runs are being driven now."""
        return len(self._interrupts)

    async def handle(self, job_id: str) -> None:
        """Drive one run as far as it goes. Never raises but for cancellation of the task."""
        # Before the take: a cancel that is accepted right behind it must find somebody who hears.
        interrupt = self._interrupts[job_id] = Interrupt()
        try:
            taken = await self._take(job_id)
            if taken is not None:
                await self._drive(taken, interrupt)
        except FencedError:
            log.warning("run.fenced", extra={"run": job_id})
        except (StoreError, SQLAlchemyError) as error:
            log.error("run.store_failed", extra={"run": job_id, "error": type(error).__name__})
            await self._submit_later(job_id)
        except Exception as error:
            log.exception("run.crashed", extra={"run": job_id})
            await self._fail(job_id, f"agentrt failed inside: {type(error).__name__}: {error}")
        finally:
            del self._interrupts[job_id]

    async def _take(self, job_id: str) -> Taken | None:
        while True:
            try:
                taken = await self._store.write(lambda tx: self._take_over(tx, job_id, self._clock.now()))
            except CancelWonError:
                continue
            if taken is not None and taken.opened:
                self._feeds.publish(taken.hold.run_id, taken.opened, is_saved=True)
            return taken

    def _take_over(self, tx: Tx, job_id: str, now: float) -> Taken | None:
        row = load_run(tx, job_id)
        if row is None or RunStatus(row.status).is_terminal:
            finish_job(tx, job_id)
            return None
        word: CancelRequested | DeadlinePassed | None = None
        if row.status == RunStatus.CANCELLING:
            word = CancelRequested()
        elif row.expires_at is not None and now >= row.expires_at:
            word = DeadlinePassed()
        if word is None and (row.is_held or row.status == RunStatus.REQUIRES_ACTION):
            return None
        epoch = take_job(tx, job_id, now=now)
        if epoch is None:
            return None
        run = fold(numbered.event for numbered in read_events(tx, row.id))
        run = replace(run, spec=replace(run.spec, metadata=row.to_run().spec.metadata))
        hold = Hold(run_id=row.id, project=row.project, job_id=job_id, epoch=epoch)
        seq = next_seq(tx, row.id)
        opening = () if word is not None else _opening(run, self._repeatable)
        if not opening:
            return Taken(hold, run, seq, [], word)
        after, batch = settle(run, opening, at=now)
        numbered = [NumberedEvent(epoch, seq + i, event) for i, event in enumerate(batch)]
        store_batch(tx, hold, run, after, numbered, now=now, dispatcher=self._dispatcher)
        return Taken(hold, after, seq + len(numbered), numbered, None)

    async def _drive(self, taken: Taken, interrupt: Interrupt) -> None:
        run_id, run = taken.hold.run_id, taken.run
        if run.status.is_terminal or (taken.word is None and isinstance(next_command(run), Wait)):
            return
        recorder = Recorder(
            taken.hold, run, taken.seq,
            store=self._store, feeds=self._feeds, flusher=self._flusher, dispatcher=self._dispatcher, clock=self._clock,
        )  # fmt: skip
        if taken.word is not None:
            interrupt.send(taken.word)
        timer = self._arm(run, interrupt)
        perform = self._make_performer(run, taken.hold.project)
        log.info("run.taken", extra={"run": run_id, "epoch": taken.hold.epoch})
        try:
            while True:
                try:
                    driven = drive(run, perform=perform, now=self._clock.now, interrupt=interrupt)
                    async with aclosing(driven):
                        async for after, batch in driven:
                            await recorder.record(after, batch)
                            run = after
                    break
                except CancelWonError:
                    interrupt.send(CancelRequested())
        finally:
            if timer is not None:
                timer.cancel()
            self._feeds.forget(run_id)
        log.info(
            "run.rests",
            extra={"run": run_id, "status": run.status.value, "calls": run.n_model_calls, "cost_usd": run.cost_usd},
        )

    def _arm(self, run: Run, interrupt: Interrupt) -> asyncio.TimerHandle | None:
        if run.spec.expires_at is None:
            return None
        left_s = max(0.0, run.spec.expires_at - self._clock.now())
        return asyncio.get_running_loop().call_later(left_s, interrupt.send, DeadlinePassed())

    def _hear_cancel(self, run_id: str) -> None:
        interrupt = self._interrupts.get(run_id)
        if interrupt is not None:
            interrupt.send(CancelRequested())

    async def _fail(self, job_id: str, message: str) -> None:
        """End a run that our own code could not drive: it must not stay active for ever."""

        def fail(tx: Tx) -> list[NumberedEvent]:
            now = self._clock.now()
            row = load_run(tx, job_id)
            epoch = take_job(tx, job_id, now=now)
            if row is None or epoch is None or RunStatus(row.status).is_terminal:
                return []
            run = fold(numbered.event for numbered in read_events(tx, job_id))
            word: Event = TurnFailed(code="server_error", message=message)
            if row.status == RunStatus.CANCELLING or run.status is not RunStatus.IN_PROGRESS:
                word = CancelRequested()
            after, batch = settle(run, (word,), at=now)
            seq = next_seq(tx, job_id)
            numbered = [NumberedEvent(epoch, seq + i, event) for i, event in enumerate(batch)]
            hold = Hold(run_id=job_id, project=row.project, job_id=job_id, epoch=epoch)
            store_batch(tx, hold, run, after, numbered, now=now, dispatcher=self._dispatcher)
            return numbered

        try:
            self._feeds.publish(job_id, await self._store.write(fail), is_saved=True)
        except Exception:
            log.exception("run.cannot_be_failed", extra={"run": job_id})

    async def _submit_later(self, job_id: str) -> None:
        try:
            await self._store.write(lambda tx: self._dispatcher.submit(tx, job_id, 0, delay_s=RETRY_AFTER_S))
        except (StoreError, SQLAlchemyError):
            log.error("run.left_for_restart", extra={"run": job_id})


def _opening(run: Run, repeatable: Collection[str]) -> tuple[Event, ...]:
    """What a take-over states before the run goes on."""
    if run.status is RunStatus.QUEUED:
        return (RunStarted(),)
    return recover(run, repeatable=repeatable)
