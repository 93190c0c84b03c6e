"""Run steps and the calls in them → the objects of the Assistants API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias, assert_never, cast

import msgspec

from agentrt.engine.code_input import read_code
from agentrt.engine.events import StepType
from agentrt.engine.message import CodeOutput, CodeShown, JsonObject, Logs, SearchShown, Usage
from agentrt.engine.run import Call
from agentrt.engine.spec import ToolName
from agentrt.server.render.assistants import render_usage
from agentrt.store.run_steps import RunStep
from agentrt.wire.run_steps import (
    CodeCallObject,
    CodeImage,
    CodeLogs,
    FunctionCall,
    RunStepObject,
    SearchCallObject,
    SearchRanking,
    SearchResult,
    StepDetails,
    StepError,
    ToolCallObject,
)

StepStatus: TypeAlias = Literal["in_progress", "cancelled", "failed", "completed", "expired"]


def render_step(step: RunStep) -> RunStepObject:
    return {
        "id": step.id,
        "object": "thread.run.step",
        "created_at": step.created_at,
        "assistant_id": step.assistant_id,
        "thread_id": step.thread_id,
        "run_id": step.run_id,
        "type": cast("StepType", step.type),
        "status": cast("StepStatus", step.status),
        "step_details": _stored_details(step),
        "last_error": cast("StepError | None", step.last_error),
        "expired_at": step.expired_at,
        "cancelled_at": step.cancelled_at,
        "failed_at": step.failed_at,
        "completed_at": step.completed_at,
        "metadata": {},
        "usage": None if step.usage is None else render_usage(msgspec.convert(step.usage, Usage)),
    }


def message_step_details(message_id: str) -> StepDetails:
    return {"type": "message_creation", "message_creation": {"message_id": message_id}}


def tool_step_details(calls: Iterable[Call]) -> StepDetails:
    return {"type": "tool_calls", "tool_calls": [_call(call) for call in calls]}


def _call(call: Call) -> ToolCallObject:
    made, result = call.call, call.result
    output = None if result is None else result.output
    return _tool_call(call.type, made.id, made.name, made.arguments, output, call.shown)


def _stored_details(step: RunStep) -> StepDetails:
    if step.type != "tool_calls":
        return message_step_details(step.message_id or "")
    return {"type": "tool_calls", "tool_calls": [_stored_call(call) for call in step.calls]}


def _stored_call(call: JsonObject) -> ToolCallObject:
    output, shown = call["output"], call.get("shown")
    return _tool_call(
        cast("ToolName", call.get("type", "function")),
        str(call["id"]),
        str(call["name"]),
        str(call["arguments"]),
        None if output is None else str(output),
        None if shown is None else msgspec.convert(shown, CodeShown | SearchShown),
    )


def _tool_call(
    type_: ToolName, call_id: str, name: str, arguments: str, output: str | None, shown: CodeShown | SearchShown | None
) -> ToolCallObject:
    match type_:
        case "code_interpreter":
            return _code_call(call_id, arguments, shown if isinstance(shown, CodeShown) else CodeShown())
        case "file_search":
            return _search_call(call_id, shown if isinstance(shown, SearchShown) else None)
        case "function":
            function: FunctionCall = {"name": name, "arguments": arguments, "output": output}
            return {"id": call_id, "type": "function", "function": function}
        case _:
            assert_never(type_)


def _code_call(call_id: str, arguments: str, shown: CodeShown) -> CodeCallObject:
    rendered: CodeCallObject = {
        "id": call_id,
        "type": "code_interpreter",
        "code_interpreter": {
            "input": read_code(arguments),
            "outputs": [code_output(output) for output in shown.outputs],
        },
    }
    if shown.wall_ms:
        rendered["agentrt"] = {
            "wall_ms": round(shown.wall_ms, 1),
            "cpu_ms": round(shown.cpu_ms, 1),
            "max_rss_bytes": shown.max_rss_bytes,
        }
    return rendered


def code_output(output: CodeOutput) -> CodeLogs | CodeImage:
    if isinstance(output, Logs):
        return {"type": "logs", "logs": output.text}
    return {"type": "image", "image": {"file_id": output.file_id}}


def _search_call(call_id: str, shown: SearchShown | None) -> SearchCallObject:
    if shown is None:  # it has not returned, or found no way to search
        return {"id": call_id, "type": "file_search", "file_search": {}}
    ranking: SearchRanking = {"ranker": "default_2024_08_21", "score_threshold": shown.score_threshold}
    results: list[SearchResult] = [
        {"file_id": hit.file_id, "file_name": hit.file_name, "score": hit.score} for hit in shown.hits
    ]
    return {"id": call_id, "type": "file_search", "file_search": {"ranking_options": ranking, "results": results}}
