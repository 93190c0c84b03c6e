"""The two ways through the port give the same: an engine in this process, and a server."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio

from agentrt.cli.choose import choose_run, choose_thread, last_agent
from agentrt.cli.explain import explain
from agentrt.cli.local import LocalEngine
from agentrt.cli.port import (
    CallBegan,
    CallEnded,
    CallRow,
    Engine,
    Happening,
    MessageEnded,
    OutputsWanted,
    RunBegan,
    RunEnded,
    RunsWanted,
    Spent,
    TextPiece,
)
from agentrt.cli.problems import CliError
from agentrt.cli.remote import open_remote
from agentrt.config.load import load_config
from agentrt.engine.spec import FunctionTool
from agentrt.errors import AgentrtError, NotFoundError, ThreadBusyError
from agentrt.runtime.assembly import Runtime
from agentrt.runtime.requests import NewAssistant
from agentrt.server.app import create_app
from agentrt.server.serving import Server
from tests.cli.projects import LOOKUP, write_project

_HELPER = "asst_helper"


class _QuietServer(Server):
    def capture_signals(self) -> closing[socket.socket]:  # type: ignore[override]
        return closing(socket.socket())  # pytest's signals stay pytest's


@asynccontextmanager
async def _served(runtime: Runtime) -> AsyncIterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = _QuietServer(create_app(runtime), host="127.0.0.1", port=0)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(sockets=[listener]))
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
            server.should_exit = True


@pytest_asyncio.fixture
async def runtime(tmp_path: Path) -> AsyncIterator[Runtime]:
    async with Runtime(load_config(write_project(tmp_path) / "agents.toml")) as runtime:
        yield runtime


@pytest_asyncio.fixture(params=["local", "remote"])
async def engine(request: pytest.FixtureRequest, runtime: Runtime) -> AsyncIterator[Engine]:
    if request.param == "local":
        yield LocalEngine(runtime)
        return
    names = {spec.id: spec.name for spec in runtime.config.agents.values()}
    async with _served(runtime) as url, open_remote(url, key=None, names=names) as remote:
        yield remote


@pytest_asyncio.fixture
async def orders(runtime: Runtime) -> str:
    """An assistant with a function that only an app could answer."""
    function = LOOKUP["function"]
    tool = FunctionTool(function["name"], function["description"], function["parameters"])
    made = await runtime.assistants.create("default", NewAssistant(model="demo", name="Orders", tools=(tool,)))
    return made.id


def _without_times(happenings: list[Happening]) -> list[Happening]:
    """Text joined, seconds and ids of runs left out."""
    found: list[Happening] = []
    for happening in happenings:
        if isinstance(happening, TextPiece) and found and isinstance(found[-1], TextPiece):
            found[-1] = TextPiece(found[-1].text + happening.text)
        elif isinstance(happening, CallEnded):
            found.append(replace(happening, seconds=None))
        elif not isinstance(happening, RunBegan):
            found.append(happening)
    return found


async def test_an_answer_comes_in_pieces_and_ends(engine: Engine) -> None:
    thread_id = await engine.new_thread({"source": "test"})
    happenings = [h async for h in engine.run(thread_id, _HELPER, "Hello")]
    began, *rest = happenings
    assert isinstance(began, RunBegan)
    assert began.thread_id == thread_id
    assert sum(isinstance(happening, TextPiece) for happening in rest) > 5
    text, ended, end = _without_times(rest)
    assert isinstance(text, TextPiece)
    assert "demo model" in text.text
    assert ended == MessageEnded()
    assert isinstance(end, RunEnded)
    assert end.status == "completed"
    assert end.spent.total_tokens > 0


async def test_a_call_that_runs_here_is_seen_with_its_result(engine: Engine) -> None:
    thread_id = await engine.new_thread({})
    seen = _without_times([h async for h in engine.run(thread_id, _HELPER, "What is the weather in Oslo?")])
    began, ended, *_, end = seen
    assert isinstance(began, CallBegan)
    assert (began.call.name, began.call.arguments) == ("get_weather", '{"city": "Oslo"}')
    assert isinstance(ended, CallEnded)
    assert (ended.call_id, ended.output) == (began.call.id, "4 degrees in Oslo")
    assert isinstance(end, RunEnded)


async def test_a_call_of_the_callers_waits_for_its_output(engine: Engine, orders: str) -> None:
    thread_id = await engine.new_thread({})
    asked = [h async for h in engine.run(thread_id, orders, "look up order A-17")]
    began, wanted = asked[0], asked[-1]
    assert isinstance(began, RunBegan)
    assert isinstance(wanted, OutputsWanted)
    (call,) = wanted.calls
    assert (call.name, call.arguments) == ("lookup_order", '{"order_id": "A-17"}')
    assert await engine.active_run(thread_id) == began.run_id
    outputs = {call.id: "shipped yesterday"}
    answered = _without_times([h async for h in engine.submit(thread_id, began.run_id, outputs)])
    text, _, end = answered
    assert isinstance(text, TextPiece)
    assert "shipped yesterday" in text.text
    assert isinstance(end, RunEnded)
    assert end.status == "completed"
    assert await engine.active_run(thread_id) is None


async def test_a_run_that_waits_is_taken_up_again(engine: Engine, orders: str) -> None:
    thread_id = await engine.new_thread({})
    asked = _without_times([h async for h in engine.run(thread_id, orders, "look up order A-17")])
    run_id = await engine.active_run(thread_id)
    assert run_id is not None
    again = [h async for h in engine.follow(thread_id, run_id)]
    assert again[0] == RunBegan(run_id, thread_id)
    assert _without_times(again)[-1] == asked[-1]


async def test_a_cancelled_run_says_so(engine: Engine) -> None:
    thread_id = await engine.new_thread({})
    seen: list[Happening] = []
    run_id = ""
    async for happening in engine.run(thread_id, _HELPER, "wait for 60 seconds"):
        seen.append(happening)
        if isinstance(happening, RunBegan):
            run_id = happening.run_id
        if isinstance(happening, CallBegan):
            await engine.cancel(thread_id, run_id)
    assert isinstance(seen[-1], RunEnded)
    assert seen[-1].status == "cancelled"
    await engine.cancel(thread_id, run_id)  # one that has ended is left alone


async def test_a_busy_thread_says_so(engine: Engine, orders: str) -> None:
    thread_id = await engine.new_thread({})
    async for _ in engine.run(thread_id, orders, "look up order A-17"):
        pass
    with pytest.raises((ThreadBusyError, CliError)) as busy:
        async for _ in engine.run(thread_id, orders, "look up order A-18"):
            pass
    assert explain(busy.value).code == "E209"


@pytest.mark.parametrize(
    ("thread_id", "assistant_id", "model", "code"),
    [
        ("thread_nowhere", _HELPER, None, "E302"),
        (None, "asst_nobody", None, "E301"),
        (None, _HELPER, "nothing", "E304"),
        (None, _HELPER, "fast", "E304"),
    ],
)
async def test_what_is_not_there_is_told_by_its_kind(
    engine: Engine, thread_id: str | None, assistant_id: str, model: str | None, code: str
) -> None:
    thread_id = thread_id or await engine.new_thread({})
    with pytest.raises((AgentrtError, CliError)) as missing:
        async for _ in engine.run(thread_id, assistant_id, "hi", model=model):
            pass
    assert explain(missing.value).code == code


async def test_a_run_that_fails_says_why(engine: Engine) -> None:
    thread_id = await engine.new_thread({})
    end = [h async for h in engine.run(thread_id, _HELPER, "hi", model="broken")][-1]
    assert isinstance(end, RunEnded)
    assert (end.status, end.error_code) == ("failed", "server_error")
    assert "127.0.0.1:9" in (end.error or "")


async def test_threads_are_listed_newest_first_and_by_metadata(engine: Engine) -> None:
    made = [await engine.new_thread({"team": "a" if n % 2 else "b", "n": str(n)}) for n in range(5)]
    shelf = engine.shelf
    assert [row.id for row in await shelf.threads(limit=10)] == made[::-1]
    assert [row.id for row in await shelf.threads(limit=2)] == made[:2:-1]
    assert [row.id for row in await shelf.threads(limit=2, after=made[3])] == [made[2], made[1]]
    assert [row.id for row in await shelf.threads(limit=10, metadata={"team": "a"})] == [made[3], made[1]]
    found = await shelf.thread(made[0])
    assert found is not None
    assert found.metadata == {"team": "b", "n": "0"}
    assert await shelf.thread("thread_nowhere") is None


async def test_a_thread_is_found_by_the_beginning_of_its_id(engine: Engine) -> None:
    made = [await engine.new_thread({}) for _ in range(2)]
    assert await choose_thread(engine.shelf, made[0]) == made[0]
    assert await choose_thread(engine.shelf, made[1][:-3]) == made[1]
    assert await choose_thread(engine.shelf, made[1].removeprefix("thread_")[:-3]) == made[1]
    with pytest.raises(CliError, match="fits 2 threads"):
        await choose_thread(engine.shelf, "thread_")
    with pytest.raises(CliError, match="there is no thread"):
        await choose_thread(engine.shelf, "thread_x")


async def test_what_was_said_and_called_can_be_read_again(engine: Engine) -> None:
    thread_id = await engine.new_thread({})
    async for _ in engine.run(thread_id, _HELPER, "What is the weather in Oslo?"):
        pass
    question, answer = await engine.shelf.messages(thread_id)
    assert (question.role, question.text) == ("user", "What is the weather in Oslo?")
    assert (answer.role, answer.status) == ("assistant", "completed")
    assert "4 degrees" in answer.text
    assert [m.id for m in await engine.shelf.messages(thread_id, limit=1, newest_first=True)] == [answer.id]
    assert [m.id for m in await engine.shelf.messages(thread_id, limit=1)] == [question.id]
    ((run_id, calls),) = (await engine.shelf.calls(thread_id)).items()
    assert run_id == answer.run_id
    assert [(call.name, call.arguments) for call in calls] == [("get_weather", '{"city": "Oslo"}')]
    assert isinstance(calls[0], CallRow)


async def test_a_deleted_thread_is_gone(engine: Engine) -> None:
    thread_id = await engine.new_thread({})
    await engine.shelf.delete_thread(thread_id)
    assert await engine.shelf.thread(thread_id) is None
    with pytest.raises(NotFoundError):
        await engine.shelf.delete_thread(thread_id)


async def _ran(engine: Engine, assistant_id: str, text: str, *, model: str | None = None) -> tuple[str, str]:
    """A run that has come to rest: its thread and its id."""
    thread_id = await engine.new_thread({})
    began, *_ = [h async for h in engine.run(thread_id, assistant_id, text, model=model)]
    assert isinstance(began, RunBegan)
    return thread_id, began.run_id


async def test_runs_of_all_threads_are_listed_and_filtered(engine: Engine, orders: str) -> None:
    shelf = engine.shelf
    thread_id, done = await _ran(engine, _HELPER, "Hello")
    _, failed = await _ran(engine, _HELPER, "hi", model="broken")
    _, waits = await _ran(engine, orders, "look up order A-17")

    async def ids(*, limit: int = 10, after: str | None = None, **wanted: object) -> list[str]:
        rows = await shelf.runs(RunsWanted(**wanted), limit=limit, after=after)  # type: ignore[arg-type]
        return [row.id for row in rows]

    assert await ids() == [waits, failed, done]
    assert await ids(limit=1) == [waits]
    assert await ids(after=waits) == [failed, done]
    assert await ids(statuses=("failed", "completed")) == [failed, done]
    assert await ids(assistant_id=orders) == [waits]
    assert await ids(thread_id=thread_id) == [done]
    assert await ids(since=2_000_000_000) == []
    with pytest.raises(NotFoundError):
        await ids(thread_id="thread_nowhere")


async def test_a_run_is_read_with_what_it_came_to(engine: Engine, orders: str) -> None:
    shelf = engine.shelf
    thread_id, done = await _ran(engine, _HELPER, "Hello")
    row = await shelf.run(done)
    assert row is not None
    assert (row.thread_id, row.assistant_id, row.status, row.model) == (thread_id, _HELPER, "completed", "demo")
    assert row.is_over
    assert row.ended_at is not None
    assert row.ended_at >= row.created_at
    assert isinstance(row.spent, Spent)
    failed = await shelf.run((await _ran(engine, _HELPER, "hi", model="broken"))[1])
    assert failed is not None
    assert (failed.error_code, failed.ended_at is not None) == ("server_error", True)
    assert "127.0.0.1:9" in (failed.error or "")
    waits = await shelf.run((await _ran(engine, orders, "look up order A-17"))[1])
    assert waits is not None
    assert [(call.name, call.arguments) for call in waits.waits_for] == [("lookup_order", '{"order_id": "A-17"}')]
    assert not waits.is_over
    assert await shelf.run("run_nowhere") is None


async def test_a_run_is_found_by_the_beginning_of_its_id(engine: Engine) -> None:
    made = [(await _ran(engine, _HELPER, "Hello"))[1] for _ in range(2)]
    shelf = engine.shelf
    assert await choose_run(shelf, made[0]) == made[0]
    assert await choose_run(shelf, made[1][:-3]) == made[1]
    assert await choose_run(shelf, made[1].removeprefix("run_")[:-3]) == made[1]
    with pytest.raises(CliError, match="fits 2 runs"):
        await choose_run(shelf, "run_")
    with pytest.raises(CliError, match="there is no run"):
        await choose_run(shelf, "x/..%2F")


async def test_the_events_of_a_run_are_read_from_any_place(engine: Engine) -> None:
    _, run_id = await _ran(engine, _HELPER, "What is the weather in Oslo?")
    events = await engine.shelf.run_events(run_id)
    kinds = [type(logged.event).__name__ for logged in events]
    assert kinds[:3] == ["RunCreated", "RunQueued", "RunStarted"]
    assert kinds[-1] == "RunCompleted"
    assert kinds.count("TextDelta") == 1, "deltas come joined"
    for i in (0, 3, len(events) - 1):
        after = (events[i].epoch, events[i].seq)
        assert await engine.shelf.run_events(run_id, after=after) == events[i + 1 :]
    with pytest.raises(NotFoundError):
        await engine.shelf.run_events("run_nowhere")


async def test_a_waiting_run_is_cancelled_by_its_id_and_an_ended_one_is_not(engine: Engine, orders: str) -> None:
    _, run_id = await _ran(engine, orders, "look up order A-17")
    row = await engine.shelf.cancel_run(run_id)
    assert row.status in ("cancelling", "cancelled")
    async with asyncio.timeout(10):
        while not row.is_over:
            await asyncio.sleep(0.01)
            found = await engine.shelf.run(run_id)
            assert found is not None
            row = found
    assert row.status == "cancelled"
    with pytest.raises((AgentrtError, CliError)) as refused:
        await engine.shelf.cancel_run(run_id)
    assert explain(refused.value).code == "E210"
    assert "Cannot cancel run with status 'cancelled'" in explain(refused.value).why


async def test_a_failed_run_is_repeated_and_a_completed_one_is_not(engine: Engine) -> None:
    thread_id, failed = await _ran(engine, _HELPER, "hi", model="broken")
    again = await engine.retry(failed)
    assert (again.thread_id, again.model, again.retry_of) == (thread_id, "broken", failed)
    _, done = await _ran(engine, _HELPER, "Hello")
    with pytest.raises((AgentrtError, CliError)) as refused:
        await engine.retry(done)
    assert explain(refused.value).why == "Cannot retry run with status 'completed'."


async def test_somebody_drives_here(engine: Engine) -> None:
    assert await engine.shelf.has_drivers()


async def test_a_thread_knows_which_agent_answered_last(engine: Engine, orders: str) -> None:
    rows = await engine.shelf.agents()
    thread_id, _ = await _ran(engine, _HELPER, "Hello")
    async for _ in engine.run(thread_id, orders, "Hello"):
        pass
    assert await last_agent(engine.shelf, thread_id, rows) == orders
    assert await last_agent(engine.shelf, thread_id, rows[:1]) is None, "it is not there any more"
    assert await last_agent(engine.shelf, await engine.new_thread({}), rows) is None


async def test_declared_agents_come_first_under_their_names(engine: Engine, orders: str) -> None:
    rows = await engine.shelf.agents()
    assert [(row.name, row.origin) for row in rows] == [("helper", "toml"), ("keyless", "toml"), ("Orders", "api")]
    assert rows[0].tools == ("get_weather", "wait_for")
    assert rows[2].id == orders
