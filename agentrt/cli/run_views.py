"""Runs as people and scripts see them: a list, one whole run, and stopping some."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

from agentrt.cli.cells import clip, harmless
from agentrt.cli.choose import choose_agent, choose_run, choose_thread
from agentrt.cli.options import Invocation
from agentrt.cli.port import LoggedEvent, RunRow, RunsWanted, Shelf
from agentrt.cli.problems import CliError
from agentrt.cli.screen import Role, Screen, ago, duration
from agentrt.cli.tables import show_table
from agentrt.cli.timeline import Timeline
from agentrt.cli.timeline_json import timeline_json
from agentrt.cli.timeline_maker import make_timeline
from agentrt.cli.timeline_view import dollars, summary_lines, timeline_lines
from agentrt.clock import SystemClock
from agentrt.config.quantities import parse_duration
from agentrt.config.schema import Config
from agentrt.errors import NotFoundError
from agentrt.ids import time_of

JSON_VERSION: Final = 1
"""Of every JSON document about runs: it changes when a program that reads them would break."""

_SHORT_ID: Final = 13
"""`run_` and the digits of the time: as a rule no other run has the same."""

_WIDE: Final = 110
_LEAST_NOTE: Final = 30
_NUMBERS: Final = ("took", "tokens", "cost")
_ROLES: Final[Mapping[str, Role]] = {
    "completed": "ok",
    "failed": "bad",
    "incomplete": "warn",
    "cancelled": "warn",
    "expired": "warn",
    "requires_action": "warn",
    "cancelling": "warn",
    "in_progress": "accent",
    "queued": "dim",
}


@dataclass(frozen=True, slots=True)
class Question:
    """What `agentrt runs list` was asked for, as it was typed."""

    statuses: tuple[str, ...]
    agent: str | None
    thread: str | None
    since: str | None
    limit: int
    after: str | None


@dataclass(frozen=True, slots=True)
class Found:
    """Runs, newest first. is_page_full: there may be more."""

    rows: Sequence[RunRow]
    is_page_full: bool


@dataclass(frozen=True, slots=True)
class WholeRun:
    """A run with what is stored of its events. now: when it was read, Unix seconds."""

    row: RunRow
    events: Sequence[LoggedEvent]
    now: float

    @property
    def timeline(self) -> Timeline | None:
        return make_timeline(self.events)


async def find_runs(invocation: Invocation, shelf: Shelf, question: Question) -> Found:
    """The runs that are asked for. Raises CliError."""
    wanted = RunsWanted(
        statuses=question.statuses,
        assistant_id=await _assistant(invocation.config, shelf, question.agent),
        thread_id=None if question.thread is None else await choose_thread(shelf, question.thread),
        since=_since(question.since),
    )
    after = None if question.after is None else await choose_run(shelf, question.after)
    rows = await shelf.runs(wanted, limit=question.limit, after=after)
    return Found(rows, len(rows) == question.limit)


async def find_run(shelf: Shelf, text: str) -> WholeRun:
    """The run whose id begins so. Raises CliError."""
    run_id = await choose_run(shelf, text)
    row = await shelf.run(run_id)
    if row is None:
        raise NotFoundError("run", run_id)
    return WholeRun(row, await shelf.run_events(run_id), SystemClock().now())


async def cancel(invocation: Invocation, shelf: Shelf, texts: Sequence[str]) -> None:
    """Cancel runs, one after the other. Raises CliError for the first that cannot be."""
    ids = [await choose_run(shelf, text) for text in texts]
    rows = [await shelf.cancel_run(run_id) for run_id in ids]
    if invocation.is_json:
        invocation.out.line(json.dumps({"version": JSON_VERSION, "runs": [asdict(row) for row in rows]}))
        return
    for row in rows:
        invocation.err.line(f"{row.id} is {'cancelled' if row.is_over else 'being cancelled'}")


def show_runs(invocation: Invocation, found: Found) -> None:
    """The list."""
    out, err = invocation.screens
    rows, names = found.rows, agent_names(invocation.config)
    if invocation.is_json:
        document = {
            "version": JSON_VERSION,
            "runs": [{**asdict(row), "agent": names.get(row.assistant_id)} for row in rows],
            "has_more": found.is_page_full,
        }
        out.line(json.dumps(document, ensure_ascii=False))
        return
    if not rows:
        err.line("no runs; agentrt run makes one" if not found.is_page_full else "no more runs")
        return
    now = SystemClock().now()
    columns: list[tuple[str, list[str], Role | list[Role]]] = [
        ("run", [_shown_id(row.id, out) for row in rows], "plain"),
        ("status", [row.status for row in rows], [_ROLES[row.status] for row in rows]),
        ("created", [ago(row.created_at, now) for row in rows], "dim"),
        ("agent", [clip(harmless(names.get(row.assistant_id, row.assistant_id)), 16) for row in rows], "plain"),
        ("took", [_took(row, now) for row in rows], "dim"),
        ("tokens", [_tokens(row) for row in rows], "dim"),
        ("cost", [dollars(row.cost_usd) if row.cost_usd else "" for row in rows], "dim"),
        ("", [_note(row) for row in rows], [_ROLES[row.status] for row in rows]),
    ]
    shown = [column for column in columns if any(column[1])]
    cells = list(zip(*(texts for _, texts, _ in shown), strict=True))
    show_table(
        out,
        [head for head, _, _ in shown],
        cells,
        roles=[role for _, _, role in shown],
        numbers=_NUMBERS,
        least_last=_LEAST_NOTE,
    )
    if found.is_page_full:
        err.line(err.paint(f"more: agentrt runs list --after {rows[-1].id}", "dim"))


def print_run(invocation: Invocation, run: WholeRun) -> None:
    """A run as a timeline."""
    out, timeline = invocation.out, run.timeline
    if invocation.is_json:
        out.line(json.dumps(run_document(invocation.config, run), ensure_ascii=False))
        return
    for line in head_lines(out, invocation.config, run.row):
        out.line(line)
    if timeline is None:
        out.line(out.paint("  its events are not kept any more", "dim"))
        return
    out.line()
    for line in timeline_lines(out, timeline, now=run.now, is_verbose=invocation.verbosity > 0):
        out.line(line)
    out.line()
    for line in summary_lines(out, timeline, now=run.now):
        out.line(line)


def head_lines(screen: Screen, config: Config, row: RunRow, *, tells_status: bool = True) -> list[str]:
    """What the run is, in two lines."""
    agent = agent_names(config).get(row.assistant_id, row.assistant_id)
    made = datetime.fromtimestamp(row.created_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    status = [screen.paint(row.status, _ROLES[row.status])] if tells_status else []
    first = [screen.paint(row.id, "strong"), *status, harmless(agent), f"model {harmless(row.model)}"]
    second = [row.thread_id, made] + ([f"repeats {row.retry_of}"] if row.retry_of else [])
    return [" · ".join(first), screen.paint(" · ".join(second), "dim")]


def run_document(config: Config, run: WholeRun) -> dict[str, Any]:
    """`{"version", "run", "timeline"}`; the timeline is null when the events are not kept any more."""
    names, timeline = agent_names(config), run.timeline
    return {
        "version": JSON_VERSION,
        "run": {**asdict(run.row), "agent": names.get(run.row.assistant_id)},
        "timeline": None if timeline is None else timeline_json(timeline, now=run.now),
    }


def agent_names(config: Config) -> Mapping[str, str]:
    """What agents.toml calls the agents, by assistant id."""
    return {spec.id: spec.name for spec in config.agents.values()}


async def _assistant(config: Config, shelf: Shelf, agent: str | None) -> str | None:
    if agent is None or agent.startswith("asst_"):  # one that was deleted has runs still
        return agent
    spec = config.agents.get(agent)
    return spec.id if spec is not None else choose_agent(await shelf.agents(), agent, agent).id


def _since(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        return int(SystemClock().now() - parse_duration(text))
    except ValueError:
        raise CliError("E200", f'"{text}" is no time', fix="--since 30m, 12h or 7d") from None


def _shown_id(run_id: str, screen: Screen) -> str:
    """On a narrow terminal as much of it as is needed to name it."""
    is_short = screen.is_live and screen.columns < _WIDE and time_of(run_id) is not None
    return run_id[:_SHORT_ID] if is_short else run_id


def _took(row: RunRow, now: float) -> str:
    """From creation to end, or till now, in whole seconds: the API tells no finer."""
    end = row.ended_at if row.is_over else int(now)
    if end is None:
        return ""
    seconds = max(0, end - row.created_at)
    return duration(seconds) if seconds >= 60 else f"{seconds} s" if seconds else "< 1 s"


def _tokens(row: RunRow) -> str:
    return f"{row.spent.total_tokens:,}" if row.spent and row.spent.total_tokens else ""


def _note(row: RunRow) -> str:
    if row.waits_for:
        return f"waits for {', '.join(dict.fromkeys(harmless(call.name) for call in row.waits_for))}"
    said = [row.limit, row.error] if row.is_over else []
    return harmless(": ".join(text for text in said if text)) or (f"repeats {row.retry_of}" if row.retry_of else "")
