"""`agentrt threads`: what was said, on every thread of the project `default`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

from agentrt.cli.groups import VerbGroup
from agentrt.cli.options import Invocation, common_options, json_option, key_option, pass_invocation

if TYPE_CHECKING:
    from agentrt.cli.port import Shelf

T = TypeVar("T")


@click.group(cls=VerbGroup)
def threads() -> None:
    """List, show and delete threads."""


@threads.command("list")
@click.option("--limit", "-n", type=click.IntRange(1), default=20, show_default=True, help="How many, newest first.")
@click.option("--after", metavar="ID", help="Begin behind this thread, for the next page.")
@click.option("--metadata", metavar="NAME=VALUE", multiple=True, help="Only those with this pair; may be repeated.")
@key_option
@json_option()
@common_options
@pass_invocation
def list_threads(
    invocation: Invocation, limit: int, after: str | None, metadata: tuple[str, ...], key: str | None
) -> None:
    """List the newest threads with their first words."""
    from agentrt.cli.choose import parse_pairs
    from agentrt.cli.thread_views import show_threads, summaries

    pairs = parse_pairs(metadata, option="--metadata ")
    found = _with_shelf(invocation, key, lambda shelf: summaries(shelf, limit=limit, after=after, metadata=pairs))
    show_threads(invocation, found, is_page_full=len(found) == limit)


@threads.command("show")
@click.argument("thread")
@key_option
@json_option()
@common_options
@pass_invocation
def show_thread(invocation: Invocation, thread: str, key: str | None) -> None:
    """Show a thread's messages and calls. The beginning of its id will do."""
    from agentrt.cli.thread_views import print_thread, whole

    print_thread(invocation, _with_shelf(invocation, key, lambda shelf: whole(shelf, thread)))


@threads.command("delete")
@click.argument("thread", nargs=-1, required=True)
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@key_option
@json_option()
@common_options
@pass_invocation
def delete_threads(invocation: Invocation, thread: tuple[str, ...], yes: bool, key: str | None) -> None:
    """Delete threads with their messages and runs. The beginning of an id will do."""
    from agentrt.cli.thread_views import confirm_and_delete

    _with_shelf(invocation, key, lambda shelf: confirm_and_delete(invocation, shelf, thread, is_sure=yes))


def _with_shelf(invocation: Invocation, key: str | None, use: Callable[[Shelf], Awaitable[T]]) -> T:
    from agentrt.cli.connect import open_shelf

    async def read() -> T:
        async with open_shelf(invocation.config, key=key) as shelf:
            return await use(shelf)

    return asyncio.run(read())
