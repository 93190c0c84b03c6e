"""Runs on the wire: creating them, submitting tool outputs, and the run object."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, Self, TypeAlias

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from agentrt.engine.spec import Truncation
from agentrt.wire.assistants import ModelName, ReasoningEffort, Temperature, TopP
from agentrt.wire.base import (
    MAX_INTEGER,
    Body,
    Boolean,
    Extension,
    Integer,
    LongText,
    Metadata,
    NewRunExtension,
    Omittable,
)
from agentrt.wire.messages import MessageList
from agentrt.wire.threads import CreateThreadRequest
from agentrt.wire.tool_resources import ToolResourcesRequest
from agentrt.wire.tools import (
    ResponseFormatObject,
    ResponseFormatRequest,
    ToolChoiceObject,
    ToolChoiceRequest,
    ToolList,
    ToolObject,
)

# Requests ------------------------------------------------------------------------------------------------------------

TokenLimit = Annotated[Integer, Field(ge=256, le=MAX_INTEGER)]


class TruncationRequest(Body):
    """Which messages the model sees; last_messages goes with the type of that name."""

    type: Literal["auto", "last_messages"]
    last_messages: Annotated[Integer, Field(ge=1, le=MAX_INTEGER)] | None = None

    @model_validator(mode="after")
    def _says_how_many(self) -> Self:
        if self.type == "last_messages" and self.last_messages is None:
            raise PydanticCustomError("missing", "missing", {"at": ".last_messages"})
        return self


class _RunFields(Body):
    """What both ways to create a run share. Null means: as the assistant says."""

    assistant_id: str
    model: ModelName | None = None
    instructions: LongText | None = None
    tools: ToolList | None = None
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    stream: Boolean | None = None
    max_prompt_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    truncation_strategy: TruncationRequest | None = None
    tool_choice: ToolChoiceRequest | None = None
    parallel_tool_calls: Omittable[Boolean] = None
    response_format: ResponseFormatRequest | None = None
    agentrt: Omittable[NewRunExtension] = None


class CreateRunRequest(_RunFields):
    """POST /threads/{thread_id}/runs."""

    reasoning_effort: ReasoningEffort | None = None
    additional_instructions: LongText | None = None
    additional_messages: MessageList | None = None


class CreateThreadAndRunRequest(_RunFields):
    """POST /threads/runs. tool_resources stands in for the assistant's, thread.tool_resources is the thread's."""

    thread: Omittable[CreateThreadRequest] = None
    tool_resources: ToolResourcesRequest | None = None


class RetryRunRequest(Body):
    """POST /runs/{run_id}/retry."""

    agentrt: Omittable[Extension] = None


class UpdateRunRequest(Body):
    """POST /threads/{thread_id}/runs/{run_id}."""

    metadata: Metadata | None = None


class ToolOutputRequest(Body):
    """What a call returned; an output that is absent or null is an empty one."""

    tool_call_id: str
    output: str | None = None


class SubmitToolOutputsRequest(Body):
    """POST /threads/{thread_id}/runs/{run_id}/submit_tool_outputs. Which ids are pending is checked by the run."""

    tool_outputs: Annotated[list[ToolOutputRequest], Field(fail_fast=True)]
    stream: Boolean | None = None


# Answers -------------------------------------------------------------------------------------------------------------

RunStatus: TypeAlias = Literal[
    "queued",
    "in_progress",
    "requires_action",
    "cancelling",
    "cancelled",
    "failed",
    "completed",
    "incomplete",
    "expired",
]


class PendingFunction(TypedDict):
    """arguments is the model's raw text, valid JSON or not."""

    name: str
    arguments: str


class PendingCall(TypedDict):
    id: str
    type: Literal["function"]
    function: PendingFunction


class PendingCalls(TypedDict):
    tool_calls: list[PendingCall]


class RequiredAction(TypedDict):
    type: Literal["submit_tool_outputs"]
    submit_tool_outputs: PendingCalls


class RunError(TypedDict):
    code: Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
    message: str


class RunIncompleteDetails(TypedDict):
    reason: Literal["max_completion_tokens", "max_prompt_tokens"]


class UsageObject(TypedDict):
    """Tokens of a run or of one step."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class TruncationObject(TypedDict):
    type: Literal["auto", "last_messages"]
    last_messages: int | None


class CodeUsageObject(TypedDict):
    """What the code of a run took, all calls together; max_rss_bytes is the most of any."""

    calls: int
    wall_ms: float
    cpu_ms: float
    max_rss_bytes: int


class RunExtension(TypedDict, total=False):
    """What the contract has no field for. cost_usd: of the run's model calls, once it has ended, when the model has a
    price. code_interpreter: what its code took, once it has ended. retry_of: the run that this one repeats."""

    cost_usd: float
    code_interpreter: CodeUsageObject
    retry_of: str


class RunObject(TypedDict):
    """A run with the values it really has, whatever becomes of the assistant. Times are Unix seconds.

    instructions and model are strings and never null: strict SDK types fail on null.
    """

    id: str
    object: Literal["thread.run"]
    created_at: int
    thread_id: str
    assistant_id: str
    status: RunStatus
    required_action: RequiredAction | None
    last_error: RunError | None
    expires_at: int | None
    started_at: int | None
    cancelled_at: int | None
    failed_at: int | None
    completed_at: int | None
    incomplete_details: RunIncompleteDetails | None
    model: str
    instructions: str
    tools: list[ToolObject]
    metadata: dict[str, str]
    usage: UsageObject | None
    temperature: float | None
    top_p: float | None
    max_prompt_tokens: int | None
    max_completion_tokens: int | None
    truncation_strategy: TruncationObject
    tool_choice: ToolChoiceObject
    parallel_tool_calls: bool
    response_format: ResponseFormatObject
    reasoning_effort: NotRequired[ReasoningEffort | None]
    agentrt: NotRequired[RunExtension]


# Conversion ----------------------------------------------------------------------------------------------------------


def read_truncation(truncation: TruncationRequest | None) -> Truncation | None:
    """None, absent or null, stays None."""
    return None if truncation is None else Truncation(truncation.type, truncation.last_messages)


def render_truncation(truncation: Truncation) -> TruncationObject:
    return {"type": truncation.type, "last_messages": truncation.last_messages}


def read_tool_outputs(body: SubmitToolOutputsRequest) -> tuple[tuple[str, str], ...]:
    """Pairs of call id and text, in the request's order."""
    return tuple((output.tool_call_id, output.output or "") for output in body.tool_outputs)
