"""Schedules as people and scripts see them: a list, one whole schedule, and what became of a change."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from difflib import get_close_matches
from typing import Final

import click

from agentrt.cli.cells import clip, harmless
from agentrt.cli.choose import choose_agent
from agentrt.cli.options import Invocation
from agentrt.cli.port import Shelf
from agentrt.cli.problems import CliError
from agentrt.cli.schedule_port import ScheduledRun, ScheduleRow, Wanted
from agentrt.cli.screen import Role
from agentrt.cli.tables import show_table
from agentrt.clock import SystemClock
from agentrt.cron import Timetable, read_timetable
from agentrt.errors import TimetableError

_SHOWN: Final = 5
_COMING: Final = 3
_MESSAGE: Final = 200


@dataclass(frozen=True, slots=True)
class Overview:
    """All schedules. agents: their names, by assistant id."""

    rows: Sequence[ScheduleRow]
    agents: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Details:
    """One schedule with its last runs, newest first."""

    row: ScheduleRow
    agent: str
    runs: Sequence[ScheduledRun]


async def overview(shelf: Shelf) -> Overview:
    return Overview(await shelf.schedules.all(), await _agents(shelf))


async def details(shelf: Shelf, text: str) -> Details:
    """The schedule of that name, or whose id begins so. Raises CliError."""
    row = choose_schedule(await shelf.schedules.all(), text)
    agents = await _agents(shelf)
    runs = await shelf.schedules.runs(row.id, limit=_SHOWN)
    return Details(row, agents.get(row.assistant_id, row.assistant_id), runs)


def choose_schedule(rows: Sequence[ScheduleRow], text: str) -> ScheduleRow:
    """The schedule of that id or name, or the only one whose id begins so. Raises CliError."""
    named = [row for row in rows if text in (row.id, row.name)]
    prefix = text if text.startswith("sched_") else f"sched_{text}"
    found = named or [row for row in rows if row.id.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    if found:
        shown = [row.id for row in found[:_SHOWN]] + (["…"] if len(found) > _SHOWN else [])
        raise CliError("E208", f'"{text}" fits {len(found)} schedules', details=shown, fix="type more of the id")
    close = get_close_matches(text, [row.title for row in rows], 1)
    fix = f"did you mean {close[0]}?   " if close else ""
    raise CliError("E305", f'there is no schedule "{text}"', fix=f"{fix}agentrt schedules lists them")


async def switch(invocation: Invocation, shelf: Shelf, texts: Sequence[str], *, is_enabled: bool) -> None:
    """Enable or disable schedules. Raises CliError."""
    rows = await shelf.schedules.all()
    chosen = [choose_schedule(rows, text) for text in texts]
    _tell(invocation, [await shelf.schedules.enable(row.id, is_enabled=is_enabled) for row in chosen])


async def make(invocation: Invocation, shelf: Shelf, wanted: Wanted) -> None:
    """Make a schedule; wanted.assistant_id may be an agent's name. Raises CliError, AgentrtError."""
    agent = choose_agent(await shelf.agents(), wanted.assistant_id, wanted.assistant_id)
    _tell(invocation, [await shelf.schedules.create(replace(wanted, assistant_id=agent.id))])


async def confirm_and_delete(invocation: Invocation, shelf: Shelf, texts: Sequence[str], *, is_sure: bool) -> None:
    """Delete schedules, after asking on a terminal. Raises CliError."""
    rows = await shelf.schedules.all()
    chosen = [choose_schedule(rows, text) for text in texts]
    for row in chosen:
        if row.origin == "toml":
            fix = f"take [schedules.{row.name}] out there, or: agentrt schedules disable {row.name}"
            raise CliError("E402", f"the schedule {row.title} is declared in agents.toml", fix=fix)
    if not is_sure:
        if not sys.stdin.isatty():
            raise CliError("E601", "nobody is there to ask", fix="--yes deletes without asking")
        what = chosen[0].title if len(chosen) == 1 else f"{len(chosen)} schedules"
        click.confirm(f"delete {what}?", abort=True, err=True)
    for row in chosen:
        await shelf.schedules.delete(row.id)
    if invocation.is_json:
        invocation.out.line(json.dumps([{"id": row.id, "deleted": True} for row in chosen]))
    else:
        invocation.err.line(f"deleted {', '.join(row.title for row in chosen)}")


def show_schedules(invocation: Invocation, found: Overview) -> None:
    """The list, and below it what went wrong."""
    out, err = invocation.screens
    if invocation.is_json:
        out.line(json.dumps([asdict(row) for row in found.rows], ensure_ascii=False))
        return
    if not found.rows:
        err.line("no schedules; agentrt schedules create makes one, [schedules.NAME] in agents.toml declares one")
        return
    now = SystemClock().now()
    cells = [
        (
            row.title,
            _next(row, now),
            f"{row.cron} {'' if row.timezone == 'UTC' else row.timezone}".strip(),
            found.agents.get(row.assistant_id, row.assistant_id),
            "" if row.last_run_at is None else _away(row.last_run_at - now),
            clip(harmless(row.message), _MESSAGE),
        )
        for row in found.rows
    ]
    heads = ("schedule", "next", "when", "agent", "last run", "message")
    show_table(out, heads, cells, roles=("strong", "plain", "dim", "plain", "dim", "plain"))
    for row in found.rows:
        if row.error is not None:
            err.line(f"{err.paint('warn', 'warn')}  {row.title}: {harmless(row.error)}")


def print_schedule(invocation: Invocation, found: Details) -> None:
    """Everything about one schedule."""
    out, row = invocation.out, found.row
    if invocation.is_json:
        document = {**asdict(row), "runs": [asdict(run) for run in found.runs]}
        out.line(json.dumps(document, ensure_ascii=False))
        return
    now = SystemClock().now()
    out.line(f"{out.paint(row.title, 'strong')}  {out.paint(f'{row.id} · {row.origin}', 'dim')}")
    busy = f" · {row.on_busy} while a run is active" if row.on_busy else ""
    lines = [
        ("when", f"{row.cron}  {row.timezone}"),
        ("next", ", ".join(_coming(row)) + f"  ({_away(row.next_run_at - now)})" if row.next_run_at else "disabled"),
        ("agent", found.agent),
        ("message", clip(harmless(row.message), _MESSAGE)),
        ("thread", f"{row.thread}{f' ({row.thread_id})' if row.thread_id else ''}{busy}"),
        ("metadata", clip(harmless(" ".join(f"{name}={value}" for name, value in row.metadata.items())), _MESSAGE)),
        ("warn", "" if row.error is None else f"{_away((row.error_at or 0) - now)}: {harmless(row.error)}"),
    ]
    for name, text in lines:
        if text:
            out.line(f"  {out.paint(name.ljust(8), 'warn' if name == 'warn' else 'dim')} {text}")
    for run in found.runs:
        role: Role = "ok" if run.status == "completed" else "plain"
        out.line(f"  {out.paint('run'.ljust(8), 'dim')} {run.id}  {out.paint(run.status, role)}  "
                 f"{out.paint(_away(run.created_at - now), 'dim')}")  # fmt: skip


def _tell(invocation: Invocation, rows: Sequence[ScheduleRow]) -> None:
    if invocation.is_json:
        invocation.out.line(json.dumps([asdict(row) for row in rows], ensure_ascii=False))
        return
    now = SystemClock().now()
    for row in rows:
        state = f"due {_next(row, now)}" if row.enabled else "disabled"
        name = row.id if row.name is None else f"{row.name} ({row.id})"
        invocation.err.line(f"{name}: {state}")


async def _agents(shelf: Shelf) -> Mapping[str, str]:
    return {agent.id: agent.name or agent.id for agent in await shelf.agents()}


def _next(row: ScheduleRow, now: float) -> str:
    """`Mon 09:00, in 14 h`"""
    if row.next_run_at is None:
        return "disabled"
    return f"{_shown(row, row.next_run_at, now)}, {_away(row.next_run_at - now)}"


def _coming(row: ScheduleRow) -> list[str]:
    """The next due times, with their days."""
    times, table = [row.next_run_at], _timetable(row)
    while table is not None and len(times) < _COMING and times[-1] is not None:
        times.append(table.next(times[-1]))
    zone = None if table is None else table.zone
    return [datetime.fromtimestamp(at, zone).strftime("%a %Y-%m-%d %H:%M") for at in times if at is not None]


def _shown(row: ScheduleRow, at: int, now: float) -> str:
    table = _timetable(row)
    moment = datetime.fromtimestamp(at, None if table is None else table.zone)
    return moment.strftime("%a %H:%M" if at - now < 6 * 86_400 else "%Y-%m-%d %H:%M")


def _timetable(row: ScheduleRow) -> Timetable | None:
    try:
        return read_timetable(row.cron, row.timezone)
    except TimetableError:  # of a server with newer time zones
        return None


def _away(seconds: float) -> str:
    """`in 14 h`, `2 d ago`, `now`"""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if abs(seconds) >= size:
            n = round(abs(seconds) / size)
            return f"in {n} {unit}" if seconds > 0 else f"{n} {unit} ago"
    return "now"
