"""One neutral conversation shape, shared by every dialect and every model client."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import msgspec

if TYPE_CHECKING:
    JsonValue: TypeAlias = "bool | int | float | str | list[JsonValue] | dict[str, JsonValue] | None"
    JsonObject: TypeAlias = dict[str, JsonValue]
else:  # msgspec reads annotations at run time and knows no recursive alias; any decoded JSON is a JsonValue
    JsonValue = Any
    JsonObject = dict[str, Any]


class Role(StrEnum):
    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class TextPart(msgspec.Struct, frozen=True, tag_field="type", tag="text"):
    text: str


class RefusalPart(msgspec.Struct, frozen=True, tag_field="type", tag="refusal"):
    refusal: str


class ImageUrlPart(msgspec.Struct, frozen=True, tag_field="type", tag="image_url"):
    url: str
    detail: Literal["auto", "low", "high"] = "auto"


class ImageFilePart(msgspec.Struct, frozen=True, tag_field="type", tag="image_file"):
    """A stored file. Before a model call it is turned into an ImageUrlPart with a data: URL."""

    file_id: str
    detail: Literal["auto", "low", "high"] = "auto"


Part: TypeAlias = TextPart | RefusalPart | ImageUrlPart | ImageFilePart


class ToolCall(msgspec.Struct, frozen=True):
    """A function call as the model wrote it; `arguments` is its raw text, valid JSON or not."""

    id: str
    name: str
    arguments: str


class ToolResult(msgspec.Struct, frozen=True):
    """What a call returned. `error` is a short code when it failed; `output` is always what the model reads."""

    call_id: str
    output: str
    error: str | None = None


class Message(msgspec.Struct, frozen=True):
    """One entry of a conversation as a model sees it.

    tool_calls only on assistant messages; call_id only on tool messages, naming the call they answer.
    """

    role: Role
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    call_id: str | None = None

    @property
    def text(self) -> str:
        """All text parts joined."""
        return "".join(part.text for part in self.parts if isinstance(part, TextPart))


class Usage(msgspec.Struct, frozen=True):
    """Tokens of one or more model calls. cached is a part of prompt, reasoning a part of completion."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        return Usage(
            self.prompt_tokens + other.prompt_tokens,
            self.completion_tokens + other.completion_tokens,
            self.cached_tokens + other.cached_tokens,
            self.reasoning_tokens + other.reasoning_tokens,
        )


def system(text: str) -> Message:
    return Message(Role.SYSTEM, (TextPart(text),))


def user(text: str) -> Message:
    return Message(Role.USER, (TextPart(text),))


def assistant(text: str, *tool_calls: ToolCall) -> Message:
    return Message(Role.ASSISTANT, (TextPart(text),) if text else (), tool_calls)


def tool_answer(result: ToolResult) -> Message:
    return Message(Role.TOOL, (TextPart(result.output),), call_id=result.call_id)
