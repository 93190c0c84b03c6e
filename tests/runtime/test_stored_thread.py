"""An Agent in code on a thread in a database."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agentrt import Agent, FunctionTool, Runtime
from agentrt.engine.events import RunCompleted, TextDelta
from agentrt.store.messages import list_messages
from agentrt.store.pages import PageQuery
from agentrt.store.runs import list_runs
from agentrt.store.threads import list_threads
from agentrt.testing.scripts import ScriptedModel, call, text


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


async def test_a_call_that_the_program_answers_goes_on_in_the_database(tmp_path: Path) -> None:
    config = tmp_path / "agents.toml"
    config.write_text('[runtime]\ndata_dir = "data"\n')
    order = FunctionTool("find_order", "Find an order.", {"type": "object", "properties": {}})
    model = ScriptedModel(call("find_order"), text("It is on its way."))
    agent = Agent("You help.", model=model, tools=[order])
    async with Runtime(config) as runtime:
        thread = await runtime.new_thread()
        asked = await agent.run("Where is my order?", thread=thread)
        answered = await agent.resume(asked, {call.id: "sent" for call in asked.pending})
        page = await runtime.store.read(
            lambda tx: list_messages(tx, "default", thread.id, PageQuery(limit=9, order="asc"))
        )

    assert (asked.status, answered.status, answered.text) == ("requires_action", "completed", "It is on its way.")
    assert [message.role for message in page.items] == ["user", "assistant"]


async def test_a_run_of_an_agent_in_code_waits_for_a_process_that_has_the_agent(tmp_path: Path) -> None:
    config = tmp_path / "agents.toml"
    config.write_text('[runtime]\ndata_dir = "data"\n')
    model = ScriptedModel(text("never", pause=asyncio.Event()))
    async with Runtime(config) as runtime:
        runtime.drain_grace_s = 0.0
        thread = await runtime.new_thread()
        async with Agent("You help.", model=model, name="ada").stream("Hi", thread=thread) as stream:
            async for event in stream:
                if isinstance(event, TextDelta):
                    break

    async with Runtime(config) as runtime:
        [run] = (await runtime.store.read(lambda tx: list_runs(tx, "default", thread.id, PageQuery()))).items
        await asyncio.sleep(0.05)
        assert runtime.n_driving == 0
        await runtime.adopt(Agent("You help.", model=ScriptedModel(text("Here I am.")), name="ada"))
        events = [n.event async for burst in runtime.runs.follow(run.id) for n in burst]
    assert isinstance(events[-1], RunCompleted)
