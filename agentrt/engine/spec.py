"""What a run was asked to do: everything that is fixed when it is created."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from agentrt.engine.message import JsonObject, JsonValue


class FunctionTool(msgspec.Struct, frozen=True, tag_field="type", tag="function"):
    """A function the model may call; None = the caller did not say.

    strict may be null on the wire: UNSET = the caller did not say, None = the caller said null. Answers echo it.
    """

    name: str
    description: str | None = None
    parameters: JsonObject | None = None
    strict: bool | msgspec.UnsetType | None = msgspec.UNSET


class CodeInterpreterTool(msgspec.Struct, frozen=True, tag_field="type", tag="code_interpreter"):
    """The hosted code interpreter; its files stand in tool_resources."""


class FileSearchTool(msgspec.Struct, frozen=True, tag_field="type", tag="file_search"):
    """The hosted search; `options` is the request's `file_search` object, None when absent."""

    options: JsonObject | None = None


ToolName: TypeAlias = Literal["function", "code_interpreter", "file_search"]
"""What kind of tool a call is for."""

ToolSpec: TypeAlias = FunctionTool | CodeInterpreterTool | FileSearchTool


class ToolChoice(msgspec.Struct, frozen=True):
    """`auto`, `none`, `required`, or one tool: `function` (with its name), `code_interpreter`, `file_search`."""

    mode: Literal["auto", "none", "required", "function", "code_interpreter", "file_search"] = "auto"
    name: str | None = None


class ResponseFormat(msgspec.Struct, frozen=True):
    """`auto` is the API's default; the other three are sent to the model. json_schema holds {name, schema, strict…}."""

    type: Literal["auto", "text", "json_object", "json_schema"] = "auto"
    json_schema: JsonObject | None = None


class Truncation(msgspec.Struct, frozen=True):
    type: Literal["auto", "last_messages"] = "auto"
    last_messages: int | None = None


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars per million tokens."""

    input: float
    cached_input: float
    output: float


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One run's fixed facts. Times are Unix seconds.

    server_tools: names of the functions that the server runs itself; every other function is the caller's.
    position: the run's place in its thread; what stands before it is its history. price: the model's, if it is known.
    expires_at: None = never. action_ttl_s: how long it may wait for its caller, in place of expires_at; the time
    that it waits does not count then. sandbox: which of the server's kinds of sandbox its code runs in. retry_of: the
    run that this one repeats.
    """

    id: str
    thread_id: str
    assistant_id: str
    created_at: int
    expires_at: int | None = None
    action_ttl_s: float | None = None
    model: str
    instructions: str = ""
    tools: tuple[ToolSpec, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool = True
    response_format: ResponseFormat = ResponseFormat()
    temperature: float | None = None
    top_p: float | None = None
    reasoning_effort: str | None = None
    max_prompt_tokens: int | None = None
    max_completion_tokens: int | None = None
    truncation: Truncation = Truncation()
    metadata: dict[str, str] = {}
    server_tools: tuple[str, ...] = ()
    max_steps: int = 32
    position: int = 0
    tool_resources: dict[str, JsonValue] = {}
    sandbox: str = "python"
    price: Price | None = None
    retry_of: str | None = None

    def tool_type(self, name: str) -> ToolName:
        """What a call of that name is for. A function with the name of a hosted tool stands before it."""
        is_code = is_search = False
        for tool in self.tools:
            match tool:
                case FunctionTool():
                    if tool.name == name:
                        return "function"
                case CodeInterpreterTool():
                    is_code = name == "code_interpreter"
                case FileSearchTool():
                    is_search = name == "file_search"
        return "code_interpreter" if is_code else "file_search" if is_search else "function"


class ThreadInfo(msgspec.Struct, frozen=True):
    """A thread as it was created, for the `thread.created` event."""

    id: str
    created_at: int
    metadata: dict[str, str] = {}
    tool_resources: dict[str, JsonValue] = {}


class RunDefaults(msgspec.Struct, frozen=True, kw_only=True):
    """What an agent's declaration says about its runs beyond the API's assistant. None = the runtime's own default."""

    max_steps: int | None = None
    max_prompt_tokens: int | None = None
    max_completion_tokens: int | None = None
    expires_after_s: float | None = None
    action_ttl_s: float | None = None
    truncation: Truncation | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    on_busy: Literal["reject", "enqueue", "interrupt"] | None = None
    sandbox: str | None = None
