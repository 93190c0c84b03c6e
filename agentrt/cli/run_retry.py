"""`agentrt runs retry`: again what did not complete."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import asdict

from agentrt.cli.choose import choose_run
from agentrt.cli.connect import open_engine
from agentrt.cli.options import Invocation
from agentrt.cli.run_views import JSON_VERSION
from agentrt.cli.run_watch import watch


def retry(invocation: Invocation, texts: Sequence[str], *, is_watching: bool, key: str | None) -> None:
    """Retry the runs whose ids begin so, in turn. Raises AgentrtError, CliError for the first that fails."""
    asyncio.run(_retry(invocation, texts, is_watching=is_watching, key=key))


async def _retry(invocation: Invocation, texts: Sequence[str], *, is_watching: bool, key: str | None) -> None:
    out, err = invocation.screens
    async with open_engine(invocation.config, key=key) as engine:
        shelf, is_here = engine.shelf, engine.url is None
        for run_id in [await choose_run(shelf, text) for text in texts]:
            row = await engine.retry(run_id)
            err.line(err.paint(f"{row.id} repeats {run_id}", "dim"))
            if is_watching or is_here:  # nobody but this process would drive it
                await watch(invocation, shelf, row.id, stops_at_waits=is_here)
            elif invocation.is_json:
                out.line(json.dumps({"version": JSON_VERSION, "run": asdict(row)}, ensure_ascii=False))
            else:
                out.line(row.id)
