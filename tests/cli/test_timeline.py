"""From a run's events to what took how long, and how that looks on terminals of all widths and on none."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.cli.cells import cells
from agentrt.cli.screen import Screen
from agentrt.cli.timeline import Asked, CallerWait, End, FunctionCall, ModelCall, Part, TakeOver, Timeline
from agentrt.cli.timeline_json import timeline_json
from agentrt.cli.timeline_maker import make_timeline
from agentrt.cli.timeline_view import dollars, part_line, summary_lines, timeline_lines
from agentrt.cli.waterfall import Axis
from agentrt.engine import events as ev
from agentrt.engine.message import ToolCall, Usage
from tests.cli.run_logs import BEGAN, LOOKUP, SEARCH, WEATHER, Log, a_whole_day
from tests.cli.terminals import Terminal

_NOW = BEGAN + 100_000


def told(timeline: Timeline, *, now: float = _NOW) -> list[tuple[str, float, float]]:
    """Each part's kind, when it began and how long it took, in seconds."""
    return [(type(part).__name__, round(part.begin - BEGAN, 2), round(part.seconds(now), 2)) for part in timeline.parts]


def only(timeline: Timeline, kind: type[Part]) -> Any:
    (found,) = (part for part in timeline.parts if isinstance(part, kind))
    return found


def shown(timeline: Timeline, columns: int, *, now: float = _NOW, is_verbose: bool = False) -> list[str]:
    screen = Terminal(columns=columns, rows=60).screen()
    return timeline_lines(screen, timeline, now=now, is_verbose=is_verbose)


# What it tells -----------------------------------------------------------------------------------------------------


def test_every_part_of_a_run_has_its_time() -> None:
    assert told(a_whole_day().timeline) == [
        ("Queued", 0.0, 0.01),
        ("ModelCall", 0.01, 1.19),
        ("FunctionCall", 1.2, 0.01),
        ("FunctionCall", 1.2, 0.8),
        ("ModelCall", 2.0, 1.0),
        ("CallerWait", 3.0, 90_000.0),
        ("Queued", 90_003.0, 0.1),
        ("ModelCall", 90_003.1, 0.4),
        ("TakeOver", 90_003.5, 8.5),
        ("ModelCall", 90_012.0, 2.0),
        ("End", 90_014.0, 0.0),
    ]


def test_a_timeline_says_what_the_run_came_to() -> None:
    timeline = a_whole_day().timeline
    assert timeline.seconds(_NOW) == 90_014.0
    assert timeline.usage == Usage(1400, 160, 200)
    assert timeline.cost_usd == pytest.approx((1200 * 1.0 + 200 * 0.5 + 160 * 4.0) / 1e6)
    assert round(timeline.seconds_of(ModelCall, _NOW), 2) == 4.59
    assert round(timeline.seconds_of(FunctionCall, _NOW), 2) == 0.8, "side by side counts once"
    assert timeline.end is not None
    assert timeline.end.status == "completed"


def test_model_calls_know_their_first_piece_their_tokens_and_what_they_asked_for() -> None:
    first, second, lost, last = (p for p in a_whole_day().timeline.parts if isinstance(p, ModelCall))
    assert (first.first_at, first.calls, first.usage) == (BEGAN + 0.4, (WEATHER, SEARCH), Usage(100, 20))
    assert second.calls == (LOOKUP,)
    assert (lost.is_lost, lost.usage) == (True, None)
    assert (last.is_lost, last.finish) == (False, "stop")


def test_a_planned_change_of_drivers_is_no_take_over() -> None:
    log = Log()
    log.start(0.1)
    step_id = log.answer(0.5, 1.0, LOOKUP)
    log.ask_caller(1.0, LOOKUP)
    log.hear_caller(5.0, step_id, LOOKUP)
    log.start(6.0)
    log.answer(6.5, 7.0)
    log.take()  # as the sweep does when the time is over
    log.tell(ev.DeadlinePassed(at=BEGAN + 9.0), ev.RunExpired(at=BEGAN + 9.0))
    assert not any(isinstance(part, TakeOver) for part in log.timeline.parts)
    assert only(log.timeline, Asked).what == "deadline"
    assert only(log.timeline, End).status == "expired"


def test_a_take_over_between_two_pieces_of_an_answer_that_left_no_trace_is_seen_by_its_epoch() -> None:
    log = Log()
    log.start(0.1)
    log.take()
    log.answer(20.0, 21.0)
    log.tell(ev.RunCompleted(at=BEGAN + 21.0))
    assert told(log.timeline) == [
        ("Queued", 0.0, 0.1),
        ("ModelCall", 0.1, 0.0),
        ("TakeOver", 0.1, 19.9),
        ("ModelCall", 20.0, 1.0),
        ("End", 21.0, 0.0),
    ]
    assert only(log.timeline, TakeOver).epoch == 2


def test_a_function_that_was_begun_again_after_a_crash_is_one_part_with_two_tries() -> None:
    log = Log()
    log.start(0.1)
    log.answer(0.5, 1.0, WEATHER)
    log.call(WEATHER, 1.0)
    log.take()
    log.call(WEATHER, 16.0)
    log.give(WEATHER, 17.0, "4 °C", ms=900)
    part = only(log.timeline, FunctionCall)
    assert (part.n_tries, part.seconds(_NOW), part.error) == (2, 16.0, None)
    assert any("2 tries" in line for line in shown(log.timeline, 120))


def test_what_runs_when_a_run_ends_is_cut_off() -> None:
    log = Log()
    log.start(0.1)
    log.answer(0.5, 1.0, WEATHER)
    log.call(WEATHER, 1.0)
    log.tell(ev.CancelRequested(at=BEGAN + 3.0), ev.RunCancelled(at=BEGAN + 3.0))
    part = only(log.timeline, FunctionCall)
    assert (part.is_cut, part.seconds(_NOW)) == (True, 2.0)
    lines = shown(log.timeline, 120)
    assert any(line.endswith("cut off") and "✗ get_weather" in line for line in lines)
    assert any("cancel asked for" in line for line in lines)
    assert "■ cancelled" in lines[-1]


def test_a_model_call_that_was_not_made_because_of_a_limit_is_not_told() -> None:
    log = Log()
    log.start(0.1)
    step_id = log.answer(0.5, 1.0, WEATHER)
    log.call(WEATHER, 1.0)
    log.give(WEATHER, 2.0)
    log.close_step(step_id, 2.0)
    log.tell(ev.RunIncomplete(limit="max_steps", message="Stopped after 1 model calls.", at=BEGAN + 2.0))
    assert [kind for kind, *_ in told(log.timeline)] == ["Queued", "ModelCall", "FunctionCall", "End"]
    assert shown(log.timeline, 100)[-1].strip() == "max_steps: Stopped after 1 model calls."


def test_words_beside_calls_are_no_model_call_of_their_own() -> None:
    log = Log()
    log.start(0.1)
    step_id = log.open_step(0.5, is_tool=True)
    log.tell(
        ev.TurnFinished(
            finish="tool_calls",
            calls=(WEATHER,),
            usage=Usage(1, 1),
            late_step_id="step_late",
            late_message_id="msg_late",
            at=BEGAN + 1.0,
        )
    )
    log.call(WEATHER, 1.0)
    log.give(WEATHER, 2.0)
    log.close_step(step_id, 2.0)
    log.tell(
        ev.StepCreated(step_id="step_late", type="message_creation", message_id="msg_late", at=BEGAN + 2.0),
        ev.StepCompleted(step_id="step_late", usage=Usage(), at=BEGAN + 2.0),
    )
    log.answer(4.0, 5.0)
    models = [part for part in log.timeline.parts if isinstance(part, ModelCall)]
    assert [round((model.first_at or 0) - model.begin, 2) for model in models] == [0.4, 2.0]
    assert [round(model.seconds(_NOW), 2) for model in models] == [0.9, 3.0]


def test_a_run_that_goes_on_has_open_parts() -> None:
    log = Log()
    assert told(log.timeline, now=BEGAN + 5) == [("Queued", 0.0, 5.0)]
    log.start(6.0)
    assert told(log.timeline, now=BEGAN + 8) == [("Queued", 0.0, 6.0), ("ModelCall", 6.0, 2.0)]
    assert log.timeline.end is None
    log.answer(8.0, 9.0, LOOKUP)
    log.ask_caller(9.0, LOOKUP)
    assert told(log.timeline, now=BEGAN + 20)[-1] == ("CallerWait", 9.0, 11.0)
    assert only(log.timeline, CallerWait).end is None
    assert any("waits for lookup_order" in line for line in shown(log.timeline, 100))


def test_a_failure_says_why_in_full_however_narrow_the_terminal_is() -> None:
    log = Log()
    log.start(0.1)
    why = "Cannot reach the model server http://127.0.0.1:9/v1/chat/completions: it refused the connection. " * 3
    log.tell(ev.TurnFailed(code="server_error", message=why, at=BEGAN + 2.0))
    log.tell(ev.RunFailed(code="server_error", message=why, at=BEGAN + 2.0))
    for columns in (60, 80, 120):
        lines = shown(log.timeline, columns)
        place = next(i for i, line in enumerate(lines) if "✗ failed" in line)
        assert " ".join(" ".join(lines[place + 1 :]).split()) == why.strip()


def test_a_log_without_its_beginning_is_no_timeline() -> None:
    assert make_timeline(()) is None
    assert make_timeline(a_whole_day().events[2:]) is None


# How it looks ------------------------------------------------------------------------------------------------------


def test_a_timeline_on_eighty_columns() -> None:
    assert shown(a_whole_day().timeline, 80, is_verbose=True) == [
        "     0 ms  queued                            10 ms  ┄",
        "    10 ms  model                             1.2 s  ░██▉",
        "             first word 0.4 s · 100 + 20 tokens",
        '    1.2 s  → get_weather(city="Oslo")         4 ms     ▉',
        "             4 °C",
        '    1.2 s  → search(query="a question th…    0.8 s     ███▌',
        "             3 hits",
        "    2.0 s  model                             1.0 s        ░░█▉",
        "             first word 0.5 s · 100 + 20 tokens",
        "    3.0 s  waited for lookup_order         1 d 1 h           ┄┄≈┄┄",
        "   + 0 ms  queued                            0.1 s                ┄",
        "  + 0.1 s  model, lost                       0.4 s                ░▉",
        "  + 0.5 s  ⇄ taken over, epoch 4             8.5 s                 ┄┄≈┄┄",
        "  + 9.0 s  model                             2.0 s                      ░░█████",
        "             first word 0.4 s · 1,200 + 120 tokens",
        "   + 11 s  ✓ completed",
    ]


def test_on_a_wide_terminal_notes_stand_beside_the_bars() -> None:
    lines = shown(a_whole_day().timeline, 120)
    assert len(lines) == 11, "one for each part"
    assert " ".join(lines[1].split()) == "10 ms model 1.2 s ░███ first word 0.4 s · 100 + 20 tokens"
    assert lines[1].index("first") == lines[9].index("first") == 82
    assert lines[5] == "    3.0 s  waited for lookup_order         1 d 1 h            ┄┄≈┄┄"


def test_without_a_terminal_there_are_no_bars_and_nothing_is_cut() -> None:
    lines = timeline_lines(Screen(io.StringIO()), a_whole_day().timeline, now=_NOW)
    assert not re.search("[░█┄≈▉-▏]", "".join(lines))
    assert any(line.endswith("1.2 s  first word 0.4 s · 100 + 20 tokens") for line in lines)
    assert any(SEARCH.arguments[11:50] in line for line in lines)


@pytest.mark.parametrize("columns", [*range(46, 130, 7), 200, 400])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    log = a_whole_day()
    terminal = Terminal(columns=columns, rows=60)
    for line in shown(log.timeline, columns, is_verbose=True):
        terminal.write(f"{line}\n")  # it refuses what is too wide
    for line in summary_lines(terminal.screen(), log.timeline, now=_NOW):
        terminal.write(f"{line}\n")


def test_the_summary_says_what_it_came_to_and_goes_on_below_when_it_must() -> None:
    timeline = a_whole_day().timeline
    said = [
        "  1 d 1 h · 4 model calls 4.6 s · 2 functions 0.8 s",
        "waited for its caller 1 d 1 h · taken over · 1,400 + 160 tokens · $0.0019",
    ]
    assert summary_lines(Terminal(columns=200).screen(), timeline, now=_NOW) == [" · ".join(said)]
    assert summary_lines(Terminal(columns=80).screen(), timeline, now=_NOW) == [said[0], f"  {said[1]}"]


def test_what_models_and_tools_say_cannot_give_the_terminal_orders() -> None:
    log = Log()
    log.start(0.1)
    log.answer(0.5, 1.0, call := ToolCall("call_9", "f", '{"a": "\\u001b[2J"}'))
    log.call(call, 1.0)
    log.give(call, 2.0, "\x1b[31mred\x07", error="failed")
    log.tell(ev.RunFailed(code="server_error", message="\x1b]0;title\x07", at=BEGAN + 3.0))
    assert not re.search(r"[\x00-\x09\x0b-\x1f]", "".join(shown(log.timeline, 100)))


def test_words_that_are_just_being_said_stand_with_their_model_call() -> None:
    log = Log()
    log.start(0.1)
    log.open_step(0.5)
    screen = Terminal(columns=80).screen()
    lines = timeline_lines(screen, log.timeline, now=BEGAN + 2, saying="…of the town there")
    assert lines[-1].strip() == "…of the town there"
    log.tell(ev.RunFailed(code="server_error", message="x", at=BEGAN + 3.0))
    assert "town" not in "".join(timeline_lines(screen, log.timeline, now=BEGAN + 4, saying="…of the town there"))


def test_one_part_alone_is_one_line() -> None:
    log = Log()
    log.start(0.1)
    log.answer(0.5, 1.0)
    timeline = log.timeline
    line = part_line(Screen(io.StringIO()), timeline.parts[1], timeline, now=_NOW)
    assert line == "     0.1 s  model  0.9 s  first word 0.4 s · 100 + 20 tokens"


def test_programs_get_every_part_with_seconds_since_the_creation() -> None:
    document = json.loads(json.dumps(timeline_json(a_whole_day().timeline, now=_NOW)))
    assert document["seconds"] == 90_014.0
    assert document["usage"]["prompt_tokens"] == 1400
    parts = document["parts"]
    assert [part["kind"] for part in parts[:4]] == ["queued", "model_call", "function_call", "function_call"]
    assert parts[1] == {
        "kind": "model_call",
        "begin_s": 0.01,
        "seconds": 1.19,
        "is_over": True,
        "finish": "tool_calls",
        "usage": {"prompt_tokens": 100, "completion_tokens": 20, "cached_tokens": 0, "reasoning_tokens": 0},
        "is_estimated": False,
        "calls": [
            {"id": WEATHER.id, "name": WEATHER.name, "arguments": WEATHER.arguments},
            {"id": SEARCH.id, "name": SEARCH.name, "arguments": SEARCH.arguments},
        ],
        "error": "",
        "is_lost": False,
        "is_cut": False,
        "first_piece_s": 0.39,
    }
    assert (parts[2]["call"]["name"], parts[2]["took_s"], parts[2]["output"]) == ("get_weather", 0.0035, "4 °C")
    assert parts[-1]["status"] == "completed"


def test_money_is_shown_with_two_digits_that_say_something() -> None:
    assert [dollars(usd) for usd in (0, 12.3456, 1234.5, 0.25, 0.0314159, 0.000507, 0.00000042)] == [
        "$0.00", "$12.35", "$1,234.50", "$0.25", "$0.031", "$0.00051", "$0.00000042",
    ]  # fmt: skip


_MOMENTS = st.floats(0, 1e6, allow_nan=False)


@given(st.lists(st.tuples(_MOMENTS, _MOMENTS), max_size=6), _MOMENTS, st.integers(8, 60), st.data())
def test_bars_stay_on_their_axis_and_stand_in_order(
    idle: list[tuple[float, float]], end: float, width: int, data: st.DataObject
) -> None:
    axis = Axis(0.0, end, width=width, idle=idle)
    a, b, c = sorted(data.draw(st.floats(0, max(end, 0.0))) for _ in range(3))
    for bar in (axis.bar(a, c, first_at=b), axis.bar(a, b), axis.idle_bar(a, c), axis.tick(c, "▲")):
        assert 1 <= cells(bar.strip()) <= cells(bar) <= width
    assert _start(axis.bar(a, b)) <= _start(axis.bar(b, c)) <= _start(axis.tick(c, "▲"))


def _start(bar: str) -> int:
    return len(bar) - len(bar.lstrip())
