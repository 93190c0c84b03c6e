"""What a person sees while a run goes on, read from a small terminal that obeys what is written to it."""

from __future__ import annotations

import io

from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.cli.cells import cells, clip, harmless
from agentrt.cli.live import Region
from agentrt.cli.port import CallEnded, CallRow
from agentrt.cli.screen import Screen, duration, open_screens
from agentrt.cli.transcript import LiveTranscript, PlainTranscript, call_label
from agentrt.testing.clocks import FakeClock
from tests.cli.terminals import Terminal

_WEATHER = CallRow("call_1", "weather", '{"city": "Oslo"}')
_ANSWER = "# Weather\n\nIt is **cold** in Oslo.\n\n- take a coat\n- and gloves\n\n```python\nprint(4)\n```\n"


def transcript(terminal: Terminal, clock: FakeClock | None = None, *, is_verbose: bool = False) -> LiveTranscript:
    screen = terminal.screen()
    return LiveTranscript(screen, screen, clock=clock or FakeClock(), indent=2, is_verbose=is_verbose)


def show(text: str, *, size: int, ticks_every: int, rows: int = 12) -> Terminal:
    terminal = Terminal(rows=rows)
    live = transcript(terminal)
    for number, i in enumerate(range(0, len(text), size)):
        live.text(text[i : i + size])
        if number % ticks_every == 0:
            live.tick()
    live.message_end()
    live.rest()
    return terminal


def test_an_answer_is_shown_as_markdown() -> None:
    assert show(_ANSWER, size=4, ticks_every=1).shown().split("\n") == [
        "  Weather",
        "",
        "  It is cold in Oslo.",
        "",
        "   • take a coat",
        "   • and gloves",
        "",
        "  │ print(4)",
    ]


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.sampled_from([*_ANSWER.split("\n"), "word " * 20, "| a | b |", "|---|---|"]), max_size=20),
    st.integers(1, 9),
    st.integers(1, 5),
    st.integers(5, 30),
)
def test_what_stays_does_not_depend_on_how_it_came(lines: list[str], size: int, ticks_every: int, rows: int) -> None:
    text = "\n".join(lines)
    live = show(text, size=size, ticks_every=ticks_every, rows=rows)
    at_once = show(text, size=len(text) + 1, ticks_every=100)
    assert live.shown() == at_once.shown()


def test_the_open_block_is_seen_before_it_is_finished() -> None:
    terminal = Terminal()
    live = transcript(terminal)
    live.text("It is **co")
    live.tick()
    assert terminal.shown() == "  It is **co"
    live.text("ld** in Oslo")
    live.tick()
    assert terminal.shown() == "  It is cold in Oslo"


def test_a_long_answer_costs_its_length_and_not_its_square() -> None:
    def written(n_blocks: int) -> int:
        return show("A paragraph of some words.\n\n" * n_blocks, size=4, ticks_every=1).n_written

    assert written(60) < 2.5 * written(30)


def test_a_block_taller_than_the_terminal_shows_its_end_until_it_is_whole() -> None:
    terminal = Terminal(rows=6)
    live = transcript(terminal)
    live.text("".join(f"- item {n}\n" for n in range(20)))
    live.tick()
    assert terminal.shown().split("\n") == [f"   • item {n}" for n in (16, 17, 18, 19)]
    live.message_end()
    assert terminal.shown().split("\n") == [f"   • item {n}" for n in range(20)]


async def test_a_call_is_one_line_that_counts_while_it_runs() -> None:
    terminal, clock = Terminal(), FakeClock()
    live = transcript(terminal, clock)
    live.call_began(_WEATHER)
    await clock.advance(2)
    live.tick()
    assert terminal.shown() == '  → weather(city="Oslo")  2.0 s'
    live.call_ended(_WEATHER, CallEnded("call_1", "4 degrees", seconds=2.4))
    live.text("It is cold.")
    live.rest()
    assert terminal.shown() == '  → weather(city="Oslo")  2.4 s\n  It is cold.'


def test_a_failed_call_says_what_the_model_was_told() -> None:
    terminal = Terminal(columns=60)
    live = transcript(terminal)
    live.call_began(_WEATHER)
    live.call_ended(_WEATHER, CallEnded("call_1", "no such city", error="exception", seconds=0.01))
    assert terminal.shown() == '  ✗ weather(city="Oslo")  10 ms · exception\n    no such city'


def test_what_a_call_returned_is_for_those_who_ask() -> None:
    terminal = Terminal(columns=60)
    live = transcript(terminal, is_verbose=True)
    live.call_began(_WEATHER)
    live.call_ended(_WEATHER, CallEnded("call_1", "4 degrees", seconds=0.4))
    assert terminal.shown() == '  → weather(city="Oslo")  0.4 s\n    4 degrees'


async def test_a_silence_gets_a_sign_of_life() -> None:
    terminal, clock = Terminal(), FakeClock()
    live = transcript(terminal, clock)
    live.tick()
    assert terminal.shown() == ""
    await clock.advance(3)
    live.tick()
    assert terminal.shown() == "  … 3 s"
    live.text("Here.")
    live.rest()
    assert terminal.shown() == "  Here."


def test_an_answer_cannot_give_the_terminal_orders() -> None:
    terminal = Terminal()
    live = transcript(terminal)
    live.text("a\x1b[2Jb \x1b]0;title\x07c\u202ed")
    live.rest()
    assert terminal.shown() == "  a[2Jb ]0;titlecd"
    assert harmless("tab\tand\nline") == "tab\tand\nline"


def test_plain_output_is_the_text_itself() -> None:
    out, notes = io.StringIO(), io.StringIO()
    plain = PlainTranscript(Screen(out), Screen(notes))
    plain.call_began(_WEATHER)
    plain.call_ended(_WEATHER, CallEnded("call_1", "4 degrees", seconds=0.4))
    for piece in ("# It", " is\n\n**co", "ld**"):
        plain.text(piece)
    plain.message_end()
    plain.rest()
    assert out.getvalue() == "# It is\n\n**cold**\n"
    assert notes.getvalue() == '  → weather(city="Oslo")  0.4 s\n'


def test_the_region_writes_only_what_differs() -> None:
    terminal = Terminal()
    region = Region(terminal.screen())
    region.show(["one", "two"])
    before = terminal.n_written
    region.show(["one", "two"])
    assert terminal.n_written == before
    region.show(["one", "three", "four"])
    region.commit(["for good"])
    region.show(["five"])
    assert terminal.shown() == "for good\nfive"


def test_labels_of_calls_are_readable() -> None:
    assert call_label(CallRow("c", "f", '{"a": "x", "n": 3, "l": [1]}')) == 'f(a="x", n=3, l=[1])'
    assert call_label(CallRow("c", "f", "")) == "f()"
    assert call_label(CallRow("c", "f", '{"broken')) == 'f({"broken)'


def test_durations_are_short() -> None:
    assert [duration(s) for s in (0.012, 0.42, 3, 14.2, 60, 125, 3600, 11_400, 187_200)] == [
        "12 ms", "0.4 s", "3.0 s", "14 s", "1 min", "2 min 5 s", "1 h", "3 h 10 min", "2 d 4 h",
    ]  # fmt: skip


def test_wide_characters_take_two_cells() -> None:
    assert cells("東京") == 4
    assert cells("e\u0301") == 1
    assert clip("東京\n東京", 6) == "東京…"


def test_colours_follow_the_person_then_the_environment_then_the_stream() -> None:
    def is_coloured(**environ: str) -> bool:
        return open_screens(environ)[0].is_coloured

    assert not is_coloured()
    assert is_coloured(FORCE_COLOR="1")
    assert not is_coloured(FORCE_COLOR="1", NO_COLOR="1")
    assert open_screens({"NO_COLOR": "1"}, color="always")[0].is_coloured
    assert not open_screens({"FORCE_COLOR": "1"}, color="never")[0].is_coloured


def test_a_message_that_a_crash_cut_off_says_so() -> None:
    terminal = Terminal()
    live = transcript(terminal)
    live.text("It is co")
    live.message_end(is_discarded=True)
    live.text("It is cold.")
    live.rest()
    assert terminal.shown() == "  It is co\n  (cut off here; it is said again)\n  It is cold."
