"""Threads as people and scripts see them: a list with first words, one whole thread, deletion."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime

import click

from agentrt.cli.cells import clip, harmless
from agentrt.cli.choose import choose_thread
from agentrt.cli.options import Invocation
from agentrt.cli.port import CallRow, MessageRow, Shelf, ThreadRow
from agentrt.cli.problems import CliError
from agentrt.cli.screen import ago
from agentrt.cli.tables import show_table
from agentrt.cli.transcript import PlainTranscript, Transcript, call_label, open_transcript
from agentrt.clock import SystemClock
from agentrt.errors import NotFoundError

_TITLE = 200


@dataclass(frozen=True, slots=True)
class Summary:
    """A thread and its first words."""

    row: ThreadRow
    title: str


@dataclass(frozen=True, slots=True)
class WholeThread:
    """messages oldest first; calls by run."""

    row: ThreadRow
    messages: Sequence[MessageRow]
    calls: Mapping[str, Sequence[CallRow]]


async def summaries(shelf: Shelf, *, limit: int, after: str | None, metadata: Mapping[str, str]) -> list[Summary]:
    """Newest first."""
    if after is not None:
        after = await choose_thread(shelf, after)
    found = []
    for row in await shelf.threads(limit=limit, after=after, metadata=metadata):
        first = await shelf.messages(row.id, limit=1)
        title = row.metadata.get("title") or (first[0].text if first else "")
        found.append(Summary(row, clip(harmless(title), _TITLE)))
    return found


async def whole(shelf: Shelf, prefix: str) -> WholeThread:
    """The thread whose id begins so. Raises CliError."""
    thread_id = await choose_thread(shelf, prefix)
    row = await shelf.thread(thread_id)
    if row is None:
        raise NotFoundError("thread", thread_id)
    return WholeThread(row, await shelf.messages(thread_id), await shelf.calls(thread_id))


async def confirm_and_delete(invocation: Invocation, shelf: Shelf, prefixes: Sequence[str], *, is_sure: bool) -> None:
    """Delete the threads, after asking on a terminal. Raises CliError."""
    ids = [await choose_thread(shelf, prefix) for prefix in prefixes]
    if not is_sure:
        if not sys.stdin.isatty():
            raise CliError("E601", "nobody is there to ask", fix="--yes deletes without asking")
        what = ids[0] if len(ids) == 1 else f"{len(ids)} threads"
        click.confirm(f"delete {what} with all messages?", abort=True, err=True)
    for thread_id in ids:
        await shelf.delete_thread(thread_id)
    if invocation.is_json:
        invocation.out.line(json.dumps([{"id": thread_id, "deleted": True} for thread_id in ids]))
    else:
        invocation.err.line(f"deleted {', '.join(ids)}")


def show_threads(invocation: Invocation, found: Sequence[Summary], *, is_page_full: bool) -> None:
    """The list. is_page_full: there may be more."""
    out, err = invocation.screens
    if invocation.is_json:
        rows = [{**asdict(summary.row), "title": summary.title} for summary in found]
        out.line(json.dumps(rows, ensure_ascii=False))
        return
    if not found:
        err.line("no threads; agentrt chat begins one")
        return
    now = SystemClock().now()
    cells = [
        (summary.row.id, ago(summary.row.created_at, now), _pairs(summary.row.metadata), summary.title)
        for summary in found
    ]
    show_table(out, ("thread", "created", "metadata", "first words"), cells, roles=("plain", "dim", "dim", "plain"))
    if is_page_full:
        err.line(err.paint(f"more: agentrt threads list --after {found[-1].row.id}", "dim"))


def print_thread(invocation: Invocation, thread: WholeThread) -> None:
    """Every message, with the calls of the run that wrote it in front of it."""
    out = invocation.out
    if invocation.is_json:
        document = {
            **asdict(thread.row),
            "messages": [asdict(message) for message in thread.messages],
            "calls": {run_id: [asdict(call) for call in calls] for run_id, calls in thread.calls.items()},
        }
        out.line(json.dumps(document, ensure_ascii=False))
        return
    made = datetime.fromtimestamp(thread.row.created_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    head = " · ".join(part for part in (thread.row.id, made, _pairs(thread.row.metadata)) if part)
    out.line(out.paint(head, "dim"))
    shown: set[str] = set()
    transcript = open_transcript(out, out, clock=SystemClock(), indent=2)
    for message in thread.messages:
        if message.run_id is not None and message.run_id not in shown:
            shown.add(message.run_id)
            for call in thread.calls.get(message.run_id, ()):
                out.line(f"  {out.paint('→', 'accent')} {clip(call_label(call), out.width - 4)}")
        _print_message(invocation, transcript, message)


def _print_message(invocation: Invocation, transcript: Transcript, message: MessageRow) -> None:
    out = invocation.out
    text = harmless(message.text) if out.is_live else message.text
    if message.role == "user":
        out.line()
        out.line(f"{out.paint('you ›', 'accent')} {text}")
    elif isinstance(transcript, PlainTranscript):
        out.line(text)
    else:
        transcript.text(text)
        transcript.rest()
    if message.status == "incomplete":
        out.line(out.paint("  (cut off)", "warn"))


def _pairs(metadata: Mapping[str, str]) -> str:
    return clip(harmless(" ".join(f"{name}={value}" for name, value in metadata.items())), 40)
