"""Runs as callers see them: create, submit outputs, cancel, follow. Driving them is the worker's."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Container, Sequence
from dataclasses import dataclass
from typing import Any

from msgspec.structs import replace
from sqlalchemy.exc import IntegrityError

from agentrt.clock import Clock
from agentrt.dispatch.ports import Bus, Dispatcher
from agentrt.engine.commands import Conclude
from agentrt.engine.events import Event, OutputsSubmitted, RunCreated, RunQueued, ThreadCreated
from agentrt.engine.fold import last_event
from agentrt.engine.loop import apply, next_command
from agentrt.engine.message import ToolResult
from agentrt.engine.run import Run, RunStatus
from agentrt.engine.spec import Price, RunSpec, ThreadInfo
from agentrt.errors import InvalidRequestError, RunStateError, ThreadBusyError, ToolOutputsMismatchError
from agentrt.ids import new_id
from agentrt.runtime.busy import busy_policy, request_cancel
from agentrt.runtime.feed import Feeds
from agentrt.runtime.recorder import store_batch
from agentrt.runtime.requests import NewRun, NewThread, OnBusy
from agentrt.runtime.resources import resolve_resources, touch_stores
from agentrt.runtime.specs import make_spec, repeat_spec
from agentrt.runtime.threads import add_messages, create_thread
from agentrt.runtime.wake import wake
from agentrt.runtime.webhooks.outbox import Outbox
from agentrt.store.assistants import IN_CODE, Assistant, find_assistant
from agentrt.store.database import Store, Tx
from agentrt.store.jobs import DEFAULT_QUEUE, Job, insert_job, seize_job
from agentrt.store.run_events import NumberedEvent, append_events, next_seq, read_events
from agentrt.store.run_lists import find_run_of_project
from agentrt.store.runs import (
    StoredRun,
    encode_meta,
    encode_spec,
    encode_state,
    find_active_run,
    find_run,
    insert_run,
    load_run,
    update_run,
)
from agentrt.store.threads import Thread, find_thread, lock_thread, take_positions


@dataclass(frozen=True, slots=True)
class Submitted:
    """A run whose outputs were accepted. after: the place in its log that stood before them."""

    run: Run
    after: tuple[int, int]


class Runs:
    """What callers do to runs.

    check_model: the model's price; raises ModelNotFoundError for a name that no available model answers to.
    server_tools: assistant id → names of the functions that this process runs for it.
    """

    def __init__(
        self,
        *,
        store: Store,
        dispatcher: Dispatcher,
        bus: Bus,
        feeds: Feeds,
        outbox: Outbox,
        clock: Clock,
        check_model: Callable[[str], Price | None],
        server_tools: Callable[[str], Container[str]],
        max_steps: int,
        expires_after_s: float,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._bus = bus
        self._feeds = feeds
        self._outbox = outbox
        self._clock = clock
        self._check_model = check_model
        self._server_tools = server_tools
        self._max_steps = max_steps
        self._expires_after_s = expires_after_s

    async def create(self, project: str, thread_id: str, new: NewRun, *, run_id: str | None = None) -> Run:
        """Start a run on a thread, durable when this returns. run_id: the caller's choice, unique.

        Raises NotFoundError, ModelNotFoundError, ThreadBusyError (policy `reject`), InvalidRequestError.
        """
        return await self._write_run(thread_id, lambda tx: self.create_in(tx, project, thread_id, new, run_id=run_id))

    async def retry(self, project: str, run_id: str, *, on_busy: OnBusy | None = None) -> Run:
        """A new run on the same thread, with the parameters of one that ended otherwise than completed.

        What the thread has come to meanwhile stands before it. Raises NotFoundError (also for its assistant),
        RunStateError, ModelNotFoundError, ThreadBusyError (policy `reject`).
        """
        row = await self._store.read(lambda tx: find_run_of_project(tx, project, run_id))
        status, old = RunStatus(row.status), row.to_run().spec
        if not status.is_terminal or status is RunStatus.COMPLETED:
            raise RunStateError(run_id=run_id, run_status=status, doing="retry")

        def write(tx: Tx) -> Run:
            now = self._clock.now()
            thread = find_thread(tx, project, row.thread_id)
            position = take_positions(tx, thread.id, 1, now=now)
            assistant = find_assistant(tx, project, row.assistant_id)
            is_held = self._make_way(tx, thread, assistant.id, on_busy)
            server_tools = self._server_tools(assistant.id)
            spec = repeat_spec(old, run_id=new_id("run"), now=now, position=position, server_tools=server_tools)
            spec = replace(spec, price=self._check_model(spec.model))
            return self._insert(tx, thread, assistant, spec, is_held=is_held)

        return await self._write_run(row.thread_id, write)

    def create_in(self, tx: Tx, project: str, thread_id: str, new: NewRun, *, run_id: str | None = None) -> Run:
        """As create, in a transaction of the caller's."""
        now = self._clock.now()
        thread = find_thread(tx, project, thread_id)
        # Takes the thread's row lock first: whoever checks for an active run after this sees every other one.
        first_pos = take_positions(tx, thread_id, len(new.messages) + 1, now=now)
        assistant = find_assistant(tx, project, new.assistant_id)
        is_held = self._make_way(tx, thread, assistant.id, new.on_busy)
        add_messages(tx, thread, new.messages, first_pos=first_pos, dispatcher=self._dispatcher, now=now)
        spec = self._spec(tx, thread, assistant, new, position=first_pos + len(new.messages), run_id=run_id)
        return self._insert(tx, thread, assistant, spec, is_held=is_held, schedule_id=new.schedule_id)

    async def create_with_thread(self, project: str, thread: NewThread, new: NewRun) -> Run:
        """A new thread with a run on it, in one transaction. Raises as create and Threads.create do."""
        return await self._store.write(lambda tx: self.create_with_thread_in(tx, project, thread, new))

    def create_with_thread_in(
        self, tx: Tx, project: str, thread: NewThread, new: NewRun, *, run_id: str | None = None
    ) -> Run:
        """As create_with_thread, in a transaction of the caller's."""
        now = self._clock.now()
        assistant = find_assistant(tx, project, new.assistant_id)
        made = create_thread(tx, project, thread, dispatcher=self._dispatcher, now=now, n_places=1)
        position = len(thread.messages)
        info = ThreadInfo(
            id=made.id, created_at=made.created_at, metadata=made.meta, tool_resources=made.tool_resources
        )
        spec = self._spec(tx, made, assistant, new, position=position, run_id=run_id)
        return self._insert(tx, made, assistant, spec, thread_created=info, schedule_id=new.schedule_id)

    async def submit(self, project: str, thread_id: str, run_id: str, outputs: Sequence[tuple[str, str]]) -> Submitted:
        """Give a waiting run the outputs (call id, text) of exactly its pending calls. Accepted once.

        Raises NotFoundError, RunStateError, ToolOutputsMismatchError (the run stays as it was).
        """

        def write(tx: Tx) -> tuple[Submitted, list[NumberedEvent]]:
            now = self._clock.now()
            lock_thread(tx, thread_id)  # before the job's row, as who interrupts the run for another one does
            hold = seize_job(tx, run_id, now=now)  # before the run is read: of two callers one waits here
            row = find_run(tx, project, thread_id, run_id)
            if row.status != RunStatus.REQUIRES_ACTION or hold is None:
                raise RunStateError(run_id=run_id, run_status=row.status, doing="submit")
            if row.expires_at is not None and now >= row.expires_at:
                raise RunStateError(run_id=run_id, run_status="expired", doing="submit")
            run = row.to_run()
            _check_outputs(run, [call_id for call_id, _ in outputs])
            seq = next_seq(tx, run_id)
            results = tuple(ToolResult(call_id=call_id, output=text) for call_id, text in outputs)
            after, batch = _take_outputs(run, results, now)
            numbered = [NumberedEvent(hold.epoch, seq + i, event) for i, event in enumerate(batch)]
            store_batch(
                tx, hold, run, after, numbered, now=now, dispatcher=self._dispatcher, outbox=self._outbox, is_taken=True
            )
            wake(tx, self._dispatcher, run_id, now=now)
            self._bus.notify(tx, "news", [run_id])
            # (epoch - 1, any number) is before everything of this epoch and after all that was stored before it.
            return Submitted(after, (hold.epoch - 1, seq)), numbered

        submitted, numbered = await self._store.write(write)
        self._feeds.publish_stored(run_id, numbered)
        return submitted

    async def cancel(self, project: str, thread_id: str, run_id: str) -> Run:
        """Ask a run to stop. Raises NotFoundError, RunStateError for a run that has ended."""

        def write(tx: Tx) -> Run:
            row = find_run(tx, project, thread_id, run_id)
            if not RunStatus(row.status).is_terminal:
                request_cancel(tx, run_id, now=self._clock.now(), bus=self._bus, dispatcher=self._dispatcher)
                row = find_run(tx, project, thread_id, run_id)
            if RunStatus(row.status).is_terminal:  # perhaps only since a moment: its driver was about to end it
                raise RunStateError(run_id=run_id, run_status=row.status, doing="cancel")
            return row.to_run()

        return await self._store.write(write)

    async def update(self, project: str, thread_id: str, run_id: str, *, metadata: dict[str, str] | None) -> Run:
        """Replace the metadata; None leaves it. Raises NotFoundError."""

        def write(tx: Tx) -> Run:
            run = find_run(tx, project, thread_id, run_id).to_run()
            if metadata is None:
                return run
            update_run(tx, run_id, {"meta": encode_meta(metadata)})
            return replace(run, spec=replace(run.spec, metadata=metadata))

        return await self._store.write(write)

    def follow(
        self, run_id: str, *, after: tuple[int, int] | None = None, is_resumed: bool = False
    ) -> AsyncGenerator[list[NumberedEvent], None]:
        """A run's events after a place (epoch, seq), stored and live, until it is terminal or waits for its caller.

        is_resumed: go on past waits that are over. The caller has checked that the run is the project's.
        Of a run whose events retention has deleted, only the last one comes, whatever `after` says.
        Raises UnavailableError when the server shuts down, or when the run is deleted.
        """

        async def read(place: tuple[int, int] | None) -> list[NumberedEvent]:
            return await self._store.read(lambda tx: _read_log(tx, run_id, after=place))

        return self._feeds.follow(run_id, read, after=after, is_resumed=is_resumed)

    async def _write_run(self, thread_id: str, write: Callable[[Tx], Run]) -> Run:
        try:
            return await self._store.write(write)
        except IntegrityError as error:
            active = await self._store.read(lambda tx: find_active_run(tx, thread_id))
            if active is None:
                raise
            raise ThreadBusyError(thread_id=thread_id, run_id=active.id, adding="run") from error

    def _make_way(self, tx: Tx, thread: Thread, assistant_id: str, on_busy: OnBusy | None) -> bool:
        """Whether the new run must wait for an active one. Raises ThreadBusyError when it may not."""
        active = find_active_run(tx, thread.id)
        if active is None:
            return False
        policy = busy_policy(tx, on_busy, thread, assistant_id)
        if policy == "reject":
            raise ThreadBusyError(thread_id=thread.id, run_id=active.id, adding="run")
        if policy == "interrupt":
            request_cancel(tx, active.id, now=self._clock.now(), bus=self._bus, dispatcher=self._dispatcher)
        return True

    def _insert(
        self,
        tx: Tx,
        thread: Thread,
        assistant: Assistant,
        spec: RunSpec,
        *,
        is_held: bool = False,
        thread_created: ThreadInfo | None = None,
        schedule_id: str | None = None,
    ) -> Run:
        now = self._clock.now()
        run = Run(spec=spec)
        events: list[Event] = [RunCreated(spec=spec, at=now), RunQueued(at=now)]
        if thread_created is not None:
            events.insert(0, ThreadCreated(thread=thread_created, at=now))
        insert_run(
            tx,
            StoredRun(
                id=spec.id,
                project=thread.project,
                thread_id=thread.id,
                assistant_id=spec.assistant_id,
                position=spec.position,
                status=run.status.value,
                is_held=is_held,
                created_at=spec.created_at,
                expires_at=spec.expires_at,
                spec=encode_spec(spec),
                state=encode_state(run),
                meta=encode_meta(spec.metadata),
                schedule_id=schedule_id,
            ),
        )
        touch_stores(tx, thread.tool_resources, spec.tool_resources, now=now)
        queue = queue_of(assistant.id) if assistant.origin == IN_CODE else DEFAULT_QUEUE
        ready_at = None if is_held else now
        job = Job(id=spec.id, kind="run", subject_id=spec.id, project=thread.project, queue=queue, ready_at=ready_at)
        ready = insert_job(tx, job)
        append_events(tx, spec.id, [NumberedEvent(0, i, event) for i, event in enumerate(events)])
        if not is_held:
            self._dispatcher.submit(tx, ready)
        return run

    def _spec(
        self, tx: Tx, thread: Thread, assistant: Assistant, new: NewRun, *, position: int, run_id: str | None = None
    ) -> RunSpec:
        now = self._clock.now()
        resources = assistant.tool_resources
        if new.tool_resources is not None:
            resources = resolve_resources(
                tx,
                thread.project,
                new.tool_resources,
                dispatcher=self._dispatcher,
                now=now,
                expires_after_days=None,
            )
        spec = make_spec(
            assistant,
            new,
            run_id=run_id or new_id("run"),
            thread_id=thread.id,
            now=now,
            position=position,
            tool_resources=resources,
            server_tools=self._server_tools(assistant.id),
            max_steps=self._max_steps,
            expires_after_s=self._expires_after_s,
        )
        return replace(spec, price=self._check_model(spec.model))


def queue_of(assistant_id: str) -> str:
    """The queue of runs of an agent that lives in one program's code: only a process that has adopted it takes them."""
    return f"agent:{assistant_id}"


def _read_log(tx: Tx, run_id: str, *, after: tuple[int, int] | None) -> list[NumberedEvent]:
    found = read_events(tx, run_id, after=after)
    row = None if found else load_run(tx, run_id)
    if row is None or row.events_gone_at is None:
        return found
    epoch, seq = after or (0, -1)
    return [NumberedEvent(epoch, seq + 1, last_event(row.to_run()))]


def _check_outputs(run: Run, got: Sequence[str]) -> None:
    expected = [call.id for call in run.pending_calls]
    if sorted(expected) != sorted(got):
        raise ToolOutputsMismatchError(expected=expected, got=got)


def _take_outputs(run: Run, results: tuple[ToolResult, ...], at: float) -> tuple[Run, list[Event]]:
    """The run back in the queue, and the events that say so."""
    events: list[Event] = [OutputsSubmitted(results=results, at=at)]
    run = apply(run, events[0])
    command = next_command(run)
    if not isinstance(command, Conclude):
        raise InvalidRequestError("The run does not wait for these outputs.", param="tool_outputs")
    for event in command.events:
        stamped: Any = replace(event, at=at)
        events.append(stamped)
        run = apply(run, stamped)
    return run, events
