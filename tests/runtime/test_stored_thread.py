"""An Agent in code on a thread in a database."""

from __future__ import annotations

from pathlib import Path

from agentrt import Agent, Runtime
from agentrt.store.pages import PageQuery
from agentrt.store.threads import list_threads


async def test_an_agent_remembers_a_thread_after_the_runtime_was_closed_and_opened(tmp_path: Path) -> None:
    config = tmp_path / "agents.toml"
    config.write_text('[runtime]\ndata_dir = "data"\n')
    agent = Agent("You answer briefly.", model="demo")
    async with Runtime(config) as runtime:
        thread = await runtime.new_thread(metadata={"customer": "ada"})
        await agent.run("I am Ada.", thread=thread)

    async with Runtime(config) as runtime:
        found = await runtime.store.read(
            lambda tx: list_threads(tx, "default", PageQuery(), metadata={"customer": "ada"})
        )
        result = await agent.run("What is my name?", thread=runtime.thread(found.items[0].id))

    assert [item.id for item in found.items] == [thread.id]
    assert result.text == "Your name is Ada."
