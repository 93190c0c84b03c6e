"""`agentrt agents`: which agents there are."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict

import click

from agentrt.cli.groups import VerbGroup
from agentrt.cli.options import Invocation, common_options, json_option, key_option, pass_invocation


@click.group(cls=VerbGroup)
def agents() -> None:
    """List the agents."""


@agents.command("list")
@key_option
@json_option()
@common_options
@pass_invocation
def list_agents(invocation: Invocation, key: str | None) -> None:
    """List the agents with their models and tools."""
    from agentrt.cli.connect import open_shelf
    from agentrt.cli.port import AgentRow
    from agentrt.cli.tables import show_table

    async def read() -> list[AgentRow]:
        async with open_shelf(invocation.config, key=key) as shelf:
            return await shelf.agents()

    rows = asyncio.run(read())
    out = invocation.out
    if invocation.is_json:
        out.line(json.dumps([asdict(row) for row in rows], ensure_ascii=False))
        return
    default = invocation.config.runtime.default_agent
    cells = [
        (f"{row.name}{' *' if row.name == default else ''}", row.id, row.model, row.origin, ", ".join(row.tools))
        for row in rows
    ]
    show_table(out, ("agent", "id", "model", "from", "tools"), cells, roles=("strong", "dim", "plain", "dim", "plain"))
    invocation.err.line(invocation.err.paint("* answers when no agent is named", "dim"))
