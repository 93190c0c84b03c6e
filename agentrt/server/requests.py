"""Request bodies → what the runtime is asked for, free of the wire's words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from agentrt.engine.message import JsonObject
from agentrt.engine.spec import ResponseFormat
from agentrt.retrieval.filters import parse_filter
from agentrt.runtime.requests import (
    Attachment,
    NewAssistant,
    NewMessage,
    NewRun,
    NewSchedule,
    NewStoreFile,
    NewThread,
    NewVectorStore,
    OnBusy,
)
from agentrt.runtime.vector_stores.search import StoreQuery
from agentrt.wire.assistants import CreateAssistantRequest, UpdateAssistantRequest
from agentrt.wire.base import Extension, as_sent
from agentrt.wire.messages import AttachmentRequest, NestedMessageRequest, read_content
from agentrt.wire.runs import CreateRunRequest, CreateThreadAndRunRequest, read_truncation
from agentrt.wire.schedules import CreateScheduleRequest, UpdateScheduleRequest
from agentrt.wire.threads import CreateThreadRequest
from agentrt.wire.tool_resources import ChunkingStrategyRequest, ToolResourcesRequest, read_tool_resources
from agentrt.wire.tools import read_response_format, read_tool_choice, read_tools
from agentrt.wire.vector_stores import (
    CreateVectorStoreFileBatchRequest,
    CreateVectorStoreFileRequest,
    CreateVectorStoreRequest,
    RankingOptionsRequest,
    SearchVectorStoreRequest,
    UpdateVectorStoreRequest,
)

_SEARCH_RESULTS = 10

NO_RESOURCES: JsonObject = {
    "code_interpreter": {"file_ids": []},
    "file_search": {"vector_store_ids": []},
}
"""What null in an update makes of tool_resources: the runtime replaces tool by tool."""


def new_assistant(body: CreateAssistantRequest) -> NewAssistant:
    return NewAssistant(
        model=body.model,
        name=body.name,
        description=body.description,
        instructions=body.instructions,
        tools=read_tools(body.tools) or (),
        tool_resources=read_tool_resources(body.tool_resources) or {},
        metadata=body.metadata or {},
        temperature=body.temperature,
        top_p=body.top_p,
        response_format=read_response_format(body.response_format) or ResponseFormat(),
        reasoning_effort=body.reasoning_effort,
    )


def assistant_changes(body: UpdateAssistantRequest) -> dict[str, Any]:
    """The fields of NewAssistant that were sent: null has cleared them, absent ones are not there."""
    changes: dict[str, Any] = {}
    for name in body.model_fields_set:
        value = getattr(body, name)
        match name:
            case "tools":
                changes[name] = read_tools(value) or ()
            case "metadata":
                changes[name] = value or {}
            case "response_format":
                changes[name] = read_response_format(value) or ResponseFormat()
            case "tool_resources":
                changes[name] = changed_resources(value)
            case _:
                changes[name] = value
    return changes


def new_thread(body: CreateThreadRequest | None) -> NewThread:
    """None: the caller did not say anything about the thread."""
    if body is None:
        return NewThread()
    return NewThread(
        messages=new_messages(body.messages or ()),
        tool_resources=read_tool_resources(body.tool_resources) or {},
        metadata=body.metadata or {},
        on_busy=on_busy(body.agentrt),
    )


def new_messages(bodies: Iterable[NestedMessageRequest]) -> tuple[NewMessage, ...]:
    return tuple(new_message(body) for body in bodies)


def new_message(body: NestedMessageRequest) -> NewMessage:
    return NewMessage(
        role=body.role,
        parts=read_content(body.content),
        attachments=tuple(_attachment(attachment) for attachment in body.attachments or ()),
        metadata=body.metadata or {},
    )


def new_run(body: CreateRunRequest) -> NewRun:
    return NewRun(
        **_run_fields(body),
        instructions_suffix=body.additional_instructions,
        messages=new_messages(body.additional_messages or ()),
        reasoning_effort=body.reasoning_effort,
    )


def new_run_of_thread(body: CreateThreadAndRunRequest) -> NewRun:
    """The run of create-thread-and-run; its thread is `new_thread(body.thread)`."""
    return NewRun(**_run_fields(body), tool_resources=read_tool_resources(body.tool_resources))


def new_schedule(body: CreateScheduleRequest) -> NewSchedule:
    given = {field: value for field, value in schedule_changes(body).items() if value is not None}
    return NewSchedule(**given)


def schedule_changes(body: CreateScheduleRequest | UpdateScheduleRequest) -> dict[str, Any]:
    """The fields of NewSchedule that were sent: null has cleared them, absent ones are not there."""
    changes = {name: getattr(body, name) for name in body.model_fields_set}
    if "metadata" in changes:
        changes["metadata"] = changes["metadata"] or {}
    if "catch_up_seconds" in changes:
        changes["catch_up_s"] = changes.pop("catch_up_seconds")
    return changes


def new_vector_store(body: CreateVectorStoreRequest) -> NewVectorStore:
    return NewVectorStore(
        name=body.name or "",
        file_ids=tuple(dict.fromkeys(body.file_ids or ())),
        chunking=_chunking(body.chunking_strategy),
        expires_after_days=None if body.expires_after is None else body.expires_after.days,
        metadata=body.metadata or {},
    )


def vector_store_changes(body: UpdateVectorStoreRequest) -> dict[str, Any]:
    """The fields of NewVectorStore that were sent: null has cleared them, absent ones are not there."""
    changes: dict[str, Any] = {}
    for name in body.model_fields_set:
        match name:
            case "expires_after":
                changes["expires_after_days"] = None if body.expires_after is None else body.expires_after.days
            case "metadata":
                changes[name] = body.metadata or {}
            case _:
                changes[name] = body.name or ""
    return changes


def new_store_file(body: CreateVectorStoreFileRequest) -> NewStoreFile:
    return NewStoreFile(body.file_id, attributes=body.attributes, chunking=_chunking(body.chunking_strategy))


def new_store_files(body: CreateVectorStoreFileBatchRequest) -> list[NewStoreFile]:
    if body.files is not None:
        return [new_store_file(file) for file in body.files]
    chunking = _chunking(body.chunking_strategy)
    return [NewStoreFile(id_, attributes=body.attributes, chunking=chunking) for id_ in body.file_ids or ()]


def store_query(body: SearchVectorStoreRequest) -> StoreQuery:
    """Raises InvalidRequestError for a filter that is none."""
    ranking = body.ranking_options or RankingOptionsRequest()
    queries = [body.query] if isinstance(body.query, str) else body.query
    return StoreQuery(
        queries=tuple(dict.fromkeys(queries)),
        limit=_SEARCH_RESULTS if body.max_num_results is None else body.max_num_results,
        score_threshold=ranking.score_threshold or 0.0,
        filter=None if body.filters is None else parse_filter(body.filters),
        rewrites=bool(body.rewrite_query),
        reranks=ranking.ranker != "none",
        explains=bool(body.explain),
    )


def _chunking(strategy: ChunkingStrategyRequest | None) -> JsonObject | None:
    return None if strategy is None else as_sent(strategy)


def on_busy(extension: Extension | None) -> OnBusy | None:
    return None if extension is None else extension.on_busy


def changed_resources(resources: ToolResourcesRequest | None) -> JsonObject:
    """tool_resources of an update: null clears."""
    sent = read_tool_resources(resources)
    return NO_RESOURCES if sent is None else sent


def _run_fields(body: CreateRunRequest | CreateThreadAndRunRequest) -> dict[str, Any]:
    """None, absent or null, is: as the assistant says."""
    return {
        "assistant_id": body.assistant_id,
        "model": body.model,
        "instructions": body.instructions,
        "tools": read_tools(body.tools),
        "tool_choice": read_tool_choice(body.tool_choice),
        "parallel_tool_calls": body.parallel_tool_calls,
        "response_format": read_response_format(body.response_format),
        "temperature": body.temperature,
        "top_p": body.top_p,
        "max_prompt_tokens": body.max_prompt_tokens,
        "max_completion_tokens": body.max_completion_tokens,
        "truncation": read_truncation(body.truncation_strategy),
        "metadata": body.metadata or {},
        "on_busy": on_busy(body.agentrt),
        "action_ttl_s": None if body.agentrt is None else body.agentrt.action_ttl,
    }


def _attachment(attachment: AttachmentRequest) -> Attachment:
    return Attachment(file_id=attachment.file_id, tools=tuple(tool.type for tool in attachment.tools))
