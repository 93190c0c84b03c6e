"""The event-stream parser against the specification, and against every way of cutting the bytes."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.models.sse import EventParser, EventTooLongError, ServerSentEvent


def parse(*reads: bytes) -> list[ServerSentEvent]:
    parser = EventParser()
    return [event for read in reads for event in parser.feed(read)]


def data_of(*reads: bytes) -> list[bytes]:
    return [event.data for event in parse(*reads)]


def test_an_event_ends_at_a_blank_line() -> None:
    assert data_of(b"data: one\n\ndata: two\n\n", b"data: three\n") == [b"one", b"two"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_all_three_line_ends_count(end: bytes) -> None:
    # A lone CR at the very end could be half of a CRLF, so the last event is followed by something.
    stream = end.join([b"data: one", b"", b"data: two", b"", b": bye", b""])
    assert data_of(stream) == [b"one", b"two"]


def test_line_ends_may_be_mixed() -> None:
    assert data_of(b"data: one\r\n\ndata: two\r\rdata: three\n\r\n") == [b"one", b"two", b"three"]


def test_a_crlf_cut_in_two_is_one_line_end() -> None:
    assert data_of(b"data: one\r", b"\ndata: two\r", b"\n\r", b"\n") == [b"one\ntwo"]


def test_data_lines_of_one_event_are_joined() -> None:
    assert data_of(b"data: one\ndata: two\ndata:\n\n") == [b"one\ntwo\n"]


def test_only_one_space_after_the_colon_is_taken_away() -> None:
    assert data_of(b"data:tight\n\ndata:  wide\n\ndata\n\n") == [b"tight", b" wide", b""]


def test_comments_and_unknown_fields_say_nothing() -> None:
    assert data_of(b": keep-alive\n\n: OPENROUTER PROCESSING\n\nnonsense: 1\n\ndata: x\nretry: 10\n\n") == [b"x"]


def test_an_event_has_a_name_and_the_last_id() -> None:
    events = parse(b"id: 7\nevent: error\ndata: a\n\ndata: b\n\nid\ndata: c\n\nid: bad\0\ndata: d\n\n")
    assert events == [
        ServerSentEvent(b"a", "error", "7"),
        ServerSentEvent(b"b", "message", "7"),
        ServerSentEvent(b"c", "message", ""),
        ServerSentEvent(b"d", "message", ""),
    ]


def test_an_id_without_data_is_kept_for_the_next_event() -> None:
    assert parse(b"id: 9\n\n", b"data: x\n\n") == [ServerSentEvent(b"x", "message", "9")]


def test_a_byte_order_mark_is_taken_off_the_head_only() -> None:
    mark = b"\xef\xbb\xbf"
    assert data_of(mark + b"data: x\n\n" + mark + b"data: y\n\n") == [b"x"]
    assert data_of(mark[:1], mark[1:2], mark[2:], b"data: x\n\n") == [b"x"]


def test_a_character_cut_in_two_arrives_whole() -> None:
    stream = "data: naïve — 日本\n\n".encode()
    assert b"".join(data_of(*(stream[n : n + 1] for n in range(len(stream))))).decode() == "naïve — 日本"


def test_an_event_without_its_blank_line_is_there_for_who_asks() -> None:
    parser = EventParser()
    assert parser.feed(b"data: one\n\ndata: [DONE]") == [ServerSentEvent(b"one")]
    assert parser.end() == [ServerSentEvent(b"[DONE]")]
    assert parser.end() == []


def test_an_endless_event_is_refused() -> None:
    parser = EventParser(max_event_bytes=100)
    parser.feed(b"data: " + b"x" * 50)
    with pytest.raises(EventTooLongError):
        parser.feed(b"y" * 50)


FIELDS = st.sampled_from(
    [b"data", b"data: a", b"data:b", b"data: \xc3\xa9", b"event: e", b"id: 1", b"id", b":", b"x: y", b""]
)
STREAMS = st.lists(st.tuples(FIELDS, st.sampled_from([b"\n", b"\r", b"\r\n", b"\n\n"])), max_size=20).map(
    lambda lines: b"".join(field + end for field, end in lines)
)


def by_the_book(stream: bytes) -> list[ServerSentEvent]:
    """The specification's algorithm, line by line, over the whole stream at once."""
    events: list[ServerSentEvent] = []
    data: list[bytes] = []
    name, last_id = "", ""
    lines = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    for line in lines[:-1]:
        if not line:
            if data:
                events.append(ServerSentEvent(b"\n".join(data), name or "message", last_id))
            data, name = [], ""
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode()
        elif field == b"id":
            last_id = value.decode()
    return events


@settings(deadline=None)
@given(stream=STREAMS, with_mark=st.booleans(), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_any_cut_of_the_bytes_gives_the_events_of_the_book(stream: bytes, with_mark: bool, cuts: list[int]) -> None:
    stream = (b"\xef\xbb\xbf" if with_mark else b"") + stream
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    reads = [stream[start:end] for start, end in itertools.pairwise(edges)]
    assert parse(*reads) == by_the_book(stream)
