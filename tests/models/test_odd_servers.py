"""What local and half-compatible servers were seen to send; every one of them gets its answer through."""

from __future__ import annotations

import httpx
import msgspec
import pytest

from agentrt.engine.message import ToolCall, Usage
from agentrt.models.chat_completions import ChatCompletions
from agentrt.models.client import CallChunk, Chunk, EndChunk, ReasoningChunk, RefusalChunk, TextChunk
from agentrt.testing.fake_model_server import FakeModelServer
from agentrt.testing.model_answers import Reply, body_reply, delta, stream
from tests.models.talk import answer, calls_of, end_of, text_of


async def hear(http: httpx.AsyncClient, reply: Reply) -> list[Chunk]:
    async with FakeModelServer([reply]) as server:
        return await answer(ChatCompletions(http, model="odd", base_url=server.url))


def call_piece(**piece: object) -> object:
    return delta(tool_calls=[piece])


async def test_empty_text_says_nothing(http: httpx.AsyncClient) -> None:
    reply = stream(delta(role="assistant", content=""), delta(content="Hi"), delta(content=""), delta("stop"))
    assert await hear(http, reply) == [TextChunk("Hi"), EndChunk("stop")]


async def test_null_deltas_choices_and_fields_say_nothing(http: httpx.AsyncClient) -> None:
    nothing: list[object] = [
        {"choices": None},
        {"choices": []},
        {"choices": [None]},
        {"choices": [{"index": 0, "delta": None, "finish_reason": None}]},
        {"choices": [{"delta": {"content": None, "tool_calls": None, "function_call": None, "refusal": None}}]},
        {"choices": [{"finish_reason": ""}], "usage": None, "error": None},
        {},
    ]
    assert text_of(await hear(http, stream(*nothing, delta(content="Hi"), delta("stop")))) == "Hi"


async def test_content_may_be_a_list_of_parts(http: httpx.AsyncClient) -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}
    parts: list[object] = [
        thinking,
        {"type": "text", "text": "Yes"},
        "!",
        {"type": "text", "text": ""},
        {"type": "?"},
    ]
    chunks = await hear(http, stream(delta(content=parts), delta("stop")))
    assert chunks == [ReasoningChunk("Hm."), TextChunk("Yes!"), EndChunk("stop")]


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_in_a_field_of_its_own_is_not_part_of_the_answer(http: httpx.AsyncClient, field: str) -> None:
    chunks = await hear(http, stream(delta(**{field: "Think."}), delta(content="Hi"), delta("stop")))
    assert chunks == [ReasoningChunk("Think."), TextChunk("Hi"), EndChunk("stop")]


async def test_a_refusal_is_told_apart_from_text(http: httpx.AsyncClient) -> None:
    assert await hear(http, stream(delta(refusal="No."), delta("stop"))) == [RefusalChunk("No."), EndChunk("stop")]


async def test_calls_without_ids_get_ids(http: httpx.AsyncClient) -> None:
    pieces = [{"function": {"name": "a", "arguments": "{}"}}, {"id": "", "function": {"name": "b", "arguments": "{}"}}]
    calls = calls_of(await hear(http, stream(delta(tool_calls=pieces), delta("tool_calls"))))
    assert [call.name for call in calls] == ["a", "b"]
    assert len({call.id for call in calls}) == 2
    assert all(call.id.startswith("call_") for call in calls)


async def test_calls_without_index_are_told_apart_by_their_ids(http: httpx.AsyncClient) -> None:
    reply = stream(
        call_piece(id="x", function={"name": "get", "arguments": '{"a":'}),
        call_piece(function={"arguments": "1}"}),
        call_piece(id="y", function={"name": "get", "arguments": '{"a":2}'}),
    )
    assert calls_of(await hear(http, reply)) == [ToolCall("x", "get", '{"a":1}'), ToolCall("y", "get", '{"a":2}')]


@pytest.mark.parametrize("with_ids", [True, False])
async def test_whole_calls_that_all_have_index_0_stay_apart(http: httpx.AsyncClient, with_ids: bool) -> None:
    pieces: list[object] = [
        {"index": 0, "id": f"id{n}" if with_ids else None, "function": {"name": "write", "arguments": f'{{"n":{n}}}'}}
        for n in range(3)
    ]
    calls = calls_of(await hear(http, stream(*(delta(tool_calls=[piece]) for piece in pieces), delta("tool_calls"))))
    assert [call.arguments for call in calls] == ['{"n":0}', '{"n":1}', '{"n":2}']


async def test_calls_without_arguments_that_all_have_index_0_stay_apart_by_their_ids(http: httpx.AsyncClient) -> None:
    reply = stream(*(call_piece(index=0, id=id_, function={"name": "now"}) for id_ in ("x", "y")), delta("tool_calls"))
    assert calls_of(await hear(http, reply)) == [ToolCall("x", "now", "{}"), ToolCall("y", "now", "{}")]


async def test_calls_of_other_functions_that_all_have_index_0_stay_apart_by_their_names(
    http: httpx.AsyncClient,
) -> None:
    reply = stream(*(call_piece(index=0, function={"name": name}) for name in ("now", "here")), delta("tool_calls"))
    assert [call.name for call in calls_of(await hear(http, reply))] == ["now", "here"]


async def test_all_calls_may_come_in_one_chunk(http: httpx.AsyncClient) -> None:
    pieces: list[object] = [
        {"index": n, "id": f"id{n}", "function": {"name": f"f{n}", "arguments": "{}"}} for n in range(3)
    ]
    calls = calls_of(await hear(http, stream(delta("tool_calls", tool_calls=pieces))))
    assert [call.id for call in calls] == ["id0", "id1", "id2"]


async def test_ids_and_names_that_are_repeated_count_once(http: httpx.AsyncClient) -> None:
    reply = stream(
        *(call_piece(index=0, id="x", function={"name": "get", "arguments": a}) for a in ('{"', 'a":', "{}", "}")),
        delta("tool_calls"),
    )
    assert calls_of(await hear(http, reply)) == [ToolCall("x", "get", '{"a":{}}')]


async def test_a_new_id_with_every_piece_does_not_make_a_new_call(http: httpx.AsyncClient) -> None:
    reply = stream(
        call_piece(index=0, id="x1", function={"name": "get", "arguments": ""}),
        call_piece(index=0, id="x2", function={"arguments": '{"a":'}),
        call_piece(index=0, id="x3", function={"arguments": "1}"}),
    )
    assert calls_of(await hear(http, reply)) == [ToolCall("x1", "get", '{"a":1}')]


async def test_the_same_id_for_two_calls_is_replaced(http: httpx.AsyncClient) -> None:
    pieces: list[object] = [
        {"index": n, "id": "call_0", "function": {"name": "f", "arguments": f"[{n}]"}} for n in range(2)
    ]
    first, second = calls_of(await hear(http, stream(delta(tool_calls=pieces))))
    assert first.id == "call_0"
    assert second.id.startswith("call_")
    assert first.id != second.id


async def test_pieces_of_two_calls_may_be_mixed(http: httpx.AsyncClient) -> None:
    reply = stream(
        call_piece(index=1, id="b", function={"name": "g", "arguments": "["}),
        call_piece(index=0, id="a", function={"name": "f", "arguments": "{"}),
        call_piece(index=1, function={"arguments": "]"}),
        call_piece(index=0, function={"arguments": "}"}),
    )
    assert calls_of(await hear(http, reply)) == [ToolCall("b", "g", "[]"), ToolCall("a", "f", "{}")]


@pytest.mark.parametrize("arguments", [{"city": "Oslo"}, '{"city":"Oslo"}'])
async def test_arguments_may_be_an_object(http: httpx.AsyncClient, arguments: object) -> None:
    reply = stream(call_piece(index=0, id="x", function={"name": "f", "arguments": arguments}), delta("stop"))
    assert calls_of(await hear(http, reply)) == [ToolCall("x", "f", '{"city":"Oslo"}')]


@pytest.mark.parametrize("arguments", [None, "", {}])
async def test_a_call_without_arguments_has_empty_ones(http: httpx.AsyncClient, arguments: object) -> None:
    reply = stream(call_piece(index=0, id="x", function={"name": "now", "arguments": arguments}), delta("tool_calls"))
    assert calls_of(await hear(http, reply)) == [ToolCall("x", "now", "{}")]


async def test_a_name_that_comes_late_is_waited_for(http: httpx.AsyncClient) -> None:
    reply = stream(
        call_piece(index=0, id="x"),
        call_piece(index=0, function={"arguments": '{"a"'}),
        call_piece(index=0, function={"name": "f", "arguments": ":1}"}),
    )
    assert calls_of(await hear(http, reply)) == [ToolCall("x", "f", '{"a":1}')]


async def test_calls_are_told_in_their_order_also_when_the_first_name_comes_last(http: httpx.AsyncClient) -> None:
    reply = stream(
        call_piece(index=0, id="x"),
        call_piece(index=1, id="y", function={"name": "g", "arguments": "{}"}),
        call_piece(index=0, function={"name": "f", "arguments": "{}"}),
    )
    chunks = await hear(http, reply)

    assert [chunk.index for chunk in chunks if isinstance(chunk, CallChunk)] == [0, 1]
    assert calls_of(chunks) == [ToolCall("x", "f", "{}"), ToolCall("y", "g", "{}")]


async def test_a_call_that_never_gets_a_name_is_there_for_the_model_to_repair(http: httpx.AsyncClient) -> None:
    reply = stream(call_piece(index=0, id="x", function={"arguments": "{}"}), delta("tool_calls"))
    assert calls_of(await hear(http, reply)) == [ToolCall("x", "", "{}")]


async def test_the_legacy_function_call_is_a_tool_call(http: httpx.AsyncClient) -> None:
    reply = stream(
        delta(function_call={"name": "f", "arguments": '{"a":'}),
        delta(function_call={"arguments": "1}"}),
        delta("function_call"),
    )
    chunks = await hear(http, reply)
    assert [(call.name, call.arguments) for call in calls_of(chunks)] == [("f", '{"a":1}')]
    assert end_of(chunks).finish_reason == "tool_calls"


@pytest.mark.parametrize(
    ("said", "understood"),
    [
        ("stop", "stop"),
        ("eos", "stop"),
        ("max_tokens", "length"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("SAFETY", "content_filter"),
    ],
)
async def test_finish_reasons_have_many_names(http: httpx.AsyncClient, said: str, understood: str) -> None:
    assert end_of(await hear(http, stream(delta(content="x"), delta(said)))).finish_reason == understood


async def test_stop_with_tool_calls_means_tool_calls(http: httpx.AsyncClient) -> None:
    reply = stream(call_piece(index=0, id="x", function={"name": "f", "arguments": "{}"}), delta("stop"))
    assert end_of(await hear(http, reply)).finish_reason == "tool_calls"


@pytest.mark.parametrize("done", [True, False])
async def test_an_answer_without_a_finish_reason_has_stopped(http: httpx.AsyncClient, done: bool) -> None:
    assert await hear(http, stream(delta(content="Hi"), done=done)) == [TextChunk("Hi"), EndChunk("stop")]


async def test_an_answer_that_says_nothing_but_done_is_empty(http: httpx.AsyncClient) -> None:
    assert await hear(http, stream(delta())) == [EndChunk("stop")]
    assert await hear(http, stream()) == [EndChunk("stop")]


USAGE: object = {"prompt_tokens": 3, "completion_tokens": 2}


@pytest.mark.parametrize(
    ("payloads", "usage"),
    [
        ([delta("stop")], None),
        ([{"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": USAGE}], Usage(3, 2)),
        ([delta("stop"), {"choices": [], "usage": USAGE}], Usage(3, 2)),
        ([{"usage": {"prompt_tokens": 3, "completion_tokens": 1}}, delta("stop"), {"usage": USAGE}], Usage(3, 2)),
        ([delta("stop"), {"choices": [], "usage": {}}], None),
        ([delta("stop"), {"choices": [], "usage": {"prompt_tokens": 3.0, "completion_tokens": None}}], Usage(3, 0)),
        ([delta("stop"), {"usage": {"prompt_tokens": 3, "prompt_cache_hit_tokens": 1}}], Usage(3, 0, 1)),
    ],
)
async def test_usage_comes_where_it_likes(http: httpx.AsyncClient, payloads: list[object], usage: Usage | None) -> None:
    assert end_of(await hear(http, stream(delta(content="x"), *payloads))).usage == usage


async def test_more_choices_than_asked_for_are_left_aside(http: httpx.AsyncClient) -> None:
    two: object = {"choices": [{"index": n, "delta": {"content": f"answer {n}"}} for n in range(2)]}
    assert text_of(await hear(http, stream(two, delta("stop")))) == "answer 0"


@pytest.mark.parametrize("content_type", ["application/json", "text/event-stream", "text/plain"])
async def test_a_whole_completion_is_as_good_as_a_stream(http: httpx.AsyncClient, content_type: str) -> None:
    call = {"id": "x", "type": "function", "function": {"name": "f", "arguments": {"a": 1}}}
    message = {"role": "assistant", "content": "Wait.", "reasoning": "Hm.", "tool_calls": [call]}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    body = msgspec.json.encode({"choices": choices, "usage": USAGE})
    chunks = await hear(http, body_reply(b"\n" + body, content_type=content_type))
    assert chunks[:2] == [ReasoningChunk("Hm."), TextChunk("Wait.")]
    assert calls_of(chunks) == [ToolCall("x", "f", '{"a":1}')]
    assert end_of(chunks) == EndChunk("tool_calls", Usage(3, 2))


async def test_the_content_type_of_a_stream_does_not_matter(http: httpx.AsyncClient) -> None:
    reply = stream(delta(content="Hi"), delta("stop"))
    for content_type in ("application/json", "text/html", "application/octet-stream"):
        mislabelled = msgspec.structs.replace(reply, headers=(("content-type", content_type),))
        assert text_of(await hear(http, mislabelled)) == "Hi"


async def test_a_whole_message_after_the_deltas_is_not_said_twice(http: httpx.AsyncClient) -> None:
    last: object = {"choices": [{"index": 0, "message": {"content": "Hi"}, "finish_reason": "stop"}]}
    assert text_of(await hear(http, stream(delta(content="Hi"), last))) == "Hi"


async def test_keep_alive_comments_and_blank_lines_are_not_chunks(http: httpx.AsyncClient) -> None:
    reply = stream(b"\n\n", b": PROCESSING\n\n", b": ping\r\n\r\n", delta(content="Hi"), b":\n\n", delta("stop"))
    assert await hear(http, reply) == [TextChunk("Hi"), EndChunk("stop")]


async def test_windows_line_ends_and_a_missing_last_one_are_fine(http: httpx.AsyncClient) -> None:
    head = b'data: {"choices":[{"delta":{"content":"Hi"}}]}\r\n\r\n'
    tail = b'data:{"choices":[{"delta":{},"finish_reason":"length"}]}'
    assert await hear(http, stream(head, tail, done=False)) == [TextChunk("Hi"), EndChunk("length")]
    assert await hear(http, stream(head, b"data: [DONE]", done=False)) == [TextChunk("Hi"), EndChunk("stop")]


async def test_what_follows_done_does_not_count(http: httpx.AsyncClient) -> None:
    reply = stream(delta(content="Hi"), delta("stop"), b"data: [DONE]\n\n", delta(content=" there"))
    assert text_of(await hear(http, reply)) == "Hi"


async def test_a_server_that_keeps_the_line_open_after_done_is_left(http: httpx.AsyncClient) -> None:
    assert text_of(await hear(http, stream(delta(content="Hi"), ending="silence"))) == "Hi"


async def test_a_hang_up_after_the_finish_reason_loses_nothing(http: httpx.AsyncClient) -> None:
    reply = stream(delta(content="Hi"), delta("stop"), done=False, ending="hang_up")
    assert await hear(http, reply) == [TextChunk("Hi"), EndChunk("stop")]


async def test_an_answer_to_the_end_of_the_connection_is_fine_when_it_says_that_it_ended(
    http: httpx.AsyncClient,
) -> None:
    for reply in (stream(delta(content="Hi"), delta("stop"), done=False), stream(delta(content="Hi"))):
        assert text_of(await hear(http, msgspec.structs.replace(reply, framing="until_close"))) == "Hi"


async def test_bytes_that_are_not_utf8_do_not_end_the_answer(http: httpx.AsyncClient) -> None:
    reply = stream(b'data: {"choices":[{"delta":{"content":"caf\xc3"}}]}\n\n', delta(content="!"), delta("stop"))
    assert text_of(await hear(http, reply)) == "caf\ufffd!"


async def test_slow_bytes_are_put_together(http: httpx.AsyncClient) -> None:
    whole = b"".join(stream(delta(content="Grüße"), delta("stop")).pieces)
    pieces = tuple(whole[n : n + 1] for n in range(len(whole)))
    assert text_of(await hear(http, Reply(pieces=pieces, delay_s=0.0001))) == "Grüße"


async def test_a_compressed_stream_is_unpacked(http: httpx.AsyncClient) -> None:
    import gzip

    packed = gzip.compress(b"".join(stream(delta(content="Hi"), delta("stop")).pieces))
    headers = (("content-type", "text/event-stream"), ("content-encoding", "gzip"))
    assert text_of(await hear(http, Reply(pieces=(packed[:9], packed[9:]), headers=headers))) == "Hi"
