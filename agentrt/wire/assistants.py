"""Assistants on the wire."""

from __future__ import annotations

from typing import Annotated, Literal, NotRequired, TypeAlias

from pydantic import Field
from typing_extensions import TypedDict

from agentrt.wire.base import Body, Decimal, LongText, Metadata, Omittable
from agentrt.wire.tool_resources import CreateToolResourcesRequest, ToolResourcesObject, ToolResourcesRequest
from agentrt.wire.tools import ResponseFormatObject, ResponseFormatRequest, ToolList, ToolObject

ModelName = Annotated[str, Field(min_length=1)]
Temperature = Annotated[Decimal, Field(ge=0, le=2)]
TopP = Annotated[Decimal, Field(ge=0, le=1)]
ReasoningEffort: TypeAlias = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class _AssistantFields(Body):
    """What creates and updates share. In an update null clears and absent stays (`model_fields_set`)."""

    name: Annotated[str, Field(max_length=256)] | None = None
    description: Annotated[str, Field(max_length=512)] | None = None
    instructions: LongText | None = None
    reasoning_effort: ReasoningEffort | None = None
    tools: Omittable[ToolList] = None
    metadata: Metadata | None = None
    temperature: Temperature | None = None
    top_p: TopP | None = None
    response_format: ResponseFormatRequest | None = None


class CreateAssistantRequest(_AssistantFields):
    """POST /assistants."""

    model: ModelName
    tool_resources: CreateToolResourcesRequest | None = None


class UpdateAssistantRequest(_AssistantFields):
    """POST /assistants/{assistant_id}."""

    model: Omittable[ModelName] = None
    tool_resources: ToolResourcesRequest | None = None


class AssistantObject(TypedDict):
    """An assistant. reasoning_effort is there only when it was set. Times are Unix seconds."""

    id: str
    object: Literal["assistant"]
    created_at: int
    name: str | None
    description: str | None
    model: str
    instructions: str | None
    tools: list[ToolObject]
    tool_resources: ToolResourcesObject | None
    metadata: dict[str, str]
    temperature: float | None
    top_p: float | None
    response_format: ResponseFormatObject | None
    reasoning_effort: NotRequired[ReasoningEffort | None]


class AssistantDeleted(TypedDict):
    id: str
    object: Literal["assistant.deleted"]
    deleted: Literal[True]
