"""Run steps and the calls in them → the objects of the Assistants API."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, TypeAlias, assert_never, cast

import msgspec

from agentrt.engine.code_input import read_code
from agentrt.engine.events import StepType
from agentrt.engine.message import (
    CodeOutput,
    CodeShown,
    JsonObject,
    Logs,
    SearchCandidate,
    SearchHit,
    SearchShown,
    ToolCall,
    Usage,
)
from agentrt.engine.run import Call
from agentrt.engine.spec import ToolName
from agentrt.server.render.assistants import render_usage
from agentrt.store.run_steps import RunStep
from agentrt.wire.run_steps import (
    CodeCallObject,
    CodeImage,
    CodeLogs,
    FunctionCall,
    ReadCandidate,
    RunStepObject,
    SearchCallObject,
    SearchRanking,
    SearchResult,
    StepDetails,
    StepError,
    ToolCallObject,
)

Ranker: TypeAlias = Literal["auto", "default_2024_08_21"]
StepStatus: TypeAlias = Literal["in_progress", "cancelled", "failed", "completed", "expired"]


def render_step(step: RunStep, *, with_content: bool = False) -> RunStepObject:
    """with_content: with the texts that searches found."""
    return {
        "id": step.id,
        "object": "thread.run.step",
        "created_at": step.created_at,
        "assistant_id": step.assistant_id,
        "thread_id": step.thread_id,
        "run_id": step.run_id,
        "type": cast("StepType", step.type),
        "status": cast("StepStatus", step.status),
        "step_details": _stored_details(step, with_content),
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


def tool_step_details(calls: Iterable[Call], *, with_content: bool = False) -> StepDetails:
    return {"type": "tool_calls", "tool_calls": [_call(call, with_content) for call in calls]}


def _call(call: Call, with_content: bool) -> ToolCallObject:
    output = None if call.result is None else call.result.output
    return _tool_call(call.type, call.call, output, call.shown, with_content)


def _stored_details(step: RunStep, with_content: bool) -> StepDetails:
    if step.type != "tool_calls":
        return message_step_details(step.message_id or "")
    return {"type": "tool_calls", "tool_calls": [_stored_call(call, with_content) for call in step.calls]}


def _stored_call(row: JsonObject, with_content: bool) -> ToolCallObject:
    output, shown = row["output"], row.get("shown")
    return _tool_call(
        cast("ToolName", row.get("type", "function")),
        ToolCall(str(row["id"]), str(row["name"]), str(row["arguments"])),
        None if output is None else str(output),
        None if shown is None else msgspec.convert(shown, CodeShown | SearchShown),
        with_content,
    )


def _tool_call(
    type_: ToolName, call: ToolCall, output: str | None, shown: CodeShown | SearchShown | None, with_content: bool
) -> ToolCallObject:
    match type_:
        case "code_interpreter":
            return _code_call(call.id, call.arguments, shown if isinstance(shown, CodeShown) else CodeShown())
        case "file_search":
            found = shown if isinstance(shown, SearchShown) else None
            return _search_call(call.id, found, with_content=with_content)
        case "function":
            function: FunctionCall = {"name": call.name, "arguments": call.arguments, "output": output}
            return {"id": call.id, "type": "function", "function": function}
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


def _search_call(call_id: str, shown: SearchShown | None, *, with_content: bool) -> SearchCallObject:
    if shown is None:  # it has not returned, or was not understood
        return {"id": call_id, "type": "file_search", "file_search": {}}
    ranking: SearchRanking = {"ranker": cast("Ranker", shown.ranker), "score_threshold": shown.score_threshold}
    results = [_search_result(hit, with_content=with_content) for hit in shown.hits]
    return {
        "id": call_id,
        "type": "file_search",
        "file_search": {"ranking_options": ranking, "results": results},
        "agentrt": {
            "queries": [*shown.queries],
            "tokens": shown.n_tokens,
            "budget_tokens": shown.budget_tokens,
            "vector_model": shown.vector_model,
            "why_no_vectors": shown.why_no_vectors,
            "rerank_model": shown.rerank_model,
            "why_not_reranked": shown.why_not_reranked,
            "total_candidates": shown.n_candidates,
            "candidates": [_candidate(candidate) for candidate in shown.candidates],
        },
    }


def _search_result(hit: SearchHit, *, with_content: bool) -> SearchResult:
    result: SearchResult = {"file_id": hit.file_id, "file_name": hit.file_name, "score": hit.score}
    if with_content:
        result["content"] = [{"type": "text", "text": hit.text}]
    return result


def _candidate(candidate: SearchCandidate) -> ReadCandidate:
    return {
        "vector_store_id": candidate.store_id,
        "file_id": candidate.file_id,
        "filename": candidate.file_name,
        "chunk_index": candidate.chunk,
        "page": candidate.page or None,
        "start_index": candidate.start,
        "end_index": candidate.end,
        "keyword_score": candidate.keyword_score,
        "vector_score": candidate.vector_score,
        "fused_score": candidate.fused_score,
        "fused_rank": candidate.fused_rank,
        "rerank_score": candidate.rerank_score,
        "score": candidate.score,
        "rank": candidate.rank,
        "matched_terms": [*candidate.words],
        "outcome": candidate.fate,
        "marker": candidate.marker or None,
    }
