"""Threads on the wire."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from agentrt.wire.base import Body, Extension, Metadata, Omittable, OnBusy
from agentrt.wire.messages import MessageList
from agentrt.wire.tool_resources import CreateToolResourcesRequest, ToolResourcesObject, ToolResourcesRequest


class CreateThreadRequest(Body):
    """POST /threads, whose body may be empty; also the `thread` of POST /threads/runs. `agentrt` is stored."""

    messages: Omittable[MessageList] = None
    tool_resources: CreateToolResourcesRequest | None = None
    metadata: Metadata | None = None
    agentrt: Omittable[Extension] = None


class UpdateThreadRequest(Body):
    """POST /threads/{thread_id}. Null clears, absent stays (`model_fields_set`)."""

    tool_resources: ToolResourcesRequest | None = None
    metadata: Metadata | None = None


class ThreadExtension(TypedDict):
    on_busy: OnBusy


class ThreadObject(TypedDict):
    """A thread. `agentrt` is there only when the thread was created with it. Times are Unix seconds."""

    id: str
    object: Literal["thread"]
    created_at: int
    tool_resources: ToolResourcesObject | None
    metadata: dict[str, str]
    agentrt: NotRequired[ThreadExtension]


class ThreadDeleted(TypedDict):
    id: str
    object: Literal["thread.deleted"]
    deleted: Literal[True]
