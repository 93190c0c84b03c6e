"""`agentrt schedules`: what agents are asked at set times, in the project `default`."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Literal, TypeVar

import click

from agentrt.cli.groups import VerbGroup
from agentrt.cli.options import Invocation, common_options, json_option, key_option, pass_invocation
from agentrt.cli.problems import CliError

if TYPE_CHECKING:
    from agentrt.cli.port import Shelf

T = TypeVar("T")


@click.group(cls=VerbGroup)
def schedules() -> None:
    """List, run and change schedules."""


@schedules.command("list")
@key_option
@json_option()
@common_options
@pass_invocation
def list_schedules(invocation: Invocation, key: str | None) -> None:
    """List the schedules and when they are due next."""
    from agentrt.cli.schedule_views import overview, show_schedules

    show_schedules(invocation, _with_shelf(invocation, key, overview))


@schedules.command("show")
@click.argument("schedule")
@key_option
@json_option()
@common_options
@pass_invocation
def show_schedule(invocation: Invocation, schedule: str, key: str | None) -> None:
    """Show a schedule, its next due times and its last runs. Its name or the beginning of its id will do."""
    from agentrt.cli.schedule_views import details, print_schedule

    print_schedule(invocation, _with_shelf(invocation, key, lambda shelf: details(shelf, schedule)))


@schedules.command("run")
@click.argument("schedule")
@key_option
@json_option("Print one JSON object when the run is over; errors are JSON too.")
@common_options
@pass_invocation
def run_schedule(invocation: Invocation, schedule: str, key: str | None) -> None:
    """Make a schedule's run now and print the answer; when it is due next stays as it is."""
    from agentrt.cli.once import fire_once

    fire_once(invocation, schedule, key=key)


@schedules.command("enable")
@click.argument("schedule", nargs=-1, required=True)
@key_option
@json_option()
@common_options
@pass_invocation
def enable_schedules(invocation: Invocation, schedule: tuple[str, ...], key: str | None) -> None:
    """Let schedules be due again, from now on."""
    from agentrt.cli.schedule_views import switch

    _with_shelf(invocation, key, lambda shelf: switch(invocation, shelf, schedule, is_enabled=True))


@schedules.command("disable")
@click.argument("schedule", nargs=-1, required=True)
@key_option
@json_option()
@common_options
@pass_invocation
def disable_schedules(invocation: Invocation, schedule: tuple[str, ...], key: str | None) -> None:
    """Let schedules not be due until they are enabled again."""
    from agentrt.cli.schedule_views import switch

    _with_shelf(invocation, key, lambda shelf: switch(invocation, shelf, schedule, is_enabled=False))


@schedules.command("create")
@click.argument("cron")
@click.argument("agent")
@click.argument("text")
@click.option("--name", metavar="NAME", help="What to call it.")
@click.option("--timezone", metavar="ZONE", default="UTC", show_default=True, help="The time zone of CRON.")
@click.option("--thread", "-t", metavar="WHICH", default="new", show_default=True, help="new, same, or a thread's id.")
@click.option(
    "--on-busy",
    type=click.Choice(["reject", "enqueue", "interrupt"]),
    help="What happens while a run is active on the thread; else as the agent says.",
)
@click.option(
    "--catch-up", metavar="TIME", default="1h", show_default=True, help="How late a missed run is still made."
)
@click.option("--metadata", metavar="NAME=VALUE", multiple=True, help="A pair of the metadata; may be repeated.")
@click.option("--disabled", is_flag=True, help="Do not let it be due yet.")
@key_option
@json_option()
@common_options
@pass_invocation
def create_schedule(
    invocation: Invocation,
    cron: str,
    agent: str,
    text: str,
    name: str | None,
    timezone: str,
    thread: str,
    on_busy: Literal["reject", "enqueue", "interrupt"] | None,
    catch_up: str,
    metadata: tuple[str, ...],
    disabled: bool,
    key: str | None,
) -> None:
    """Ask an agent something at set times.

    CRON has five fields: minute, hour, day of the month, month, day of the week. TEXT is what the agent is asked, or -
    to read it from standard input.

    agentrt schedules create "0 9 * * mon-fri" helper "Summarise what happened yesterday."
    """
    from agentrt.cli.choose import parse_pairs
    from agentrt.cli.schedule_port import Wanted
    from agentrt.cli.schedule_views import make

    words = sys.stdin.read() if text == "-" else text
    if not words.strip():
        raise CliError("E200", "there is no message", fix='agentrt schedules create CRON AGENT "…", or - for stdin')
    wanted = Wanted(
        cron=cron,
        assistant_id=agent,
        message=words,
        name=name,
        timezone=timezone,
        thread=thread,
        on_busy=on_busy,
        catch_up_seconds=_seconds(catch_up),
        enabled=not disabled,
        metadata=parse_pairs(metadata, option="--metadata "),
    )
    _with_shelf(invocation, key, lambda shelf: make(invocation, shelf, wanted))


@schedules.command("delete")
@click.argument("schedule", nargs=-1, required=True)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@key_option
@json_option()
@common_options
@pass_invocation
def delete_schedules(invocation: Invocation, schedule: tuple[str, ...], yes: bool, key: str | None) -> None:
    """Delete schedules; their runs stay. Those of agents.toml are taken out there."""
    from agentrt.cli.schedule_views import confirm_and_delete

    _with_shelf(invocation, key, lambda shelf: confirm_and_delete(invocation, shelf, schedule, is_sure=yes))


def _seconds(text: str) -> int:
    from agentrt.config.quantities import parse_duration

    try:
        seconds = int(parse_duration(text))
    except ValueError:
        raise CliError("E200", f'"{text}" is no time', fix="--catch-up 1h, or 30m") from None
    if seconds < 60:
        raise CliError("E200", f'"{text}" is too short', fix="--catch-up 1m at least: the service may be a little late")
    return seconds


def _with_shelf(invocation: Invocation, key: str | None, use: Callable[[Shelf], Awaitable[T]]) -> T:
    from agentrt.cli.connect import open_shelf

    async def read() -> T:
        async with open_shelf(invocation.config, key=key) as shelf:
            return await use(shelf)

    return asyncio.run(read())
