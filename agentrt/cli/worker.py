"""`agentrt worker`: a process that drives runs and answers nobody."""

from __future__ import annotations

from typing import Literal

import click

from agentrt.cli.options import Invocation, common_options, pass_invocation


@click.command()
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of the log."
)
@common_options
@pass_invocation
def worker(invocation: Invocation, log_format: Literal["text", "json"]) -> None:
    """Drive runs, beside servers on the same PostgreSQL.

    Any number of workers share the runs that servers take in; each needs the same agents.toml and tools, and none is
    asked over HTTP (`agentrt serve --role worker` has a /healthz). One that dies loses nothing: after
    [runtime] lease, others go on where it was.

    Ctrl-C (or SIGTERM) stops it: runs in flight get ten seconds to come to where they can go on elsewhere, and are
    handed back. A second Ctrl-C does not wait.
    """
    from agentrt.cli.service import run_worker

    run_worker(invocation, log_format=log_format)
