"""`agentrt serve`: the Assistants API over HTTP."""

from __future__ import annotations

from typing import Literal

import click

from agentrt.cli.options import Invocation, common_options, pass_invocation


@click.command()
@click.option("--host", metavar="HOST", help="Where to listen, instead of [server] host.")
@click.option("--port", metavar="N", type=click.IntRange(0, 65535), help="Instead of [server] port; 0 is a free one.")
@click.option(
    "--role",
    type=click.Choice(["all", "api", "worker"]),
    default="all",
    show_default=True,
    help="Answer HTTP (api), drive runs (worker; /healthz is all its HTTP), or both. The halves need PostgreSQL.",
)
@click.option(
    "--log-format", type=click.Choice(["text", "json"]), default="text", show_default=True, help="Of the log."
)
@common_options
@pass_invocation
def serve(
    invocation: Invocation,
    host: str | None,
    port: int | None,
    role: Literal["all", "api", "worker"],
    log_format: Literal["text", "json"],
) -> None:
    """Serve the Assistants API over HTTP.

    Prints the address, what is on and off and why, and the two lines that point an app at it. The database is
    migrated first if it has to be. It is ready when GET /healthz answers.

    Ctrl-C (or SIGTERM) stops it: streams end, runs in flight get ten seconds to come to where they can go on
    elsewhere, and what is left goes on in another process on the same PostgreSQL, or at the next start. A second
    Ctrl-C does not wait.
    """
    from agentrt.cli.service import run_service

    run_service(invocation, host=host, port=port, role=role, log_format=log_format)
