"""Pages: nothing twice, nothing left out, whatever shares a second, is deleted meanwhile or is not yours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, TypeAlias

import pytest

from agentrt.errors import NotFoundError
from agentrt.ids import new_id
from agentrt.store.assistants import DECLARED, IN_CODE, insert_assistant, list_assistants
from agentrt.store.database import Store, Tx
from agentrt.store.files import insert_file, list_files
from agentrt.store.messages import delete_message, insert_messages, list_messages
from agentrt.store.pages import Page, PageQuery
from agentrt.store.run_steps import insert_step, list_steps
from agentrt.store.runs import list_runs
from agentrt.store.threads import delete_thread, insert_thread, list_threads
from tests.contracts.rows import HOME, a_file, a_message, a_step, a_thread, an_assistant, put_run, put_thread

Lister: TypeAlias = Callable[[Tx, PageQuery], Page[Any]]
Filled: TypeAlias = tuple[Lister, list[str], str]
"""How to list, the ids in the order they were made, and an id of the same kind that is not in the list."""


def fill_threads(tx: Tx) -> Filled:
    threads = [put_thread(tx, created_at=1000 + i // 10) for i in range(23)]
    other = put_thread(tx, project="other", created_at=1000)
    return lambda tx, query: list_threads(tx, HOME, query), [t.id for t in threads], other.id


def fill_threads_with_metadata(tx: Tx) -> Filled:
    threads = [put_thread(tx, created_at=1000 + i // 10, meta={"user": "ada", "n": str(i % 2)}) for i in range(46)]
    metadata = {"user": "ada", "n": "1"}
    return (
        lambda tx, query: list_threads(tx, HOME, query, metadata=metadata),
        [t.id for t in threads[1::2]],
        threads[0].id,
    )


def fill_messages(tx: Tx) -> Filled:
    thread, other = put_thread(tx), put_thread(tx)
    messages = [a_message(thread, i, created_at=1000) for i in range(23)]
    foreign = a_message(other, 5, created_at=1000)
    insert_messages(tx, [*messages, foreign])
    return lambda tx, query: list_messages(tx, HOME, thread.id, query), [m.id for m in messages], foreign.id


def fill_messages_of_a_run(tx: Tx) -> Filled:
    thread = put_thread(tx)
    messages = [a_message(thread, i, run_id=f"run_{i % 2}", role="assistant") for i in range(46)]
    insert_messages(tx, messages)
    return (
        lambda tx, query: list_messages(tx, HOME, thread.id, query, run_id="run_1"),
        [m.id for m in messages[1::2]],
        messages[0].id,
    )


def fill_runs(tx: Tx) -> Filled:
    thread, other = put_thread(tx), put_thread(tx)
    runs = [put_run(tx, thread, status="completed", created_at=1000) for _ in range(23)]
    foreign = put_run(tx, other)
    return lambda tx, query: list_runs(tx, HOME, thread.id, query), [r.id for r in runs], foreign.id


def fill_steps(tx: Tx) -> Filled:
    thread = put_thread(tx)
    run, other = put_run(tx, thread, status="completed"), put_run(tx, thread, status="completed")
    steps = [a_step(run, i, created_at=1000) for i in range(23)]
    foreign = a_step(other, 5)
    for step in [*steps, foreign]:
        insert_step(tx, step)
    return lambda tx, query: list_steps(tx, HOME, run.id, query), [s.id for s in steps], foreign.id


def fill_assistants(tx: Tx) -> Filled:
    """Own ones, and those that every project sees, mixed in one order."""
    origins = ["api", DECLARED, "api", IN_CODE]
    made = []
    for i in range(23):
        origin = origins[i % 4]
        project = HOME if origin == "api" or i % 3 else "elsewhere"
        made.append(an_assistant(origin=origin, project=project, created_at=1000 + i // 10))
        insert_assistant(tx, made[-1])
    foreign = an_assistant(project="elsewhere")
    insert_assistant(tx, foreign)
    return lambda tx, query: list_assistants(tx, HOME, query), [a.id for a in made], foreign.id


def fill_files(tx: Tx) -> Filled:
    files = [a_file(created_at=1000 + i // 10) for i in range(23)]
    foreign = a_file(project="other")
    for file in [*files, foreign]:
        insert_file(tx, file)
    return lambda tx, query: list_files(tx, HOME, query), [f.id for f in files], foreign.id


def fill_files_of_a_purpose(tx: Tx) -> Filled:
    files = [a_file(created_at=1000 + i // 10, purpose=("batch", "vision")[i % 2]) for i in range(46)]
    for file in files:
        insert_file(tx, file)
    return lambda tx, query: list_files(tx, HOME, query, purpose="vision"), [f.id for f in files[1::2]], files[0].id


FILLS = [
    fill_threads,
    fill_threads_with_metadata,
    fill_messages,
    fill_messages_of_a_run,
    fill_runs,
    fill_steps,
    fill_assistants,
    fill_files,
    fill_files_of_a_purpose,
]


@pytest.fixture(params=FILLS, ids=lambda fill: fill.__name__.removeprefix("fill_"))
async def filled(request: pytest.FixtureRequest, store: Store) -> Filled:
    """A list of 23 objects that share three seconds, beside objects that are not in it."""
    fill: Callable[[Tx], Filled] = request.param
    return await store.write(fill)


async def ids(store: Store, lister: Lister, query: PageQuery) -> tuple[list[str], bool]:
    page = await store.read(lambda tx: lister(tx, query))
    return [item.id for item in page.items], page.has_more


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_forwards_give_everything_once_and_in_order(
    store: Store, filled: Filled, order: Literal["asc", "desc"]
) -> None:
    lister, expected, _ = filled
    seen: list[str] = []
    after, has_more = None, True
    while has_more:
        page, has_more = await ids(store, lister, PageQuery(limit=7, order=order, after=after))
        seen += page
        after = page[-1]
    assert seen == (expected if order == "asc" else expected[::-1])


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_pages_backwards_give_what_stands_directly_before_in_the_same_order(
    store: Store, filled: Filled, order: Literal["asc", "desc"]
) -> None:
    lister, expected, _ = filled
    in_order = expected if order == "asc" else expected[::-1]
    before = in_order[20]
    seen: list[str] = []
    has_more = True
    while has_more:
        page, has_more = await ids(store, lister, PageQuery(limit=7, order=order, before=before))
        seen = page + seen
        before = page[0]
    assert seen == in_order[:20]


async def test_has_more_is_true_only_when_there_is_more(store: Store, filled: Filled) -> None:
    lister, expected, _ = filled
    assert await ids(store, lister, PageQuery(limit=23, order="asc")) == (expected, False)
    assert await ids(store, lister, PageQuery(limit=22, order="asc")) == (expected[:22], True)
    assert await ids(store, lister, PageQuery(limit=5, after=expected[0])) == ([], False)
    assert await ids(store, lister, PageQuery(limit=5, order="asc", before=expected[0])) == ([], False)


async def test_both_cursors_enclose_what_is_given(store: Store, filled: Filled) -> None:
    lister, expected, _ = filled
    query = PageQuery(limit=5, order="asc", after=expected[4], before=expected[8])
    assert await ids(store, lister, query) == (expected[5:8], False)
    assert await ids(store, lister, PageQuery(limit=2, order="desc", after=expected[8], before=expected[4])) == (
        [expected[7], expected[6]],
        True,
    )


async def test_a_cursor_from_somewhere_else_is_not_found(store: Store, filled: Filled) -> None:
    lister, expected, foreign = filled
    prefix = expected[0].replace("-", "_").partition("_")[0]
    of_another_kind = new_id("call")
    for cursor in (foreign, of_another_kind, f"{prefix}_imported", "", "x", f"{prefix}_" + "é" * 24):
        for query in (PageQuery(after=cursor), PageQuery(before=cursor)):
            with pytest.raises(NotFoundError) as caught:
                await ids(store, lister, query)
            assert caught.value.object_id == cursor


async def test_a_deleted_cursor_still_marks_its_place(store: Store) -> None:
    def fill(tx: Tx) -> list[str]:
        threads = [a_thread() for _ in range(10)]
        for thread in threads:
            insert_thread(tx, thread)
        return [thread.id for thread in threads]

    made = await store.write(fill)
    await store.write(lambda tx: delete_thread(tx, made[5]))

    def lister(tx: Tx, query: PageQuery) -> Page[Any]:
        return list_threads(tx, HOME, query)

    assert await ids(store, lister, PageQuery(limit=2, order="asc", after=made[5])) == (made[6:8], True)
    assert await ids(store, lister, PageQuery(limit=2, order="asc", before=made[5])) == (made[3:5], True)
    assert await ids(store, lister, PageQuery(limit=9, order="desc", after=made[5])) == (made[4::-1], False)


async def test_a_deleted_message_still_marks_its_place(store: Store) -> None:
    def fill(tx: Tx) -> tuple[str, list[str]]:
        thread = put_thread(tx)
        messages = [a_message(thread, i) for i in range(10)]
        insert_messages(tx, messages)
        delete_message(tx, messages[5].id)
        return thread.id, [message.id for message in messages]

    thread_id, made = await store.write(fill)
    query = PageQuery(limit=2, order="asc", after=made[5])
    page = await store.read(lambda tx: list_messages(tx, HOME, thread_id, query))
    assert [message.id for message in page.items] == made[6:8]


async def test_a_page_is_right_while_objects_come_and_go_between_two_pages(store: Store) -> None:
    made = [(await store.write(put_thread)).id for _ in range(8)]
    first = await store.read(lambda tx: list_threads(tx, HOME, PageQuery(limit=3)))
    await store.write(lambda tx: delete_thread(tx, made[4]))
    await store.write(put_thread)
    after = first.items[-1].id
    await store.write(lambda tx: delete_thread(tx, after))
    second = await store.read(lambda tx: list_threads(tx, HOME, PageQuery(limit=10, after=after)))
    assert [t.id for t in first.items] == [made[7], made[6], made[5]]
    assert [t.id for t in second.items] == [made[3], made[2], made[1], made[0]]
