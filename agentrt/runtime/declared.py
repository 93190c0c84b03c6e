"""[agents.*], [tools.*] and [schedules.*] of a Config → assistants, tools and schedules."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import msgspec

from agentrt.config.schema import DEFAULT_PROJECT, AgentSpec, Config, ScheduleSpec, ToolSource
from agentrt.engine.message import JsonObject
from agentrt.engine.spec import (
    CodeInterpreterTool,
    FileSearchTool,
    ResponseFormat,
    RunDefaults,
    ToolChoice,
    ToolSpec,
    Truncation,
)
from agentrt.errors import InvalidRequestError
from agentrt.runtime.agent import Agent
from agentrt.runtime.code_interpreter.local import CodeInterpreter
from agentrt.runtime.file_search.local import FileSearch
from agentrt.store.assistants import DECLARED, IN_CODE, Assistant
from agentrt.store.schedules import Schedule
from agentrt.toolkit.discover import load_tool
from agentrt.toolkit.registry import ToolRegistry
from agentrt.toolkit.tool import Tool

_HOSTED: Mapping[str, ToolSpec] = {"code_interpreter": CodeInterpreterTool(), "file_search": FileSearchTool()}
_MODES = {"auto", "none", "required", *_HOSTED}


def load_tools(config: Config, in_code: Iterable[Tool | Callable[..., object]]) -> ToolRegistry:
    """The tools given in code and those of [tools.*], imported. Raises ToolDefinitionError."""
    registry = ToolRegistry(in_code)
    for source in config.tools.values():
        registry.add(_load(source))
    return registry


def declared_assistants(config: Config, tools: ToolRegistry, *, now: float) -> list[Assistant]:
    """The assistants that agents.toml declares, each with a hash of what it says."""
    return [_assistant(spec, tools, now=now) for spec in config.agents.values()]


def assistant_of(agent: Agent, config: Config, *, now: float) -> Assistant:
    """The assistant that an Agent in code appears as on stored threads.

    Raises InvalidRequestError for an agent whose tools are for conversations in memory.
    """
    spec = agent.spec
    if agent.code is not None:
        _check_code(agent.code, config)
    assistant = Assistant(
        id=spec.assistant_id,
        project=DEFAULT_PROJECT,
        created_at=int(now),
        origin=IN_CODE,
        name=agent.name,
        model=spec.model,
        instructions=spec.instructions or None,
        tools=msgspec.to_builtins(spec.tools),
        tool_resources={} if agent.files is None else _searched(agent.files, config),
        temperature=spec.temperature,
        top_p=spec.top_p,
        response_format=msgspec.to_builtins(spec.response_format),
        reasoning_effort=spec.reasoning_effort,
        settings=msgspec.to_builtins(RunDefaults(max_steps=spec.max_steps, sandbox=spec.sandbox)),
    )
    return _hashed(assistant)


def tool_specs(names: Iterable[str], tools: ToolRegistry) -> tuple[ToolSpec, ...]:
    """Tools by name, hosted ones included. The config has checked that each exists."""
    found: list[ToolSpec] = []
    for name in names:
        tool = tools.get(name)
        found.append(_HOSTED[name] if tool is None else tool.spec())
    return tuple(found)


def _load(source: ToolSource) -> Tool:
    changes: dict[str, Any] = {}
    if source.timeout_s is not None:
        changes["timeout_s"] = source.timeout_s
    if source.retry is not None:
        changes["retry"] = source.retry
    place = str(source.file) if source.file is not None else source.module
    return load_tool(
        f"{place}:{source.function}", base=source.folder, name=source.name, options=source.options, **changes
    )


def _assistant(spec: AgentSpec, tools: ToolRegistry, *, now: float) -> Assistant:
    assistant = Assistant(
        id=spec.id,
        project=DEFAULT_PROJECT,
        created_at=int(now),
        origin=DECLARED,
        name=spec.display_name,
        description=spec.description,
        model=spec.model,
        instructions=spec.instructions or None,
        tools=msgspec.to_builtins(tool_specs(spec.tools, tools)),
        tool_resources=_resources(spec),
        meta=dict(spec.metadata),
        temperature=spec.temperature,
        top_p=spec.top_p,
        response_format=msgspec.to_builtins(
            ResponseFormat(spec.response_format.type, spec.response_format.json_schema)
        ),
        reasoning_effort=spec.reasoning_effort,
        settings=msgspec.to_builtins(_defaults(spec)),
    )
    return _hashed(assistant)


def _resources(spec: AgentSpec) -> JsonObject:
    return {"file_search": {"vector_store_ids": [*spec.vector_stores]}} if spec.vector_stores else {}


def _check_code(code: CodeInterpreter, config: Config) -> None:
    """On stored threads the runtime's own sandboxes run code, and files are attached to threads and messages."""
    if code.name not in config.sandboxes or not isinstance(code.sandbox, str) or code.driver is not None:
        names = ", ".join(config.sandboxes)
        raise InvalidRequestError(f"Threads of a runtime have its own sandboxes: name one, of {names}.")
    if code.inputs:
        raise InvalidRequestError("Threads of a runtime have files of their own: attach them to the thread.")


def _searched(files: FileSearch, config: Config) -> JsonObject:
    """On stored threads the runtime's own vector stores are searched."""
    if files.store is None:
        raise InvalidRequestError(
            "Threads of a runtime search its vector stores: write FileSearch(store=…) with the id of one, or the name "
            "of a [vector_stores.*] table, which may watch the folder."
        )
    declared = config.vector_stores.get(files.store)
    if declared is None and not files.store.startswith("vs_"):
        there = ", ".join(config.vector_stores) or "none"
        raise InvalidRequestError(f"There is no [vector_stores.{files.store}] in agents.toml, but {there}.")
    return {"file_search": {"vector_store_ids": [files.store if declared is None else declared.id]}}


def _hashed(assistant: Assistant) -> Assistant:
    assistant.declared_hash = _hash_of(assistant)
    return assistant


def _hash_of(said: Assistant | Schedule) -> str:
    return hashlib.sha256(msgspec.json.encode(said.model_dump(exclude={"created_at"}), order="sorted")).hexdigest()


def _defaults(spec: AgentSpec) -> RunDefaults:
    return RunDefaults(
        max_steps=spec.limits.max_steps,
        max_prompt_tokens=spec.limits.max_prompt_tokens,
        max_completion_tokens=spec.limits.max_completion_tokens,
        expires_after_s=spec.limits.timeout_s,
        truncation=Truncation(spec.truncation_strategy.type, spec.truncation_strategy.last_messages),
        tool_choice=_choice(spec.tool_choice),
        parallel_tool_calls=spec.parallel_tool_calls,
        on_busy=spec.on_busy,
        action_ttl_s=spec.action_ttl_s,
        sandbox=spec.sandbox,
    )


def _choice(word: str) -> ToolChoice:
    """`auto`, `none`, `required`, a hosted tool, or the name of a function."""
    if word in _MODES:
        return msgspec.convert({"mode": word}, ToolChoice)
    return ToolChoice("function", word)


def declared_schedules(config: Config, *, now: float) -> list[Schedule]:
    """The schedules that agents.toml declares, each with a hash of what it says."""
    return [_schedule(spec, now=now) for spec in config.schedules.values()]


def _schedule(spec: ScheduleSpec, *, now: float) -> Schedule:
    schedule = Schedule(
        id=spec.id,
        project=DEFAULT_PROJECT,
        created_at=int(now),
        origin=DECLARED,
        name=spec.name,
        cron=spec.cron,
        timezone=spec.timezone,
        assistant_id=spec.assistant_id,
        message=spec.message,
        thread=spec.thread,
        on_busy=spec.on_busy,
        catch_up_s=int(spec.catch_up_s),
        is_enabled=spec.enabled,
        meta=dict(spec.metadata),
    )
    schedule.declared_hash = _hash_of(schedule)
    return schedule
