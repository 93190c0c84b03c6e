"""The port over an engine in this process: the database, and a Runtime on it. Heavy: import it when it is needed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from agentrt.cli.local_schedules import LocalSchedules
from agentrt.cli.port import (
    AgentRow,
    CallBegan,
    CallEnded,
    CallRow,
    Happening,
    LoggedEvent,
    MessageEnded,
    MessageRow,
    OutputsWanted,
    RunBegan,
    RunEnd,
    RunEnded,
    RunRow,
    RunsWanted,
    Spent,
    TextPiece,
    ThreadRow,
)
from agentrt.cli.run_rows import run_row
from agentrt.clock import SystemClock
from agentrt.config.schema import DEFAULT_PROJECT, Config
from agentrt.engine import events as ev
from agentrt.engine.message import TextPart, ToolCall
from agentrt.engine.run import Run, RunStatus
from agentrt.errors import NotFoundError, RunStateError
from agentrt.runtime.assembly import Runtime
from agentrt.runtime.pulse import read_pulse, shared_time
from agentrt.runtime.requests import NewMessage, NewRun, NewThread
from agentrt.store.assistants import DECLARED, Assistant, list_assistants
from agentrt.store.database import Store, Tx
from agentrt.store.jobs import finish_jobs_of_thread
from agentrt.store.messages import list_messages
from agentrt.store.pages import PageQuery
from agentrt.store.run_events import NumberedEvent
from agentrt.store.run_lists import RunFilter, find_run_of_project, list_project_runs, list_runs_beginning
from agentrt.store.run_log import LogEntry, read_log
from agentrt.store.run_steps import list_steps
from agentrt.store.runs import StoredRun, find_active_run, find_run, list_runs
from agentrt.store.threads import Thread, delete_thread, find_thread, list_threads

_ALL = 1_000_000_000
_ENDS: Mapping[type[ev.Event], RunEnd] = {
    ev.RunCompleted: "completed",
    ev.RunFailed: "failed",
    ev.RunIncomplete: "incomplete",
    ev.RunCancelled: "cancelled",
    ev.RunExpired: "expired",
}


class LocalShelf:
    """Reads the database itself. Nothing is started: no run goes on because somebody looks.

    is_running: a runtime has put the agents of agents.toml into the database; else the file itself is asked.
    """

    def __init__(self, store: Store, config: Config, *, is_running: bool = False) -> None:
        self._store = store
        self._declared = {spec.id: spec for spec in config.agents.values()}
        self._is_running = is_running
        self.schedules = LocalSchedules(store, config, is_running=is_running)
        self._lease_s = config.runtime.lease_s
        self._webhooks = config.webhooks

    async def has_drivers(self) -> bool:
        if self._is_running or not self._store.is_shared:  # a file is this process's alone
            return self._is_running
        clock, lease_s = SystemClock(), self._lease_s
        pulse = await self._store.read(lambda tx: read_pulse(tx, now=shared_time(tx, clock), lease_s=lease_s))
        return any(worker.is_alive and worker.drives for worker in pulse.workers)

    async def agents(self) -> list[AgentRow]:
        page = await self._store.read(lambda tx: list_assistants(tx, DEFAULT_PROJECT, PageQuery(limit=_ALL)))
        stored = {assistant.id: assistant for assistant in page.items} if self._is_running else {}
        declared = [
            _assistant_row(stored[spec.id], spec.name)
            if spec.id in stored
            else AgentRow(spec.id, spec.name, spec.model, spec.tools, DECLARED)
            for spec in self._declared.values()
        ]
        return declared + [_assistant_row(a, a.name or "") for a in page.items if a.origin != DECLARED]

    async def threads(
        self, *, limit: int, after: str | None = None, metadata: Mapping[str, str] | None = None
    ) -> list[ThreadRow]:
        query = PageQuery(limit=limit, after=after)
        pairs = dict(metadata or {})
        page = await self._store.read(lambda tx: list_threads(tx, DEFAULT_PROJECT, query, metadata=pairs))
        return [_thread_row(thread) for thread in page.items]

    async def thread(self, thread_id: str) -> ThreadRow | None:
        try:
            return _thread_row(await self._store.read(lambda tx: find_thread(tx, DEFAULT_PROJECT, thread_id)))
        except NotFoundError:
            return None

    async def messages(
        self, thread_id: str, *, limit: int | None = None, newest_first: bool = False
    ) -> list[MessageRow]:
        query = PageQuery(limit=limit or _ALL, order="desc" if newest_first else "asc")
        page = await self._store.read(lambda tx: list_messages(tx, DEFAULT_PROJECT, thread_id, query))
        return [
            MessageRow(
                id=message.id,
                created_at=message.created_at,
                role=message.role,
                text="\n\n".join(_part_text(part) for part in message.parts),
                status=message.status,
                run_id=message.run_id,
            )
            for message in page.items
        ]

    async def calls(self, thread_id: str) -> Mapping[str, Sequence[CallRow]]:
        everything = PageQuery(limit=_ALL, order="asc")

        def read(tx: Tx) -> dict[str, list[CallRow]]:
            runs = list_runs(tx, DEFAULT_PROJECT, thread_id, everything).items
            return {
                run.id: [
                    CallRow(str(call["id"]), str(call["name"]), str(call["arguments"]))
                    for step in list_steps(tx, DEFAULT_PROJECT, run.id, everything).items
                    for call in step.calls
                ]
                for run in runs
            }

        return await self._store.read(read)

    async def delete_thread(self, thread_id: str) -> None:
        def write(tx: Tx) -> None:
            find_thread(tx, DEFAULT_PROJECT, thread_id)
            finish_jobs_of_thread(tx, thread_id)
            delete_thread(tx, thread_id)

        await self._store.write(write)

    async def runs(self, only: RunsWanted, *, limit: int, after: str | None = None) -> list[RunRow]:
        query = PageQuery(limit=limit, after=after)
        statuses = frozenset(RunStatus(status) for status in only.statuses)
        wanted = RunFilter(statuses, only.assistant_id, only.thread_id, only.since)
        page = await self._store.read(lambda tx: list_project_runs(tx, DEFAULT_PROJECT, query, wanted))
        return [_run_row(run) for run in page.items]

    async def run(self, run_id: str) -> RunRow | None:
        try:
            return _run_row(await self._store.read(lambda tx: find_run_of_project(tx, DEFAULT_PROJECT, run_id)))
        except NotFoundError:
            return None

    async def run_ids(self, prefix: str, *, limit: int) -> list[str]:
        page = await self._store.read(lambda tx: list_runs_beginning(tx, DEFAULT_PROJECT, prefix, limit=limit))
        return [run.id for run in page.items]

    async def run_events(self, run_id: str, *, after: tuple[int, int] | None = None) -> list[LoggedEvent]:
        def read(tx: Tx) -> list[LogEntry]:
            find_run_of_project(tx, DEFAULT_PROJECT, run_id)
            return read_log(tx, run_id, after=after, limit=_ALL, joins_deltas=True)[0]

        return [LoggedEvent(entry.epoch, entry.seq, entry.event) for entry in await self._store.read(read)]

    async def cancel_run(self, run_id: str) -> RunRow:
        from agentrt.dispatch.local import LocalDispatcher
        from agentrt.runtime.cancel import cancel_from_outside
        from agentrt.runtime.webhooks.outbox import Outbox

        # Whoever it hands jobs to is not there; a job's row says by itself that it is ready.
        dispatcher, lease_s = LocalDispatcher(), self._lease_s if self._store.is_shared else None
        outbox = Outbox(self._webhooks, dispatcher=dispatcher)

        def write(tx: Tx) -> StoredRun:
            now = shared_time(tx, SystemClock())
            return cancel_from_outside(
                tx, DEFAULT_PROJECT, run_id, now=now, lease_s=lease_s, dispatcher=dispatcher, outbox=outbox
            )

        return _run_row(await self._store.write(write))


class LocalEngine:
    """Runs in this process, on a Runtime that the caller has opened."""

    url = None

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self.shelf = LocalShelf(runtime.store, runtime.config, is_running=True)

    async def new_thread(self, metadata: Mapping[str, str]) -> str:
        thread = await self._runtime.threads.create(DEFAULT_PROJECT, NewThread(metadata=dict(metadata)))
        return thread.id

    async def run(
        self, thread_id: str, assistant_id: str, text: str, *, model: str | None = None
    ) -> AsyncGenerator[Happening, None]:
        message = NewMessage("user", (TextPart(text),))
        new = NewRun(assistant_id=assistant_id, model=model, messages=(message,))
        run = await self._runtime.runs.create(DEFAULT_PROJECT, thread_id, new)
        async for happening in self._happenings(thread_id, run.spec.id):
            yield happening

    async def submit(self, thread_id: str, run_id: str, outputs: Mapping[str, str]) -> AsyncGenerator[Happening, None]:
        submitted = await self._runtime.runs.submit(DEFAULT_PROJECT, thread_id, run_id, list(outputs.items()))
        async for happening in self._happenings(thread_id, run_id, after=submitted.after):
            yield happening

    async def fire(self, schedule_id: str) -> AsyncGenerator[Happening, None]:
        run = await self._runtime.firing.fire(DEFAULT_PROJECT, schedule_id)
        async for happening in self._happenings(run.spec.thread_id, run.spec.id):
            yield happening

    async def follow(self, thread_id: str, run_id: str) -> AsyncGenerator[Happening, None]:
        async for happening in self._happenings(thread_id, run_id, is_resumed=True):
            yield happening

    async def cancel(self, thread_id: str, run_id: str) -> None:
        try:
            await self._runtime.runs.cancel(DEFAULT_PROJECT, thread_id, run_id)
        except RunStateError:
            return

    async def retry(self, run_id: str) -> RunRow:
        run = await self._runtime.runs.retry(DEFAULT_PROJECT, run_id)
        return _run_row(run)

    async def active_run(self, thread_id: str) -> str | None:
        active = await self._runtime.store.read(lambda tx: find_active_run(tx, thread_id))
        return active.id if active is not None else None

    async def _happenings(
        self, thread_id: str, run_id: str, *, after: tuple[int, int] | None = None, is_resumed: bool = False
    ) -> AsyncGenerator[Happening, None]:
        yield RunBegan(run_id, thread_id)
        reader = _EventReader()
        followed = self._runtime.runs.follow(run_id, after=after, is_resumed=is_resumed)
        async with aclosing(followed):
            async for numbered in followed:
                for happening in reader.read(numbered):
                    if isinstance(happening, RunEnded):
                        happening = await self._with_spent(thread_id, run_id, happening)
                    yield happening

    async def _with_spent(self, thread_id: str, run_id: str, ended: RunEnded) -> RunEnded:
        row = await self._runtime.store.read(lambda tx: find_run(tx, DEFAULT_PROJECT, thread_id, run_id))
        usage = row.to_run().usage
        spent = Spent(usage.prompt_tokens, usage.completion_tokens)
        return RunEnded(ended.status, ended.error_code, ended.error, ended.limit, spent)


class _EventReader:
    """Engine events → happenings. Remembers the calls of a turn until they are made."""

    def __init__(self) -> None:
        self._calls: dict[str, CallRow] = {}

    def read(self, events: Sequence[NumberedEvent]) -> list[Happening]:
        return [happening for numbered in events for happening in self._read(numbered.event)]

    def _read(self, event: ev.Event) -> list[Happening]:
        match event:
            case ev.TextDelta(text=text):
                return [TextPiece(text)]
            case ev.MessageCompleted():
                return [MessageEnded()]
            case ev.MessageIncomplete(is_discarded=is_discarded):
                return [MessageEnded(is_discarded)]
            case ev.TurnFinished(calls=calls):
                self._calls |= {call.id: _call_row(call) for call in calls}
                return []
            case ev.CallStarted(call_id=call_id):
                return [CallBegan(self._calls[call_id])]
            case ev.CallReturned(result=result, duration_ms=ms):
                return [CallEnded(result.call_id, result.output, result.error, ms / 1000)]
            case ev.ActionRequired(call_ids=call_ids):
                return [OutputsWanted(tuple(self._calls[call_id] for call_id in call_ids))]
            case ev.RunFailed(code=code, message=message):
                return [RunEnded("failed", code, message)]
            case ev.RunIncomplete(limit=limit, message=message):
                return [RunEnded("incomplete", None, message or None, limit)]
            case ev.RunCompleted() | ev.RunCancelled() | ev.RunExpired():
                return [RunEnded(_ENDS[type(event)])]
            case _:
                return []


def _run_row(run: StoredRun | Run) -> RunRow:
    # As a server would say it, so that both ways through the port tell the same.
    from agentrt.server.render.assistants import render_run

    return run_row(render_run(run if isinstance(run, Run) else run.to_run()))


def _assistant_row(assistant: Assistant, name: str) -> AgentRow:
    tools = tuple(_tool_name(tool) for tool in assistant.tools)
    return AgentRow(assistant.id, name, assistant.model, tools, assistant.origin)


def _tool_name(tool: Mapping[str, Any]) -> str:
    """A function's name; of a hosted tool, its type."""
    return str(tool.get("name") or tool.get("type"))


def _call_row(call: ToolCall) -> CallRow:
    return CallRow(call.id, call.name, call.arguments)


def _thread_row(thread: Thread) -> ThreadRow:
    return ThreadRow(thread.id, thread.created_at, thread.meta)


def _part_text(part: Mapping[str, Any]) -> str:
    match part.get("type"):
        case "text":
            return str(part["text"])
        case "refusal":
            return str(part["refusal"])
        case _:
            return "[image]"
