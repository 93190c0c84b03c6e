"""Calls of hosted tools, and the images and annotations that come of them: streamed, joined as SDKs join, stored."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import msgspec
import pytest
from openai.lib.streaming._deltas import accumulate_delta

from agentrt.engine import events as ev
from agentrt.engine.fold import fold
from agentrt.engine.message import (
    Annotation,
    CodeShown,
    FileCitation,
    FilePath,
    Image,
    ImageFilePart,
    Logs,
    MadeFile,
    SearchCandidate,
    SearchHit,
    SearchShown,
    TextPart,
    ToolCall,
    ToolResult,
    Usage,
)
from agentrt.engine.spec import CodeInterpreterTool, FileSearchTool, FunctionTool, RunSpec, ToolSpec
from agentrt.runtime.projection import calls_json
from agentrt.server.render.assistants_stream import StreamRenderer
from agentrt.server.render.run_steps import render_step
from agentrt.store.run_steps import RunStep
from tests.server.render.test_assistants_stream import rendered

HOSTED: tuple[ToolSpec, ...] = (CodeInterpreterTool(), FileSearchTool(), FunctionTool("there"))
CODE = 'print("Ähm", "\\n")'
CODE_ARGUMENTS = json.dumps({"code": CODE})
SHOWN = CodeShown(
    outputs=(Logs("one\ntwo\n"), Image("file-1"), Logs("three")),
    files=(MadeFile("out.csv", "file-2"),),
    wall_ms=12.34,
    cpu_ms=9.87,
    max_rss_bytes=30_000_000,
)
ANNOTATIONS: tuple[Annotation, ...] = (
    FileCitation("【4:0†source】", 6, 18, "file-3"),
    FilePath("sandbox:/mnt/data/out.csv", 20, 45, "file-2"),
)


def opening(*tools: ToolSpec) -> list[ev.Event]:
    spec = RunSpec(id="run_1", thread_id="thread_1", assistant_id="asst_1", created_at=100, expires_at=700, model="m",
                   tools=tools)  # fmt: skip
    return [ev.RunCreated(spec=spec, at=100), ev.RunQueued(at=100), ev.RunStarted(at=101)]


def called(*calls: ToolCall, n_pieces: int = 3) -> list[ev.Event]:
    """A turn of calls, each written in pieces."""
    events: list[ev.Event] = [
        ev.StepCreated(step_id="step_1", type="tool_calls", at=102),
        ev.StepStarted(step_id="step_1", at=102),
    ]
    for index, call in enumerate(calls):
        events.append(ev.CallDelta(step_id="step_1", index=index, id=call.id, name=call.name))
        size = max(1, len(call.arguments) // n_pieces)
        for begin in range(0, len(call.arguments), size):
            piece = call.arguments[begin : begin + size]
            events.append(ev.CallDelta(step_id="step_1", index=index, arguments=piece))
    events.append(ev.TurnFinished(finish="tool_calls", calls=calls, usage=Usage(7, 3), at=103))
    events.extend(ev.CallStarted(call_id=call.id, at=103) for call in calls if call.name != "there")
    return events


def returned(*results: ToolResult) -> list[ev.Event]:
    """The results of the calls, and the end of their step."""
    events: list[ev.Event] = [
        ev.CallReturned(step_id="step_1", index=i, result=result, at=104) for i, result in enumerate(results)
    ]
    return [*events, ev.StepCompleted(step_id="step_1", usage=Usage(7, 3), at=104)]


def shows(shown: CodeShown, *, index: int = 0) -> list[ev.Event]:
    """Its outputs as they come, logs in two pieces."""
    events: list[ev.Event] = []
    for position, output in enumerate(shown.outputs):
        pieces = [Logs(output.text[:2]), Logs(output.text[2:])] if isinstance(output, Logs) else [output]
        events += [ev.CallOutput(step_id="step_1", index=index, position=position, output=piece) for piece in pieces]
    return events


CODE_RUN: list[ev.Event] = [
    *opening(*HOSTED),
    *called(ToolCall("call_1", "code_interpreter", CODE_ARGUMENTS)),
    *shows(SHOWN),
    *returned(ToolResult("call_1", "one\ntwo\nthree", shown=SHOWN)),
]
ANSWER: list[ev.Event] = [
    ev.StepCreated(step_id="step_2", type="message_creation", message_id="msg_1", at=105),
    ev.StepStarted(step_id="step_2", at=105),
    ev.MessageCreated(message_id="msg_1", step_id="step_2", at=105),
    ev.MessageStarted(message_id="msg_1", at=105),
    ev.ImageShown(message_id="msg_1", part=0, file_id="file-1"),
    ev.TextDelta(message_id="msg_1", text="Found ", part=1),
    ev.TextDelta(message_id="msg_1", text="【4:0†source】, sandbox:/mnt/data/out.csv", part=1),
    *(ev.Annotated(message_id="msg_1", part=1, index=i, annotation=a) for i, a in enumerate(ANNOTATIONS)),
    ev.TurnFinished(
        finish="stop",
        text="Found 【4:0†source】, sandbox:/mnt/data/out.csv",
        annotations=ANNOTATIONS,
        usage=Usage(8, 4),
        at=106,
    ),
    ev.MessageCompleted(
        message_id="msg_1",
        parts=(
            ImageFilePart("file-1"),
            TextPart("Found 【4:0†source】, sandbox:/mnt/data/out.csv", ANNOTATIONS),
        ),
        at=106,
    ),
    ev.StepCompleted(step_id="step_2", usage=Usage(8, 4), at=106),
    ev.RunCompleted(at=106),
]


def joined(shown: Iterable[tuple[str, Any]], kind: str) -> dict[str, Any]:
    """The object that the official SDK has at the end: what was created, and all deltas in it."""
    found: dict[Any, Any] = {}
    for name, data in shown:
        if name == f"{kind}.created":
            found = json.loads(json.dumps(data))
        elif name == f"{kind}.delta":
            accumulate_delta(found, json.loads(json.dumps(data["delta"])))
    return found


def without_index(calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Joined lists still carry the numbers that they were joined by."""
    bare = json.loads(json.dumps(calls))
    for item in [*bare, *(output for call in bare for output in call.get("code_interpreter", {}).get("outputs", []))]:
        del item["index"]
    return bare  # type: ignore[no-any-return]


def last(shown: Iterable[tuple[str, Any]], name: str) -> Any:
    return [data for found, data in shown if found == name][-1]


def test_the_pieces_of_a_code_call_join_to_the_finished_step() -> None:
    shown = rendered(CODE_RUN)

    finished = last(shown, "run.step.completed")["step_details"]["tool_calls"]
    assert finished == [
        {
            "id": "call_1",
            "type": "code_interpreter",
            "code_interpreter": {
                "input": CODE,
                "outputs": [
                    {"type": "logs", "logs": "one\ntwo\n"},
                    {"type": "image", "image": {"file_id": "file-1"}},
                    {"type": "logs", "logs": "three"},
                ],
            },
            "agentrt": {"wall_ms": 12.3, "cpu_ms": 9.9, "max_rss_bytes": 30_000_000},
        }
    ]
    costs = finished[0].pop("agentrt")
    assert costs
    assert without_index(joined(shown, "run.step")["step_details"]["tool_calls"]) == finished


def test_the_first_piece_of_a_code_call_is_as_the_contract_has_it() -> None:
    deltas = [data["delta"]["step_details"]["tool_calls"] for name, data in rendered(CODE_RUN) if "delta" in name]

    assert deltas[0] == [
        {"index": 0, "id": "call_1", "type": "code_interpreter", "code_interpreter": {"input": "", "outputs": []}}
    ]
    assert all("id" not in call for calls in deltas[1:] for call in calls)


def test_the_stored_step_is_the_streamed_one() -> None:
    run = fold(CODE_RUN[:-1])
    assert run.tool_step is not None
    row = RunStep(
        id="step_1",
        project="p",
        thread_id="thread_1",
        run_id="run_1",
        assistant_id="asst_1",
        pos=1,
        turn_pos=0,
        type="tool_calls",
        status="completed",
        created_at=102,
        completed_at=104,
        calls=json.loads(msgspec.json.encode(calls_json(run.tool_step))),
        usage={"prompt_tokens": 7, "completion_tokens": 3, "cached_tokens": 0, "reasoning_tokens": 0},
    )

    assert render_step(row) == last(rendered(CODE_RUN), "run.step.completed")


def test_images_and_annotations_join_to_the_finished_message() -> None:
    shown = rendered([*CODE_RUN, *ANSWER])

    finished = last(shown, "message.completed")["content"]
    assert [part["type"] for part in finished] == ["image_file", "text"]
    content = joined(shown, "message")["content"]
    for part in content:
        del part["index"]
    for annotation in content[1]["text"]["annotations"]:
        del annotation["index"]
    assert content == finished
    value = finished[1]["text"]["value"]
    for annotation in finished[1]["text"]["annotations"]:
        assert value[annotation["start_index"] : annotation["end_index"]] == annotation["text"]


def test_a_stream_may_begin_at_any_event() -> None:
    events = [*CODE_RUN, *ANSWER]
    whole = rendered(events)
    for i in range(1, len(events)):
        renderer = StreamRenderer()
        renderer.pass_over(events[:i])
        later = rendered(events[i:], renderer)
        assert later == whole[-len(later) :]


def test_calls_of_all_kinds_in_one_turn_keep_to_their_places() -> None:
    hits = (SearchHit(file_id="file-3", file_name="a.txt", score=0.5, text="found"),)
    calls = (
        ToolCall("call_1", "file_search", '{"queries": ["x"]}'),
        ToolCall("call_2", "code_interpreter", '{"code": "1"}'),
        ToolCall("call_3", "there", '{"a": 1}'),
    )
    events = [
        *opening(*HOSTED),
        *called(*calls),
        ev.CallReturned(
            step_id="step_1", index=0, result=ToolResult("call_1", "found", shown=SearchShown(hits=hits)), at=104
        ),
        *shows(CodeShown(outputs=(Logs("1"),)), index=1),
        ev.CallReturned(
            step_id="step_1", index=1, result=ToolResult("call_2", "1", shown=CodeShown(outputs=(Logs("1"),))), at=104
        ),
        ev.ActionRequired(call_ids=("call_3",), at=105),
        ev.OutputsSubmitted(results=(ToolResult("call_3", "mine"),), at=106),
        ev.StepCompleted(step_id="step_1", usage=Usage(7, 3), at=106),
    ]
    shown = rendered(events)

    pending = last(shown, "run.requires_action")["required_action"]["submit_tool_outputs"]["tool_calls"]
    assert [call["id"] for call in pending] == ["call_3"]
    search, code, function = last(shown, "run.step.completed")["step_details"]["tool_calls"]
    assert search["file_search"]["results"] == [{"file_id": "file-3", "file_name": "a.txt", "score": 0.5}]
    assert code["code_interpreter"] == {"input": "1", "outputs": [{"type": "logs", "logs": "1"}]}
    assert function["function"] == {"name": "there", "arguments": '{"a": 1}', "output": "mine"}
    streamed = joined(shown, "run.step")["step_details"]["tool_calls"]
    assert [call["type"] for call in streamed] == ["file_search", "code_interpreter", "function"]
    assert streamed[0]["file_search"] == {}


SEARCHED = SearchShown(
    hits=(SearchHit(file_id="file-3", file_name="a.txt", score=0.5, text="found", marker="【4:0†source】", page=2),),
    ranker="default_2024_08_21",
    score_threshold=0.25,
    queries=("x",),
    candidates=(
        SearchCandidate(
            file_id="file-3", file_name="a.txt", score=0.5, fate="kept", store_id="vs_1", chunk=1, page=2, start=5,
            end=9,
            keyword_score=3.5, fused_score=0.4, fused_rank=1, rank=1, words=("x",), marker="【4:0†source】",
        ),
        SearchCandidate(file_id="file-4", file_name="b.txt", score=0.1, fate="below_threshold", rank=2),
    ),
    n_candidates=7,
    n_tokens=30,
    budget_tokens=4_000,
)  # fmt: skip


@pytest.mark.parametrize("with_content", [False, True])
def test_a_search_shows_its_results_with_their_text_where_it_was_asked_for(with_content: bool) -> None:
    events = [
        *opening(*HOSTED),
        *called(ToolCall("call_1", "file_search", '{"queries": ["x"]}')),
        *returned(ToolResult("call_1", "found", shown=SEARCHED)),
    ]
    shown = rendered(events, StreamRenderer(with_content=with_content))
    (call,) = last(shown, "run.step.completed")["step_details"]["tool_calls"]

    result = {"file_id": "file-3", "file_name": "a.txt", "score": 0.5}
    if with_content:
        result["content"] = [{"type": "text", "text": "found"}]
    ranking = {"ranker": "default_2024_08_21", "score_threshold": 0.25}
    assert call["file_search"] == {"ranking_options": ranking, "results": [result]}
    account = call["agentrt"]
    kept, dropped = account.pop("candidates")
    assert account == {
        "queries": ["x"], "tokens": 30, "budget_tokens": 4_000, "total_candidates": 7,
        "vector_model": None, "why_no_vectors": None, "rerank_model": None, "why_not_reranked": None,
    }  # fmt: skip
    assert kept == {
        "vector_store_id": "vs_1", "file_id": "file-3", "filename": "a.txt", "chunk_index": 1, "page": 2,
        "start_index": 5, "end_index": 9, "keyword_score": 3.5, "vector_score": None, "fused_score": 0.4,
        "fused_rank": 1, "rerank_score": None, "score": 0.5, "rank": 1, "matched_terms": ["x"], "outcome": "kept",
        "marker": "【4:0†source】",
    }  # fmt: skip
    assert (dropped["outcome"], dropped["page"], dropped["marker"]) == ("below_threshold", None, None)
    # What is stored is shown alike.
    run = fold(event for event in events[:-1])
    assert run.tool_step is not None
    step = RunStep(
        id="step_1", project="default", thread_id="thread_1", run_id="run_1", assistant_id="asst_1", pos=1, turn_pos=1,
        type="tool_calls", created_at=102, calls=calls_json(run.tool_step),
    )  # fmt: skip
    details: Any = render_step(step, with_content=with_content)["step_details"]
    (stored,) = details["tool_calls"]
    assert stored["file_search"] == call["file_search"]


@pytest.mark.parametrize("arguments", ["print(1)\nprint(2)", '{"code": "print(1)\nprint(2)"}'])
def test_plain_code_as_arguments_is_shown_as_the_code_that_it_is(arguments: str) -> None:
    events = [
        *opening(*HOSTED),
        *called(ToolCall("call_1", "code_interpreter", arguments)),
        *returned(ToolResult("call_1", "1\n2", shown=CodeShown(outputs=(Logs("1\n2"),)))),
    ]
    shown = rendered(events)

    assert (
        joined(shown, "run.step")["step_details"]["tool_calls"][0]["code_interpreter"]["input"] == "print(1)\nprint(2)"
    )
    finished = last(shown, "run.step.completed")["step_details"]["tool_calls"][0]
    assert finished["code_interpreter"]["input"] == "print(1)\nprint(2)"


def test_a_callers_function_of_that_name_is_a_function() -> None:
    events = [
        *opening(CodeInterpreterTool(), FunctionTool("code_interpreter")),
        *called(ToolCall("call_1", "code_interpreter", CODE_ARGUMENTS))[:-1],  # nobody here has begun it
        ev.ActionRequired(call_ids=("call_1",), at=104),
    ]
    shown = rendered(events)

    assert shown[-1][0] == "run.requires_action"
    assert joined(shown, "run.step")["step_details"]["tool_calls"][0]["function"]["name"] == "code_interpreter"


def test_a_call_that_was_cut_off_shows_what_it_had_shown() -> None:
    events = [
        *CODE_RUN[: -len(returned(ToolResult("call_1", ""))) - 2],
        ev.CancelRequested(at=104),
        ev.StepCancelled(step_id="step_1", usage=Usage(7, 3), at=104),
        ev.RunCancelled(at=104),
    ]
    shown = rendered(events)
    step = last(shown, "run.step.cancelled")

    (call,) = step["step_details"]["tool_calls"]
    assert call["code_interpreter"] == {
        "input": CODE,
        "outputs": [
            {"type": "logs", "logs": "one\ntwo\n"},
            {"type": "image", "image": {"file_id": "file-1"}},
        ],
    }
    (told,) = joined(shown, "run.step")["step_details"]["tool_calls"]
    assert [output["type"] for output in told["code_interpreter"]["outputs"]] == ["logs", "image"]
