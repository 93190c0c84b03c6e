"""Rows and runs → the objects of the Assistants API. The events of its streams are in assistants_stream.py."""

from __future__ import annotations

from typing import Literal, TypeAlias, cast

import msgspec

from agentrt.engine.message import JsonObject, Part, Usage
from agentrt.engine.run import LastError, Run, RunStatus
from agentrt.runtime.specs import response_format_of, tools_of
from agentrt.store.assistants import Assistant
from agentrt.store.files import File
from agentrt.store.messages import Message
from agentrt.store.threads import Thread
from agentrt.wire.assistants import AssistantObject, ReasoningEffort
from agentrt.wire.base import OnBusy
from agentrt.wire.files import FileObject, FilePurpose
from agentrt.wire.messages import (
    AttachmentObject,
    ContentObject,
    MessageIncompleteDetails,
    MessageObject,
    render_content,
)
from agentrt.wire.runs import (
    PendingCall,
    RequiredAction,
    RunError,
    RunExtension,
    RunIncompleteDetails,
    RunObject,
    UsageObject,
    render_truncation,
)
from agentrt.wire.threads import ThreadObject
from agentrt.wire.tool_resources import ToolResourcesObject
from agentrt.wire.tools import render_response_format, render_tool_choice, render_tools

MessageStatus: TypeAlias = Literal["in_progress", "incomplete", "completed"]
MessageRole: TypeAlias = Literal["user", "assistant"]

DEFAULT_TEMPERATURE = 1.0
DEFAULT_TOP_P = 1.0
"""What the API says of an assistant or run that does not set them. Nothing is sent to the model then."""


def render_assistant(assistant: Assistant) -> AssistantObject:
    rendered: AssistantObject = {
        "id": assistant.id,
        "object": "assistant",
        "created_at": assistant.created_at,
        "name": assistant.name,
        "description": assistant.description,
        "model": assistant.model,
        "instructions": assistant.instructions,
        "tools": render_tools(tools_of(assistant)),
        "tool_resources": cast("ToolResourcesObject", assistant.tool_resources),
        "metadata": assistant.meta,
        "temperature": DEFAULT_TEMPERATURE if assistant.temperature is None else assistant.temperature,
        "top_p": DEFAULT_TOP_P if assistant.top_p is None else assistant.top_p,
        "response_format": render_response_format(response_format_of(assistant)),
    }
    if assistant.reasoning_effort is not None:
        rendered["reasoning_effort"] = cast("ReasoningEffort", assistant.reasoning_effort)
    return rendered


def render_thread(thread: Thread) -> ThreadObject:
    rendered = thread_object(
        thread.id, created_at=thread.created_at, tool_resources=thread.tool_resources, metadata=thread.meta
    )
    if thread.on_busy is not None:
        rendered["agentrt"] = {"on_busy": cast("OnBusy", thread.on_busy)}
    return rendered


def thread_object(
    thread_id: str, *, created_at: int, tool_resources: JsonObject, metadata: dict[str, str]
) -> ThreadObject:
    return {
        "id": thread_id,
        "object": "thread",
        "created_at": created_at,
        "tool_resources": cast("ToolResourcesObject", tool_resources),
        "metadata": metadata,
    }


def render_message(message: Message) -> MessageObject:
    details: MessageIncompleteDetails | None = None
    if message.incomplete_reason is not None:
        details = cast("MessageIncompleteDetails", {"reason": message.incomplete_reason})
    return {
        "id": message.id,
        "object": "thread.message",
        "created_at": message.created_at,
        "thread_id": message.thread_id,
        "status": cast("MessageStatus", message.status),
        "incomplete_details": details,
        "completed_at": message.completed_at,
        "incomplete_at": message.incomplete_at,
        "role": cast("MessageRole", message.role),
        "content": _content(message.parts),
        "assistant_id": message.assistant_id,
        "run_id": message.run_id,
        "attachments": cast("list[AttachmentObject] | None", message.attachments),
        "metadata": message.meta,
    }


def render_run(run: Run) -> RunObject:
    """A run as it is now. What has not happened is null; `usage` is null until the run has ended, as in the schema."""
    spec, status = run.spec, run.status
    ended_at = None if run.ended_at is None else int(run.ended_at)
    rendered: RunObject = {
        "id": spec.id,
        "object": "thread.run",
        "created_at": spec.created_at,
        "thread_id": spec.thread_id,
        "assistant_id": spec.assistant_id,
        "status": status.value,
        "required_action": _required_action(run),
        "last_error": _last_error(run),
        "expires_at": None if status.is_terminal else run.expires_at,
        "started_at": None if run.started_at is None else int(run.started_at),
        "cancelled_at": ended_at if status is RunStatus.CANCELLED else None,
        "failed_at": ended_at if status is RunStatus.FAILED else None,
        # An incomplete run has no field of its own for when it ended.
        "completed_at": ended_at if status in (RunStatus.COMPLETED, RunStatus.INCOMPLETE) else None,
        "incomplete_details": _incomplete_details(run),
        "model": spec.model,
        "instructions": spec.instructions,
        "tools": render_tools(spec.tools),
        "metadata": spec.metadata,
        "usage": render_usage(run.usage) if status.is_terminal else None,
        "temperature": DEFAULT_TEMPERATURE if spec.temperature is None else spec.temperature,
        "top_p": DEFAULT_TOP_P if spec.top_p is None else spec.top_p,
        "max_prompt_tokens": spec.max_prompt_tokens,
        "max_completion_tokens": spec.max_completion_tokens,
        "truncation_strategy": render_truncation(spec.truncation),
        "tool_choice": render_tool_choice(spec.tool_choice),
        "parallel_tool_calls": spec.parallel_tool_calls,
        "response_format": render_response_format(spec.response_format),
    }
    if spec.reasoning_effort is not None:
        rendered["reasoning_effort"] = cast("ReasoningEffort", spec.reasoning_effort)
    more = _extension(run)
    if more:
        rendered["agentrt"] = more
    return rendered


def render_usage(usage: Usage) -> UsageObject:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }


def render_file(file: File) -> FileObject:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.size_bytes,
        "created_at": file.created_at,
        "expires_at": file.expires_at,
        "filename": file.filename,
        "purpose": cast("FilePurpose", file.purpose),
        "status": "processed",
        "status_details": None,
    }


def _content(parts: list[JsonObject]) -> list[ContentObject]:
    if len(parts) == 1 and parts[0].keys() == {"type", "text"}:  # nearly every message
        return [{"type": "text", "text": {"value": str(parts[0]["text"]), "annotations": []}}]
    return render_content(msgspec.convert(parts, tuple[Part, ...]))


def _required_action(run: Run) -> RequiredAction | None:
    if run.status is not RunStatus.REQUIRES_ACTION:
        return None
    calls: list[PendingCall] = [
        {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
        for call in run.pending_calls
    ]
    return {"type": "submit_tool_outputs", "submit_tool_outputs": {"tool_calls": calls}}


def _extension(run: Run) -> RunExtension:
    more: RunExtension = {}
    if run.status.is_terminal and (cost := run.cost_usd) is not None:
        more["cost_usd"] = round(cost, 9)
    if run.status.is_terminal and (code := run.code) is not None:
        more["code_interpreter"] = {
            "calls": code.n_calls,
            "wall_ms": round(code.wall_ms, 1),
            "cpu_ms": round(code.cpu_ms, 1),
            "max_rss_bytes": code.max_rss_bytes,
        }
    if run.spec.retry_of is not None:
        more["retry_of"] = run.spec.retry_of
    return more


def _last_error(run: Run) -> RunError | None:
    # A turn that failed has its error before the run has ended: callers see it with the status it explains.
    error: LastError | None = run.last_error if run.status.is_terminal else None
    return None if error is None else {"code": error.code, "message": error.message}


def _incomplete_details(run: Run) -> RunIncompleteDetails | None:
    # max_steps is no reason of the contract: the run says it in last_error.
    if run.status is not RunStatus.INCOMPLETE or run.limit is None or run.limit == "max_steps":
        return None
    return {"reason": run.limit}
