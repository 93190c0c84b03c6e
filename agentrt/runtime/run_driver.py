"""Runs as jobs: taken up where their stored events end, driven, recorded."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection
from contextlib import aclosing
from dataclasses import dataclass
from functools import partial

from msgspec.structs import replace

from agentrt.clock import Clock
from agentrt.dispatch.ports import Bus, Dispatcher
from agentrt.engine.commands import Wait
from agentrt.engine.events import CallStarted, CancelRequested, DeadlinePassed, Event, RunStarted, TurnFailed
from agentrt.engine.fold import fold
from agentrt.engine.loop import next_command, recover
from agentrt.engine.run import Run, RunStatus
from agentrt.runtime.drive import Batch, Interrupt, Perform, drive, settle
from agentrt.runtime.feed import Feeds
from agentrt.runtime.recorder import CancelWonError, Flusher, Recorder, rest, store_batch
from agentrt.runtime.webhooks.outbox import Outbox
from agentrt.store.database import Store, Tx
from agentrt.store.jobs import Hold, fence, finish_job, seize_job
from agentrt.store.run_events import NumberedEvent, next_seq, read_events
from agentrt.store.runs import load_run
from agentrt.store.threads import lock_thread

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class BegunRun:
    """A run under this process's epoch. log: all that is stored of it; word: what it must hear first."""

    hold: Hold
    run: Run
    log: list[NumberedEvent]
    word: CancelRequested | DeadlinePassed | None


class RunDriver:
    """Drives runs; see JobDriver.

    make_performer: (run, our hold on it) → what performs its commands. on_rest: called with the id of a run that was
    driven to its end, or to where it waits. repeatable: names of tools declared idempotent.
    lease_s: after how long without a sign of life another process takes over.
    """

    def __init__(
        self,
        *,
        store: Store,
        dispatcher: Dispatcher,
        bus: Bus,
        feeds: Feeds,
        flusher: Flusher,
        outbox: Outbox,
        clock: Clock,
        make_performer: Callable[[Run, Hold], Perform],
        on_rest: Callable[[str], None],
        lease_s: float,
        repeatable: Collection[str] = (),
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._bus = bus
        self._feeds = feeds
        self._flusher = flusher
        self._outbox = outbox
        self._clock = clock
        self._make_performer = make_performer
        self._on_rest = on_rest
        self._lease_s = lease_s
        self._repeatable = repeatable

    def begin(self, tx: Tx, hold: Hold) -> BegunRun | None:
        """See JobDriver.begin."""
        now = self._clock.now()
        row = load_run(tx, hold.subject_id)
        if row is None or RunStatus(row.status).is_terminal:
            finish_job(tx, hold.job_id)
            return None
        word: CancelRequested | DeadlinePassed | None = None
        if row.status == RunStatus.CANCELLING:
            word = CancelRequested()
        elif row.expires_at is not None and now >= row.expires_at:
            word = DeadlinePassed()
        if word is None and (row.is_held or row.status == RunStatus.REQUIRES_ACTION):
            rest(tx, hold, self._dispatcher)
            return None
        log = read_events(tx, row.id)
        run = fold(numbered.event for numbered in log)
        run = replace(run, spec=replace(run.spec, metadata=row.to_run().spec.metadata))
        opening = () if word is not None else _opening(run, self._repeatable)
        if not opening:
            return BegunRun(hold, run, log, word)
        after, batch = settle(run, opening, at=now)
        numbered = _numbered(hold.epoch, log[-1].seq + 1, batch)
        store_batch(
            tx, hold, run, after, numbered, now=now, dispatcher=self._dispatcher, outbox=self._outbox, is_taken=True
        )
        log += numbered
        tx.after_commit(partial(self._feeds.begin, row.id, log))  # before the news, which need not be read here then
        self._bus.notify(tx, "news", [row.id])
        return BegunRun(hold, after, log, None)

    async def drive(self, begun: BegunRun, interrupt: Interrupt) -> None:
        """See JobDriver.drive."""
        run_id, run = begun.hold.subject_id, begun.run
        self._feeds.begin(run_id, begun.log)
        timer = self._arm(run, interrupt)
        try:
            if begun.word is not None:
                interrupt.send(begun.word)
            elif run.status.is_terminal or isinstance(next_command(run), Wait):
                return
            log.info("run.taken", extra={"run": run_id, "epoch": begun.hold.epoch})
            run = await self._drive(begun, interrupt)
        finally:
            if timer is not None:
                timer.cancel()
            self._feeds.forget(run_id)
        if not interrupt.is_resting:
            self._on_rest(run_id)
        log.info(
            "run.rests",
            extra={"run": run_id, "status": run.status.value, "calls": run.n_model_calls, "cost_usd": run.cost_usd},
        )

    async def fail(self, hold: Hold, message: str) -> None:
        """See JobDriver.fail."""
        await self._end(hold.subject_id, TurnFailed(code="server_error", message=message), hold)

    async def end(self, run_id: str, word: DeadlinePassed) -> bool:
        """End a run that nobody drives and whose time is over, in one transaction. False: there is nothing to end."""
        return await self._end(run_id, word, None)

    async def _end(self, run_id: str, word: TurnFailed | DeadlinePassed, hold: Hold | None) -> bool:
        """See end_run. Raises FencedError, CancelWonError, StoreError."""

        def write(tx: Tx) -> list[NumberedEvent]:
            numbered = end_run(
                tx, run_id, word, hold, now=self._clock.now(), dispatcher=self._dispatcher, outbox=self._outbox
            )
            if numbered:
                self._bus.notify(tx, "news", [run_id])
            return numbered

        numbered = await self._store.write(write)
        if numbered:
            self._feeds.publish_stored(run_id, numbered)
        return bool(numbered)

    async def _drive(self, begun: BegunRun, interrupt: Interrupt) -> Run:
        run = begun.run
        perform = self._make_performer(run, begun.hold)
        recorder = Recorder(
            begun.hold, run, begun.log[-1].seq + 1,
            store=self._store, bus=self._bus, feeds=self._feeds, flusher=self._flusher, dispatcher=self._dispatcher,
            outbox=self._outbox, clock=self._clock,
        )  # fmt: skip
        while True:
            try:
                driven = drive(run, perform=perform, now=self._clock.now, interrupt=interrupt)
                async with aclosing(driven):
                    async for after, batch in driven:
                        await self._record(recorder, after, batch)
                        run = after
                return run
            except CancelWonError:
                interrupt.send(CancelRequested())
            except BaseException:
                await recorder.give_up(run)
                raise

    async def _record(self, recorder: Recorder, after: Run, batch: Batch) -> None:
        began, hold = self._clock.monotonic(), recorder.hold
        await recorder.record(after, batch)
        # A process that was frozen in that write may be a ghost by now: it must not start a tool as if it were not.
        while self._clock.monotonic() - began > self._lease_s / 2 and isinstance(batch[-1], CallStarted):
            began = self._clock.monotonic()
            await self._store.write(lambda tx: fence(tx, hold.job_id, hold.epoch, now=self._clock.now()))

    def _arm(self, run: Run, interrupt: Interrupt) -> asyncio.TimerHandle | None:
        if run.expires_at is None:
            return None
        left_s = max(0.0, run.expires_at - self._clock.now())
        return asyncio.get_running_loop().call_later(left_s, interrupt.send, DeadlinePassed())


def end_run(
    tx: Tx,
    run_id: str,
    word: TurnFailed | DeadlinePassed | CancelRequested,
    hold: Hold | None = None,
    *,
    now: float,
    dispatcher: Dispatcher,
    outbox: Outbox,
) -> list[NumberedEvent]:
    """End a run in one transaction. hold: its driver's, when it is the one that wants the end; without, whoever drives
    it is fenced off.

    A cancel that was accepted before wins; a run whose model was not called yet is not failed but cancelled; one whose
    time is not over, because its outputs came meanwhile, does not expire. Returns the events that were stored, none
    when there is nothing to end. Raises FencedError, CancelWonError.
    """
    row = load_run(tx, run_id)
    if row is None:
        return []
    lock_thread(tx, row.thread_id)  # before the job's row, as whoever puts a run behind this one does
    if hold is not None:
        fence(tx, hold.job_id, hold.epoch, now=now)
    held = hold or seize_job(tx, run_id, now=now)
    row = load_run(tx, run_id)
    if held is None or row is None or RunStatus(row.status).is_terminal:
        return []
    if isinstance(word, DeadlinePassed) and hold is None and (row.expires_at is None or row.expires_at > now):
        return []
    run = fold(numbered.event for numbered in read_events(tx, run_id))
    last: Event = word
    if row.status == RunStatus.CANCELLING or not _can_hear(run, word):
        last = CancelRequested()
    after, batch = settle(run, (last,), at=now)
    numbered = _numbered(held.epoch, next_seq(tx, run_id), batch)
    store_batch(tx, held, run, after, numbered, now=now, dispatcher=dispatcher, outbox=outbox, is_taken=True)
    return numbered


def _opening(run: Run, repeatable: Collection[str]) -> tuple[Event, ...]:
    """What a take-over states before the run goes on."""
    if run.status is RunStatus.QUEUED:
        return (RunStarted(),)
    return recover(run, repeatable=repeatable)


def _can_hear(run: Run, word: TurnFailed | DeadlinePassed | CancelRequested) -> bool:
    return not isinstance(word, TurnFailed) or run.status is RunStatus.IN_PROGRESS


def _numbered(epoch: int, seq: int, batch: Batch) -> list[NumberedEvent]:
    return [NumberedEvent(epoch, seq + i, event) for i, event in enumerate(batch)]
