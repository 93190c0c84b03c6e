"""Agent: the same loop in the caller's own process, with no server and no database."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from agentrt import (
    Agent,
    CallReturned,
    ChatCompletions,
    Context,
    Conversation,
    FunctionTool,
    IdempotencyKey,
    ImageUrlPart,
    Message,
    ModelError,
    TextDelta,
    TextPart,
    Usage,
    open_client,
    tool,
)
from agentrt.engine.events import RunCompleted, RunStarted
from agentrt.engine.message import ImageFilePart, Role
from agentrt.errors import InvalidRequestError, ToolOutputsMismatchError
from agentrt.testing.clocks import FakeClock
from agentrt.testing.fake_model_server import FakeModelServer
from agentrt.testing.model_answers import delta, stream
from agentrt.testing.model_answers import text as answer_text
from agentrt.testing.scripts import ScriptedModel, call, failure, raw_call, text


@tool
def weather(city: str, days: int = 1) -> str:
    """Forecast for a city.

    city: name of the city.
    """
    return f"{city}: sunny for {days} days"


async def test_an_agent_answers_and_calls_its_tools() -> None:
    model = ScriptedModel(call("weather", city="Oslo") + call("weather", city="Rome", days=2), text("Sunny in both."))
    result = await Agent("Be brief.", model=model, tools=[weather]).run("Weather in Oslo and Rome?")

    assert str(result) == result.text == "Sunny in both."
    assert (result.status, result.usage.prompt_tokens) == ("completed", 20)
    assert [m.text for m in result.messages] == [
        "", "Oslo: sunny for 1 days", "Rome: sunny for 2 days", "Sunny in both.",
    ]  # fmt: skip
    assert [m.role for m in model.requests[0].messages] == ["system", "user"]


async def test_a_conversation_remembers_over_runs() -> None:
    model = ScriptedModel(text("Hello Ada."), text("Ada."))
    agent, conversation = Agent(model=model), Conversation()
    await agent.run("I am Ada.", thread=conversation)
    await agent.run("Who am I?", thread=conversation)

    assert [m.text for m in model.requests[1].messages] == ["I am Ada.", "Hello Ada.", "Who am I?"]
    assert [m.text for m in conversation.messages] == ["I am Ada.", "Hello Ada.", "Who am I?", "Ada."]


async def test_what_goes_wrong_in_a_call_is_told_to_the_model_and_the_run_goes_on() -> None:
    @tool(timeout_s=0.05)
    async def slow() -> str:
        """Take long."""
        await asyncio.sleep(5)
        return "late"

    calls = raw_call("weather", "{not json") + call("weather", town="Oslo") + call("wether", city="Oslo") + call("slow")
    model = ScriptedModel(calls, text("I see."))
    result = await Agent(model=model, tools=[weather, slow]).run("Go")

    told = [m.text for m in result.messages if m.role is Role.TOOL]
    assert result.text == "I see."
    for text_of_error, word in zip(told, ("JSON", "city", "weather", "0.05 s"), strict=True):
        assert word in text_of_error


async def test_a_callers_function_stops_the_run_until_resume() -> None:
    ask = FunctionTool("ask", "Ask a person.", {"type": "object", "properties": {}})
    model = ScriptedModel(call("ask") + call("weather", city="Oslo"), text("They said yes."))
    agent = Agent(model=model, tools=[weather, ask])
    result = await agent.run("Ask them.")

    assert result.status == "requires_action"
    assert [c.name for c in result.pending] == ["ask"]
    with pytest.raises(ToolOutputsMismatchError):
        await agent.resume(result, {"call_of_nobody": "x"})
    resumed = await agent.resume(result, {result.pending[0].id: "yes"})
    assert (resumed.status, resumed.text) == ("completed", "They said yes.")
    assert [m.text for m in model.requests[1].messages][-2:] == ["yes", "Oslo: sunny for 1 days"]
    with pytest.raises(InvalidRequestError, match="does not wait"):
        await agent.resume(resumed, {})


async def test_a_stream_shows_the_run_from_inside() -> None:
    agent = Agent(model=ScriptedModel(text("one two three")))
    async with agent.stream("Count") as run:
        pieces = [event.text async for event in run if isinstance(event, TextDelta)]

    assert pieces == ["one ", "two ", "three"]
    assert run.result.text == "one two three"


async def test_a_stream_that_is_left_early_leaves_a_thread_that_can_go_on() -> None:
    model = ScriptedModel(text("never finished", pause=asyncio.Event()), text("Fine."))
    agent, conversation = Agent(model=model), Conversation()
    async with agent.stream("Tell me.", thread=conversation) as run:
        async for event in run:
            if isinstance(event, TextDelta):
                break
    result = await agent.run("Again?", thread=conversation)

    assert result.text == "Fine."
    assert [m.text for m in conversation.messages] == ["Tell me.", "Again?", "Fine."]


async def test_a_stream_left_while_a_tool_runs_stops_the_tool_and_the_thread_can_go_on() -> None:
    stopped: list[str] = []

    @tool
    async def endless() -> str:
        """Never end."""
        try:
            await asyncio.Event().wait()
        finally:
            stopped.append("endless")
        return "never"

    model = ScriptedModel(call("weather", city="Oslo") + call("endless"), text("Fine."))
    agent, conversation = Agent(model=model, tools=[weather, endless]), Conversation()
    async with agent.stream("Go", thread=conversation) as run:
        async for event in run:
            if isinstance(event, CallReturned):
                break
    assert stopped == ["endless"]

    await agent.run("Again?", thread=conversation)
    assert [m.text for m in conversation.messages] == ["Go", "Again?", "Fine."]


async def test_functions_run_side_by_side_in_threads_and_on_the_loop() -> None:
    # Each waits for the other: one after the other, the first would never return.
    threads, tasks = threading.Barrier(2, timeout=5), asyncio.Barrier(2)

    @tool
    def blocking() -> str:
        """Block."""
        threads.wait()
        return "blocked"

    @tool
    async def awaiting() -> str:
        """Await."""
        await tasks.wait()
        return "awaited"

    for name, said in (("blocking", "blocked"), ("awaiting", "awaited")):
        model = ScriptedModel(call(name) + call(name), text("ok"))
        result = await Agent(model=model, tools=[blocking, awaiting]).run("Go")
        assert [m.text for m in result.messages if m.role is Role.TOOL] == [said, said]


async def test_an_exception_of_a_function_goes_to_the_model() -> None:
    @tool
    def broken() -> str:
        """Break."""
        raise LookupError("no such order")

    model = ScriptedModel(call("broken"), text("Sorry."))
    result = await Agent(model=model, tools=[broken]).run("Go")
    assert result.text == "Sorry."
    assert "LookupError: no such order" in model.requests[1].messages[-1].text


async def test_a_run_that_waited_goes_on_behind_what_was_said_meanwhile() -> None:
    ask = FunctionTool("ask", "Ask a person.", {"type": "object", "properties": {}})
    model = ScriptedModel(call("ask"), text("Nothing yet."), text("They said yes."))
    agent, conversation = Agent(model=model, tools=[ask]), Conversation()
    waiting = await agent.run("Ask them.", thread=conversation)
    await agent.run("And?", thread=conversation)
    await agent.resume(waiting, {waiting.pending[0].id: "yes"})

    assert [m.text for m in model.requests[2].messages] == ["Ask them.", "", "yes"]
    assert [m.text for m in conversation.messages] == [
        "Ask them.", "And?", "Nothing yet.", "", "yes", "They said yes.",
    ]  # fmt: skip


async def test_runs_on_one_conversation_at_once_both_stay_in_it() -> None:
    pause = asyncio.Event()
    model = ScriptedModel(text("Slow.", pause=pause), text("Quick."))
    agent, conversation = Agent(model=model), Conversation()
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(agent.run("First", thread=conversation))
        await asyncio.sleep(0)
        assert (await agent.run("Second", thread=conversation)).text == "Quick."
        pause.set()

    assert slow.result().text == "Slow."
    assert [m.text for m in conversation.messages] == ["Second", "Quick.", "First", "Slow."]


async def test_events_tell_the_time_of_the_agents_clock() -> None:
    clock = FakeClock(1_000.0)
    async with Agent(model=ScriptedModel(text("Hi.")), clock=clock).stream("Hi") as run:
        times = [event.at async for event in run if isinstance(event, RunStarted | RunCompleted)]
    assert times == [1_000.0, 1_000.0]
    assert run.result.run.spec.created_at == 1_000


@pytest.mark.parametrize(
    ("limits", "limit"),
    [({"max_completion_tokens": 8}, "max_completion_tokens"), ({"max_prompt_tokens": 500}, "max_prompt_tokens")],
)
async def test_token_limits_count_over_the_whole_run(limits: dict[str, int], limit: str) -> None:
    turn = replace(call("weather", city="Oslo"), usage=Usage(300, 5))
    model = ScriptedModel(turn, turn, turn)
    result = await Agent(model=model, tools=[weather], **limits).run("Go")  # type: ignore[arg-type]
    assert (result.status, result.run.limit) == ("incomplete", limit)
    assert (len(model.requests), result.usage) == (2, Usage(600, 10))


async def test_images_reach_a_model_that_takes_them_and_become_notes_for_others() -> None:
    parts = (TextPart("What is this?"), ImageUrlPart("https://example.com/cat.png"), ImageFilePart("file-1"))
    said = Message(Role.USER, parts)
    seeing, blind = ScriptedModel(text("A cat.")), ScriptedModel(text("No idea."), takes_images=False)
    for model in (seeing, blind):
        await Agent(model=model).run(said)

    (shown,) = seeing.requests[0].messages
    assert shown.parts[1] == parts[1]
    assert "no file store" in shown.text
    assert all(isinstance(part, TextPart) for part in blind.requests[0].messages[0].parts)
    assert "does not take images" in blind.requests[0].messages[0].text


async def test_limits_end_a_run_as_a_result_with_what_was_done() -> None:
    model = ScriptedModel(*(call("weather", city="Oslo") for _ in range(3)))
    result = await Agent(model=model, tools=[weather], max_steps=3).run("Go")

    assert result.status == "incomplete"
    assert len(result.messages) == 6


async def test_a_failing_model_is_a_result_too() -> None:
    result = await Agent(model=ScriptedModel(failure(ModelError("It is on fire.")))).run("Hi")

    assert result.status == "failed"
    assert result.last_error is not None
    assert result.last_error.message == "It is on fire."


async def test_tools_get_the_context_and_a_key_of_their_own() -> None:
    seen: list[tuple[str, str]] = []

    @tool(retry="idempotent")
    async def refund(order: str, shop: Context[str], key: IdempotencyKey) -> str:
        """Refund an order."""
        seen.append((shop.value, key))
        return "done"

    model = ScriptedModel(call("refund", order="7") + call("refund", order="8"), text("ok"))
    result = await Agent(model=model, tools=[refund]).run("Refund", context="my shop")

    assert [value for value, _ in seen] == ["my shop", "my shop"]
    assert len({key for _, key in seen}) == 2
    assert all(key.startswith(result.run.spec.id) for _, key in seen)


async def test_cancelling_the_caller_closes_the_request_to_the_model() -> None:
    class Watched(ScriptedModel):
        is_closed = False

        async def stream(self, request):  # type: ignore[no-untyped-def]
            try:
                async for chunk in super().stream(request):
                    yield chunk
            finally:
                self.is_closed = True

    model = Watched(text("never", pause=asyncio.Event()))
    task = asyncio.ensure_future(Agent(model=model).run("Hi"))
    await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert model.is_closed


async def test_cancelling_the_caller_hangs_up_on_the_model_server() -> None:
    answer = stream(delta(content="Well, "), done=False, ending="silence")
    async with FakeModelServer([answer]) as server, open_client(trust_env=False) as http:
        agent = Agent(model=ChatCompletions(http, model="small", base_url=server.url))
        has_begun = asyncio.Event()

        async def listen() -> None:
            async with agent.stream("Hi") as run:
                async for event in run:
                    if isinstance(event, TextDelta):
                        has_begun.set()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(listen())
            await has_begun.wait()
            task.cancel()
        await asyncio.wait_for(server.wait_for_cut_off(), 5)
    assert server.n_cut_off == 1


async def test_runs_on_one_agent_at_once_do_not_mix() -> None:
    agent = Agent(model="demo", tools=[weather])
    cities = ["Oslo", "Rome", "Lima", "Cairo"]
    results = await asyncio.gather(*(agent.run(f"What is the weather in {city}?") for city in cities))

    for city, result in zip(cities, results, strict=True):
        assert city in result.text


_SCRIPT = """
import asyncio
from agentrt import Agent

async def main() -> None:
    agent = Agent("Be brief.", model="any-name")
    print((await agent.run("Hi")).text, (await agent.run("Hi")).text)

asyncio.run(main())
"""


async def test_a_bare_name_is_a_model_of_the_environments_server_and_nothing_needs_to_be_closed(tmp_path: Path) -> None:
    async with FakeModelServer([answer_text("One."), answer_text("Two.")]) as server:
        environ = {"OPENAI_BASE_URL": server.url, "OPENAI_API_KEY": "sk-test", "PATH": ""}
        script = [sys.executable, "-W", "error", "-c", _SCRIPT]
        done = await asyncio.to_thread(
            subprocess.run, script, cwd=tmp_path, env=environ, capture_output=True, text=True, timeout=60, check=False
        )

    assert (done.stdout, done.stderr) == ("One. Two.\n", "")
    assert server.requests[0].body["model"] == "any-name"
    assert server.n_connections == 1
