"""A model's words as pieces: nothing is lost, and what clients must find whole is not cut."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from agentrt.engine import events as ev
from agentrt.engine.message import FileCitation, Usage
from agentrt.models.client import EndChunk, TextChunk
from agentrt.runtime.turn import Turn

MARKER = "【4:0†source】"
_words = st.sampled_from(["Hi ", MARKER, "【", "】", "†", "\n", "é", "【" + "x" * 100])
_END = EndChunk("stop", Usage(1, 1))


@given(st.lists(_words, max_size=8).map("".join), st.lists(st.integers(0, 400), max_size=12))
def test_a_marker_comes_whole_and_nothing_is_lost(text: str, cuts: list[int]) -> None:
    turn = Turn()
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    events: list[ev.Event] = []
    for begin, end in itertools.pairwise(places):
        events += turn.take(TextChunk(text[begin:end]))
    events += turn.end(_END, Usage(1, 1))

    pieces = [event.text for event in events if isinstance(event, ev.TextDelta)]
    assert "".join(pieces) == text
    assert sum(piece.count(MARKER) for piece in pieces) == text.count(MARKER)
    assert all(pieces)


def test_annotations_come_behind_the_words_and_before_the_end() -> None:
    turn = Turn(images=("file-1",))
    events = [*turn.take(TextChunk("See " + MARKER))]
    citation = FileCitation(MARKER, 4, 4 + len(MARKER), "file-2")
    events += turn.end(_END, Usage(1, 1), (citation,))

    told = [event for event in events if isinstance(event, ev.ImageShown | ev.TextDelta | ev.Annotated)]
    assert [(type(event), event.part) for event in told] == [
        (ev.ImageShown, 0),
        (ev.TextDelta, 1),
        (ev.Annotated, 1),
    ]
    assert isinstance(events[-1], ev.TurnFinished)
    assert events[-1].annotations == (citation,)


def test_an_answer_without_words_still_shows_the_images() -> None:
    events = Turn(images=("file-1",)).end(_END, Usage(1, 1))

    assert [event.file_id for event in events if isinstance(event, ev.ImageShown)] == ["file-1"]
