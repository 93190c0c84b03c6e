"""What a scripted model server can answer: well-behaved completions, any bytes at all, and a script for benchmarks.

Values only; `fake_model_server.py` sends them.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import msgspec

from agentrt.engine.message import JsonObject, JsonValue, ToolCall

_SSE_HEADERS = (("content-type", "text/event-stream; charset=utf-8"),)
_JSON_HEADERS = (("content-type", "application/json"),)
_DONE = b"data: [DONE]\n\n"
_TEXT_OF_TYPE: dict[str, JsonValue] = {
    "string": "Oslo",
    "integer": 3,
    "number": 3,
    "boolean": True,
    "array": [],
    "object": {},
}


class ReceivedRequest(msgspec.Struct, frozen=True):
    """A request as it came: `path` with its query, header names in lower case, `body` {} when there was none."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, JsonValue]


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A well-behaved answer, sent streamed or whole as the request asks. usage is (prompt, completion) tokens."""

    text: str = ""
    n_chunks: int = 1
    calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    usage: tuple[int, int] = (12, 7)


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Any answer, byte by byte. Each piece is one HTTP chunk and one write.

    delay_s is waited before every piece. ending: `clean`, `hang_up` (the connection is cut without the final chunk) or
    `silence` (nothing more comes, the connection stays). framing `until_close` sends neither length nor chunk sizes,
    `none` not even a head: the pieces are all there is.
    """

    pieces: tuple[bytes, ...]
    status: int = 200
    headers: tuple[tuple[str, str], ...] = _SSE_HEADERS
    delay_s: float = 0.0
    ending: Literal["clean", "hang_up", "silence"] = "clean"
    framing: Literal["chunked", "until_close", "none"] = "chunked"


Answer: TypeAlias = Completion | Reply
Script: TypeAlias = Callable[[ReceivedRequest], Answer]


def text(text: str, *, n_chunks: int = 1, usage: tuple[int, int] = (12, 7)) -> Completion:
    return Completion(text=text, n_chunks=n_chunks, usage=usage)


def calls(*calls: ToolCall, text: str = "") -> Completion:
    return Completion(text=text, calls=calls)


def stream(
    *payloads: object,
    done: bool = True,
    ending: Literal["clean", "hang_up", "silence"] = "clean",
    delay_s: float = 0.0,
) -> Reply:
    """An event stream of these payloads (JSON values; bytes go as they are, newlines and all), one piece each."""
    pieces = tuple(p if isinstance(p, bytes) else b"data: " + msgspec.json.encode(p) + b"\n\n" for p in payloads)
    return Reply(pieces=(*pieces, _DONE) if done else pieces, ending=ending, delay_s=delay_s)


def delta(finish_reason: str | None = None, **fields: object) -> dict[str, object]:
    """The payload of one chunk: `delta(content="Hi")`, `delta("stop")`."""
    return {"choices": [{"index": 0, "delta": fields, "finish_reason": finish_reason}]}


def error(status: int, message: str, *, code: str | None = None, headers: Mapping[str, str] | None = None) -> Reply:
    """An error envelope as OpenAI sends it."""
    body = {"error": {"message": message, "type": "error", "param": None, "code": code}}
    return body_reply(msgspec.json.encode(body), status=status, headers=headers)


def body_reply(
    body: bytes, *, status: int = 200, content_type: str = "application/json", headers: Mapping[str, str] | None = None
) -> Reply:
    """A whole body: HTML pages, error bodies of other servers, a completion that should have been a stream."""
    return Reply(
        pieces=(body,), status=status, headers=(("content-type", content_type), *(headers.items() if headers else ()))
    )


def no_answer(ending: Literal["hang_up", "silence"]) -> Reply:
    """The request is read, and not a byte comes back."""
    return Reply(pieces=(), framing="none", ending=ending)


def rounds_of_calls(*, rounds: int = 3, n_calls: int = 2, n_tokens: int = 200, delay_s: float = 0.0) -> Script:
    """A script for benchmarks: after each user message `rounds` turns of `n_calls` tool calls, then `n_tokens` of text.

    The calls go round the functions that the request offers, with arguments made from their schemas.
    """
    final = Completion(text="".join(f"token{n % 10} " for n in range(n_tokens)), n_chunks=n_tokens)

    def answer(request: ReceivedRequest) -> Answer:
        done = _rounds_done(request.body.get("messages"))
        offered = _offered_functions(request.body.get("tools"))
        if not offered or done >= rounds:
            return msgspec.structs.replace(as_reply(final, request), delay_s=delay_s)
        picked = [offered[n % len(offered)] for n in range(n_calls)]
        return Completion(
            calls=tuple(ToolCall(f"call_{done}_{n}", name, arguments) for n, (name, arguments) in enumerate(picked))
        )

    return answer


def as_reply(answer: Answer, request: ReceivedRequest) -> Reply:
    """The bytes of an answer: a completion is streamed or whole, with usage or without, as the request asks."""
    if isinstance(answer, Reply):
        return answer
    return _render(answer, streamed=bool(request.body.get("stream")), with_usage=_wants_usage(request.body))


@functools.lru_cache(maxsize=64)
def _render(completion: Completion, *, streamed: bool, with_usage: bool) -> Reply:
    finish = completion.finish_reason or ("tool_calls" if completion.calls else "stop")
    prompt_tokens, completion_tokens = completion.usage
    usage: JsonObject = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }
    tool_calls: list[JsonValue] = [
        {"index": n, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for n, call in enumerate(completion.calls)
    ]
    if not streamed:
        message: JsonObject = {"role": "assistant", "content": completion.text or None, "refusal": None}
        if tool_calls:
            message["tool_calls"] = tool_calls
        choice: JsonObject = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        whole = {**_envelope("chat.completion"), "choices": [choice], "usage": usage}
        return Reply(pieces=(msgspec.json.encode(whole),), headers=_JSON_HEADERS)
    deltas: list[JsonObject] = [{"role": "assistant", "content": "" if completion.text else None, "refusal": None}]
    deltas += [{"content": piece} for piece in _cut(completion.text, completion.n_chunks)]
    deltas += [{"tool_calls": [call]} for call in tool_calls]
    pieces = [_chunk(delta, None) for delta in deltas]
    pieces.append(_chunk({}, finish))
    if with_usage:
        pieces.append({**_envelope("chat.completion.chunk"), "choices": [], "usage": usage})
    return stream(*pieces)


def _chunk(delta: JsonObject, finish_reason: str | None) -> JsonObject:
    # All the fields that OpenAI sends: a benchmark on shorter chunks would flatter every client.
    choice: JsonObject = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    return {**_envelope("chat.completion.chunk"), "choices": [choice], "usage": None}


def _envelope(kind: str) -> JsonObject:
    return {
        "id": "chatcmpl-BkT1Zy0fakefakefakefakefakefa",
        "object": kind,
        "created": 1_760_000_000,
        "model": "fake-model",
        "service_tier": "default",
        "system_fingerprint": "fp_fake",
    }


def _cut(whole: str, n_pieces: int) -> list[str]:
    """Cut into at most n_pieces of nearly the same length."""
    if not whole:
        return []
    n_pieces = min(n_pieces, len(whole))
    edges = [len(whole) * n // n_pieces for n in range(n_pieces + 1)]
    return [whole[start:end] for start, end in itertools.pairwise(edges)]


def _wants_usage(body: Mapping[str, JsonValue]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def _rounds_done(messages: JsonValue) -> int:
    """Turns of tool calls since the last user message."""
    n_rounds = 0
    for message in reversed(messages if isinstance(messages, list) else []):
        if not isinstance(message, dict) or message.get("role") == "user":
            break
        n_rounds += bool(message.get("tool_calls"))
    return n_rounds


def _offered_functions(tools: JsonValue) -> list[tuple[str, str]]:
    """(name, arguments that fit its schema) of every function in the request's `tools`."""
    offered = []
    for tool in tools if isinstance(tools, list) else []:
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict):
            arguments = _example(function.get("parameters"))
            offered.append((str(function.get("name")), msgspec.json.encode(arguments or {}).decode()))
    return offered


def _example(schema: JsonValue) -> JsonValue:
    """A value that fits a simple JSON Schema: enum's first, required and optional properties alike."""
    if not isinstance(schema, dict):
        return None
    match schema:
        case {"enum": [first, *_]}:
            return first
        case {"properties": dict(properties)}:
            return {name: _example(of) for name, of in properties.items()}
        case {"type": str(kind)}:
            return _TEXT_OF_TYPE.get(kind)
        case _:
            return None
