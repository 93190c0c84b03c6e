"""What callers ask of a runtime, free of any wire dialect. None = the caller did not say."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from agentrt.engine.message import JsonObject, Part
from agentrt.engine.spec import ResponseFormat, ToolChoice, ToolSpec, Truncation

OnBusy: TypeAlias = Literal["reject", "enqueue", "interrupt"]
"""What a second message or run does while a run is active: a 400, wait for its end, or cancel it first."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file given with a message, and the hosted tools that shall see it."""

    file_id: str | None
    tools: tuple[Literal["code_interpreter", "file_search"], ...] = ()


@dataclass(frozen=True, slots=True)
class NewMessage:
    """attachments None: the caller gave none at all, and the answer says null."""

    role: Literal["user", "assistant"]
    parts: tuple[Part, ...]
    attachments: tuple[Attachment, ...] | None = None
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NewThread:
    """tool_resources: the request's JSON, the `vector_stores` helper included."""

    messages: tuple[NewMessage, ...] = ()
    tool_resources: JsonObject = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    on_busy: OnBusy | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """Overrides replace what the assistant says; instructions_suffix is appended to it.

    schedule_id: the schedule that makes the run.
    """

    assistant_id: str
    model: str | None = None
    instructions: str | None = None
    instructions_suffix: str | None = None
    messages: tuple[NewMessage, ...] = ()
    tools: tuple[ToolSpec, ...] | None = None
    tool_resources: JsonObject | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    response_format: ResponseFormat | None = None
    temperature: float | None = None
    top_p: float | None = None
    reasoning_effort: str | None = None
    max_prompt_tokens: int | None = None
    max_completion_tokens: int | None = None
    truncation: Truncation | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    on_busy: OnBusy | None = None
    action_ttl_s: float | None = None
    schedule_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSchedule:
    """What is asked of an assistant again and again. thread: `new` for each run, `same` for all, or a thread's id.

    cron: five fields, read in the time zone. catch_up_s: how late a due time that was missed still makes its run.
    metadata: the runs get it, too, and the threads that are made for them.
    """

    cron: str
    assistant_id: str
    message: str
    name: str | None = None
    timezone: str = "UTC"
    thread: str = "new"
    on_busy: OnBusy | None = None
    catch_up_s: int = 3600
    enabled: bool = True
    metadata: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAssistant:
    """tool_resources: the request's JSON, the `vector_stores` helper included."""

    model: str
    name: str | None = None
    description: str | None = None
    instructions: str | None = None
    tools: tuple[ToolSpec, ...] = ()
    tool_resources: JsonObject = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    temperature: float | None = None
    top_p: float | None = None
    response_format: ResponseFormat = field(default_factory=ResponseFormat)
    reasoning_effort: str | None = None


@dataclass(frozen=True, slots=True)
class NewStoreFile:
    """A file for a vector store. chunking: the request's chunking_strategy. attributes None: those that it has stay."""

    file_id: str
    attributes: dict[str, str | float | bool] | None = None
    chunking: JsonObject | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVectorStore:
    """expires_after_days: of rest; None = never. chunking: that of its first files."""

    name: str = ""
    file_ids: tuple[str, ...] = ()
    chunking: JsonObject | None = None
    expires_after_days: int | None = None
    metadata: dict[str, str] = field(default_factory=dict)
