"""ModelRequest → the body of POST /chat/completions. Pure. Not here: sending it, and what an answer means.

Source: API reference, "Create chat completion". Fields that only some servers take stand in `RequestShape`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from agentrt.engine.message import ImageFilePart, ImageUrlPart, Message, Part, RefusalPart, Role, TextPart, ToolCall
from agentrt.engine.spec import FunctionTool, ResponseFormat, ToolChoice
from agentrt.models.client import ModelRequest

LimitField: TypeAlias = Literal["max_completion_tokens", "max_tokens"]

_OTHER_LIMIT: dict[LimitField, LimitField] = {
    "max_completion_tokens": "max_tokens",
    "max_tokens": "max_completion_tokens",
}
_NO_PARAMETERS = msgspec.Raw(b'{"type":"object","properties":{}}')
_encoder = msgspec.json.Encoder()


class RequestShape(msgspec.Struct, frozen=True):
    """Which of the fields that servers disagree about are sent, and under what name."""

    limit_field: LimitField = "max_completion_tokens"
    stream_options: bool = True
    parallel_tool_calls: bool = True

    def after_refusal(self, said: str, request: ModelRequest) -> RequestShape | None:
        """The shape to try next when a server refused in these words; None when they name no field of it."""
        if self.stream_options and "stream_options" in said:
            return msgspec.structs.replace(self, stream_options=False)
        if self.parallel_tool_calls and request.tools and "parallel_tool_calls" in said:
            return msgspec.structs.replace(self, parallel_tool_calls=False)
        # Whole words: `max_tokens` must not be found in `max_completion_tokens`-like names.
        if request.max_completion_tokens is not None and re.search(rf"\b{self.limit_field}\b", said):
            return msgspec.structs.replace(self, limit_field=_OTHER_LIMIT[self.limit_field])
        return None


class _CalledFunction(msgspec.Struct):
    name: str
    arguments: str


class _Call(msgspec.Struct):
    id: str
    function: _CalledFunction
    type: str = "function"


class _ImageUrl(msgspec.Struct, omit_defaults=True):
    url: str
    detail: str = "auto"


class _ContentPart(msgspec.Struct, omit_defaults=True):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: _ImageUrl | None = None


class _Message(msgspec.Struct, omit_defaults=True):
    role: Role
    # Without a default, so that `content: null` is sent: some servers demand the key beside tool calls.
    content: str | list[_ContentPart] | None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None


class _Function(msgspec.Struct, omit_defaults=True):
    name: str
    description: str | None = None
    parameters: object = None
    strict: bool | None = None


class _Tool(msgspec.Struct):
    function: _Function
    type: str = "function"


class _Named(msgspec.Struct):
    name: str


class _FunctionChoice(msgspec.Struct):
    function: _Named
    type: str = "function"


class _StreamOptions(msgspec.Struct):
    include_usage: bool = True


class _Format(msgspec.Struct, omit_defaults=True):
    type: str
    json_schema: object = None


class _Body(msgspec.Struct, omit_defaults=True, kw_only=True):
    model: str
    messages: list[_Message]
    tools: list[_Tool] | None = None
    tool_choice: str | _FunctionChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: _Format | None = None
    temperature: float | None = None
    top_p: float | None = None
    reasoning_effort: str | None = None
    max_completion_tokens: int | None = None
    max_tokens: int | None = None
    stream: bool = False
    stream_options: _StreamOptions | None = None


def encode_request(request: ModelRequest, *, model: str, shape: RequestShape) -> bytes:
    """The JSON body; model is the server's own name for the model.

    Only function tools are sent: hosted tools mean nothing to a model server.
    """
    tools = [_tool(tool) for tool in request.tools if isinstance(tool, FunctionTool)]
    limit = request.max_completion_tokens
    return _encoder.encode(
        _Body(
            model=model,
            messages=[_message(message) for message in request.messages],
            tools=tools or None,
            tool_choice=_tool_choice(request.tool_choice, tools),
            parallel_tool_calls=request.parallel_tool_calls if tools and shape.parallel_tool_calls else None,
            response_format=_response_format(request.response_format),
            temperature=request.temperature,
            top_p=request.top_p,
            reasoning_effort=request.reasoning_effort,
            max_completion_tokens=limit if shape.limit_field == "max_completion_tokens" else None,
            max_tokens=limit if shape.limit_field == "max_tokens" else None,
            stream=request.in_pieces,
            stream_options=_StreamOptions() if request.in_pieces and shape.stream_options else None,
        )
    )


def _message(message: Message) -> _Message:
    content = message.text if message.role is Role.TOOL else _content(message.parts)
    if message.tool_calls:
        return _Message(message.role, content or None, [_call(call) for call in message.tool_calls])
    return _Message(message.role, content, None, message.call_id)


def _content(parts: Sequence[Part]) -> str | list[_ContentPart]:
    """One text is sent as a string, which every server reads; anything else as a list of parts."""
    if not parts:
        return ""
    if len(parts) == 1 and isinstance(part := parts[0], TextPart):
        return part.text
    return [_part(part) for part in parts]


def _part(part: Part) -> _ContentPart:
    match part:
        case TextPart(text=text):
            return _ContentPart("text", text=text)
        case RefusalPart(refusal=refusal):
            return _ContentPart("refusal", refusal=refusal)
        case ImageUrlPart(url=url, detail=detail):
            return _ContentPart("image_url", image_url=_ImageUrl(url, detail))
        case ImageFilePart(file_id=file_id):
            raise TypeError(f"{file_id} must be turned into an image URL before a model call")


def _call(call: ToolCall) -> _Call:
    return _Call(call.id, _CalledFunction(call.name, call.arguments))


def _tool(tool: FunctionTool) -> _Tool:
    # Left out, `parameters` means none; some servers fail on it unless it is there.
    parameters = _NO_PARAMETERS if tool.parameters is None and tool.strict is not True else tool.parameters
    strict = None if tool.strict is msgspec.UNSET else tool.strict
    return _Tool(_Function(tool.name, tool.description, parameters, strict))


def _tool_choice(choice: ToolChoice, tools: Sequence[_Tool]) -> str | _FunctionChoice | None:
    """None (the server's default, `auto`) without tools, and when the chosen tool is not among them."""
    if not tools or choice.mode == "auto":
        return None
    if choice.mode in ("none", "required"):
        return choice.mode
    # A hosted tool that is offered to the model as a function has its own name.
    name = choice.name if choice.mode == "function" else choice.mode
    if name is None or all(tool.function.name != name for tool in tools):
        return None
    return _FunctionChoice(_Named(name))


def _response_format(wanted: ResponseFormat) -> _Format | None:
    return None if wanted.type == "auto" else _Format(wanted.type, wanted.json_schema)
