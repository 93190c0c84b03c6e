"""Threads, messages, assistants, files, vector stores: found, changed, deleted, and only in their own project."""

from __future__ import annotations

import pytest

from agentrt.engine.events import RunQueued
from agentrt.errors import NotFoundError
from agentrt.store.assistants import (
    DECLARED,
    IN_CODE,
    delete_assistant,
    find_assistant,
    insert_assistant,
    list_declared,
    update_assistant,
)
from agentrt.store.blobs import list_dead_blobs, release_blob
from agentrt.store.database import Store, Tx
from agentrt.store.files import File, delete_file, find_file, insert_file, list_expired_files, list_files
from agentrt.store.jobs import Job, find_job, finish_jobs_of_thread, insert_job
from agentrt.store.messages import delete_message, find_message, insert_messages, list_messages, update_message
from agentrt.store.pages import PageQuery
from agentrt.store.run_events import NumberedEvent, append_events, read_events
from agentrt.store.run_steps import insert_step, list_steps
from agentrt.store.runs import list_runs, load_run
from agentrt.store.threads import Thread, delete_thread, find_thread, list_threads, take_positions, update_thread
from agentrt.store.vector_store_files import VectorStoreFile, attach_files
from agentrt.store.vector_stores import VectorStore, find_vector_store, insert_vector_store
from tests.contracts.rows import HOME, a_file, a_message, a_step, an_assistant, put_run, put_thread

# Threads -------------------------------------------------------------------------------------------------------------


async def test_a_thread_is_found_in_its_own_project_only(store: Store) -> None:
    thread = await store.write(lambda tx: put_thread(tx, project="ours"))
    assert await store.read(lambda tx: find_thread(tx, "ours", thread.id)) == thread
    with pytest.raises(NotFoundError, match=f"No thread found with id '{thread.id}'"):
        await store.read(lambda tx: find_thread(tx, "theirs", thread.id))
    assert (await store.read(lambda tx: list_threads(tx, "theirs", PageQuery()))).items == []


async def test_a_thread_is_changed_where_the_caller_says_and_nowhere_else(store: Store) -> None:
    thread, other = await store.write(lambda tx: (put_thread(tx, meta={"a": "1"}), put_thread(tx)))
    await store.write(lambda tx: update_thread(tx, thread.id, {"meta": {"b": "2"}, "on_busy": "enqueue"}))
    changed = await store.read(lambda tx: find_thread(tx, HOME, thread.id))
    assert changed == thread.model_copy(update={"meta": {"b": "2"}, "on_busy": "enqueue"})
    assert await store.read(lambda tx: find_thread(tx, HOME, other.id)) == other


async def test_places_in_a_thread_that_is_not_there_are_not_given(store: Store) -> None:
    with pytest.raises(NotFoundError):
        await store.write(lambda tx: take_positions(tx, "thread_none", 1, now=1.0))


async def test_threads_are_found_by_their_metadata(store: Store) -> None:
    def fill(tx: Tx) -> list[Thread]:
        return [
            put_thread(tx, meta={"user": "ada", "app": "shop"}),
            put_thread(tx, meta={"user": "bob", "app": "shop"}),
            put_thread(tx, meta={"user": "ada"}),
            put_thread(tx),
            put_thread(tx, project="other", meta={"user": "ada", "app": "shop"}),
        ]

    made = await store.write(fill)

    async def found(**metadata: str) -> list[int]:
        page = await store.read(lambda tx: list_threads(tx, HOME, PageQuery(order="asc"), metadata=metadata))
        return [[thread.id for thread in made].index(thread.id) for thread in page.items]

    assert await found(user="ada") == [0, 2]
    assert await found(app="shop") == [0, 1]
    assert await found(user="ada", app="shop") == [0]
    assert await found(user="shop") == []
    assert await found(ada="user") == []
    assert await found() == [0, 1, 2, 3]


async def test_threads_are_found_by_metadata_that_was_changed_and_not_by_what_it_was(store: Store) -> None:
    thread = await store.write(lambda tx: put_thread(tx, meta={"user": "ada"}))
    await store.write(lambda tx: update_thread(tx, thread.id, {"meta": {"user": "bob"}}))

    async def count(user: str) -> int:
        page = await store.read(lambda tx: list_threads(tx, HOME, PageQuery(), metadata={"user": user}))
        return len(page.items)

    assert (await count("ada"), await count("bob")) == (0, 1)
    await store.write(lambda tx: update_thread(tx, thread.id, {"on_busy": "reject"}))
    assert await count("bob") == 1
    await store.write(lambda tx: delete_thread(tx, thread.id))
    assert await count("bob") == 0


ODD_KEYS = [
    "",
    '"',
    "\\",
    "a.b",
    "$",
    "$.a",
    "a[0]",
    "it's",
    "%",
    "_",
    "ключ",
    "👩‍👩‍👧",
    "\n",
    "\0",
    'x" OR 1=1 --',
    "k" * 64,
]


async def test_any_key_and_value_of_metadata_can_be_looked_for(store: Store) -> None:
    made = [
        await store.write(lambda tx, key=key: put_thread(tx, meta={key: key * 2}))  # type: ignore[misc]
        for key in ODD_KEYS
    ]
    for key, thread in zip(ODD_KEYS, made, strict=True):
        metadata = {key: key * 2}
        page = await store.read(lambda tx, pairs=metadata: list_threads(tx, HOME, PageQuery(), metadata=pairs))  # type: ignore[misc]
        assert [t.id for t in page.items] == [thread.id]
    longest = {f"{i:064}": "😀" * 512 for i in range(16)}
    thread = await store.write(lambda tx: put_thread(tx, meta=longest))
    page = await store.read(lambda tx: list_threads(tx, HOME, PageQuery(), metadata=longest))
    assert [t.id for t in page.items] == [thread.id]


async def test_a_thread_goes_with_all_that_is_in_it_and_nothing_else(store: Store) -> None:
    def fill(tx: Tx) -> tuple[Thread, str]:
        thread = put_thread(tx, 3, meta={"a": "b"})
        run = put_run(tx, thread)
        insert_step(tx, a_step(run, 9))
        insert_job(tx, Job(id=run.id, kind="run", subject_id=run.id, project=HOME))
        append_events(tx, run.id, [NumberedEvent(0, 0, RunQueued(at=1.0))])
        return thread, run.id

    thread, run_id = await store.write(fill)
    other, other_run_id = await store.write(fill)

    def delete(tx: Tx) -> None:
        finish_jobs_of_thread(tx, thread.id)
        delete_thread(tx, thread.id)

    await store.write(delete)

    def left(tx: Tx, thread_id: str, run_id: str) -> list[int]:
        return [
            len(list_messages(tx, HOME, thread_id, PageQuery()).items),
            len(list_runs(tx, HOME, thread_id, PageQuery()).items),
            len(list_steps(tx, HOME, run_id, PageQuery()).items),
            len(read_events(tx, run_id)),
            int(find_job(tx, run_id) is not None),
        ]

    assert await store.read(lambda tx: left(tx, thread.id, run_id)) == [0, 0, 0, 0, 0]
    assert await store.read(lambda tx: left(tx, other.id, other_run_id)) == [3, 1, 1, 1, 1]
    assert await store.read(lambda tx: load_run(tx, run_id)) is None


# Messages ------------------------------------------------------------------------------------------------------------


async def test_a_message_is_found_under_its_own_thread_and_project_only(store: Store) -> None:
    def fill(tx: Tx) -> tuple[Thread, Thread, str]:
        thread, other = put_thread(tx), put_thread(tx)
        message = a_message(thread, 0, attachments=[{"file_id": "file-1", "tools": []}], meta={"k": "v"})
        insert_messages(tx, [message])
        return thread, other, message.id

    thread, other, message_id = await store.write(fill)
    found = await store.read(lambda tx: find_message(tx, HOME, thread.id, message_id))
    assert (found.meta, found.attachments) == ({"k": "v"}, [{"file_id": "file-1", "tools": []}])
    for project, thread_id in ((HOME, other.id), ("other", thread.id)):
        with pytest.raises(NotFoundError, match="No message found"):
            await store.read(lambda tx, p=project, t=thread_id: find_message(tx, p, t, message_id))  # type: ignore[misc]
    assert (await store.read(lambda tx: list_messages(tx, "other", thread.id, PageQuery()))).items == []


async def test_a_message_is_changed_and_deleted(store: Store) -> None:
    def fill(tx: Tx) -> tuple[Thread, str, str]:
        thread = put_thread(tx)
        messages = [a_message(thread, i) for i in range(2)]
        insert_messages(tx, messages)
        return thread, messages[0].id, messages[1].id

    thread, first, second = await store.write(fill)
    change = {"status": "incomplete", "parts": [{"type": "text", "text": "cut"}], "incomplete_reason": "max_tokens"}
    await store.write(lambda tx: update_message(tx, first, change))
    await store.write(lambda tx: delete_message(tx, second))
    page = await store.read(lambda tx: list_messages(tx, HOME, thread.id, PageQuery()))
    assert [(m.id, m.status, m.parts, m.incomplete_reason) for m in page.items] == [
        (first, "incomplete", [{"type": "text", "text": "cut"}], "max_tokens")
    ]


# Assistants ----------------------------------------------------------------------------------------------------------


async def test_an_assistant_is_its_projects_but_one_of_the_file_or_the_code_is_everybodys(store: Store) -> None:
    mine, declared, coded = an_assistant(), an_assistant(origin=DECLARED), an_assistant(origin=IN_CODE)

    def fill(tx: Tx) -> None:
        for assistant in (mine, declared, coded):
            insert_assistant(tx, assistant)

    await store.write(fill)
    assert await store.read(lambda tx: find_assistant(tx, HOME, mine.id)) == mine
    assert await store.read(lambda tx: find_assistant(tx, "other", declared.id)) == declared
    assert await store.read(lambda tx: find_assistant(tx, "other", coded.id)) == coded
    with pytest.raises(NotFoundError, match="No assistant found"):
        await store.read(lambda tx: find_assistant(tx, "other", mine.id))
    assert await store.read(list_declared) == [declared.id]


async def test_an_assistant_is_changed_and_deleted(store: Store) -> None:
    tool = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {"z": {}, "a": {}}}}
    assistant = an_assistant(tools=[tool], temperature=0.5, top_p=None, settings={"max_steps": 3})
    await store.write(lambda tx: insert_assistant(tx, assistant))
    await store.write(lambda tx: update_assistant(tx, assistant.id, {"name": "New", "temperature": None}))
    changed = await store.read(lambda tx: find_assistant(tx, HOME, assistant.id))
    assert changed == assistant.model_copy(update={"name": "New", "temperature": None})
    assert repr(changed.tools) == repr([tool])  # the order of the keys too
    await store.write(lambda tx: delete_assistant(tx, assistant.id))
    with pytest.raises(NotFoundError):
        await store.read(lambda tx: find_assistant(tx, HOME, assistant.id))


# Files and vector stores ---------------------------------------------------------------------------------------------


async def test_a_file_is_found_in_its_own_project_only(store: Store) -> None:
    file = a_file(project="ours")
    await store.write(lambda tx: insert_file(tx, file))
    assert await store.read(lambda tx: find_file(tx, "ours", file.id)) == file
    with pytest.raises(NotFoundError, match="No such File object"):
        await store.read(lambda tx: find_file(tx, "theirs", file.id))
    assert (await store.read(lambda tx: list_files(tx, "theirs", PageQuery()))).items == []


async def test_the_bytes_of_a_file_can_go_with_the_last_file_that_has_them(store: Store) -> None:
    first, second = a_file(sha256="aa"), a_file(sha256="aa", project="other")

    def fill(tx: Tx) -> None:
        insert_file(tx, first)
        insert_file(tx, second)

    await store.write(fill)

    def delete(tx: Tx, file: File) -> bool:
        delete_file(tx, file)
        return release_blob(tx, file.sha256, now=1)

    assert await store.write(lambda tx: delete(tx, first)) is False
    assert await store.write(lambda tx: delete(tx, second)) is True
    assert await store.read(lambda tx: list_dead_blobs(tx, limit=5)) == ["aa"]


async def test_files_whose_time_is_over_are_listed(store: Store) -> None:
    files = [a_file(expires_at=at) for at in (None, 100, 200, 201)]

    def fill(tx: Tx) -> None:
        for file in files:
            insert_file(tx, file)

    await store.write(fill)
    assert [f.expires_at for f in await store.read(lambda tx: list_expired_files(tx, 200.9))] == [100, 200]


async def test_a_vector_store_keeps_its_files_once_and_loses_those_that_are_deleted(store: Store) -> None:
    files = [a_file() for _ in range(3)]
    vector_store = VectorStore(id="vs_1", project=HOME, created_at=1, last_active_at=1, expires_after_days=7)

    def in_store(n: int) -> list[VectorStoreFile]:
        return [VectorStoreFile(store_id="vs_1", file_id=f.id, project=HOME, created_at=1) for f in files[:n]]

    def fill(tx: Tx) -> None:
        for file in files:
            insert_file(tx, file)
        insert_vector_store(tx, vector_store)
        attach_files(tx, in_store(1))

    await store.write(fill)
    await store.write(lambda tx: attach_files(tx, in_store(3)))
    await store.write(lambda tx: attach_files(tx, in_store(2)))
    await store.write(lambda tx: delete_file(tx, files[0]))
    assert await store.read(lambda tx: find_vector_store(tx, HOME, "vs_1")) == vector_store
    with pytest.raises(NotFoundError, match=r"Vector store with id \[vs_1\] not found"):
        await store.read(lambda tx: find_vector_store(tx, "other", "vs_1"))
