"""`agentrt doctor`: what works, what is missing, and how to get it."""

from __future__ import annotations

import click

from agentrt.cli.options import Invocation, common_options, json_option, pass_invocation


@click.command()
@json_option()
@common_options
@pass_invocation
def doctor(invocation: Invocation) -> None:
    """Say what works, what is missing, and how to get it.

    Looks at Python, SQLite, the configuration, the tools, the models (a short look at each server, no tokens), what
    isolates code, the keys, the port, the database, what waits in it and who works on it. Changes nothing. The exit
    code is 1 if something is broken.
    """
    from agentrt.cli.checks import check_everything, show_checks

    is_well = show_checks(invocation, check_everything(invocation))
    click.get_current_context().exit(0 if is_well else 1)
