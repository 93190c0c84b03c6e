"""`agentrt stores`: the vector stores of the project `default`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from agentrt.cli.groups import VerbGroup
from agentrt.cli.options import Invocation, common_options, json_option, key_option, pass_invocation, start_logging

if TYPE_CHECKING:
    from agentrt.cli.store_port import StoreDesk

T = TypeVar("T")


@click.group(cls=VerbGroup)
def stores() -> None:
    """List and search vector stores, put folders into them, see what failed."""


@stores.command("list")
@key_option
@json_option()
@common_options
@pass_invocation
def list_stores(invocation: Invocation, key: str | None) -> None:
    """List the vector stores, those of agents.toml too."""
    from agentrt.cli.store_views import show_stores

    show_stores(invocation, _with_desk(invocation, key, lambda desk: desk.all()))


@stores.command("show")
@click.argument("store")
@click.option("--files", is_flag=True, help="List its files, too.")
@key_option
@json_option()
@common_options
@pass_invocation
def show_store(invocation: Invocation, store: str, files: bool, key: str | None) -> None:
    """Show a store: how it stands, its folders, and which files failed and why.

    STORE is its name, or the beginning of its id.
    """
    from agentrt.cli.store_views import details, print_store

    config = invocation.config
    found = _with_desk(invocation, key, lambda desk: details(config, desk, store, shows_files=files))
    print_store(invocation, found)


@stores.command("add")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--store", "-s", metavar="NAME", help="Where to; made if it is not there. Else: as FOLDER is called.")
@click.option("--include", metavar="GLOB", multiple=True, help="Only such files, *.md or guides/**; may be repeated.")
@click.option("--ignore", metavar="GLOB", multiple=True, help="Not such files; may be repeated.")
@click.option("--attribute", metavar="NAME=VALUE", multiple=True, help="To filter searches by; may be repeated.")
@key_option
@json_option("Print one JSON object at the end; errors are JSON too.")
@common_options
@pass_invocation
def add_folder(
    invocation: Invocation,
    folder: Path,
    store: str | None,
    include: tuple[str, ...],
    ignore: tuple[str, ...],
    attribute: tuple[str, ...],
    key: str | None,
) -> None:
    """Put all files of a folder into a store, and wait until they are indexed.

    What is there already and has not changed is left alone, so that the same command goes on after Ctrl-C. FOLDER may
    be a single file.
    """
    from agentrt.cli.choose import parse_pairs
    from agentrt.cli.problems import CliError
    from agentrt.cli.store_add import Wanted, add
    from agentrt.cli.store_sending import OWN_ATTRIBUTES

    pairs = parse_pairs(attribute, option="--attribute ")
    if taken := next((name for name in OWN_ATTRIBUTES if name in pairs), None):
        raise CliError("E200", f"the attribute {taken} is written by this command", fix="choose another name")
    wanted = Wanted(folder=folder, store=store, include=include, ignore=ignore, attributes=pairs)
    start_logging(invocation)
    _with_desk(invocation, key, lambda desk: add(invocation, desk, wanted), indexes=True)


@stores.command("search")
@click.argument("store")
@click.argument("question")
@click.option("--explain", is_flag=True, help="Show every candidate with its scores, and why it was kept or dropped.")
@click.option("--filter", "-f", "filters", metavar="KEY=VALUE", multiple=True, help="Only files with this attribute.")
@click.option("--limit", "-n", type=click.IntRange(1, 50), default=5, show_default=True, help="How many passages.")
@click.option("--long", is_flag=True, help="Print passages whole.")
@key_option
@json_option()
@common_options
@pass_invocation
def search_store(
    invocation: Invocation,
    store: str,
    question: str,
    explain: bool,
    filters: tuple[str, ...],
    limit: int,
    long: bool,
    key: str | None,
) -> None:
    """Search a store and print the passages that answer best, with file, page and score."""
    from agentrt.cli.choose import parse_pairs
    from agentrt.cli.problems import CliError
    from agentrt.cli.store_port import Asked
    from agentrt.cli.store_search_view import print_results
    from agentrt.cli.store_views import choose_store

    if not question.strip():
        raise CliError("E200", "there is no question", fix='agentrt stores search STORE "…"')
    asked = Asked(query=question, limit=limit, filters=parse_pairs(filters, option="--filter "))
    config = invocation.config
    start_logging(invocation)

    async def search(desk: StoreDesk) -> None:
        found = choose_store(config, await desk.all(), store)
        page = await desk.search(found["id"], asked)
        print_results(invocation, page, explains=explain, is_long=long, filters=filters)

    _with_desk(invocation, key, search)


@stores.command("delete")
@click.argument("store", nargs=-1, required=True)
@click.option("--files", is_flag=True, help="Delete the files in it as well, wherever else they are used.")
@click.option("--yes", "-y", is_flag=True, help="Do not ask.")
@key_option
@json_option()
@common_options
@pass_invocation
def delete_stores(invocation: Invocation, store: tuple[str, ...], files: bool, yes: bool, key: str | None) -> None:
    """Delete stores; their files stay. Those of agents.toml are taken out there."""
    from agentrt.cli.store_views import confirm_and_delete

    _with_desk(
        invocation,
        key,
        lambda desk: confirm_and_delete(invocation, desk, store, is_sure=yes, deletes_files=files),
    )


def _with_desk(
    invocation: Invocation, key: str | None, use: Callable[[StoreDesk], Awaitable[T]], *, indexes: bool = False
) -> T:
    from agentrt.cli.connect import open_stores

    async def read() -> T:
        async with open_stores(invocation.config, key=key, indexes=indexes) as desk:
            return await use(desk)

    return asyncio.run(read())
