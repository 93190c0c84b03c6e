"""The renderer on hand-made logs: what no quick run over HTTP shows."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest

from agentrt.engine import events as ev
from agentrt.engine.message import RefusalPart, TextPart, ToolCall, ToolResult, Usage
from agentrt.engine.spec import FunctionTool, RunSpec, ThreadInfo
from agentrt.errors import ForbiddenTransitionError
from agentrt.server.render.assistants_stream import StreamRenderer
from tests.compat.contract import DOCUMENT, validate_event

SPEC = RunSpec(
    id="run_1",
    thread_id="thread_1",
    assistant_id="asst_1",
    created_at=100,
    expires_at=700,
    model="m",
    tools=(FunctionTool("here"), FunctionTool("there")),
    server_tools=("here",),
    metadata={"k": "v"},
)
OPENING: list[ev.Event] = [ev.RunCreated(spec=SPEC, at=100.5), ev.RunQueued(at=100.5), ev.RunStarted(at=101.2)]
MESSAGE: list[ev.Event] = [
    ev.StepCreated(step_id="step_1", type="message_creation", message_id="msg_1", at=102.9),
    ev.StepStarted(step_id="step_1", at=102.9),
    ev.MessageCreated(message_id="msg_1", step_id="step_1", at=102.9),
    ev.MessageStarted(message_id="msg_1", at=102.9),
]
CALLS = (ToolCall("call_1", "here", "{}"), ToolCall("call_2", "there", '{"a":1}'))
TOOLS: list[ev.Event] = [
    ev.StepCreated(step_id="step_2", type="tool_calls", at=103),
    ev.StepStarted(step_id="step_2", at=103),
    ev.CallDelta(step_id="step_2", index=0, id="call_1", name="here", arguments=""),
    ev.CallDelta(step_id="step_2", index=0, arguments="{}"),
    ev.CallDelta(step_id="step_2", index=1, id="call_2", name="there", arguments='{"a"'),
    ev.CallDelta(step_id="step_2", index=1, arguments=":1}"),
    ev.TurnFinished(finish="tool_calls", calls=CALLS, usage=Usage(7, 3), at=104),
]


def rendered(events: Iterable[ev.Event], renderer: StreamRenderer | None = None) -> list[tuple[str, Any]]:
    """(name without its prefix, data) of what shows, each held against the contract."""
    renderer = renderer or StreamRenderer()
    found = []
    for event in events:
        if (shown := renderer.render(event)) is not None:
            data = json.loads(shown.data)
            if DOCUMENT.is_file():
                validate_event(shown.name, data, closed=True)
            found.append((shown.name.removeprefix("thread."), data))
    return found


def test_a_mixed_turn_shows_the_servers_results_and_asks_for_the_others() -> None:
    events = [
        *OPENING,
        *TOOLS,
        ev.CallStarted(call_id="call_1", at=104),
        ev.CallReturned(step_id="step_2", index=0, result=ToolResult("call_1", "done"), at=105),
        ev.ActionRequired(call_ids=("call_2",), at=105),
    ]
    shown = rendered(events)
    assert [name for name, _ in shown[3:]] == [
        "run.step.created",
        "run.step.in_progress",
        *["run.step.delta"] * 5,
        "run.requires_action",
    ]
    assert [data["delta"]["step_details"]["tool_calls"][0] for name, data in shown if name == "run.step.delta"] == [
        {"index": 0, "id": "call_1", "type": "function", "function": {"name": "here", "arguments": "", "output": None}},
        {"index": 0, "type": "function", "function": {"arguments": "{}"}},
        {
            "index": 1,
            "id": "call_2",
            "type": "function",
            "function": {"name": "there", "arguments": '{"a"', "output": None},
        },
        {"index": 1, "type": "function", "function": {"arguments": ":1}"}},
        {"index": 0, "type": "function", "function": {"output": "done"}},
    ]
    run = shown[-1][1]
    assert [call["id"] for call in run["required_action"]["submit_tool_outputs"]["tool_calls"]] == ["call_2"]
    assert run["usage"] is None

    more = rendered(
        [
            *events,
            ev.OutputsSubmitted(results=(ToolResult("call_2", "fine"),), at=200),
            ev.StepCompleted(step_id="step_2", usage=Usage(7, 3), at=200),
            ev.RunQueued(at=200),
        ]
    )[len(shown) :]
    assert [name for name, _ in more] == ["run.step.completed", "run.queued"]
    step = more[0][1]
    assert [call["function"]["output"] for call in step["step_details"]["tool_calls"]] == ["done", "fine"]
    assert (step["usage"]["total_tokens"], step["completed_at"], step["created_at"]) == (10, 200, 103)


def test_a_refusal_is_a_part_of_its_own() -> None:
    shown = rendered(
        [
            *OPENING,
            *MESSAGE,
            ev.TextDelta(message_id="msg_1", text="Well, "),
            ev.TextDelta(message_id="msg_1", text="I ca", part=1, is_refusal=True),
            ev.TextDelta(message_id="msg_1", text="n't.", part=1, is_refusal=True),
            ev.TurnFinished(finish="stop", text="Well, ", refusal="I can't.", usage=Usage(1, 2), at=104),
            ev.MessageCompleted(message_id="msg_1", parts=(TextPart("Well, "), RefusalPart("I can't.")), at=104),
        ]
    )
    deltas = [data["delta"]["content"][0] for name, data in shown if name == "message.delta"]
    assert deltas == [
        {"index": 0, "type": "text", "text": {"value": "Well, ", "annotations": []}},
        {"index": 1, "type": "refusal", "refusal": "I ca"},
        {"index": 1, "type": "refusal", "refusal": "n't."},
    ]
    assert [part["type"] for part in shown[-1][1]["content"]] == ["text", "refusal"]


def test_an_attempt_that_a_crash_cut_off_is_closed_before_the_next() -> None:
    shown = rendered(
        [
            *OPENING,
            *MESSAGE,
            ev.TextDelta(message_id="msg_1", text="Hel"),
            ev.MessageIncomplete(
                message_id="msg_1", parts=(TextPart("Hel"),), reason="run_failed", is_discarded=True, at=110
            ),
            ev.StepFailed(step_id="step_1", code="server_error", message="It stopped.", at=110),
            ev.TurnLost(at=110),
        ]
    )
    assert [name for name, _ in shown[-2:]] == ["message.incomplete", "run.step.failed"]
    assert shown[-2][1]["incomplete_details"] == {"reason": "run_failed"}
    assert shown[-1][1]["last_error"] == {"code": "server_error", "message": "It stopped."}
    assert (shown[-1][1]["failed_at"], shown[-1][1]["status"]) == (110, "failed")


def test_an_expired_run_closes_what_was_open() -> None:
    shown = rendered(
        [
            *OPENING,
            *MESSAGE,
            ev.DeadlinePassed(at=700),
            ev.MessageIncomplete(message_id="msg_1", parts=(TextPart(""),), reason="run_expired", at=700),
            ev.StepExpired(step_id="step_1", at=700),
            ev.RunExpired(at=700),
        ]
    )
    assert [name for name, _ in shown[-3:]] == ["message.incomplete", "run.step.expired", "run.expired"]
    assert shown[-2][1]["expired_at"] == 700
    run = shown[-1][1]
    assert (run["status"], run["expires_at"], run["completed_at"]) == ("expired", None, None)


def test_times_are_whole_seconds() -> None:
    shown = rendered([*OPENING, *MESSAGE])
    assert (shown[2][1]["started_at"], shown[2][1]["created_at"]) == (101, 100)
    assert shown[3][1]["created_at"] == shown[5][1]["created_at"] == 102


def test_the_thread_comes_first_where_it_was_made_too() -> None:
    thread = ThreadInfo("thread_1", 99, {"a": "b"}, {"code_interpreter": {"file_ids": []}})
    shown = rendered([ev.ThreadCreated(thread=thread, at=99.5), *OPENING])
    assert shown[0] == (
        "created",
        {
            "id": "thread_1",
            "object": "thread",
            "created_at": 99,
            "metadata": {"a": "b"},
            "tool_resources": {"code_interpreter": {"file_ids": []}},
        },
    )


@pytest.mark.parametrize("text", ['"quotes"', "line\nbreak", "é 日本 👩‍💻", "\\u0041", "\u2028"])
def test_any_text_arrives_as_it_was(text: str) -> None:
    shown = rendered([*OPENING, *MESSAGE, ev.TextDelta(message_id="msg_1", text=text)])
    assert shown[-1][1]["delta"]["content"][0]["text"]["value"] == text


def test_data_never_breaks_its_line() -> None:
    renderer = StreamRenderer()
    renderer.pass_over([*OPENING, *MESSAGE])
    shown = renderer.render(ev.TextDelta(message_id="msg_1", text="a\r\nb\n\nc"))
    assert shown is not None
    assert not {b"\n", b"\r"} & {shown.data[i : i + 1] for i in range(len(shown.data))}


def test_a_stream_that_begins_in_the_middle_says_the_same_as_the_whole() -> None:
    events = [
        *OPENING,
        *MESSAGE,
        ev.TextDelta(message_id="msg_1", text="a"),
        ev.TextDelta(message_id="msg_1", text="b"),
        ev.MessageCompleted(message_id="msg_1", parts=(TextPart("ab"),), at=104),
        ev.StepCompleted(step_id="step_1", usage=Usage(), at=104),
        *TOOLS,
        ev.ActionRequired(call_ids=("call_2",), at=105),
    ]
    events.insert(-1, ev.CallReturned(step_id="step_2", index=0, result=ToolResult("call_1", "x"), at=105))
    for i in range(1, len(events)):
        renderer = StreamRenderer()
        renderer.pass_over(events[:i])
        later = rendered(events[i:], renderer)
        assert later == rendered(events)[-len(later) :]


def test_the_runs_present_metadata_wins_over_what_it_was_created_with() -> None:
    renderer = StreamRenderer(metadata={"new": "1"})
    assert all(data["metadata"] == {"new": "1"} for _, data in rendered(OPENING, renderer))
    assert all(data["metadata"] == {"k": "v"} for _, data in rendered(OPENING))


def test_a_log_without_its_beginning_is_a_bug() -> None:
    with pytest.raises(ForbiddenTransitionError):
        StreamRenderer().render(ev.RunQueued(at=1))
