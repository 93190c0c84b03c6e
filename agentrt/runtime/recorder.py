"""Event → rows + followers, numbered, in one transaction.

What may wait is published at once and stored by the flusher, one write for all runs at most 25 times a second. All
else is stored first, together with what waits, and then published.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from msgspec.structs import replace
from sqlalchemy.exc import SQLAlchemyError

from agentrt.clock import Clock
from agentrt.dispatch.ports import Bus, Dispatcher
from agentrt.engine.events import CallOutput, Event, StepCreated
from agentrt.engine.loop import apply, take_back
from agentrt.engine.run import Run, RunStatus
from agentrt.errors import FencedError, NotFoundError, StoreError
from agentrt.runtime.feed import Feeds
from agentrt.runtime.projection import Projection
from agentrt.runtime.wake import wake
from agentrt.runtime.webhooks.outbox import Outbox
from agentrt.store.database import Store, Tx
from agentrt.store.jobs import Hold, fence, finish_held_job, rest_job
from agentrt.store.run_events import NumberedEvent, append_events
from agentrt.store.runs import advance_run, find_active_run, find_held_run, update_run
from agentrt.store.threads import lock_thread

log = logging.getLogger(__name__)

FLUSH_EVERY_S = 0.04


class CancelWonError(Exception):
    """A cancel was accepted before these events were stored: they did not happen."""


def store_batch(
    tx: Tx,
    hold: Hold,
    before: Run,
    after: Run,
    events: Sequence[NumberedEvent],
    *,
    now: float,
    dispatcher: Dispatcher,
    outbox: Outbox,
    is_taken: bool = False,
) -> None:
    """Store events, all that they change and what webhooks are told of them, under the fence.

    A run that waits or has ended is let go of. is_taken: this transaction has taken the job itself, which is a fence.

    Raises FencedError when another driver holds the run, CancelWonError when a cancel came first.
    """
    is_end = after.status.is_terminal
    projection, _ = _projection(hold, before, events)
    # The thread's row before the job's, as everywhere. A run that ends keeps it locked: see release_held.
    try:
        has_thread_locked = projection.take_places(tx)
    except NotFoundError as error:  # the thread was deleted, and the job with it
        raise FencedError(f"the thread of run {hold.subject_id} is gone") from error
    if is_end and not has_thread_locked:
        lock_thread(tx, after.spec.thread_id)
    if is_end:
        finish_held_job(tx, hold.job_id, hold.epoch)
    elif not is_taken:
        fence(tx, hold.job_id, hold.epoch, now=now)
    append_events(tx, hold.subject_id, list(events))
    projection.write(tx)
    if not advance_run(tx, after):
        raise CancelWonError
    outbox.tell(tx, after, events, project=hold.project, now=now)
    if is_end:
        release_held(tx, after.spec.thread_id, now=now, dispatcher=dispatcher)
    elif after.status is RunStatus.REQUIRES_ACTION:
        rest(tx, hold, dispatcher)


def rest(tx: Tx, hold: Hold, dispatcher: Dispatcher) -> None:
    """Let go of a job that has nothing to do now. Raises FencedError."""
    again = rest_job(tx, hold)
    if again is not None:
        dispatcher.submit(tx, again)


def _projection(hold: Hold, before: Run, events: Sequence[NumberedEvent]) -> tuple[Projection, Run]:
    """The rows of messages and steps that events change, and the run after them."""
    projection = Projection(hold.project, before)
    run = before
    for numbered in events:
        # Rows hold finished texts only; but what a call showed is in its step even if it never returns.
        if not numbered.event.is_delta or isinstance(numbered.event, CallOutput):
            run = apply(run, numbered.event)
            projection.see(numbered.event, run)
    return projection, run


def release_held(tx: Tx, thread_id: str, *, now: float, dispatcher: Dispatcher) -> None:
    """Let the run that has waited longest go, if the thread is free.

    The caller holds the thread's lock: a run that is being put behind the one that ends here must be seen.
    """
    held = find_held_run(tx, thread_id)
    if held is not None and find_active_run(tx, thread_id) is None:
        wake(tx, dispatcher, held.id, now=now)  # its job's row before its own, as everywhere
        update_run(tx, held.id, {"is_held": False})


class Recorder:
    """Records what one driver of one run tells. run, seq: where the stored log ends."""

    def __init__(
        self, hold: Hold, run: Run, seq: int, *, store: Store, bus: Bus, feeds: Feeds, flusher: Flusher,
        dispatcher: Dispatcher, outbox: Outbox, clock: Clock,
    ) -> None:  # fmt: skip
        self.hold = hold
        self._stored_run = run
        self._seq = seq
        self._store = store
        self._bus = bus
        self._feeds = feeds
        self._flusher = flusher
        self._dispatcher = dispatcher
        self._outbox = outbox
        self._clock = clock
        self.pending: list[NumberedEvent] = []
        self.is_fenced = False

    async def record(self, after: Run, batch: Sequence[Event]) -> None:
        """Record a batch; returns when it is as safe as its events must be.

        Raises FencedError, CancelWonError (nothing of the batch was stored), StoreError.
        """
        if self.is_fenced:
            raise FencedError(f"run {self.hold.subject_id} was taken over")
        numbered = [NumberedEvent(self.hold.epoch, self._seq + i, event) for i, event in enumerate(batch)]
        if all(event.may_wait for event in batch):
            self._seq += len(numbered)
            self.pending.extend(numbered)
            self._feeds.publish(self.hold.subject_id, numbered, is_saved=False)
            self._flusher.add(self)
            return
        await self._flusher.settle(self)
        if self.is_fenced:
            raise FencedError(f"run {self.hold.subject_id} was taken over")
        before, events = self._stored_run, [*self.pending, *numbered]

        def write(tx: Tx) -> None:
            now = self._clock.now()  # of this attempt: an old sign of life would take back the beat's
            store_batch(tx, self.hold, before, after, events, now=now, dispatcher=self._dispatcher, outbox=self._outbox)
            self._bus.notify(tx, "news", [self.hold.subject_id])

        await self._store.write(write)
        self._seq += len(numbered)
        self.pending.clear()
        self._stored_run = after
        self._feeds.publish(self.hold.subject_id, numbered, is_saved=True)
        self._feeds.mark_saved(self.hold.subject_id, numbered[-1])

    async def give_up(self, run: Run) -> None:
        """Nothing more will be recorded. run: with all that was published.

        What was published and never stored is closed for those who follow here: somebody makes the call again.
        """
        await self._flusher.settle(self)
        lost = {n.event.step_id for n in self.pending if isinstance(n.event, StepCreated)}
        closing: Sequence[Event] = take_back(run, lost) if run.status is RunStatus.IN_PROGRESS else ()
        now = self._clock.now()
        numbered = [
            NumberedEvent(self.hold.epoch, self._seq + i, replace(event, at=now)) for i, event in enumerate(closing)
        ]
        self.pending.clear()
        self._feeds.publish(self.hold.subject_id, numbered, is_saved=True)  # to nobody who comes later

    def flush(self, tx: Tx, events: Sequence[NumberedEvent], now: float) -> Run | None:
        """Store events that waited. Returns the run after them, None when another driver holds the run."""
        try:
            fence(tx, self.hold.job_id, self.hold.epoch, now=now)
            append_events(tx, self.hold.subject_id, list(events))
        except FencedError:
            return None
        projection, run = _projection(self.hold, self._stored_run, events)
        projection.take_places(tx)
        projection.write(tx)
        return run

    def flushed(self, events: Sequence[NumberedEvent], run: Run | None) -> None:
        """The flush is durable, or the run is lost to another driver."""
        if run is None:
            self.is_fenced = True
            return
        self._stored_run = run
        del self.pending[: len(events)]
        self._feeds.mark_saved(self.hold.subject_id, events[-1])


class Flusher:
    """Stores what waits, for all runs of this process together."""

    def __init__(self, store: Store, bus: Bus, clock: Clock) -> None:
        self._store = store
        self._bus = bus
        self._clock = clock
        self._dirty: dict[Recorder, None] = {}
        self._news = asyncio.Event()
        self._in_flight: dict[Recorder, list[NumberedEvent]] = {}
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, recorder: Recorder) -> None:
        """The recorder has events that wait."""
        self._dirty[recorder] = None
        self._news.set()

    async def settle(self, recorder: Recorder) -> None:
        """Wait for a flush that is under way with this recorder's events, and take it off the list."""
        self._dirty.pop(recorder, None)
        while recorder in self._in_flight:
            await self._idle.wait()
        self._dirty.pop(recorder, None)

    async def serve(self) -> None:
        """Flush for ever; the owner cancels it."""
        while True:
            await self._news.wait()
            await self._clock.sleep(FLUSH_EVERY_S)
            self._news.clear()
            try:
                await self.flush()
            except (StoreError, SQLAlchemyError) as error:
                # What waits is still pending: the run's next commit stores it, or fails and ends the drive.
                log.warning("flush.failed", extra={"error": type(error).__name__})
            except Exception:  # one run's bug: its next commit meets it again, where it fails that run alone
                log.exception("flush.crashed")

    async def flush(self) -> None:
        """Store everything that waits now."""
        dirty = sorted(self._dirty, key=lambda recorder: recorder.hold.job_id)  # as the beat locks them: by id
        self._in_flight = {recorder: list(recorder.pending) for recorder in dirty if recorder.pending}
        self._dirty.clear()
        if not self._in_flight:
            return
        self._idle.clear()

        def write(tx: Tx) -> list[Run | None]:
            now = self._clock.now()  # of this attempt: an old sign of life would take back the beat's
            self._bus.notify(tx, "news", [recorder.hold.subject_id for recorder in self._in_flight])
            return [recorder.flush(tx, events, now) for recorder, events in self._in_flight.items()]

        try:
            runs = await self._store.write(write)
            for (recorder, events), run in zip(self._in_flight.items(), runs, strict=True):
                recorder.flushed(events, run)
        finally:
            self._in_flight = {}
            self._idle.set()
