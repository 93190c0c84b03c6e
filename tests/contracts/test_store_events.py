"""The event log: chunks without holes, replay from any place; and what a model reads of a thread."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy.exc import IntegrityError

from agentrt.engine.events import CallDelta, CallStarted, Event, RunQueued, RunStarted, TextDelta
from agentrt.engine.message import ImageUrlPart, Role, TextPart, ToolCall, assistant, user
from agentrt.errors import FencedError
from agentrt.store.database import Store, Tx
from agentrt.store.history import Entry, read_history
from agentrt.store.messages import insert_messages
from agentrt.store.run_events import NumberedEvent, append_events, delete_events, next_seq, read_events
from agentrt.store.run_log import LogEntry, read_log
from agentrt.store.run_steps import insert_step
from agentrt.store.threads import Thread
from tests.contracts.rows import a_message, a_step, put_run, put_thread


def chunk(epoch: int, seq: int, *events: Event) -> list[NumberedEvent]:
    return [NumberedEvent(epoch, seq + i, event) for i, event in enumerate(events)]


def words(*texts: str) -> list[Event]:
    return [TextDelta(message_id="msg_1", text=text) for text in texts]


def numbers(events: list[NumberedEvent]) -> list[tuple[int, int]]:
    return [(event.epoch, event.seq) for event in events]


@pytest.fixture
async def run_id(store: Store) -> str:
    return (await store.write(lambda tx: put_run(tx, put_thread(tx)))).id


@pytest.fixture
async def log(store: Store, run_id: str) -> list[NumberedEvent]:
    """0 1 | 2 3 4 | 5 of epoch 1, which had handed out 6 and 7 too when it died; then 6 7 | 8 of epoch 3."""
    chunks = [
        chunk(1, 0, RunQueued(at=1.0), RunStarted(at=2.0)),
        chunk(1, 2, *words("a", "b", "c")),
        chunk(1, 5, CallStarted(at=3.0, call_id="call_1")),
        chunk(3, 6, *words("d", "e")),
        chunk(3, 8, RunQueued(at=4.0)),
    ]
    for events in chunks:
        await store.write(lambda tx, events=events: append_events(tx, run_id, events))  # type: ignore[misc]
    return [event for events in chunks for event in events]


async def test_events_come_back_as_they_went_in(store: Store, run_id: str, log: list[NumberedEvent]) -> None:
    assert await store.read(lambda tx: read_events(tx, run_id)) == log
    assert await store.read(lambda tx: next_seq(tx, run_id)) == 9
    assert await store.read(lambda tx: read_events(tx, "run_none")) == []
    assert await store.read(lambda tx: next_seq(tx, "run_none")) == 0


async def test_a_replay_goes_on_after_any_event_also_in_the_middle_of_a_chunk(
    store: Store, run_id: str, log: list[NumberedEvent]
) -> None:
    for i, place in enumerate(log):
        after = (place.epoch, place.seq)
        rest = await store.read(lambda tx, after=after: read_events(tx, run_id, after=after))  # type: ignore[misc]
        assert rest == log[i + 1 :]


@pytest.mark.parametrize(
    ("unknown", "first"),
    [((1, 6), (3, 6)), ((1, 7), (3, 6)), ((1, 500), (3, 6)), ((2, 0), (3, 6)), ((2, 8), (3, 6)), ((0, 0), (1, 0))],
)
async def test_an_id_that_was_never_stored_replays_from_the_next_epoch(
    store: Store, run_id: str, log: list[NumberedEvent], unknown: tuple[int, int], first: tuple[int, int]
) -> None:
    rest = await store.read(lambda tx: read_events(tx, run_id, after=unknown))
    assert numbers(rest) == [place for place in numbers(log) if place >= first]


@pytest.mark.parametrize("end", [(3, 8), (3, 9), (4, 0), (99, 99)])
async def test_after_the_end_there_is_nothing(
    store: Store, run_id: str, log: list[NumberedEvent], end: tuple[int, int]
) -> None:
    assert await store.read(lambda tx: read_events(tx, run_id, after=end)) == []


@pytest.mark.parametrize("first", [0, 3, 8, 10, 100])
async def test_a_chunk_that_does_not_follow_what_is_stored_is_refused(
    store: Store, run_id: str, log: list[NumberedEvent], first: int
) -> None:
    with pytest.raises(FencedError):
        await store.write(lambda tx: append_events(tx, run_id, chunk(3, first, *words("x"))))
    assert await store.read(lambda tx: read_events(tx, run_id)) == log


async def test_of_two_writers_of_the_same_number_exactly_one_wins(store: Store, run_id: str) -> None:
    writes = [store.write(lambda tx, i=i: append_events(tx, run_id, chunk(i, 0, *words("x", "y")))) for i in range(6)]  # type: ignore[misc]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert all(isinstance(result, FencedError | IntegrityError) for result in results if result is not None)
    assert len(await store.read(lambda tx: read_events(tx, run_id))) == 2


async def test_no_events_are_no_chunk_and_a_log_can_be_forgotten(
    store: Store, run_id: str, log: list[NumberedEvent]
) -> None:
    await store.write(lambda tx: append_events(tx, run_id, []))
    assert await store.read(lambda tx: read_events(tx, run_id)) == log
    await store.write(lambda tx: delete_events(tx, run_id))
    assert await store.read(lambda tx: read_events(tx, run_id)) == []


# History -------------------------------------------------------------------------------------------------------------


async def history(
    store: Store, thread: Thread, *, limit: int = 50, before: tuple[int, int] | None = None
) -> tuple[list[Entry], bool]:
    return await store.read(lambda tx: read_history(tx, thread.id, before=before, limit=limit))


def texts(entries: list[Entry]) -> list[str]:
    return [entry.messages[0].text or entry.messages[0].tool_calls[0].name for entry in entries]


async def test_history_is_read_newest_first_and_says_when_there_is_more(store: Store) -> None:
    thread = await store.write(lambda tx: put_thread(tx, 5))
    entries, is_more = await history(store, thread, limit=3)
    assert (texts(entries), is_more) == (["message 4", "message 3", "message 2"], True)
    entries, is_more = await history(store, thread, limit=3, before=entries[-1].place)
    assert (texts(entries), is_more) == (["message 1", "message 0"], False)
    assert entries[0].messages == (user("message 1"),)
    assert await history(store, await store.write(put_thread)) == ([], False)


async def test_what_was_queued_behind_a_run_is_read_after_the_runs_answer(store: Store) -> None:
    def fill(tx: Tx) -> Thread:
        thread = put_thread(tx)
        question = a_message(thread, 0)
        run = put_run(tx, thread, position=1)
        queued = a_message(thread, 2)
        answer = a_message(thread, 4, turn_pos=1, role="assistant", run_id=run.id)
        insert_messages(tx, [question, queued, answer])
        return thread

    thread = await store.write(fill)
    entries, _ = await history(store, thread)
    assert texts(entries) == ["message 2", "message 4", "message 0"]
    assert [entry.messages[0].role for entry in entries] == [Role.USER, Role.ASSISTANT, Role.USER]
    entries, _ = await history(store, thread, before=(2, 0))
    assert texts(entries) == ["message 4", "message 0"]


def a_call(name: str, output: str | None) -> dict[str, str | None]:
    return {"id": f"call_{name}", "name": name, "arguments": "{}", "output": output}


async def test_tool_steps_stand_where_they_happened_with_the_outputs_that_are_known(store: Store) -> None:
    def fill(tx: Tx) -> Thread:
        thread = put_thread(tx)
        run = put_run(tx, thread, position=1)
        insert_messages(tx, [a_message(thread, 0), a_message(thread, 5, turn_pos=1, role="assistant")])
        insert_step(tx, a_step(run, 2, type="tool_calls", calls=[a_call("first", "1"), a_call("second", None)]))
        insert_step(tx, a_step(run, 3, type="tool_calls", calls=[]))
        insert_step(tx, a_step(run, 4))
        return thread

    thread = await store.write(fill)
    entries, _ = await history(store, thread)
    assert texts(entries) == ["message 5", "first", "message 0"]
    assert [entry.is_message for entry in entries] == [True, False, True]
    said, answer = entries[1].messages
    assert said == assistant("", ToolCall("call_first", "first", "{}"), ToolCall("call_second", "second", "{}"))
    assert (answer.role, answer.call_id, answer.text) == (Role.TOOL, "call_first", "1")


async def test_tool_steps_older_than_the_messages_that_were_asked_for_are_left_out(store: Store) -> None:
    def fill(tx: Tx) -> Thread:
        thread = put_thread(tx)
        run = put_run(tx, thread, position=0, status="completed")
        for pos in range(0, 12, 2):
            insert_step(tx, a_step(run, pos, turn_pos=pos, type="tool_calls", calls=[a_call(f"call {pos}", "x")]))
            insert_messages(tx, [a_message(thread, pos + 1)])
        return thread

    thread = await store.write(fill)
    entries, is_more = await history(store, thread, limit=2)
    assert (texts(entries), is_more) == (["message 11", "call 10", "message 9"], True)
    rest, is_more = await history(store, thread, limit=50, before=entries[-1].place)
    assert (texts(rest)[:3], texts(rest)[-1], is_more) == (["call 8", "message 7", "call 6"], "call 0", False)


async def test_images_and_texts_of_a_message_are_parts(store: Store) -> None:
    parts = [{"type": "text", "text": "look"}, {"type": "image_url", "url": "http://x/y.png", "detail": "low"}]

    def fill(tx: Tx) -> Thread:
        thread = put_thread(tx)
        insert_messages(tx, [a_message(thread, 0, parts=parts)])
        return thread

    entries, _ = await history(store, await store.write(fill))
    assert entries[0].messages[0].parts == (TextPart("look"), ImageUrlPart("http://x/y.png", "low"))


def entry(epoch: int, seq: int, event: Event, n: int = 1) -> LogEntry:
    return LogEntry(epoch, seq, event, n)


async def test_a_reader_of_the_log_gets_deltas_that_follow_each_other_as_one(
    store: Store, run_id: str, log: list[NumberedEvent]
) -> None:
    def read(tx: Tx) -> tuple[list[LogEntry], bool]:
        return read_log(tx, run_id, after=None, limit=10, joins_deltas=True)

    whole = [
        *(entry(1, i, log[i].event) for i in (0, 1)),
        entry(1, 4, TextDelta(message_id="msg_1", text="abc"), 3),
        entry(1, 5, log[5].event),
        entry(3, 7, TextDelta(message_id="msg_1", text="de"), 2),
        entry(3, 8, log[8].event),
    ]
    assert await store.read(read) == (whole, False)


@pytest.mark.parametrize("joins_deltas", [True, False])
@pytest.mark.parametrize("limit", [1, 2, 5, 9])
async def test_pages_of_the_log_hold_it_whole_and_each_event_once(
    store: Store, run_id: str, log: list[NumberedEvent], limit: int, joins_deltas: bool
) -> None:
    pages: list[LogEntry] = []
    after, is_more = None, True
    while is_more:

        def read(tx: Tx, after: tuple[int, int] | None = after) -> tuple[list[LogEntry], bool]:
            return read_log(tx, run_id, after=after, limit=limit, joins_deltas=joins_deltas)

        page, is_more = await store.read(read)
        assert len(page) == limit or not is_more
        pages += page
        after = (page[-1].epoch, page[-1].seq)
    assert sum(part.n for part in pages) == len(log)
    texts = [part.event.text for part in pages if isinstance(part.event, TextDelta)]
    assert "".join(texts) == "abcde"
    assert len(pages) == (6 if joins_deltas else 9)


async def test_deltas_of_two_calls_or_messages_stay_apart(store: Store, run_id: str) -> None:
    deltas: list[Event] = [
        TextDelta(message_id="msg_1", text="a"),
        TextDelta(message_id="msg_1", text="b", part=1, is_refusal=True),
        TextDelta(message_id="msg_2", text="c"),
        CallDelta(step_id="step_1", index=0, id="call_1", name="f"),
        CallDelta(step_id="step_1", index=0, arguments="{"),
        CallDelta(step_id="step_1", index=0, arguments="}"),
        CallDelta(step_id="step_1", index=1, id="call_2", name="g"),
    ]
    await store.write(lambda tx: append_events(tx, run_id, chunk(1, 0, *deltas)))
    page, _ = await store.read(lambda tx: read_log(tx, run_id, after=None, limit=10, joins_deltas=True))
    assert [part.n for part in page] == [1, 1, 1, 3, 1]
    assert page[3].event == CallDelta(step_id="step_1", index=0, id="call_1", name="f", arguments="{}")


async def test_a_long_log_is_read_in_pages_of_its_rows(store: Store, run_id: str) -> None:
    def write(tx: Tx) -> None:
        for i in range(300):
            append_events(tx, run_id, chunk(1, i, TextDelta(message_id=f"msg_{i // 100}", text="x")))

    await store.write(write)
    page, is_more = await store.read(lambda tx: read_log(tx, run_id, after=(1, 49), limit=2, joins_deltas=True))
    assert [(part.seq, part.n) for part in page] == [(99, 50), (199, 100)]
    assert is_more
