"""An Agent in code that runs Python: in memory with sandboxes of its own, on stored threads with the runtime's."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from agentrt import Agent, CallOutput, CodeInterpreter, Conversation, Image, Logs
from agentrt.config.schema import SandboxSpec
from agentrt.engine.events import CallReturned, MessageCompleted
from agentrt.engine.message import FilePath, ImageFilePart, TextPart
from agentrt.errors import InvalidRequestError, ToolDefinitionError
from agentrt.testing.scripts import ScriptedModel, text
from tests.runtime.code_interpreter.coding import LOCAL, PICTURE, calls, open_coder
from tests.runtime.conftest import World

Open = Callable[..., AbstractAsyncContextManager[World]]
UNSAFE = SandboxSpec(name="test", driver="unsafe-local")


def seen(model: ScriptedModel) -> str:
    """What the model read last."""
    return model.requests[-1].messages[-1].text


async def test_output_is_told_as_it_comes_and_images_and_files_are_there() -> None:
    code = CodeInterpreter(UNSAFE)
    source = PICTURE + "print('on', flush=True)\nopen('a.txt', 'w').write('A')\nPicture()"
    model = ScriptedModel(calls(source), text("See [it](sandbox:/mnt/data/a.txt)."))
    async with Agent(model=model, tools=[code]).stream("Go") as run:
        events = [event async for event in run]

    outputs = [event.output for event in events if isinstance(event, CallOutput)]
    assert outputs[0] == Logs("on\n")
    assert isinstance(outputs[1], Image)
    assert code.files[outputs[1].file_id].data.startswith(b"\x89PNG")
    image, words = next(event.parts for event in events if isinstance(event, MessageCompleted))
    assert image == ImageFilePart(outputs[1].file_id)
    assert isinstance(words, TextPart)
    (link,) = words.annotations
    assert isinstance(link, FilePath)
    assert (code.files[link.file_id].name, code.files[link.file_id].data) == ("a.txt", b"A")
    assert run.result.run.code is not None


async def test_inside_of_its_block_a_conversation_keeps_its_variables(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("1,2")
    model = ScriptedModel(calls("x = open('in.csv').read()"), text("Read."), calls("x"), text("There."), calls("x"),
                          text("Not there."))  # fmt: skip
    async with CodeInterpreter(UNSAFE, files=[tmp_path / "in.csv"]) as code:
        agent = Agent(model=model, tools=[code])
        conversation = Conversation()
        await agent.run("Read it", thread=conversation)
        await agent.run("What is x?", thread=conversation)
        assert "tool: '1,2'" in [f"{m.role}: {m.text}" for m in model.requests[-1].messages]
        await agent.run("What is x?", thread=Conversation())
        assert "NameError" in seen(model)
    assert "Files in the folder now: in.csv." in str(model.requests[0].tools)


async def test_without_a_block_a_run_has_a_sandbox_of_its_own_and_finds_the_files_again() -> None:
    model = ScriptedModel(calls("x = 1\nopen('a.txt', 'w').write('kept')"), text("Ok."),
                          calls("open('a.txt').read(), 'x' in globals()"), text("Ok."))  # fmt: skip
    agent = Agent(model=model, tools=[CodeInterpreter(UNSAFE)])
    conversation = Conversation()
    await agent.run("Write", thread=conversation)
    await agent.run("Read", thread=conversation)

    assert seen(model).startswith("('kept', False)\n[This is a new session")


async def test_leaving_a_run_early_stops_its_code(tmp_path: Path) -> None:
    source = f"import os\nprint(os.getppid(), flush=True)\nwhile True: open({str(tmp_path / 'beat')!r}, 'w').close()"
    model = ScriptedModel(calls(source))
    async with asyncio.timeout(20), Agent(model=model, tools=[CodeInterpreter(UNSAFE)]).stream("Go") as run:
        async for event in run:
            if isinstance(event, CallOutput):
                break
    (tmp_path / "beat").unlink(missing_ok=True)
    await asyncio.sleep(0.1)
    assert not (tmp_path / "beat").exists()


async def test_what_is_missing_is_told_to_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    model = ScriptedModel(calls("1"), text("Sorry."))
    async with Agent(model=model, tools=[CodeInterpreter(SandboxSpec(name="d", driver="docker"))]).stream("Go") as run:
        (returned,) = [event async for event in run if isinstance(event, CallReturned)]

    assert returned.result.error == "unavailable"
    assert "run Docker or set DOCKER_HOST" in seen(model)


async def test_on_a_stored_thread_the_runtimes_sandbox_runs_the_code(open_world: Open) -> None:
    async with open_coder(open_world) as coder:
        model = ScriptedModel(calls("x = 41\nopen('a.txt', 'w').write('A')"), text("Ok."), calls("x + 1"), text("Ok."))
        agent = Agent(name="coder", model=model, tools=[CodeInterpreter()])
        thread = await coder.world.runtime.new_thread()
        result = await agent.run("Go", thread=thread)
        await agent.run("Again", thread=thread)

        assert seen(model) == "42"
        assert result.run.code is not None
        for wrong in (CodeInterpreter("science"), CodeInterpreter(UNSAFE), CodeInterpreter(files=["x"])):
            with pytest.raises(InvalidRequestError, match="Threads of a runtime have"):
                await Agent(name="wrong", model=model, tools=[wrong]).run("Go", thread=thread)


async def test_a_sandbox_is_found_in_agents_toml_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "agents.toml").write_text(LOCAL.replace("python", "mine"))
    model = ScriptedModel(calls("6 * 7"), text("Ok."))
    await Agent(model=model, tools=[CodeInterpreter("mine", config=tmp_path / "agents.toml")]).run("Go")

    assert seen(model) == "42"


def test_a_class_in_its_place_is_named() -> None:
    with pytest.raises(ToolDefinitionError, match=r"write tools=\[CodeInterpreter\(\)\]"):
        Agent("You compute.", model=ScriptedModel(), tools=[CodeInterpreter])


async def test_a_file_that_is_not_there_is_named_to_whoever_gave_it(tmp_path: Path) -> None:
    code = CodeInterpreter(UNSAFE, files=[tmp_path / "nope.csv"])
    with pytest.raises(InvalidRequestError, match=r"There is no file .*nope\.csv for code_interpreter"):
        await Agent("You compute.", model=ScriptedModel(text("Never.")), tools=[code]).run("Sum it up.")


def test_an_agent_has_one_at_most() -> None:
    with pytest.raises(ToolDefinitionError):
        Agent(tools=[CodeInterpreter(), CodeInterpreter()])


def test_an_agent_without_one_does_not_pay_for_it() -> None:
    code = "import sys, agentrt; agentrt.Agent; agentrt.CodeInterpreter(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()

    assert not {name for name in loaded if name.startswith("agentrt.sandbox")}
    assert not {"sqlmodel", "pydantic", "docker"}.intersection(loaded)
