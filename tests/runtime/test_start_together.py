"""Processes that start at the same moment on an empty database."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agentrt.clock import SystemClock
from agentrt.config.load import load_config
from agentrt.dispatch.local import LocalDispatcher
from agentrt.runtime.assistants import Assistants
from agentrt.runtime.declared import declared_assistants, load_tools
from agentrt.store.migrate_postgres import migrate_postgres, postgres_revision
from agentrt.store.open import open_store
from tests.runtime.conftest import AGENTS


async def test_they_declare_the_same_agents(postgres_url: str, tmp_path: Path) -> None:
    file = tmp_path / "agents.toml"
    file.write_text(AGENTS)
    config = load_config(file, environ={})
    clock = SystemClock()
    declared = declared_assistants(config, load_tools(config, ()), now=clock.now())
    stores = [await open_store(postgres_url, clock=clock, migrate=False) for _ in range(6)]
    try:
        everybody = [
            Assistants(store=store, dispatcher=LocalDispatcher(), clock=clock, check_model=lambda _: None)
            for store in stores
        ]
        await asyncio.gather(*(assistants.declare(declared) for assistants in everybody))
    finally:
        for store in stores:
            await store.close()


async def test_they_are_not_taken_for_strangers_while_one_makes_the_tables(empty_postgres_url: str) -> None:
    making = asyncio.ensure_future(migrate_postgres(empty_postgres_url))

    async def look() -> None:
        while not making.done():
            await postgres_revision(empty_postgres_url)  # raises for tables that are not ours

    await asyncio.gather(making, *(look() for _ in range(12)))
