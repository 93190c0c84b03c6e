"""`agentrt runs`: what agents did, on every thread of the project `default`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from agentrt.cli.groups import VerbGroup
from agentrt.cli.options import Invocation, common_options, json_option, key_option, pass_invocation, start_logging

if TYPE_CHECKING:
    from agentrt.cli.port import Shelf

T = TypeVar("T")

# As port.STATUSES, which a test compares: nothing is imported for --help.
_STATUSES = click.Choice(
    [
        "queued",
        "in_progress",
        "requires_action",
        "cancelling",
        "completed",
        "failed",
        "incomplete",
        "cancelled",
        "expired",
    ]
)


@click.group(cls=VerbGroup)
def runs() -> None:
    """List runs, show what took how long, watch, cancel and retry."""


@runs.command("list")
@click.option(
    "--status",
    "-s",
    type=_STATUSES,
    metavar="STATUS",
    multiple=True,
    help=f"Only runs with this status; may be repeated. One of {', '.join(_STATUSES.choices)}.",
)
@click.option("--agent", "-a", metavar="NAME", help="Only runs of this agent: its name, or the id of an assistant.")
@click.option("--thread", "-t", metavar="ID", help="Only runs on this thread; the beginning of its id will do.")
@click.option("--since", metavar="TIME", help="Only runs created in the last 30m, 12h, 7d.")
@click.option("--limit", "-n", type=click.IntRange(1), default=20, show_default=True, help="How many, newest first.")
@click.option("--after", metavar="ID", help="Begin behind this run, for the next page.")
@key_option
@json_option()
@common_options
@pass_invocation
def list_runs(
    invocation: Invocation,
    status: tuple[str, ...],
    agent: str | None,
    thread: str | None,
    since: str | None,
    limit: int,
    after: str | None,
    key: str | None,
) -> None:
    """List the newest runs of all threads."""
    from agentrt.cli.run_views import Question, find_runs, show_runs

    question = Question(statuses=status, agent=agent, thread=thread, since=since, limit=limit, after=after)
    show_runs(invocation, _with_shelf(invocation, key, lambda shelf: find_runs(invocation, shelf, question)))


@runs.command("show")
@click.argument("run")
@key_option
@json_option()
@common_options
@pass_invocation
def show_run(invocation: Invocation, run: str, key: str | None) -> None:
    """Show a run as a timeline.

    Its stay in the queue, model calls, functions, waits, take-overs, and how it ended. The beginning of its id will do.
    With -v, what functions returned is shown too.
    """
    from agentrt.cli.run_views import find_run, print_run

    print_run(invocation, _with_shelf(invocation, key, lambda shelf: find_run(shelf, run)))


@runs.command("watch")
@click.argument("run")
@key_option
@json_option("Print a JSON object a line for every part that is over, and for the end.")
@common_options
@pass_invocation
def watch_run(invocation: Invocation, run: str, key: str | None) -> None:
    """Show a run's timeline while it grows, until the run has ended.

    Ctrl-C stops watching; the run goes on. The exit code says how the run ended, as that of agentrt run.
    """
    from agentrt.cli.run_watch import watch

    _with_shelf(invocation, key, lambda shelf: watch(invocation, shelf, run))


@runs.command("retry")
@click.argument("run", nargs=-1, required=True)
@click.option("--watch", "-w", is_flag=True, help="Watch the new run to its end.")
@key_option
@json_option()
@common_options
@pass_invocation
def retry_runs(invocation: Invocation, run: tuple[str, ...], watch: bool, key: str | None) -> None:
    """Run again what failed, expired, was cut off or cancelled.

    A new run on the same thread with the same parameters; what the thread has come to since is seen by it. Without a
    server, the new run is driven here and watched to its end.
    """
    from agentrt.cli.run_retry import retry

    start_logging(invocation)
    retry(invocation, run, is_watching=watch, key=key)


@runs.command("cancel")
@click.argument("run", nargs=-1, required=True)
@key_option
@json_option()
@common_options
@pass_invocation
def cancel_runs(invocation: Invocation, run: tuple[str, ...], key: str | None) -> None:
    """Cancel runs that have not ended. The beginning of an id will do."""
    from agentrt.cli.run_views import cancel

    _with_shelf(invocation, key, lambda shelf: cancel(invocation, shelf, run))


def _with_shelf(invocation: Invocation, key: str | None, use: Callable[[Shelf], Awaitable[T]]) -> T:
    from agentrt.cli.connect import open_shelf

    async def read() -> T:
        async with open_shelf(invocation.config, key=key) as shelf:
            return await use(shelf)

    return asyncio.run(read())
