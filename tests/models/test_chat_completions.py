"""What is asked of a model server, and what a well-behaved one's answer becomes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import aclosing
from typing import Any

import httpx
import msgspec
import pytest

from agentrt.engine.message import (
    ImageFilePart,
    ImageUrlPart,
    JsonValue,
    Message,
    RefusalPart,
    Role,
    TextPart,
    ToolCall,
    ToolResult,
    Usage,
    assistant,
    system,
    tool_answer,
    user,
)
from agentrt.engine.spec import CodeInterpreterTool, FunctionTool, ResponseFormat, ToolChoice
from agentrt.models.chat_completions import ChatCompletions
from agentrt.models.client import EndChunk, ModelRequest, TextChunk
from agentrt.testing.fake_model_server import FakeModelServer
from agentrt.testing.model_answers import (
    Answer,
    ReceivedRequest,
    body_reply,
    calls,
    delta,
    error,
    rounds_of_calls,
    stream,
    text,
)
from tests.models.talk import HELLO, answer, calls_of, end_of, failure, text_of

WEATHER = FunctionTool("weather", "Forecast", {"type": "object", "properties": {"city": {"type": "string"}}})


def compatible(http: httpx.AsyncClient, server: FakeModelServer, **options: Any) -> ChatCompletions:
    return ChatCompletions(http, model="small", base_url=server.url, **options)


async def sent(http: httpx.AsyncClient, request: ModelRequest, **options: Any) -> dict[str, Any]:
    """The body that a request becomes."""
    async with FakeModelServer([text("ok")]) as server:
        await answer(compatible(http, server, **options), request)
        return server.requests[0].body


async def test_text_streams_and_ends_with_the_usage(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([text("Hello you", n_chunks=3, usage=(9, 4))]) as server:
        chunks = await answer(compatible(http, server))
    assert text_of(chunks) == "Hello you"
    assert end_of(chunks) == EndChunk("stop", Usage(9, 4))


async def test_tool_calls_arrive_with_their_ids(http: httpx.AsyncClient) -> None:
    wanted = [ToolCall("call_a", "weather", '{"city":"Oslo"}'), ToolCall("call_b", "weather", '{"city":"Rome"}')]
    async with FakeModelServer([calls(*wanted, text="Let me look.")]) as server:
        chunks = await answer(compatible(http, server))
    assert text_of(chunks) == "Let me look."
    assert calls_of(chunks) == wanted
    assert end_of(chunks).finish_reason == "tool_calls"


async def test_arguments_stream_as_the_model_writes_them(http: httpx.AsyncClient) -> None:
    first = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "weather", "arguments": ""}}
    pieces = [{"index": 0, "function": {"arguments": piece}} for piece in ('{"ci', 'ty": "O', 'slo"}')]
    reply = stream(*(delta(tool_calls=[piece]) for piece in (first, *pieces)), delta("tool_calls"))
    async with FakeModelServer([reply]) as server:
        chunks = await answer(compatible(http, server))
    assert len(chunks) == 5
    assert calls_of(chunks) == [ToolCall("call_a", "weather", '{"city": "Oslo"}')]


async def test_a_plain_question_asks_for_nothing_special(http: httpx.AsyncClient) -> None:
    assert await sent(http, ModelRequest(model="any", messages=(system("Be brief."), user("Hello")))) == {
        "model": "small",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def test_every_setting_is_sent(http: httpx.AsyncClient) -> None:
    schema: dict[str, JsonValue] = {"name": "answer", "schema": {"type": "object"}, "strict": True}
    request = ModelRequest(
        model="any",
        messages=(user("Hello"),),
        tools=(WEATHER, CodeInterpreterTool(), FunctionTool("ping", strict=False)),
        tool_choice=ToolChoice("function", "weather"),
        parallel_tool_calls=False,
        response_format=ResponseFormat("json_schema", schema),
        temperature=0.0,
        top_p=0.5,
        reasoning_effort="low",
        max_completion_tokens=77,
    )
    body = await sent(http, request)
    nothing = {"type": "object", "properties": {}}
    assert body["tools"] == [
        {
            "type": "function",
            "function": {"name": "weather", "description": "Forecast", "parameters": WEATHER.parameters},
        },
        {"type": "function", "function": {"name": "ping", "parameters": nothing, "strict": False}},
    ]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "weather"}}
    assert body["parallel_tool_calls"] is False
    assert body["response_format"] == {"type": "json_schema", "json_schema": schema}
    assert (body["temperature"], body["top_p"], body["reasoning_effort"]) == (0.0, 0.5, "low")
    assert body["max_completion_tokens"] == 77
    assert "max_tokens" not in body


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice("auto"), None),
        (ToolChoice("none"), "none"),
        (ToolChoice("required"), "required"),
        (ToolChoice("file_search"), None),
    ],
)
async def test_a_tool_choice_is_sent_when_it_says_something(
    http: httpx.AsyncClient, choice: ToolChoice, expected: str | None
) -> None:
    request = msgspec.structs.replace(HELLO, tools=(WEATHER,), tool_choice=choice)
    assert (await sent(http, request)).get("tool_choice") == expected


async def test_without_tools_nothing_about_tools_is_sent(http: httpx.AsyncClient) -> None:
    request = msgspec.structs.replace(HELLO, tools=(CodeInterpreterTool(),), tool_choice=ToolChoice("required"))
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(await sent(http, request))


async def test_a_whole_conversation_is_sent_in_the_servers_words(http: httpx.AsyncClient) -> None:
    call = ToolCall("call_a", "weather", '{"city":"Oslo"}')
    messages = (
        Message(Role.USER, (TextPart("Look:"), ImageUrlPart("https://x.test/a.png", "low"))),
        assistant("", call),
        tool_answer(ToolResult("call_a", "4 °C")),
        assistant("It is 4 °C.", call),
        Message(Role.ASSISTANT, (RefusalPart("No."),)),
        Message(Role.ASSISTANT),
    )
    wire_call = {"id": "call_a", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}
    body = await sent(http, ModelRequest(model="any", messages=messages))
    image = {"type": "image_url", "image_url": {"url": "https://x.test/a.png", "detail": "low"}}
    assert body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "Look:"}, image]},
        {"role": "assistant", "content": None, "tool_calls": [wire_call]},
        {"role": "tool", "content": "4 °C", "tool_call_id": "call_a"},
        {"role": "assistant", "content": "It is 4 °C.", "tool_calls": [wire_call]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        {"role": "assistant", "content": ""},
    ]


async def test_a_stored_image_must_have_become_a_url(http: httpx.AsyncClient) -> None:
    with pytest.raises(TypeError, match="file-1"):
        await sent(http, ModelRequest(model="any", messages=(Message(Role.USER, (ImageFilePart("file-1"),)),)))


async def test_an_answer_nobody_watches_is_asked_for_whole(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([text("Hello", n_chunks=3)]) as server:
        chunks = await answer(compatible(http, server), msgspec.structs.replace(HELLO, in_pieces=False))
        body = server.requests[0].body
    assert body == {"model": "small", "messages": [{"role": "user", "content": "Hello"}]}
    assert chunks == [TextChunk("Hello"), EndChunk("stop", Usage(12, 7))]


async def test_usage_tells_cached_and_reasoning_tokens(http: httpx.AsyncClient) -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 64},
        "completion_tokens_details": {"reasoning_tokens": 8},
    }
    async with FakeModelServer([stream(delta(content="x"), delta("stop"), {"choices": [], "usage": usage})]) as server:
        assert end_of(await answer(compatible(http, server))).usage == Usage(100, 20, 64, 8)


@pytest.mark.parametrize(
    ("refused", "field"),
    [
        ("Unsupported parameter: 'max_completion_tokens' is not supported, use max_tokens", "max_completion_tokens"),
        ("Unrecognized request argument supplied: stream_options", "stream_options"),
        ("parallel_tool_calls: Extra inputs are not permitted", "parallel_tool_calls"),
    ],
)
@pytest.mark.parametrize("status", [400, 422])
async def test_a_field_that_the_server_does_not_know_is_left_out_from_then_on(
    http: httpx.AsyncClient, refused: str, field: str, status: int
) -> None:
    request = msgspec.structs.replace(HELLO, tools=(WEATHER,), max_completion_tokens=50)
    async with FakeModelServer([error(status, refused), text("one"), text("two")]) as server:
        client = compatible(http, server)
        assert text_of(await answer(client, request)) == "one"
        assert text_of(await answer(client, request)) == "two"
        assert [field in received.body for received in server.requests] == [True, False, False]
        if field == "max_completion_tokens":
            assert [received.body.get("max_tokens") for received in server.requests] == [None, 50, 50]


async def test_several_refused_fields_are_left_out_one_by_one(http: httpx.AsyncClient) -> None:
    request = msgspec.structs.replace(HELLO, tools=(WEATHER,), max_completion_tokens=50)
    detail = [{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]
    script: list[Answer] = [
        body_reply(msgspec.json.encode({"detail": detail}), status=422),
        error(400, "parallel_tool_calls is not supported"),
        error(400, "unknown field max_completion_tokens"),
        text("ok"),
    ]
    async with FakeModelServer(script) as server:
        assert text_of(await answer(compatible(http, server), request)) == "ok"
        body = server.requests[3].body
    assert not {"stream_options", "parallel_tool_calls", "max_completion_tokens"} & set(body)
    assert body["max_tokens"] == 50


async def test_a_server_that_refuses_both_names_of_the_limit_is_not_asked_for_ever(http: httpx.AsyncClient) -> None:
    request = msgspec.structs.replace(HELLO, max_completion_tokens=50)
    both = "max_completion_tokens and max_tokens must not be set"
    async with FakeModelServer([error(400, both)] * 9) as server:
        client = compatible(http, server)
        assert both in (await failure(client, request)).message
        assert len(server.requests) == 4


async def test_the_limits_old_name_can_be_chosen(http: httpx.AsyncClient) -> None:
    request = msgspec.structs.replace(HELLO, max_completion_tokens=50)
    body = await sent(http, request, limit_field="max_tokens")
    assert body["max_tokens"] == 50
    assert "max_completion_tokens" not in body


async def test_a_key_goes_into_the_header_and_streams_are_not_compressed(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([text("ok")]) as server:
        await answer(compatible(http, server, api_key="sk-secret-1", headers={"X-Team": "blue"}))
        headers = server.requests[0].headers
    assert headers["authorization"] == "Bearer sk-secret-1"
    assert headers["x-team"] == "blue"
    assert headers["accept-encoding"] == "identity"
    assert headers["content-type"] == "application/json"


async def test_ollama_is_found_by_its_host_and_takes_the_old_limit(http: httpx.AsyncClient) -> None:
    request = msgspec.structs.replace(HELLO, max_completion_tokens=50)
    async with FakeModelServer([text("ok")]) as server:
        host = server.url.removeprefix("http://").removesuffix("/v1")
        client = ChatCompletions(http, dialect="ollama", model="qwen3:8b", base_url=host)
        assert text_of(await answer(client, request)) == "ok"
        received = server.requests[0]
    assert received.path == "/v1/chat/completions"
    assert "authorization" not in received.headers
    assert received.body["max_tokens"] == 50


async def test_azure_puts_the_deployment_into_the_path_and_the_key_into_its_own_header(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([text("ok")]) as server:
        resource = server.url.removesuffix("/v1")
        client = ChatCompletions(
            http, dialect="azure", model="my gpt", base_url=resource, api_key="azure-key-1", api_version="2025-01-01"
        )
        assert text_of(await answer(client)) == "ok"
        received = server.requests[0]
    assert received.path == "/openai/deployments/my%20gpt/chat/completions?api-version=2025-01-01"
    assert received.headers["api-key"] == "azure-key-1"
    assert "authorization" not in received.headers


def test_a_compatible_server_needs_an_address(http: httpx.AsyncClient) -> None:
    with pytest.raises(ValueError, match="base_url"):
        ChatCompletions(http, model="small")


async def test_connections_are_used_again(http: httpx.AsyncClient) -> None:
    script: list[Answer] = [text("Hello", n_chunks=5), error(400, "no"), stream(delta(content="x")), text("bye")]
    async with FakeModelServer(script) as server:
        client = compatible(http, server)
        await answer(client)
        await failure(client)
        await answer(client)
        await answer(client)
        assert server.n_connections == 1


async def test_a_connection_is_used_again_when_the_stream_ends_a_little_after_done(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([stream(delta(content="x"), delay_s=0.002), text("bye")]) as server:
        client = compatible(http, server)
        await answer(client)
        await answer(client)
        assert server.n_connections == 1


async def test_a_stream_that_is_left_is_aborted_at_the_server(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([stream(delta(content="a"), done=False, ending="silence")]) as server:
        async with aclosing(compatible(http, server).stream(HELLO)) as chunks:
            assert await anext(chunks) == TextChunk("a")
        await asyncio.wait_for(server.wait_for_cut_off(), 5)


async def test_a_cancelled_call_is_aborted_at_the_server(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([stream(delta(content="a"), done=False, ending="silence")]) as server:
        begun = asyncio.Event()

        async def listen() -> None:
            async for _ in compatible(http, server).stream(HELLO):
                begun.set()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(listen())
            await begun.wait()
            task.cancel()
        await asyncio.wait_for(server.wait_for_cut_off(), 5)


async def test_many_calls_at_once_do_not_mix(http: httpx.AsyncClient) -> None:
    def echo(received: ReceivedRequest) -> Answer:
        messages: Any = received.body["messages"]
        return text(messages[0]["content"], n_chunks=4)

    async with FakeModelServer(echo) as server:
        client = compatible(http, server)
        requests = [ModelRequest(model="any", messages=(user(f"question {n}"),)) for n in range(100)]
        answers = await asyncio.gather(*(answer(client, request) for request in requests))
    assert [text_of(chunks) for chunks in answers] == [f"question {n}" for n in range(100)]


async def test_the_bench_script_calls_tools_for_three_rounds_and_then_talks(http: httpx.AsyncClient) -> None:
    request = ModelRequest(model="any", messages=(user("Go"),), tools=(WEATHER,))
    async with FakeModelServer(rounds_of_calls(n_tokens=20)) as server:
        client = compatible(http, server)
        for _ in range(3):
            called = calls_of(await answer(client, request))
            assert [(call.name, call.arguments) for call in called] == [("weather", '{"city":"Oslo"}')] * 2
            answered = (assistant("", *called), *(tool_answer(ToolResult(call.id, "4 °C")) for call in called))
            request = msgspec.structs.replace(request, messages=(*request.messages, *answered))
        chunks = await answer(client, request)
    assert text_of(chunks).split() == [f"token{n % 10}" for n in range(20)]
    assert end_of(chunks).finish_reason == "stop"


def test_importing_the_client_does_not_import_the_http_libraries() -> None:
    code = "import sys, agentrt.models.chat_completions; print({'httpx', 'aiohttp', 'pydantic'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
