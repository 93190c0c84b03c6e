"""The list of scenarios, and the pieces they share."""

from __future__ import annotations

import importlib
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from openai import AsyncOpenAI, OpenAI
from openai.types.beta import Assistant, FunctionToolParam
from openai.types.beta.threads import Message, Run
from openai.types.beta.threads.run_submit_tool_outputs_params import ToolOutput

Scenario: TypeAlias = Callable[[OpenAI], None] | Callable[[AsyncOpenAI], Awaitable[None]]

_MODULES = (
    "objects", "lists", "polling", "streaming", "refusals", "files", "code", "stores", "search", "asynchronous",
)  # fmt: skip
_found: dict[str, Scenario] = {}

GET_WEATHER: FunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["c", "f"]}},
            "required": ["city"],
        },
    },
}
GET_RAIN: FunctionToolParam = {
    "type": "function",
    "function": {
        "name": "get_rain_probability",
        "description": "How likely it rains in a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
ADD: FunctionToolParam = {
    "type": "function",
    "function": {
        "name": "add",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
    },
}


def scenario(function: Callable[[OpenAI], None]) -> Callable[[OpenAI], None]:
    """Put it on the list."""
    _found[function.__name__] = function
    return function


def async_scenario(function: Callable[[AsyncOpenAI], Awaitable[None]]) -> Callable[[AsyncOpenAI], Awaitable[None]]:
    """Put one for the async client on the list."""
    _found[function.__name__] = function
    return function


def all_scenarios() -> dict[str, Scenario]:
    """By name, in the order of the modules."""
    for name in _MODULES:
        importlib.import_module(f"tests.compat.sdk.{name}")
    return dict(_found)


def actor(client: OpenAI, play: str, *tools: FunctionToolParam) -> Assistant:
    """An assistant whose model follows a play."""
    return client.beta.assistants.create(model="puppet", instructions=f"play: {play}", tools=list(tools))


def value_of(message: Message) -> str:
    """The text of a message that is one text."""
    (part,) = message.content
    assert part.type == "text", part
    assert part.text.annotations == []
    return part.text.value


def outputs_for(run: Run, text: str = "4 °C") -> list[ToolOutput]:
    """An output for each call that the run waits for."""
    assert run.required_action is not None
    return [{"tool_call_id": call.id, "output": text} for call in run.required_action.submit_tool_outputs.tool_calls]
