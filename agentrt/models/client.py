"""The port every model stands behind: a request goes in, chunks stream out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal, Protocol, TypeAlias

import msgspec

from agentrt.engine.message import Message, Usage
from agentrt.engine.spec import ResponseFormat, ToolChoice, ToolSpec

FinishReason: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One model call. messages are complete: system first, images as URLs, every tool call with its answer.

    in_pieces: False when nobody watches, so that the server may send the answer whole. The chunks are the same ones.
    """

    model: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    response_format: ResponseFormat = ResponseFormat()
    temperature: float | None = None
    top_p: float | None = None
    reasoning_effort: str | None = None
    max_completion_tokens: int | None = None
    in_pieces: bool = True


class TextChunk(msgspec.Struct, frozen=True):
    """A piece of text: one token, or several that arrived together."""

    text: str


class RefusalChunk(msgspec.Struct, frozen=True):
    text: str


class ReasoningChunk(msgspec.Struct, frozen=True):
    """Thinking that the server shows in a field of its own. Never part of the answer."""

    text: str


class CallChunk(msgspec.Struct, frozen=True):
    """A piece of a tool call. The first piece of an index carries id and name, whole; later ones only arguments."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class EndChunk(msgspec.Struct, frozen=True):
    """The last chunk of every answer, exactly once. usage is None when the server did not say."""

    finish_reason: FinishReason
    usage: Usage | None = None


Chunk: TypeAlias = TextChunk | RefusalChunk | ReasoningChunk | CallChunk | EndChunk


class ModelClient(Protocol):
    """A model that streams.

    context_window: tokens that prompt and answer share, None when unknown.
    takes_images: whether image parts may be sent.
    """

    @property
    def context_window(self) -> int | None: ...

    @property
    def takes_images(self) -> bool: ...

    def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """Stream one answer. Raises ModelError; closing the generator (`aclosing`) aborts the request upstream."""
        ...
