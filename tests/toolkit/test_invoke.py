from __future__ import annotations

import asyncio
import contextvars
import json
import logging
import subprocess
import sys
import threading
import warnings
from collections.abc import AsyncIterator, Awaitable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt import Context, IdempotencyKey, Option, Tool, tool
from agentrt.engine.message import ToolCall, ToolResult
from agentrt.toolkit.invoke import invoke
from tests.toolkit.conftest import Play


@tool
async def weather(city: str, days: int = 1) -> str:
    """Forecast for a city."""
    return f"{city}: sunny for {days} days"


@tool
def sync_weather(city: str, days: int = 1) -> str:
    """Forecast for a city."""
    return f"{city}: sunny for {days} days"


@pytest.mark.parametrize("made", [weather, sync_weather], ids=["async", "sync"])
@pytest.mark.parametrize(
    "arguments",
    [
        '{"city": "Oslo", "days": 2}',
        '  {"city": "Oslo", "days": 2.0}\n',
        json.dumps('{"city": "Oslo", "days": 2}'),
        json.dumps(json.dumps('{"city": "Oslo", "days": 2}')),
    ],
)
async def test_a_call_returns_what_the_function_returns(play: Play, made: Tool, arguments: str) -> None:
    assert await play(made, arguments) == ToolResult("call_1", "Oslo: sunny for 2 days")


@pytest.mark.parametrize("arguments", ["", "  \n", "{}", "null", '""', '"{}"', '"null"'])
async def test_no_arguments_may_be_written_in_many_ways(play: Play, arguments: str) -> None:
    @tool
    async def ping() -> str:
        """Answers."""
        return "pong"

    assert (await play(ping, arguments)).output == "pong"


async def test_a_line_break_left_raw_in_a_text_is_taken_as_meant(play: Play) -> None:
    assert (await play(weather, '{"city": "Os\nlo\t"}')).output.startswith("Os\nlo\t")


@pytest.mark.parametrize(
    ("arguments", "error", "texts"),
    [
        ('{"city": ', "invalid_json", ["not valid JSON", "char"]),
        ("{'city': 'Oslo'}", "invalid_json", ["not valid JSON"]),
        ('{"city": "Oslo", "days": NaN}', "invalid_json", ["NaN is not JSON"]),
        ('{"city": "Oslo", "days": 1e999}', "invalid_json", ["not valid JSON"]),
        ('{"city": "\\ud800"}', "invalid_json", ["surrogate"]),
        ('{"city": "\ud800"}', "invalid_json", ["surrogate"]),
        ("[" * 100_000, "invalid_json", ["nested too deep"]),
        ('{"city": "Oslo"}, {"city": "Rome"}', "invalid_json", ["not valid JSON"]),
        ("[1]", "invalid_arguments", ["one JSON object, got [1]"]),
        ('"Oslo"', "invalid_arguments", ['one JSON object, got "Oslo"']),
        ("{}", "invalid_arguments", ["missing 'city'"]),
        ('{"city": "Oslo", "days": "two"}', "invalid_arguments", ['days: expected integer, got "two"']),
        ('{"city": "Oslo", "dayz": 2}', "invalid_arguments", ['"dayz"', "Did you mean 'days'?", "Allowed: city, days"]),
    ],
)
async def test_arguments_that_the_function_cannot_take_go_back_to_the_model(
    play: Play, arguments: str, error: str, texts: list[str]
) -> None:
    result = await play(weather, arguments)
    assert result.error == error
    for text in [*texts, "weather", 'Expected {"city": string, "days"?: integer}']:
        assert text in result.output


async def test_a_tool_that_does_not_exist_is_answered_with_those_that_do() -> None:
    result = await invoke(None, ToolCall("call_1", "wether", "{}"), Context(None), known_names=["weather", "clock"])
    assert result.error == "unknown_tool"
    assert "'wether'. Did you mean 'weather'? The tools that exist: weather, clock." in result.output
    assert "no tools" in (await invoke(None, ToolCall("call_1", "x", "{}"), Context(None))).output


class GrumpyError(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "shown"),
    [
        (ValueError("no such city"), "ValueError: no such city"),
        (KeyError("city"), "KeyError: 'city'"),
        (ZeroDivisionError(), "ZeroDivisionError"),
        (StopIteration("end"), "StopIteration"),
        (SystemExit(2), "SystemExit: 2"),
        (TimeoutError("upstream"), "TimeoutError: upstream"),
        (asyncio.CancelledError(), "CancelledError"),
        (GrumpyError(), "GrumpyError"),
        (ExceptionGroup("tasks", [ValueError("a"), TypeError("b")]), "ValueError: a; TypeError: b"),
        (ValueError("x" * 5000), "x…"),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
async def test_an_exception_is_told_by_type_and_message(
    play: Play, error: BaseException, shown: str, is_async: bool
) -> None:
    def fail() -> None:
        """Fails."""
        raise error

    async def fail_async() -> None:
        """Fails."""
        raise error

    result = await play(fail_async if is_async else fail)
    assert result.error == "exception"
    assert shown in result.output
    assert "Traceback" not in result.output
    assert len(result.output) < 1100


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        (f"[Errno 2] No such file: '{Path.home() / 'secret plans' / 'key.pem'}'", "[Errno 2] No such file: 'key.pem'"),
        (f"cannot read {Path(__file__)}, sorry", "cannot read test_invoke.py, sorry"),
        (f"file://{Path(__file__)}", "test_invoke.py"),
        (r"C:\Users\ada\key.pem is locked", "key.pem is locked"),
        ("GET https://example.com/usr/bin: 404", "GET https://example.com/usr/bin: 404"),
        ("no route /v1/items/7", "no route /v1/items/7"),
        ("docs/a.md: and/or 1/2", "docs/a.md: and/or 1/2"),
    ],
)
async def test_paths_of_this_machine_stay_here(play: Play, message: str, shown: str) -> None:
    def fail() -> None:
        """Fails."""
        raise OSError(message)

    assert (await play(fail)).output == f"Tool fail failed: OSError: {shown}"


async def test_the_log_names_the_failure_and_not_its_words(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        """Fails."""
        raise ValueError("a secret")

    with caplog.at_level(logging.INFO, "agentrt"):
        await play(fail)
    [record] = caplog.records
    assert record.message == "tool.failed"
    assert record.__dict__["tool"] == "fail"
    assert record.__dict__["error"] == "ValueError"
    assert "a secret" not in str(record.__dict__)


async def test_an_async_tool_that_takes_too_long_is_cancelled(play: Play) -> None:
    cleaned: list[str] = []

    @tool(timeout_s=0.01)
    async def slow() -> None:
        """Waits."""
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("up")

    result = await play(slow)
    assert result.error == "timeout"
    assert "within 0.01 s" in result.output
    assert cleaned == ["up"]


@pytest.mark.parametrize(("own", "callers"), [(0.01, 60.0), (60.0, 0.01), (None, 0.01), (0.01, None)])
async def test_the_smaller_of_both_limits_counts(play: Play, own: float | None, callers: float | None) -> None:
    release = threading.Event()

    @tool(timeout_s=own)
    def slow() -> None:
        """Waits."""
        release.wait(30)

    result = await play(slow, timeout_s=callers)
    release.set()
    assert result.error == "timeout"


async def test_a_cancelled_call_is_cancelled(play: Play) -> None:
    started = asyncio.Event()

    @tool
    async def slow() -> None:
        """Waits."""
        started.set()
        await asyncio.Event().wait()

    async def cancel() -> None:
        await started.wait()
        running.cancel()

    async with asyncio.TaskGroup() as group:
        running = group.create_task(play(slow))
        group.create_task(cancel())
    assert running.cancelled()


async def test_a_cancelled_call_of_a_sync_function_returns_at_once(play: Play) -> None:
    loop = asyncio.get_running_loop()
    started, release = asyncio.Event(), threading.Event()

    def slow() -> None:
        """Waits."""
        loop.call_soon_threadsafe(started.set)
        release.wait(30)

    async def cancel() -> None:
        await started.wait()
        running.cancel()

    async with asyncio.TaskGroup() as group:
        running = group.create_task(play(slow))
        group.create_task(cancel())
    assert running.cancelled()
    assert not release.is_set()
    release.set()


async def test_a_sync_tool_runs_off_the_loop_with_the_callers_context_variables(play: Play) -> None:
    user = contextvars.ContextVar("user", default="nobody")
    user.set("ada")

    def who() -> str:
        """Says who."""
        return f"{user.get()} {threading.current_thread() is threading.main_thread()}"

    assert (await play(who)).output == "ada False"


async def test_a_tool_gets_its_context_its_key_and_its_options(play: Play) -> None:
    @tool
    def f(
        a: int, /, b: int = 2, *, ctx: Context[dict[str, int]], key: IdempotencyKey, unit: Option[str] = "EUR"
    ) -> str:
        """Does it."""
        return f"{a} {b} {ctx.value['stock']} {ctx.call_id} {ctx.metadata['team']} {key} {unit}"

    context = Context(
        {"stock": 7}, run_id="run_1", thread_id="thread_1", call_id="call_1", metadata={"team": "support"}
    )
    assert (await play(f, '{"a": 1}', context=context)).output == "1 2 7 call_1 support run_1:call_1 EUR"
    assert (await play(f.with_options(unit="NOK"), '{"a": 1, "b": 3}', context=context)).output.endswith("NOK")
    assert (await play(f, '{"a": 1, "unit": "USD"}', context=context)).error == "invalid_arguments"


async def test_generators_and_awaitables_are_run_to_their_end(play: Play) -> None:
    def words() -> Iterator[str]:
        """Streams words."""
        yield from ("on ", str(threading.current_thread() is threading.main_thread()))

    async def numbers() -> AsyncIterator[int]:
        """Streams numbers."""
        for number in (1, 2):
            await asyncio.sleep(0)
            yield number

    def later() -> Awaitable[str]:
        """Answers later."""
        return weather("Oslo")

    def stream_later() -> AsyncIterator[int]:
        """Streams later."""
        return numbers()

    assert (await play(words)).output == "on False"
    assert (await play(numbers)).output == "[1,2]"
    assert (await play(later)).output == "Oslo: sunny for 1 days"
    assert (await play(stream_later)).output == "[1,2]"


async def test_an_endless_generator_ends(play: Play) -> None:
    def endless() -> Iterator[str]:
        """Streams."""
        while True:
            yield "x"

    async def endless_async() -> AsyncIterator[str]:
        """Streams."""
        while True:
            yield "x"

    assert set((await play(endless)).output) == {"x"}
    assert set((await play(endless_async)).output) == {"x"}


async def test_the_limit_covers_what_a_sync_function_returns_to_be_awaited(play: Play) -> None:
    @tool(timeout_s=0.05)
    def later() -> Awaitable[None]:
        """Answers later."""
        return asyncio.sleep(30)

    assert (await play(later)).error == "timeout"


async def test_a_long_output_is_cut_in_the_middle(play: Play) -> None:
    def long() -> str:
        """Tells much."""
        return "ä" * 1000 + "end"

    result = await play(long, max_output_bytes=500)
    assert result.error is None
    assert len(result.output.encode()) <= 500
    assert result.output.startswith("ää")
    assert "bytes cut out" in result.output
    assert result.output.endswith("end")


async def test_a_tool_made_of_a_foreign_schema_is_checked_by_it(play: Play) -> None:
    async def remote(**arguments: Any) -> str:
        return json.dumps(arguments)

    schema: Any = {"type": "object", "properties": {"from": {"type": "string"}}, "required": ["from"]}
    made = Tool(name="remote", description="Elsewhere.", parameters=schema, function=remote)
    assert (await play(made, '{"from": "a"}')).output == '{"from": "a"}'
    assert (await play(made, '{"from": 1}')).error == "invalid_arguments"


@pytest.mark.parametrize("schema", [{"type": "strin"}, {"$ref": "http://127.0.0.1:9/x"}, {"pattern": "("}])
async def test_a_foreign_schema_that_is_broken_is_a_failure_of_the_call(play: Play, schema: Any) -> None:
    async def remote(**arguments: Any) -> str:
        return json.dumps(arguments)

    parameters: Any = {"type": "object", "properties": {"a": schema}}
    made = Tool(name="remote", description="Elsewhere.", parameters=parameters, function=remote)
    assert (await play(made, '{"a": "x"}')).error == "exception"


async def test_a_foreign_schema_cannot_make_this_process_fetch_anything(play: Play) -> None:
    asked: list[str] = []

    class Recorder(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
            """Prints nothing."""

    async def remote(**arguments: Any) -> str:
        return json.dumps(arguments)

    with HTTPServer(("127.0.0.1", 0), Recorder) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        parameters: Any = {"properties": {"a": {"$ref": f"http://127.0.0.1:{server.server_port}/schema.json"}}}
        made = Tool(name="remote", description="Elsewhere.", parameters=parameters, function=remote)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = await play(made, '{"a": "x"}')
        server.shutdown()
        thread.join()
    assert (result.error, asked) == ("exception", [])


def test_a_tool_that_hangs_does_not_keep_the_process_alive() -> None:
    script = """
import asyncio, time
from agentrt import Context, tool
from agentrt.engine.message import ToolCall
from agentrt.toolkit.invoke import invoke

@tool(timeout_s=0.05)
def hang() -> None:
    "Hangs."
    time.sleep(3600)

print(asyncio.run(invoke(hang, ToolCall("c", "hang", ""), Context(None))).error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == ("timeout\n", "")


def test_a_plain_tool_needs_neither_pydantic_nor_jsonschema_until_it_is_called() -> None:
    script = """
import sys, asyncio
import agentrt
lazy = ("agentrt.toolkit", "pydantic", "jsonschema", "msgspec")
assert not [name for name in lazy if name in sys.modules]

@agentrt.tool
def weather(city: str, days: int | None = None, tags: list[str] = []) -> str:
    "Forecast."
    return city

assert not [name for name in ("pydantic", "jsonschema") if name in sys.modules]
from agentrt.engine.message import ToolCall
from agentrt.toolkit.invoke import invoke
assert asyncio.run(invoke(weather, ToolCall("c", "x", '{"city": "Oslo"}'), agentrt.Context(None))).output == "Oslo"
assert "pydantic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=True)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(
    st.text() | st.text(alphabet='{}[]":,\\ud8001e9ncity days\n') | _JSON.map(json.dumps) | st.text().map(json.dumps)
)
def test_no_arguments_whatever_make_a_call_raise(arguments: str) -> None:
    result = asyncio.run(invoke(weather, ToolCall("call_1", "weather", arguments), Context(None)))
    assert result.error in (None, "invalid_json", "invalid_arguments")
    assert result.call_id == "call_1"
    json.dumps(result.output).encode()


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["city", "days"]), _JSON))
def test_an_object_is_either_called_with_or_refused(arguments: dict[str, object]) -> None:
    call = ToolCall("call_1", "weather", json.dumps(arguments))
    result = asyncio.run(invoke(weather, call, Context(None)))
    days = arguments.get("days", 1)
    is_whole = isinstance(days, (int, float)) and not isinstance(days, bool) and days == days // 1
    fits = isinstance(arguments.get("city"), str) and is_whole
    assert (result.error is None) == fits
