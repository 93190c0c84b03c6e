"""A file that is deleted at the moment when something names it: either it is named no more, or it was not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import TypeAlias

import asyncpg  # type: ignore[import-untyped]
import pytest

from agentrt.engine.message import JsonObject, TextPart
from agentrt.errors import NotFoundError
from agentrt.runtime.requests import (
    Attachment,
    NewAssistant,
    NewMessage,
    NewRun,
    NewStoreFile,
    NewThread,
    NewVectorStore,
)
from agentrt.store.assistants import find_assistant
from agentrt.store.threads import find_thread
from agentrt.testing.scripts import ScriptedModel, text
from tests.runtime.conftest import World

Open: TypeAlias = Callable[..., AbstractAsyncContextManager[World]]
Naming: TypeAlias = Callable[[World, str], Awaitable[object]]

ROUNDS = 6


@pytest.fixture(params=["sqlite", "postgres"])
def runtime_table(request: pytest.FixtureRequest) -> str:
    return "" if request.param == "sqlite" else on_postgres(request.getfixturevalue("postgres_url"))


@pytest.fixture
async def world(runtime_table: str, open_world: Open) -> AsyncGenerator[World, None]:
    async with open_world(ScriptedModel(*(text("Done.") for _ in range(100))), extra=runtime_table) as opened:
        yield opened


def on_postgres(url: str) -> str:
    return f'[runtime]\ndatabase = "{url}"\n'


async def _bytes() -> AsyncIterator[bytes]:
    yield b"The liver makes bile."


async def a_file(world: World) -> str:
    made = await world.runtime.files.put(world.project, _bytes(), filename="liver.txt", purpose="assistants")
    return made.id


def code(file_id: str) -> JsonObject:
    return {"code_interpreter": {"file_ids": [file_id]}}


def helper(file_id: str) -> JsonObject:
    return {"file_search": {"vector_stores": [{"file_ids": [file_id]}]}}


def attached(file_id: str, tool: str) -> NewMessage:
    return NewMessage("user", (TextPart("Look."),), attachments=(Attachment(file_id, (tool,)),))  # type: ignore[arg-type]


async def message(world: World, file_id: str, tool: str) -> object:
    thread_id = await world.thread("Hi")
    return await world.runtime.threads.add_message(world.project, thread_id, attached(file_id, tool))


async def run(world: World, file_id: str) -> object:
    thread_id = await world.thread("Hi")
    return await world.run(thread_id, tools=(), tool_resources=helper(file_id))


async def run_with_message(world: World, file_id: str) -> object:
    new = NewRun(assistant_id="asst_helper", messages=(attached(file_id, "file_search"),))
    return await world.runtime.runs.create(world.project, await world.thread("Hi"), new)


async def thread_and_run(world: World, file_id: str) -> object:
    thread = NewThread(messages=(attached(file_id, "file_search"),))
    return await world.runtime.runs.create_with_thread(world.project, thread, NewRun(assistant_id="asst_helper"))


async def thread(world: World, file_id: str) -> object:
    return await world.runtime.threads.create(world.project, NewThread(tool_resources=code(file_id)))


async def changed_thread(world: World, file_id: str) -> object:
    thread_id = await world.thread("Hi")
    return await world.runtime.threads.update(world.project, thread_id, metadata=None, tool_resources=helper(file_id))


async def assistant(world: World, file_id: str) -> object:
    resources = code(file_id) | helper(file_id)
    return await world.runtime.assistants.create(world.project, NewAssistant(model="demo", tool_resources=resources))


async def changed_assistant(world: World, file_id: str) -> object:
    made = await world.runtime.assistants.create(world.project, NewAssistant(model="demo"))
    return await world.runtime.assistants.update(world.project, made.id, {"tool_resources": code(file_id)})


async def vector_store(world: World, file_id: str) -> object:
    return await world.runtime.vector_stores.create(world.project, NewVectorStore(file_ids=(file_id,)))


async def store_file(world: World, file_id: str) -> object:
    store = await world.runtime.vector_stores.create(world.project, NewVectorStore())
    return await world.runtime.vector_stores.put_file(world.project, store.id, NewStoreFile(file_id))


async def batch(world: World, file_id: str) -> object:
    store = await world.runtime.vector_stores.create(world.project, NewVectorStore())
    other = await a_file(world)
    return await world.runtime.vector_stores.put_batch(
        world.project, store.id, [NewStoreFile(other), NewStoreFile(file_id)]
    )


NAMINGS: dict[str, Naming] = {
    "message for code": lambda world, file_id: message(world, file_id, "code_interpreter"),
    "message for search": lambda world, file_id: message(world, file_id, "file_search"),
    "run": run,
    "run with a message": run_with_message,
    "thread and run": thread_and_run,
    "thread": thread,
    "changed thread": changed_thread,
    "assistant": assistant,
    "changed assistant": changed_assistant,
    "vector store": vector_store,
    "file of a store": store_file,
    "batch": batch,
}
by_naming = pytest.mark.parametrize("name", NAMINGS.values(), ids=[key.replace(" ", "-") for key in NAMINGS])


@by_naming
async def test_a_file_that_is_gone_is_not_found(world: World, name: Naming) -> None:
    file_id = await a_file(world)
    await world.runtime.files.delete(world.project, file_id)
    with pytest.raises(NotFoundError, match=file_id):
        await name(world, file_id)


@by_naming
async def test_naming_a_file_while_it_is_deleted_works_or_does_not_find_it(world: World, name: Naming) -> None:
    for _ in range(ROUNDS):
        file_id = await a_file(world)
        named, deleted = await asyncio.gather(
            name(world, file_id), world.runtime.files.delete(world.project, file_id), return_exceptions=True
        )
        assert deleted is None
        assert isinstance(named, NotFoundError) or not isinstance(named, BaseException)


@by_naming
async def test_who_names_a_file_waits_for_one_who_deletes_it(open_world: Open, postgres_url: str, name: Naming) -> None:
    async with open_world(ScriptedModel(text("Done.")), extra=on_postgres(postgres_url)) as world:
        file_id = await a_file(world)
        deleting = await asyncpg.connect(postgres_url)
        try:
            async with asyncio.TaskGroup() as group, deleting.transaction():
                await deleting.execute("DELETE FROM file WHERE id = $1", file_id)
                naming = group.create_task(failure_of(name(world, file_id)))
                await someone_waits(deleting)
            assert isinstance(naming.result(), NotFoundError)
        finally:
            await deleting.close()


async def test_who_deletes_a_file_waits_for_those_who_name_it(open_world: Open, postgres_url: str) -> None:
    async with open_world(ScriptedModel(), extra=on_postgres(postgres_url)) as world:
        file_id = await a_file(world)
        new = NewAssistant(model="demo", tool_resources=code(file_id))
        holding = await asyncpg.connect(postgres_url)
        try:
            async with asyncio.TaskGroup() as group, holding.transaction():
                await holding.execute("LOCK TABLE assistant_code_file IN EXCLUSIVE MODE")  # it can still be read
                naming = group.create_task(world.runtime.assistants.create(world.project, new))
                await someone_waits(holding)
                deleting = group.create_task(failure_of(world.runtime.files.delete(world.project, file_id)))
                await someone_waits(holding, n=2, unless=deleting)
            assert deleting.result() is None
            made = naming.result()
        finally:
            await holding.close()
        found = await world.runtime.store.read(lambda tx: find_assistant(tx, world.project, made.id))
        assert found.tool_resources == {"code_interpreter": {"file_ids": []}}


async def test_two_messages_at_once_both_give_their_files_to_the_thread(open_world: Open, postgres_url: str) -> None:
    async with open_world(ScriptedModel(), extra=on_postgres(postgres_url)) as world:
        thread_id, files = await world.thread("Hi"), [await a_file(world) for _ in range(4)]
        holding = await asyncpg.connect(postgres_url)
        try:
            async with asyncio.TaskGroup() as group, holding.transaction():
                await holding.execute("SELECT FROM thread WHERE id = $1 FOR UPDATE", thread_id)
                for file_id in files:
                    new = attached(file_id, "code_interpreter")
                    group.create_task(world.runtime.threads.add_message(world.project, thread_id, new))
                await someone_waits(holding, n=len(files))
        finally:
            await holding.close()
        found = await world.runtime.store.read(lambda tx: find_thread(tx, world.project, thread_id))
        listed = found.tool_resources["code_interpreter"]
        assert isinstance(listed, dict)
        assert sorted(listed["file_ids"]) == sorted(files)  # type: ignore[arg-type, type-var]


async def test_a_thread_that_is_changed_keeps_what_a_message_gives_it_at_that_moment(
    open_world: Open, postgres_url: str
) -> None:
    async with open_world(ScriptedModel(), extra=on_postgres(postgres_url)) as world:
        thread_id, given, named = await world.thread("Hi"), await a_file(world), await a_file(world)
        threads, holding = world.runtime.threads, await asyncpg.connect(postgres_url)
        try:
            async with asyncio.TaskGroup() as group, holding.transaction():
                await holding.execute("SELECT FROM thread WHERE id = $1 FOR UPDATE", thread_id)
                group.create_task(threads.add_message(world.project, thread_id, attached(given, "code_interpreter")))
                await someone_waits(holding)
                group.create_task(threads.update(world.project, thread_id, metadata=None, tool_resources=helper(named)))
                await someone_waits(holding, n=2)
        finally:
            await holding.close()
        found = await world.runtime.store.read(lambda tx: find_thread(tx, world.project, thread_id))
        assert found.tool_resources.get("code_interpreter") == {"file_ids": [given]}
        assert "file_search" in found.tool_resources


async def failure_of(work: Awaitable[object]) -> BaseException | None:
    try:
        await work
    except Exception as error:
        return error
    return None


async def someone_waits(conn: asyncpg.Connection, *, n: int = 1, unless: asyncio.Task[object] | None = None) -> None:
    """Until n sessions wait for a lock, or the task is done."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(20):
        while await conn.fetchval(waiting) < n and not (unless is not None and unless.done()):
            await conn.execute("SELECT pg_stat_clear_snapshot()")  # or a transaction sees the same all the time
            await asyncio.sleep(0.005)
