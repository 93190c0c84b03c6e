"""What every Store promises: transactions, durability, neighbours, cancellation, values."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
from collections.abc import Callable
from functools import partial

import pytest
from sqlalchemy.exc import IntegrityError

from agentrt.errors import InvalidRequestError, NotFoundError, StoreError
from agentrt.store.database import Store, Tx
from agentrt.store.files import find_file, insert_file
from agentrt.store.messages import find_message, insert_messages
from agentrt.store.pages import PageQuery
from agentrt.store.threads import (
    Thread,
    delete_thread,
    find_thread,
    insert_thread,
    list_threads,
    take_positions,
    update_thread,
)
from tests.contracts.rows import HOME, a_file, a_message, a_thread, put_thread


def inserting(thread: Thread) -> Callable[[Tx], None]:
    return lambda tx: insert_thread(tx, thread)


async def has(store: Store, thread: Thread) -> bool:
    try:
        await store.read(lambda tx: find_thread(tx, thread.project, thread.id))
    except NotFoundError:
        return False
    return True


# Transactions --------------------------------------------------------------------------------------------------------


async def test_a_write_returns_its_value_and_the_next_read_sees_it(store: Store) -> None:
    thread = await store.write(put_thread)
    assert await store.read(lambda tx: find_thread(tx, HOME, thread.id)) == thread


async def test_what_a_write_raises_comes_out_and_nothing_of_it_is_kept(store: Store) -> None:
    thread = a_thread()

    def write(tx: Tx) -> None:
        insert_thread(tx, thread)
        raise LookupError("no")

    with pytest.raises(LookupError, match="no"):
        await store.write(write)
    assert not await has(store, thread)


async def test_a_write_that_raises_StopIteration_reaches_its_caller_too(store: Store) -> None:
    def write(tx: Tx) -> None:
        raise StopIteration

    with pytest.raises(RuntimeError):
        await store.write(write)


async def test_a_long_read_sees_what_was_written_and_cannot_write(store: Store) -> None:
    thread = await store.write(put_thread)
    assert await store.read_long(lambda tx: find_thread(tx, HOME, thread.id)) == thread
    await store.write(lambda tx: delete_thread(tx, thread.id))
    with pytest.raises(NotFoundError):
        await store.read_long(lambda tx: find_thread(tx, HOME, thread.id))
    with pytest.raises(StoreError):
        await store.read_long(inserting(a_thread()))


async def test_the_event_loop_goes_on_while_a_long_read_computes(store: Store) -> None:
    loop, has_begun, has_gone_on = asyncio.get_running_loop(), asyncio.Event(), threading.Event()

    def compute(tx: Tx) -> bool:
        loop.call_soon_threadsafe(has_begun.set)
        return has_gone_on.wait(2)

    reading = asyncio.ensure_future(store.read_long(compute))
    await has_begun.wait()
    has_gone_on.set()
    assert await reading


async def test_a_long_read_sees_every_write_that_has_returned(store: Store) -> None:
    thread = await store.write(put_thread)

    async def write_and_look(n: int) -> None:
        at = await store.write(lambda tx: take_positions(tx, thread.id, 1, now=1.0))
        seen = await store.read_long(lambda tx: find_thread(tx, HOME, thread.id))
        assert seen.next_pos > at

    await asyncio.gather(*[write_and_look(n) for n in range(20)])


async def test_closing_waits_for_long_reads_and_none_begins_afterwards(store: Store) -> None:
    loop, has_begun = asyncio.get_running_loop(), asyncio.Event()
    may_end, has_ended = threading.Event(), threading.Event()

    def wait(tx: Tx) -> None:
        loop.call_soon_threadsafe(has_begun.set)
        may_end.wait(2)
        has_ended.set()

    reading = asyncio.ensure_future(store.read_long(wait))
    await has_begun.wait()
    closing = asyncio.ensure_future(store.close())
    await asyncio.sleep(0.05)
    assert not closing.done()
    may_end.set()
    await closing
    assert has_ended.is_set()
    await reading
    with pytest.raises(StoreError, match="closed"):
        await store.read_long(lambda tx: None)


async def test_a_long_read_whose_caller_has_gone_does_no_harm_to_the_next(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    def fail_late(tx: Tx) -> None:
        time.sleep(0.02)
        raise LookupError

    for pause_s in (0.0, 0.005, 0.01, 0.03):
        reading = [asyncio.ensure_future(store.read_long(fail_late)) for _ in range(4)]
        await asyncio.sleep(pause_s)
        for one in reading:
            one.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    thread = await store.write(put_thread)
    assert await store.read_long(lambda tx: find_thread(tx, HOME, thread.id)) == thread
    del reading
    gc.collect()
    assert [record for record in caplog.records if record.name == "asyncio"] == []


async def test_a_read_cannot_write(store: Store) -> None:
    thread = a_thread()
    with pytest.raises(StoreError):
        await store.read(lambda tx: insert_thread(tx, thread))
    assert not await has(store, thread)


async def test_a_constraint_that_is_broken_says_so_without_showing_what_was_written(store: Store) -> None:
    thread = await store.write(lambda tx: put_thread(tx, meta={"secret": "of the user"}))
    with pytest.raises(IntegrityError) as caught:
        await store.write(lambda tx: insert_thread(tx, thread))
    assert "of the user" not in str(caught.value)


async def test_places_in_a_thread_are_given_out_once_however_many_ask(store: Store) -> None:
    thread = await store.write(put_thread)
    firsts = await asyncio.gather(
        *[store.write(lambda tx: take_positions(tx, thread.id, 2, now=1.0)) for _ in range(30)]
    )
    assert sorted(firsts) == list(range(0, 60, 2))


# Neighbours ----------------------------------------------------------------------------------------------------------


async def test_a_write_that_fails_does_no_harm_to_those_that_wait_with_it(store: Store) -> None:
    taken = await store.write(put_thread)
    threads = [a_thread() for _ in range(40)]

    def fails_after_writing(tx: Tx) -> None:
        insert_thread(tx, a_thread())
        raise LookupError

    def breaks_a_constraint_after_writing(tx: Tx) -> None:
        put_thread(tx)
        insert_thread(tx, taken)

    bad: dict[int, Callable[[Tx], object]] = {
        3: fails_after_writing,
        4: fails_after_writing,
        11: inserting(taken),
        20: breaks_a_constraint_after_writing,
        25: lambda tx: find_thread(tx, HOME, "thread_none"),
        39: fails_after_writing,
    }
    writes = [bad.get(i, inserting(thread)) for i, thread in enumerate(threads)]
    results = await asyncio.gather(*[store.write(write) for write in writes], return_exceptions=True)

    errors = {i: type(result) for i, result in enumerate(results) if isinstance(result, BaseException)}
    assert errors == {
        3: LookupError,
        4: LookupError,
        11: IntegrityError,
        20: IntegrityError,
        25: NotFoundError,
        39: LookupError,
    }
    assert [await has(store, thread) for thread in threads] == [i not in bad for i in range(40)]
    page = await store.read(lambda tx: list_threads(tx, HOME, PageQuery(limit=100)))
    assert len(page.items) == 1 + 34


async def test_of_two_writes_that_exclude_each_other_exactly_one_wins(store: Store) -> None:
    thread = a_thread()
    writes = [store.write(lambda tx: insert_thread(tx, thread)) for _ in range(8)]
    results = await asyncio.gather(*writes, return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["IntegrityError"] * 7 + ["NoneType"]


# After the commit ----------------------------------------------------------------------------------------------------


async def test_after_commit_runs_when_the_write_is_durable_and_only_then(store: Store) -> None:
    thread = a_thread()
    is_durable = asyncio.Event()

    def write(tx: Tx) -> None:
        tx.after_commit(is_durable.set)
        insert_thread(tx, thread)
        assert not is_durable.is_set()

    writing = asyncio.ensure_future(store.write(write))
    await is_durable.wait()
    assert await has(store, thread)
    await writing


async def test_after_commit_runs_once_although_a_neighbour_made_the_group_run_again(store: Store) -> None:
    calls: list[int] = []

    def writing(number: int) -> Callable[[Tx], None]:
        def write(tx: Tx) -> None:
            tx.after_commit(lambda: calls.append(number))
            put_thread(tx)
            if number % 5 == 4:
                raise LookupError

        return write

    await asyncio.gather(*[store.write(writing(i)) for i in range(20)], return_exceptions=True)
    assert sorted(calls) == [i for i in range(20) if i % 5 != 4]


async def test_an_after_commit_that_raises_is_logged_and_harms_nobody(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    def write(tx: Tx) -> str:
        tx.after_commit(lambda: calls.append(str(1 / 0)))
        tx.after_commit(lambda: calls.append("second"))
        put_thread(tx)
        return "done"

    results = await asyncio.gather(store.write(write), store.write(write), store.write(inserting(a_thread())))
    assert list(results) == ["done", "done", None]
    assert calls == ["second", "second"]
    assert "store.after_commit_failed" in caplog.text


# Cancellation --------------------------------------------------------------------------------------------------------


async def test_a_write_whose_caller_is_cancelled_is_whole_or_never_happens(store: Store) -> None:
    pairs = [(a_thread(), a_thread()) for _ in range(60)]
    committed: set[str] = set()

    def writing(first: Thread, second: Thread) -> Callable[[Tx], None]:
        def write(tx: Tx) -> None:
            tx.after_commit(lambda: committed.add(first.id))
            insert_thread(tx, first)
            insert_thread(tx, second)

        return write

    tasks = [asyncio.ensure_future(store.write(writing(*pair))) for pair in pairs]
    rng = random.Random(7)
    cancelled = set(rng.sample(range(len(tasks)), 30))
    for i in sorted(cancelled):
        await asyncio.sleep(rng.choice([0, 0, 0.001]))
        tasks[i].cancel()
    results = await asyncio.gather(*tasks, return_exceptions=True)

    kept = [(await has(store, first), await has(store, second)) for first, second in pairs]
    assert all(first == second for first, second in kept)
    for i, (first, _) in enumerate(pairs):
        if isinstance(results[i], asyncio.CancelledError):
            assert kept[i][0] == (first.id in committed)
        else:
            assert results[i] is None
            assert kept[i][0]
    # Settled means settled: nothing comes later, and the store still works.
    await store.write(put_thread)
    assert kept == [(await has(store, first), await has(store, second)) for first, second in pairs]


async def test_reads_whose_callers_are_cancelled_leave_the_store_in_order(store: Store) -> None:
    thread = await store.write(lambda tx: put_thread(tx, 20))
    for _ in range(3):
        tasks = [asyncio.ensure_future(store.read(lambda tx: list_threads(tx, HOME, PageQuery()))) for _ in range(30)]
        await asyncio.sleep(0.002)
        for task in tasks[::2]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert all(not isinstance(result, Exception) for result in results)
    assert await has(store, thread)


# Closing -------------------------------------------------------------------------------------------------------------


async def test_close_finishes_what_waits_and_refuses_what_comes_later(store: Store) -> None:
    threads = [a_thread() for _ in range(20)]
    writes = [asyncio.ensure_future(store.write(inserting(t))) for t in threads]
    await asyncio.sleep(0)
    await store.close()
    assert await asyncio.gather(*writes) == [None] * 20
    with pytest.raises(StoreError, match="closed"):
        await store.write(put_thread)
    with pytest.raises(StoreError, match="closed"):
        await store.read(lambda tx: list_threads(tx, HOME, PageQuery()))
    await store.close()


# Values --------------------------------------------------------------------------------------------------------------

ODD_TEXTS = [
    "",
    " ",
    "'\"\\",
    "é\u0301ß",
    "日本語",
    "👩‍👩‍👧‍👦",
    "\u202eright to left",
    "\U0010ffff",
    "\x01\x1f\x7f",
    "\r\n\t",
    "%s $1 ? :x",
]


async def test_any_unicode_comes_back_as_it_went_in(store: Store) -> None:
    for text in ODD_TEXTS:
        file = a_file(filename=text)
        await store.write(partial(insert_file, file=file))
        assert await store.read(partial(find_file, project=HOME, file_id=file.id)) == file
    meta = {text: text for text in ODD_TEXTS}
    thread = await store.write(lambda tx: put_thread(tx, meta=meta))
    assert (await store.read(lambda tx: find_thread(tx, HOME, thread.id))).meta == meta


async def test_documents_keep_the_order_of_their_keys_and_their_kinds_of_numbers(store: Store) -> None:
    document = {"z": 1, "a": 1.0, "m": {"y": [True, None, -0.5, 2**60, "1"], "b": 1e300}}
    thread = await store.write(lambda tx: put_thread(tx, tool_resources=document))
    found = (await store.read(lambda tx: find_thread(tx, HOME, thread.id))).tool_resources
    assert repr(found) == repr(document)


async def test_NUL_is_refused_in_a_text_and_kept_in_a_document(store: Store) -> None:
    with pytest.raises(InvalidRequestError, match="NUL"):
        await store.write(lambda tx: insert_file(tx, a_file(filename="a\0b")))
    thread = await store.write(lambda tx: put_thread(tx, meta={"a\0": "\0"}))
    assert (await store.read(lambda tx: find_thread(tx, HOME, thread.id))).meta == {"a\0": "\0"}


async def test_half_a_surrogate_pair_is_refused(store: Store) -> None:
    with pytest.raises(InvalidRequestError, match="Unicode"):
        await store.write(lambda tx: insert_file(tx, a_file(filename="a\ud800")))
    with pytest.raises(InvalidRequestError, match="Unicode"):
        await store.write(lambda tx: put_thread(tx, meta={"key": "\udfff"}))
    thread = await store.write(put_thread)
    with pytest.raises(InvalidRequestError, match="Unicode"):
        await store.write(lambda tx: update_thread(tx, thread.id, {"tool_resources": {"x": ["\ud800"]}}))


async def test_a_message_of_a_million_characters_is_stored(store: Store) -> None:
    text = "ä€😀x" * 250_000

    def write(tx: Tx) -> tuple[Thread, str]:
        thread = put_thread(tx)
        message = a_message(thread, 0, parts=[{"type": "text", "text": text}])
        insert_messages(tx, [message])
        return thread, message.id

    thread, message_id = await store.write(write)
    found = await store.read(lambda tx: find_message(tx, HOME, thread.id, message_id))
    assert found.parts[0]["text"] == text


async def test_times_beyond_2038_are_stored(store: Store) -> None:
    thread = await store.write(lambda tx: put_thread(tx, created_at=2**40))
    assert (await store.read(lambda tx: find_thread(tx, HOME, thread.id))).created_at == 2**40


async def test_an_update_of_a_column_that_is_not_there_is_a_bug(store: Store) -> None:
    thread = await store.write(put_thread)
    with pytest.raises(KeyError):
        await store.write(lambda tx: update_thread(tx, thread.id, {"colour": "red"}))


async def test_an_update_of_nothing_changes_nothing(store: Store) -> None:
    thread = await store.write(put_thread)
    await store.write(lambda tx: update_thread(tx, thread.id, {}))
    assert await has(store, thread)
    await store.write(lambda tx: delete_thread(tx, thread.id))
    assert not await has(store, thread)
