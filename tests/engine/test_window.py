"""What a model is shown: the newest that fits, the question always, never a call without its output."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.engine.loop import INTERRUPTED
from agentrt.engine.message import (
    ImageUrlPart,
    Message,
    Role,
    TextPart,
    ToolCall,
    ToolResult,
    assistant,
    tool_answer,
    user,
)
from agentrt.engine.prompt import assemble, close_calls
from agentrt.engine.tokens import estimate_tokens, size_bytes
from agentrt.engine.window import ContextTooLongError, Window

COST = estimate_tokens(user("x" * 40))  # of every message below


def said(n: int) -> Message:
    return user(f"{n:02}".ljust(40, "x"))


def fill(window: Window, messages: list[Message]) -> list[str]:
    for message in reversed(messages):
        if not window.offer((message,)):
            break
    return [m.text[:2] for m in window.messages()]


def test_the_newest_that_fit_are_kept_oldest_first() -> None:
    assert fill(Window(budget_tokens=3 * COST), [said(n) for n in range(9)]) == ["06", "07", "08"]


def test_everything_is_kept_when_it_fits() -> None:
    assert fill(Window(budget_tokens=100 * COST), [said(n) for n in range(3)]) == ["00", "01", "02"]


def test_last_messages_counts_messages_of_the_thread_and_not_tool_steps() -> None:
    window = Window(budget_tokens=1000, last_messages=2)
    calls = (assistant("", ToolCall("c", "f", "{}")), tool_answer(ToolResult("c", "out")))
    assert window.offer((said(3),))
    assert window.offer(calls, counts=False)
    assert window.offer((said(2),))
    assert not window.offer((said(1),))
    assert [m.role for m in window.messages()] == ["user", "assistant", "tool", "user"]


def test_a_window_that_is_full_takes_nothing_smaller_either() -> None:
    window = Window(budget_tokens=2 * COST)
    assert window.offer((said(3),))
    assert not window.offer((user("y" * 400),))
    assert not window.offer((user("z"),))
    assert window.is_full


def test_a_question_that_does_not_fit_is_an_error_that_says_what_is_short() -> None:
    with pytest.raises(ContextTooLongError, match="model's context window leaves 5") as refused:
        fill(Window(budget_tokens=5), [said(1)])
    assert not refused.value.is_run_limit
    with pytest.raises(ContextTooLongError, match="max_prompt_tokens leaves 0"):
        fill(Window(budget_tokens=-3, is_run_limit=True), [said(1)])


def test_the_question_stays_and_the_middle_goes_when_the_runs_own_turns_are_long() -> None:
    def turn(n: int) -> list[Message]:
        return [assistant("", ToolCall(f"c{n}", "f", "{}")), tool_answer(ToolResult(f"c{n}", "o" * 40))]

    window = Window(budget_tokens=COST + 20)
    window.add_turns([*turn(1), *turn(2)])
    shown = fill(window, [said(1), said(2)])

    assert shown[0] == "02"
    kept = window.messages()
    assert [m.call_id for m in kept if m.role is Role.TOOL] == ["c2"]
    assert close_calls(kept) == list(kept)


def test_text_is_measured_in_bytes_and_images_by_their_detail() -> None:
    assert size_bytes("日本") == 6
    low = Message(Role.USER, (ImageUrlPart("https://x.example/a.png", "low"), TextPart("abcd")))
    assert estimate_tokens(low) == 4 + 85 + 1


def test_a_call_that_nobody_answered_is_closed() -> None:
    asked = assistant("", ToolCall("a", "f", "{}"), ToolCall("b", "f", "{}"))
    closed = close_calls([user("Go"), asked, tool_answer(ToolResult("b", "done")), user("And?")])

    assert [(m.call_id, m.text) for m in closed if m.role is Role.TOOL] == [("b", "done"), ("a", INTERRUPTED)]
    assert closed[-1].text == "And?"


def test_an_answer_to_a_call_that_was_cut_off_the_window_is_left_out() -> None:
    assert close_calls([tool_answer(ToolResult("gone", "x")), user("Hi")]) == [user("Hi")]


def test_a_text_and_the_calls_behind_it_are_one_message_as_the_model_wrote_them() -> None:
    closed = close_calls([assistant("Let me see."), assistant("", ToolCall("a", "f", "{}"))])
    assert closed[0] == assistant("Let me see.", ToolCall("a", "f", "{}"))


def test_instructions_stand_first() -> None:
    assert [m.role for m in assemble("Be brief.", [user("Hi")])] == ["system", "user"]
    assert [m.role for m in assemble("", [user("Hi")])] == ["user"]


_messages = st.lists(
    st.one_of(
        st.builds(user, st.text(max_size=5)),
        st.builds(lambda ids: assistant("", *(ToolCall(i, "f", "{}") for i in ids)), st.sets(st.sampled_from("abc"))),
        st.builds(lambda i: tool_answer(ToolResult(i, "x")), st.sampled_from("abcd")),
    ),
    max_size=12,
)


@given(_messages)
def test_whatever_the_history_every_call_has_exactly_one_answer_right_behind_it(messages: list[Message]) -> None:
    waiting: set[str] = set()
    for message in close_calls(messages):
        if message.role is Role.TOOL:
            assert message.call_id in waiting
            waiting.discard(message.call_id or "")
        else:
            assert not waiting
            waiting = {call.id for call in message.tool_calls}
    assert not waiting
