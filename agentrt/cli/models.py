"""`agentrt models`: which models there are, and whether they answer."""

from __future__ import annotations

import asyncio
import json

import click

from agentrt.cli.groups import VerbGroup
from agentrt.cli.options import Invocation, common_options, json_option, pass_invocation, start_logging
from agentrt.config.schema import ModelSpec


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
                "embedding": spec.embedding is not None,
                "rerank": spec.rerank is not None,
                "available": spec.unavailable is None,
                "why": spec.unavailable,
                "answers_to": spec.answers_to,
            }
            for spec in specs
        ]
        out.line(json.dumps(rows, ensure_ascii=False))
        return
    search = invocation.config.search
    in_use = (search.embedding, search.rerank)
    cells = [
        (spec.name, spec.provider, spec.model, ", ".join(spec.answers_to), _state(spec, is_in_use=spec.name in in_use))
        for spec in specs
    ]
    heads = ("model", "provider", "there called", "also answers to", "state")
    show_table(out, heads, cells, roles=("strong", "dim", "plain", "dim", "plain"))


def _state(spec: ModelSpec, *, is_in_use: bool) -> str:
    if spec.unavailable is not None or spec.answers:
        return spec.unavailable or "available"
    use = "for embeddings" if spec.rerank is None else "for reranking"
    return f"available, {use}; search uses it" if is_in_use else f"available, {use}"


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
