"""What there is when all is over: the rows of the database, the tools' own log, the model's, what customers heard."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from agentrt.dispatch.postgres_tables import NAMES
from agentrt.engine.events import CallReturned, CallStarted, Event, decode_events
from agentrt.server.render.assistants_stream import StreamRenderer
from agentrt.store.run_events import NumberedEvent
from tests.acceptance.chaos.customers import Order
from tests.acceptance.chaos.database import Database, PostgresDatabase, Row
from tests.acceptance.chaos.effects import EFFECTS, ToolLine, read_log
from tests.acceptance.chaos.fleet import Frozen
from tests.acceptance.chaos.jobs import Job, read_job
from tests.acceptance.chaos.model_server import Question, read_questions
from tests.acceptance.chaos.node import Farewell
from tests.compat.story import StreamEvent


@dataclass(frozen=True)
class StoredRun:
    """A run as the database has it. chunks: its log's rows, (first number, epoch, how many events)."""

    id: str
    thread_id: str
    status: str
    position: int
    job: Job
    chunks: Sequence[tuple[int, int, int]]
    events: Sequence[NumberedEvent]

    @cached_property
    def stream(self) -> list[StreamEvent]:
        """The log as the API shows it."""
        renderer = StreamRenderer()
        shown = []
        for numbered in self.events:
            rendered = renderer.render(numbered.event)
            if rendered is not None:
                place = f"{numbered.epoch}.{numbered.seq}"
                shown.append(StreamEvent(rendered.name, json.loads(rendered.data), place))
        return shown

    @cached_property
    def started(self) -> Mapping[str, NumberedEvent]:
        """By call id: the first event that says that the call begins. (An idempotent one may begin again.)"""
        return {n.event.call_id: n for n in reversed(self.events) if isinstance(n.event, CallStarted)}

    @cached_property
    def returned(self) -> Mapping[str, NumberedEvent]:
        """By call id: the event that has the result of a call of the server's."""
        return {n.event.result.call_id: n for n in self.events if isinstance(n.event, CallReturned)}

    def all_of(self, *kinds: type[Event]) -> list[Event]:
        return [n.event for n in self.events if isinstance(n.event, kinds)]

    @property
    def last_epoch(self) -> int:
        return self.events[-1].epoch


@dataclass(frozen=True)
class StoredMessage:
    thread_id: str
    run_id: str | None
    role: str
    status: str
    text: str
    pos: int


@dataclass(frozen=True)
class StoredStep:
    id: str
    run_id: str
    status: str
    outputs: Mapping[str, str | None]


@dataclass(frozen=True)
class Evidence:
    """Everything that the judge looks at.

    replays: by run, what each API node told in the end. left: what should be empty and how much is in it.
    """

    runs: Mapping[str, StoredRun]
    messages: Sequence[StoredMessage]
    steps: Sequence[StoredStep]
    left: Mapping[str, int]
    tool_lines: Sequence[ToolLine]
    effects: Mapping[str, str]
    questions: Sequence[Question]
    orders: Sequence[Order]
    replays: Mapping[str, Sequence[Sequence[StreamEvent]]]
    frozen: Sequence[Frozen]
    crowded: frozenset[str]
    exit_codes: Sequence[int]
    farewells: Mapping[str, Farewell]
    log_lines: Sequence[Mapping[str, Any]] = field(default_factory=list)

    @cached_property
    def run_of_job(self) -> Mapping[int, StoredRun]:
        return {run.job.number: run for run in self.runs.values()}


async def read_runs(database: Database) -> dict[str, StoredRun]:
    """All runs with their logs, by id."""
    chunks: dict[str, list[Row]] = {}
    for row in await database.rows("SELECT run_id, seq, epoch, n, data FROM run_event ORDER BY run_id, seq"):
        chunks.setdefault(row[0], []).append(row)
    texts = {row[0]: row[1] for row in await database.rows("SELECT id, parts FROM message WHERE role = 'user'")}
    jobs = {job.number: job for job in (read_job(_text(parts)) for parts in texts.values())}
    runs = {}
    for run_id, thread_id, status, position, meta in await database.rows(
        "SELECT id, thread_id, status, position, meta FROM run"
    ):
        log = chunks.get(run_id, [])
        runs[run_id] = StoredRun(
            id=run_id,
            thread_id=thread_id,
            status=status,
            position=position,
            job=jobs[int(json.loads(meta)["job"])],
            chunks=[(seq, epoch, n) for _, seq, epoch, n, _ in log],
            events=[
                NumberedEvent(epoch, seq + i, event)
                for _, seq, epoch, _, data in log
                for i, event in enumerate(decode_events(data))
            ],
        )
    return runs


async def read_messages(database: Database) -> list[StoredMessage]:
    """All messages, in the order of their threads."""
    sql = "SELECT thread_id, run_id, role, status, parts, pos FROM message ORDER BY thread_id, pos"
    return [
        StoredMessage(thread_id, run_id, role, status, _text(parts), pos)
        for thread_id, run_id, role, status, parts, pos in await database.rows(sql)
    ]


async def read_steps(database: Database) -> list[StoredStep]:
    sql = "SELECT id, run_id, status, calls FROM run_step"
    return [
        StoredStep(step_id, run_id, status, {call["id"]: call["output"] for call in json.loads(calls)})
        for step_id, run_id, status, calls in await database.rows(sql)
    ]


async def read_left(database: Database) -> dict[str, int]:
    """Rows in the tables that are empty when nobody has anything to do."""
    tables = ["job", "worker"] + ([NAMES.queue_table] if isinstance(database, PostgresDatabase) else [])
    return {table: int((await database.rows(f"SELECT count(*) FROM {table}"))[0][0]) for table in tables}


def read_files(folder: Path) -> tuple[list[ToolLine], dict[str, str], list[Question]]:
    """What tools and model wrote down: the tools' log, the effects by name, the model's questions."""
    effects = {file.name: file.read_text() for file in (folder / EFFECTS).iterdir()}
    return read_log(folder), effects, read_questions(folder)


def read_logs(folder: Path) -> list[dict[str, Any]]:
    """The nodes' own logs. A line that is no JSON stands there as an error."""
    lines = []
    for file in sorted(folder.glob("*.log")):
        if file.name not in ("tools.log", "model.log"):
            lines += [_log_line(line) | {"node": file.stem} for line in file.read_text().splitlines()]
    return lines


def _log_line(line: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(line)
    except ValueError:
        return {"level": "error", "event": line, "logger": ""}
    return found


def _text(parts: str) -> str:
    return "".join(part["text"] for part in json.loads(parts))
