"""Processes that start at the same moment on an empty database."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agentrt.clock import SystemClock
from agentrt.config.load import load_config
from agentrt.runtime.assistants import Assistants
from agentrt.runtime.declared import declared_assistants, load_tools
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
        everybody = [Assistants(store=store, clock=clock, check_model=lambda _: None) for store in stores]
        await asyncio.gather(*(assistants.declare(declared) for assistants in everybody))
    finally:
        for store in stores:
            await store.close()
