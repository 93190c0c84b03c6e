"""The chunks of a chat completion → our chunks: typed decoding, patience with odd servers, tool calls put together.

Pure. The wire types name only what is read and are as wide as what servers were seen to send: decoding them is the
cost of every token. Not here: bytes → events (sse.py), the network.
"""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from agentrt.engine.message import Usage
from agentrt.ids import new_id
from agentrt.models.client import CallChunk, Chunk, EndChunk, FinishReason, ReasoningChunk, RefusalChunk, TextChunk
from agentrt.models.failures import ModelServer, hang_up_failure, said_failure, unreadable_failure

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "length": "length",
    "tool_calls": "tool_calls",
    "content_filter": "content_filter",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_length": "length",
    "safety": "content_filter",
    "content_filtered": "content_filter",
}
_FAILED = frozenset({"error", "abort", "insufficient_system_resource"})


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | dict[str, Any] | list[Any] | None = None


class _CallPiece(msgspec.Struct, gc=False):
    index: int | str | None = None
    id: str | int | None = None
    function: _Function | None = None


class _Delta(msgspec.Struct, gc=False):
    content: str | list[Any] | None = None
    tool_calls: list[_CallPiece] | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    function_call: _Function | None = None


class _Choice(msgspec.Struct, gc=False):
    delta: _Delta | None = None
    finish_reason: str | None = None
    message: _Delta | None = None
    index: int | None = 0


class _Payload(msgspec.Struct, gc=False):
    choices: list[_Choice | None] | None = None
    usage: Any = None
    error: Any = None


_decode = msgspec.json.Decoder(_Payload).decode


class _OpenCall(msgspec.Struct):
    """A tool call that is being put together. It is announced once its name is known; id and name are then fixed."""

    index: int
    sent_index: int | str | None
    sent_id: str
    id: str
    name: str = ""
    announced: bool = False
    arguments: list[str] = []


class AnswerReader:
    """Reads one answer. n_chunks counts what the server sent, is_complete says whether it named a finish reason."""

    def __init__(self, server: ModelServer) -> None:
        self.n_chunks = 0
        self._server = server
        self._calls: list[_OpenCall] = []
        self._finish: FinishReason | None = None
        self._usage: object = None
        self._said_something = False

    @property
    def is_complete(self) -> bool:
        return self._finish is not None

    def read(self, data: bytes) -> list[Chunk]:
        """The chunks behind one event's data, or behind a whole completion. Raises ModelError."""
        try:
            payload = _decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            payload = self._decode_again(data, error)
        if payload.error or (payload.choices is None and payload.usage is None):
            self._raise_error_in(data, payload.error)
        self.n_chunks += 1
        if payload.usage is not None:
            self._usage = payload.usage
        chunks: list[Chunk] = []
        for choice in payload.choices or ():
            # Only one choice was asked for; what a server sends beside it is not part of the answer.
            if choice is None or choice.index:
                continue
            said = choice.delta
            if said is None and not self._said_something:
                # A whole completion. After deltas a `message` only repeats them.
                said = choice.message
            if said is not None:
                self._read_delta(said, chunks)
            if choice.finish_reason:
                self._read_finish(choice.finish_reason)
        if chunks:
            self._said_something = True
        return chunks

    def end(self, *, said_done: bool) -> list[Chunk]:
        """What was held back, then the EndChunk. said_done: the server ended with `[DONE]`, it did not just stop.

        Raises ModelError when nothing at all was said.
        """
        if not (said_done or self.is_complete or self._said_something or self._calls):
            raise hang_up_failure(self._server, n_chunks=None)
        chunks: list[Chunk] = []
        for call in self._calls:
            if not call.announced:
                chunks.append(self._announce(call))
            elif not call.arguments:
                # A function without parameters; an empty text is not JSON and many servers refuse it in the history.
                chunks.append(CallChunk(call.index, arguments="{}"))
        finish = self._finish or "stop"
        if self._calls and finish == "stop":
            finish = "tool_calls"
        chunks.append(EndChunk(finish, _usage(self._usage)))
        return chunks

    def _decode_again(self, data: bytes, error: Exception) -> _Payload:
        """The payload behind bytes that are not quite UTF-8: the usual trace of a character cut in two by a server."""
        if isinstance(error, UnicodeDecodeError):
            with contextlib.suppress(msgspec.DecodeError):
                return _decode(data.decode("utf-8", "replace"))
        why = f"not a chat completion ({error})" if isinstance(error, msgspec.ValidationError) else "not JSON"
        raise unreadable_failure(self._server, why, data, n_chunks=self.n_chunks)

    def _raise_error_in(self, data: bytes, error: object) -> None:
        """Raise if a payload is an error: in `error`, or at the top as from older vLLM and FastAPI."""
        if not error:
            sent = msgspec.json.decode(data.decode("utf-8", "replace"))
            error = sent if "message" in sent or "detail" in sent else None
        if error:
            raise said_failure(self._server, error, n_chunks=self.n_chunks)

    def _read_finish(self, reason: str) -> None:
        if reason in _FAILED:
            raise said_failure(self._server, f"finish_reason {reason}", n_chunks=self.n_chunks)
        self._finish = _FINISH.get(reason.lower(), "stop")

    def _read_delta(self, delta: _Delta, chunks: list[Chunk]) -> None:
        thought = delta.reasoning_content or delta.reasoning
        if thought and isinstance(thought, str):
            chunks.append(ReasoningChunk(thought))
        content = delta.content
        if content:
            if isinstance(content, str):
                chunks.append(TextChunk(content))
            else:
                chunks.extend(_from_parts(content))
        if delta.refusal:
            chunks.append(RefusalChunk(delta.refusal))
        for piece in delta.tool_calls or ():
            self._read_call(piece, chunks)
        if delta.function_call is not None:
            self._read_call(_CallPiece(0, None, delta.function_call), chunks)

    def _read_call(self, piece: _CallPiece, chunks: list[Chunk]) -> None:
        function = piece.function or _Function()
        name = function.name or ""
        arguments = function.arguments or ""
        if not isinstance(arguments, str):
            arguments = msgspec.json.encode(arguments).decode()
        call = self._continued(piece, name, arguments) or self._begin(piece)
        call.name = call.name or name
        if arguments:
            call.arguments.append(arguments)
        if call.announced:
            if arguments:
                chunks.append(CallChunk(call.index, arguments=arguments))
            return
        # In their order, also when a later one has its name first: SDKs join calls by their place in a list.
        for waiting in self._calls:
            if waiting.announced:
                continue
            if not waiting.name:
                return
            chunks.append(self._announce(waiting))

    def _announce(self, call: _OpenCall) -> CallChunk:
        call.announced = True
        return CallChunk(call.index, call.id, call.name, "".join(call.arguments))

    def _begin(self, piece: _CallPiece) -> _OpenCall:
        sent_id = _sent_id(piece)
        # An id that the server has used in this answer before does not tell its calls apart.
        is_free = bool(sent_id) and all(call.id != sent_id for call in self._calls)
        call = _OpenCall(len(self._calls), piece.index, sent_id, sent_id if is_free else new_id("call"))
        self._calls.append(call)
        return call

    def _continued(self, piece: _CallPiece, name: str, arguments: str) -> _OpenCall | None:
        """The open call that a piece goes on with: by its index if the server counts, else by its id, else the last."""
        sent_id = _sent_id(piece)
        by_id = piece.index is None and bool(sent_id) and bool(name)
        for call in reversed(self._calls):
            same = call.sent_id == sent_id if by_id else piece.index is None or call.sent_index == piece.index
            if same:
                return None if name and _is_another(call, sent_id, name, arguments) else call
        return None


def _sent_id(piece: _CallPiece) -> str:
    return "" if piece.id is None else str(piece.id)


def _is_another(call: _OpenCall, sent_id: str, name: str, arguments: str) -> bool:
    """Whether a named piece begins a call of its own: some servers give every call the index 0 (ollama issue 15457).

    Others repeat id and name with every piece, and vLLM made a new id for each, so neither alone decides.
    """
    if sent_id and call.sent_id and sent_id != call.sent_id:
        return True
    if call.name and name != call.name:
        return True
    return arguments.startswith("{") and _is_json("".join(call.arguments))


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except msgspec.DecodeError:
        return False
    return True


def _from_parts(parts: list[Any]) -> list[Chunk]:
    """Content as a list of parts; Mistral puts its thinking there."""
    chunks: list[Chunk] = []
    for part in parts:
        match part:
            case str() if part:
                chunks.append(TextChunk(part))
            case {"type": "thinking", "thinking": thinking}:
                texts = thinking if isinstance(thinking, list) else [thinking]
                joined = "".join(_text(text) for text in texts)
                if joined:
                    chunks.append(ReasoningChunk(joined))
            case {"type": "refusal", "refusal": str(refusal)} if refusal:
                chunks.append(RefusalChunk(refusal))
            case _ if text := _text(part):
                chunks.append(TextChunk(text))
    return chunks


def _text(part: object) -> str:
    match part:
        case str():
            return part
        case {"text": str(text)}:
            return text
        case _:
            return ""


def _usage(sent: object) -> Usage | None:
    """The token counts, None when the server did not say. Also reads DeepSeek's name for cached tokens."""
    if not isinstance(sent, dict) or not ("prompt_tokens" in sent or "completion_tokens" in sent):
        return None
    cached = _count(sent.get("prompt_tokens_details"), "cached_tokens") or _count(sent, "prompt_cache_hit_tokens")
    return Usage(
        _count(sent, "prompt_tokens"),
        _count(sent, "completion_tokens"),
        cached,
        _count(sent.get("completion_tokens_details"), "reasoning_tokens"),
    )


def _count(counts: object, key: str) -> int:
    number = counts.get(key) if isinstance(counts, dict) else None
    return int(number) if isinstance(number, int | float) and number > 0 else 0
