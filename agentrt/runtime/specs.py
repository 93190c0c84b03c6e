"""Assistant + overrides → RunSpec: the run keeps the effective values, whatever becomes of the assistant."""

from __future__ import annotations

from collections.abc import Container
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from agentrt.config.schema import DEFAULT_SANDBOX
from agentrt.engine.message import JsonObject
from agentrt.engine.spec import FunctionTool, ResponseFormat, RunSpec, ToolChoice, ToolSpec, Truncation
from agentrt.runtime.busy import run_defaults
from agentrt.runtime.requests import NewRun
from agentrt.store.assistants import Assistant

T = TypeVar("T")


def make_spec(
    assistant: Assistant,
    new: NewRun,
    *,
    run_id: str,
    thread_id: str,
    now: float,
    position: int,
    tool_resources: JsonObject,
    server_tools: Container[str],
    max_steps: int,
    expires_after_s: float,
) -> RunSpec:
    """The fixed facts of a new run. max_steps, expires_after_s: the runtime's own defaults."""
    defaults = run_defaults(assistant)
    tools = new.tools if new.tools is not None else tools_of(assistant)
    expires_after = defaults.expires_after_s or expires_after_s
    return RunSpec(
        id=run_id,
        thread_id=thread_id,
        assistant_id=assistant.id,
        created_at=int(now),
        expires_at=int(now + expires_after),
        action_ttl_s=_first(new.action_ttl_s, defaults.action_ttl_s, None),
        model=new.model or assistant.model,
        instructions=_instructions(assistant, new),
        tools=tools,
        tool_choice=new.tool_choice or defaults.tool_choice or ToolChoice(),
        parallel_tool_calls=_first(new.parallel_tool_calls, defaults.parallel_tool_calls, True),
        response_format=new.response_format or response_format_of(assistant),
        temperature=new.temperature if new.temperature is not None else assistant.temperature,
        top_p=new.top_p if new.top_p is not None else assistant.top_p,
        reasoning_effort=new.reasoning_effort or assistant.reasoning_effort,
        max_prompt_tokens=new.max_prompt_tokens or defaults.max_prompt_tokens,
        max_completion_tokens=new.max_completion_tokens or defaults.max_completion_tokens,
        truncation=new.truncation or defaults.truncation or Truncation(),
        metadata=new.metadata,
        server_tools=tuple(t.name for t in tools if isinstance(t, FunctionTool) and t.name in server_tools),
        max_steps=defaults.max_steps or max_steps,
        position=position,
        tool_resources=tool_resources,
        sandbox=defaults.sandbox or DEFAULT_SANDBOX,
    )


def repeat_spec(spec: RunSpec, *, run_id: str, now: float, position: int, server_tools: Container[str]) -> RunSpec:
    """The same parameters once more, for as long, whatever has become of the assistant since."""
    lasts_s = None if spec.expires_at is None else spec.expires_at - spec.created_at
    names = (tool.name for tool in spec.tools if isinstance(tool, FunctionTool))
    return replace(
        spec,
        id=run_id,
        created_at=int(now),
        expires_at=None if lasts_s is None else int(now) + lasts_s,
        position=position,
        server_tools=tuple(name for name in names if name in server_tools),
        retry_of=spec.id,
    )


def tools_of(assistant: Assistant) -> tuple[ToolSpec, ...]:
    """The assistant's tools as the engine's values."""
    return msgspec.convert(assistant.tools, tuple[ToolSpec, ...])


def response_format_of(assistant: Assistant) -> ResponseFormat:
    """The assistant's response format as the engine's value."""
    return msgspec.convert(assistant.response_format, ResponseFormat)


def _instructions(assistant: Assistant, new: NewRun) -> str:
    whole = new.instructions if new.instructions is not None else assistant.instructions or ""
    return "\n\n".join(text for text in (whole, new.instructions_suffix) if text)


def _first(given: T | None, default: T | None, otherwise: T) -> T:
    if given is not None:
        return given
    return default if default is not None else otherwise
