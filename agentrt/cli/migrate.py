"""`agentrt migrate`: bring the database to this release's tables."""

from __future__ import annotations

import asyncio

import click

from agentrt.cli.connect import database_file
from agentrt.cli.options import Invocation, common_options, pass_invocation


@click.command()
@click.option("--check", is_flag=True, help="Only say whether there is something to do (exit code 1 if there is).")
@click.option("--no-backup", is_flag=True, help="Do not copy a SQLite file first.")
@common_options
@pass_invocation
def migrate(invocation: Invocation, check: bool, no_backup: bool) -> None:
    """Bring the database up to date.

    `agentrt serve` does this at its start; here it can be done before, or only looked at. A SQLite file is copied
    first, to a file beside it.
    """
    from agentrt.store.migrate import migrate as apply
    from agentrt.store.migrate import needs_migration

    database = invocation.config.runtime.database
    out = invocation.out
    if check:
        is_behind = needs_migration(database.reveal())
        out.line(f"{database}: {'has to be migrated' if is_behind else 'up to date'}")
        click.get_current_context().exit(1 if is_behind else 0)
    applied = apply(database.reveal(), backup=not no_backup)
    for revision in applied:
        out.line(f"applied {revision}")
    if database_file(invocation.config) is None:
        from agentrt.dispatch.postgres_tables import install_queue

        direct = invocation.config.runtime.listen_url or database
        if asyncio.run(install_queue(direct.reveal())):
            out.line("made the queue's tables")
    out.line(f"{database}: up to date")
