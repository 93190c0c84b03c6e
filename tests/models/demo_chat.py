"""Talking to the demo model in tests: `say` something, let tools `give` their results, read what comes back.

Calls are shown as `get_weather(city="Oslo")`, several of one turn joined with " & ".
"""

from __future__ import annotations

import json

from agentrt.engine.message import (
    ImageFilePart,
    ImageUrlPart,
    JsonObject,
    JsonValue,
    Message,
    Role,
    TextPart,
    ToolCall,
    ToolResult,
    assistant,
    system,
    tool_answer,
)
from agentrt.engine.spec import FunctionTool, ResponseFormat, ToolChoice, ToolSpec
from agentrt.models.client import CallChunk, Chunk, EndChunk, ModelRequest, TextChunk
from agentrt.models.demo import Demo


def function(name: str, description: str, *required: str, **parameters: JsonValue) -> FunctionTool:
    """A function tool; a parameter is its schema, or a text: the description of a string."""
    properties: JsonObject = {
        key: {"type": "string", "description": schema} if isinstance(schema, str) else schema
        for key, schema in parameters.items()
    }
    return FunctionTool(name, description, {"type": "object", "properties": properties, "required": list(required)})


WEATHER = function("get_weather", "Get the current weather for a city", "city", city="name of the city")
CLOCK = function("current_time", "The time in a time zone", time_zone="IANA time zone")
REFUND = function(
    "refund", "Refund an order", "order", "amount", order="number of the order", amount={"type": "number"}
)


class Chat:
    """One conversation. Everything said stays in it."""

    def __init__(
        self,
        *tools: ToolSpec,
        instructions: str = "",
        choice: ToolChoice | None = None,
        parallel: bool = True,
        format: ResponseFormat | None = None,  # noqa: A002 - reads as the request's response_format
        model: Demo | None = None,
    ) -> None:
        self.tools = tools
        self.messages: list[Message] = [system(instructions)] if instructions else []
        self.choice = choice or ToolChoice()
        self.parallel = parallel
        self.format = format or ResponseFormat()
        self.model = model or Demo()
        self.pending: tuple[ToolCall, ...] = ()

    async def say(self, text: str, *images: ImageUrlPart | ImageFilePart) -> str:
        """What the model answers to the user's words: its text, or its calls."""
        self.messages.append(Message(Role.USER, (TextPart(text), *images)))
        return await self._ask()

    async def give(self, *outputs: str) -> str:
        """What the model answers to the results of its pending calls."""
        for call, output in zip(self.pending, outputs, strict=True):
            self.messages.append(tool_answer(ToolResult(call.id, output)))
        return await self._ask()

    def request(self, *, max_completion_tokens: int | None = None) -> ModelRequest:
        return ModelRequest(
            model="demo",
            messages=tuple(self.messages),
            tools=self.tools,
            tool_choice=self.choice,
            parallel_tool_calls=self.parallel,
            response_format=self.format,
            max_completion_tokens=max_completion_tokens,
        )

    async def _ask(self) -> str:
        chunks = [chunk async for chunk in self.model.stream(self.request())]
        self.pending = read_calls(chunks)
        text = read_text(chunks)
        self.messages.append(assistant(text, *self.pending))
        return " & ".join(map(show_call, self.pending)) or text


def read_text(chunks: list[Chunk]) -> str:
    return "".join(chunk.text for chunk in chunks if isinstance(chunk, TextChunk))


def read_calls(chunks: list[Chunk]) -> tuple[ToolCall, ...]:
    """The calls put together as the engine does it; fails when a piece breaks the port's promise."""
    heads: dict[int, tuple[str, str]] = {}
    arguments: dict[int, str] = {}
    for chunk in chunks:
        if not isinstance(chunk, CallChunk):
            continue
        if chunk.index in heads:
            assert chunk.id is None
            assert chunk.name is None
        else:
            assert chunk.id is not None
            assert chunk.name is not None
            heads[chunk.index] = (chunk.id, chunk.name)
        arguments[chunk.index] = arguments.get(chunk.index, "") + chunk.arguments
    assert list(heads) == list(range(len(heads)))
    return tuple(ToolCall(*heads[index], arguments[index]) for index in heads)


def read_end(chunks: list[Chunk]) -> EndChunk:
    ends = [chunk for chunk in chunks if isinstance(chunk, EndChunk)]
    assert ends == chunks[-1:]
    return ends[0]


def show_call(call: ToolCall) -> str:
    pairs = json.loads(call.arguments).items()
    return f"{call.name}({', '.join(f'{key}={json.dumps(value, ensure_ascii=False)}' for key, value in pairs)})"
