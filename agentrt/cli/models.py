"""`agentrt models`: which models there are, and whether they answer."""

from __future__ import annotations

import asyncio
import json

import click

from agentrt.cli.groups import VerbGroup
from agentrt.cli.options import Invocation, common_options, json_option, pass_invocation, start_logging


@click.group(cls=VerbGroup)
def models() -> None:
    """List the models, or test whether they answer."""


@models.command("list")
@json_option()
@common_options
@pass_invocation
def list_models(invocation: Invocation) -> None:
    """List the models of agents.toml, and why some are not available."""
    from agentrt.cli.tables import show_table

    out, specs = invocation.out, invocation.config.models.values()
    if invocation.is_json:
        rows = [
            {
                "name": spec.name,
                "provider": spec.provider,
                "model": spec.model,
                "available": spec.unavailable is None,
                "why": spec.unavailable,
                "answers_to": spec.answers_to,
            }
            for spec in specs
        ]
        out.line(json.dumps(rows, ensure_ascii=False))
        return
    cells = [
        (spec.name, spec.provider, spec.model, ", ".join(spec.answers_to), spec.unavailable or "available")
        for spec in specs
    ]
    heads = ("model", "provider", "there called", "also answers to", "state")
    show_table(out, heads, cells, roles=("strong", "dim", "plain", "dim", "plain"))


@models.command("test")
@click.argument("name", nargs=-1)
@json_option()
@common_options
@pass_invocation
def test_models(invocation: Invocation, name: tuple[str, ...]) -> None:
    """Ask models for one word each: NAMEs, or all that are available. Costs a few tokens."""
    from agentrt.cli.model_test import show_results, test_all

    start_logging(invocation)
    show_results(invocation, asyncio.run(test_all(invocation.config, name)))
