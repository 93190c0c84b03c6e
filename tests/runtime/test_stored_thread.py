"""An Agent in code on a thread in a database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from agentrt import Agent, Context, FunctionTool, Runtime, tool
from agentrt.engine.events import MessageIncomplete, RunCompleted, RunStarted, StepFailed, TextDelta
from agentrt.errors import NotFoundError, StoreError
from agentrt.runtime import worker as worker_module
from agentrt.store.database import Tx
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


async def test_the_tools_of_a_run_keep_its_context_when_the_database_fails_under_its_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "RETRY_AFTER_S", 0.05)
    config = tmp_path / "agents.toml"
    config.write_text('[runtime]\ndata_dir = "data"\n')

    @tool
    async def who(context: Context[str]) -> str:
        """Who asks."""
        return f"It is {context.value}."

    let_go = asyncio.Event()
    model = ScriptedModel(text("", pause=let_go), call("who"), text("I see."))
    async with Runtime(config, context="somebody") as runtime:
        running = asyncio.ensure_future(
            Agent("You help.", model=model, tools=[who]).run("Hi", thread=await runtime.new_thread(), context="Ada")
        )
        while not model.requests:
            await asyncio.sleep(0.005)
        write = runtime.store.write

        async def refuse(fn: Callable[[Tx], object]) -> object:
            monkeypatch.setattr(runtime.store, "write", write)
            raise StoreError("away")

        monkeypatch.setattr(runtime.store, "write", refuse)
        let_go.set()
        assert (await running).text == "I see."
        assert "It is Ada." in str(model.requests[-1].messages)
        assert runtime._performers.contexts == {}


async def test_words_that_were_said_and_could_not_be_stored_are_taken_back_in_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "RETRY_AFTER_S", 0.05)
    config = tmp_path / "agents.toml"
    config.write_text('[runtime]\ndata_dir = "data"\n')
    let_go = asyncio.Event()
    model = ScriptedModel(text("cut off", pause=let_go), text("Whole."))
    async with Runtime(config) as runtime:
        thread = await runtime.new_thread()
        stream = Agent("You help.", model=model).stream("Hi", thread=thread)
        seen = []
        write = runtime.store.write

        async def refuse(fn: Callable[[Tx], object]) -> object:
            raise StoreError("away")

        async with asyncio.timeout(20):
            async for event in stream:
                seen.append(event)
                if isinstance(event, RunStarted):
                    monkeypatch.setattr(runtime.store, "write", refuse)
                if isinstance(event, TextDelta) and event.text == "off":
                    let_go.set()
                if isinstance(event, StepFailed):
                    monkeypatch.setattr(runtime.store, "write", write)
    assert [event.text for event in seen if isinstance(event, TextDelta)] == ["cut ", "off", "Whole."]
    [discarded] = [event for event in seen if isinstance(event, MessageIncomplete)]
    assert discarded.is_discarded
    assert stream.result.text == "Whole."


async def test_nothing_is_kept_of_a_run_that_could_not_be_made(tmp_path: Path) -> None:
    config = tmp_path / "agents.toml"
    config.write_text('[runtime]\ndata_dir = "data"\n')
    async with Runtime(config) as runtime:
        with pytest.raises(NotFoundError):
            await Agent("You help.", model="demo").run("Hi", thread=runtime.thread("thread_none"), context="Ada")
        assert runtime._performers.contexts == {}
