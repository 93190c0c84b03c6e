"""What is kept no longer than agents.toml says, and what is kept all the same."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text as sql

from agentrt.config.load import load_config
from agentrt.config.schema import RetentionSpec
from agentrt.engine import events as ev
from agentrt.engine.message import TextPart
from agentrt.engine.run import Run
from agentrt.engine.spec import FunctionTool
from agentrt.errors import NotFoundError
from agentrt.runtime.assembly import Runtime
from agentrt.runtime.expiry import expire_vector_stores
from agentrt.runtime.requests import NewAssistant, NewMessage, NewRun, NewThread
from agentrt.runtime.retention import Retention
from agentrt.store.database import Tx
from agentrt.store.files import find_file
from agentrt.store.pages import PageQuery
from agentrt.store.run_events import read_events
from agentrt.store.runs import find_run
from agentrt.store.threads import find_thread
from agentrt.store.vector_stores import VectorStore, find_vector_store
from agentrt.store.webhook_deliveries import WebhookDelivery, insert_deliveries, list_deliveries
from agentrt.testing.clocks import FakeClock
from agentrt.testing.scripts import ScriptedModel, call, text

HOME = "default"
HOUR, DAY = 3600.0, 86_400.0
TOML = """
[models.demo]
provider = "demo"
[agents.helper]
model = "demo"
"""
REMOTE = FunctionTool("remote", "Ask the caller.", {"type": "object", "properties": {}})


class House:
    """A runtime whose clock stands still."""

    def __init__(self, runtime: Runtime, clock: FakeClock) -> None:
        self.runtime = runtime
        self.clock = clock

    async def keep(self, **periods: float | None) -> None:
        """Sweep as if agents.toml had these periods, in seconds, and `forever` for all others."""
        spec = RetentionSpec(**{"events_s": None, "webhook_deliveries_s": None, **periods})
        runtime = self.runtime
        retention = Retention(
            spec,
            store=runtime.store,
            clock=runtime.clock,
            threads=runtime.threads,
            files=runtime.files,
            webhooks=runtime.webhooks,
        )
        await retention.sweep()

    def wait(self, seconds: float) -> None:
        self.clock.set(self.clock.now() + seconds)

    async def thread(self, **resources: Any) -> str:
        return (await self.runtime.threads.create(HOME, NewThread(tool_resources=resources))).id

    async def run(self, thread_id: str, *, rests: bool = True, **fields: Any) -> Run:
        new = NewRun(assistant_id="asst_helper", messages=(NewMessage("user", (TextPart("Hi"),)),), **fields)
        run = await self.runtime.runs.create(HOME, thread_id, new)
        if rests:
            await self.events(run)
        return run

    async def events(self, run: Run, **given: Any) -> list[ev.Event]:
        async with asyncio.timeout(20):
            return [n.event async for burst in self.runtime.runs.follow(run.spec.id, **given) for n in burst]

    async def has(self, find: Any, *ids: str) -> bool:
        try:
            await self.runtime.store.read(lambda tx: find(tx, HOME, *ids))
        except NotFoundError:
            return False
        return True

    async def file(self, **fields: Any) -> str:
        async def data() -> AsyncIterator[bytes]:
            yield b"bytes"

        return (await self.runtime.files.put(HOME, data(), filename="a.txt", purpose="assistants", **fields)).id

    async def execute(self, statement: str) -> None:
        """As an older release might have left it."""

        def write(tx: Tx) -> None:
            tx.conn.execute(sql(statement))

        await self.runtime.store.write(write)


@asynccontextmanager
async def open_house(folder: Path, model: ScriptedModel, *, toml: str = "") -> AsyncGenerator[House, None]:
    file = folder / "agents.toml"
    file.write_text(toml + TOML)
    clock = FakeClock()
    async with Runtime(load_config(file, environ={}), models={"demo": model}, clock=clock) as runtime:
        yield House(runtime, clock)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncGenerator[House, None]:
    async with open_house(tmp_path, ScriptedModel(*[text(f"Answer {i}.") for i in range(60)])) as opened:
        yield opened


# Events -------------------------------------------------------------------------------------------------------------


async def test_events_go_so_long_after_the_runs_end_and_the_rest_stays(house: House) -> None:
    run = await house.run(await house.thread())
    house.wait(14 * DAY - 1)
    await house.keep(events_s=14 * DAY)
    assert len(await house.events(run)) > 5
    house.wait(1)
    await house.keep(events_s=14 * DAY)
    assert await house.runtime.store.read(lambda tx: read_events(tx, run.spec.id)) == []
    assert await house.has(find_run, run.spec.thread_id, run.spec.id)


async def test_many_logs_go_a_few_at_a_time_until_all_are_gone(house: House) -> None:
    runs = [await house.run(await house.thread()) for _ in range(45)]
    house.wait(DAY)
    await house.keep(events_s=DAY)
    for run in runs:
        assert await house.runtime.store.read(lambda tx, run_id=run.spec.id: read_events(tx, run_id)) == []  # type: ignore[misc]


@pytest.mark.parametrize(
    "given", [{}, {"after": (1, 3)}, {"is_resumed": True}, {"after": (1, 900), "is_resumed": True}]
)
async def test_following_a_run_without_its_events_gives_its_end_at_once(house: House, given: dict[str, Any]) -> None:
    run = await house.run(await house.thread())
    whole = await house.events(run)
    house.wait(DAY)
    await house.keep(events_s=DAY)
    assert await house.events(run, **given) == [whole[-1]]


async def test_every_end_is_told_as_it_was(tmp_path: Path) -> None:
    from agentrt.errors import ModelError
    from agentrt.testing.scripts import failure

    hold = asyncio.Event()
    model = ScriptedModel(failure(ModelError("broken")), text("…", finish="length"), text("never", pause=hold))
    async with open_house(tmp_path, model) as house:
        failed = await house.run(await house.thread())
        incomplete = await house.run(await house.thread())
        cancelled = await house.run(await house.thread(), rests=False)
        await house.runtime.runs.cancel(HOME, cancelled.spec.thread_id, cancelled.spec.id)
        ends = [(await house.events(run))[-1] for run in (failed, incomplete, cancelled)]
        assert [type(end) for end in ends] == [ev.RunFailed, ev.RunIncomplete, ev.RunCancelled]
        house.wait(DAY)
        await house.keep(events_s=DAY)
        assert [await house.events(run) for run in (failed, incomplete, cancelled)] == [[end] for end in ends]


async def test_a_run_that_waits_keeps_its_events_however_long(tmp_path: Path) -> None:
    toml = '[runtime]\nrun_expiry = "900d"\n'
    async with open_house(tmp_path, ScriptedModel(call("remote"), text("Done.")), toml=toml) as house:
        run = await house.run(await house.thread(), tools=(REMOTE,))
        house.wait(400 * DAY)
        await house.keep(events_s=DAY, threads_s=DAY)
        waiting = await house.runtime.store.read(lambda tx: find_run(tx, HOME, run.spec.thread_id, run.spec.id))
        [wanted] = waiting.to_run().pending_calls
        submitted = await house.runtime.runs.submit(HOME, run.spec.thread_id, run.spec.id, [(wanted.id, "4")])
        assert isinstance((await house.events(run, after=submitted.after))[-1], ev.RunCompleted)
        house.wait(DAY - 1)
        await house.keep(events_s=DAY)
        assert len(await house.events(run)) > 1, "what counts is its end"


async def test_runs_that_an_older_release_ended_count_from_their_creation(house: House) -> None:
    run = await house.run(await house.thread())
    await house.execute("UPDATE run SET ended_at = NULL")
    house.wait(DAY - 1)
    await house.keep(events_s=DAY)
    assert len(await house.events(run)) > 1
    house.wait(1)
    await house.keep(events_s=DAY)
    assert len(await house.events(run)) == 1


async def test_the_same_on_postgres(tmp_path: Path, postgres_url: str) -> None:
    toml = f'[runtime]\ndatabase = "{postgres_url}"\n'
    async with open_house(tmp_path, ScriptedModel(text("One."), text("Two.")), toml=toml) as house:
        old, file_id = await house.thread(), await house.file()
        run = await house.run(old)
        search: Any = {"vector_stores": [{"file_ids": []}]}
        thread_id = await house.thread(file_search=search)
        house.wait(30 * DAY)
        await house.run(thread_id)
        await house.keep(events_s=30 * DAY, files_s=30 * DAY)
        assert len(await house.events(run)) == 1
        assert not await house.has(find_file, file_id)
        house.wait(HOUR)
        await house.keep(threads_s=30 * DAY)
        assert [await house.has(find_thread, i) for i in (old, thread_id)] == [False, True]
        # The run came three weeks too late for the store, which nobody had swept yet.
        assert await expire_vector_stores(house.runtime.store, now=house.runtime.clock.now()) == 1
        assert (await store_of(house, thread_id)).expired_at is not None


# Threads ------------------------------------------------------------------------------------------------------------


async def test_threads_go_when_nothing_has_happened_in_them_for_so_long(house: House) -> None:
    silent, talking = await house.thread(), await house.thread()
    run = await house.run(silent)
    house.wait(20 * DAY)
    await house.runtime.threads.add_message(HOME, talking, NewMessage("user", (TextPart("Still here"),)))
    house.wait(10 * DAY)
    await house.keep(threads_s=30 * DAY)
    assert await house.has(find_thread, silent), "an hour is the least that is told apart"
    house.wait(HOUR)
    await house.keep(threads_s=30 * DAY)
    assert not await house.has(find_thread, silent)
    assert not await house.has(find_run, silent, run.spec.id)
    assert await house.has(find_thread, talking)


async def test_a_thread_whose_run_waits_for_its_caller_stays(tmp_path: Path) -> None:
    toml = '[runtime]\nrun_expiry = "900d"\n'
    async with open_house(tmp_path, ScriptedModel(call("remote")), toml=toml) as house:
        thread_id = await house.thread()
        await house.run(thread_id, tools=(REMOTE,))
        house.wait(400 * DAY)
        await house.keep(threads_s=DAY)
        assert await house.has(find_thread, thread_id)


async def test_threads_of_an_older_release_count_from_the_first_sweep(house: House) -> None:
    thread_id = await house.thread()
    await house.execute("UPDATE thread SET active_at = NULL")
    house.wait(90 * DAY)
    await house.keep(threads_s=30 * DAY)
    assert await house.has(find_thread, thread_id)
    house.wait(30 * DAY + HOUR)
    await house.keep(threads_s=30 * DAY)
    assert not await house.has(find_thread, thread_id)


# Files --------------------------------------------------------------------------------------------------------------


async def test_files_go_so_long_after_their_upload_also_from_the_threads_that_name_them(house: House) -> None:
    file_id = await house.file()
    own = await house.file(expires_after_s=int(400 * DAY))
    thread_id = await house.thread(code_interpreter={"file_ids": [file_id]})
    house.wait(90 * DAY)
    young = await house.file()
    await house.keep(files_s=90 * DAY)
    assert [await house.has(find_file, i) for i in (file_id, own, young)] == [False, True, True]
    thread = await house.runtime.store.read(lambda tx: find_thread(tx, HOME, thread_id))
    assert thread.tool_resources == {"code_interpreter": {"file_ids": []}}


async def test_files_of_assistants_and_vector_stores_stay_until_nothing_holds_them(house: House) -> None:
    of_assistant, of_store = await house.file(), await house.file()
    resources: Any = {
        "code_interpreter": {"file_ids": [of_assistant]},
        "file_search": {"vector_stores": [{"file_ids": [of_store]}]},
    }
    assistant = await house.runtime.assistants.create(HOME, NewAssistant(model="demo", tool_resources=resources))
    for _ in range(3):
        house.wait(30 * DAY)
        await house.keep(files_s=30 * DAY)
    assert [await house.has(find_file, i) for i in (of_assistant, of_store)] == [True, True]
    await house.runtime.assistants.delete(HOME, assistant.id)
    house.wait(30 * DAY)
    await house.keep(files_s=30 * DAY)
    assert [await house.has(find_file, i) for i in (of_assistant, of_store)] == [False, True]


async def test_files_of_an_older_release_count_from_their_upload(house: House) -> None:
    file_id = await house.file()
    await house.execute("UPDATE file SET kept_at = NULL")
    house.wait(30 * DAY)
    await house.keep(files_s=30 * DAY)
    assert not await house.has(find_file, file_id)


async def test_forever_deletes_nothing(house: House) -> None:
    run = await house.run(await house.thread())
    file_id = await house.file()
    house.wait(10_000 * DAY)
    await house.keep()
    assert await house.has(find_file, file_id)
    assert len(await house.events(run)) > 1


# Deliveries of webhooks ---------------------------------------------------------------------------------------------


async def test_deliveries_go_so_long_after_they_were_made_or_given_up(house: House) -> None:
    ended = house.clock.now()
    kept: Any = {"project": HOME, "created_at": 1, "webhook": "crm", "type": "run.completed", "subject_id": "run_1"}
    made = [
        WebhookDelivery(id=f"delivery_{i}", event_id=f"evt_{i}", payload="{}", status=status, ended_at=at, **kept)
        for i, (status, at) in enumerate([("delivered", int(ended)), ("failed", int(ended)), ("pending", None)])
    ]
    await house.runtime.store.write(lambda tx: insert_deliveries(tx, made))

    async def left() -> list[str]:
        page = await house.runtime.store.read(lambda tx: list_deliveries(tx, HOME, PageQuery()))
        return sorted(delivery.id for delivery in page.items)

    house.wait(30 * DAY)
    await house.keep(webhook_deliveries_s=30 * DAY)
    assert await left() == ["delivery_0", "delivery_1", "delivery_2"]
    house.wait(1)
    await house.keep(webhook_deliveries_s=30 * DAY)
    assert await left() == ["delivery_2"]


# Vector stores ------------------------------------------------------------------------------------------------------


async def store_of(house: House, thread_id: str) -> VectorStore:
    thread = await house.runtime.store.read(lambda tx: find_thread(tx, HOME, thread_id))
    search: Any = thread.tool_resources["file_search"]
    [store_id] = search["vector_store_ids"]
    return await house.runtime.store.read(lambda tx: find_vector_store(tx, HOME, store_id))


async def test_a_threads_store_expires_a_week_after_the_last_run_on_the_thread(house: House) -> None:
    thread_id = await house.thread(file_search={"vector_stores": [{"file_ids": [await house.file()]}]})
    house.wait(6 * DAY)
    await house.run(thread_id)
    used = await store_of(house, thread_id)
    assert (used.last_active_at, used.expires_at) == (house.clock.now(), house.clock.now() + 7 * DAY)
    house.wait(7 * DAY - 1)
    assert await expire_vector_stores(house.runtime.store, now=house.clock.now()) == 0
    house.wait(1)
    assert await expire_vector_stores(house.runtime.store, now=house.clock.now()) == 1
    assert (await store_of(house, thread_id)).expired_at == house.clock.now()
    await house.run(thread_id)
    assert (await store_of(house, thread_id)).expired_at is not None, "what has expired stays so"
    assert await expire_vector_stores(house.runtime.store, now=house.clock.now()) == 0


async def test_a_store_of_an_older_release_expires_too_and_one_without_a_limit_never(house: House) -> None:
    old = await house.thread(file_search={"vector_stores": [{"file_ids": []}]})
    await house.execute("UPDATE vector_store SET expires_at = NULL")
    unlimited: Any = {"file_search": {"vector_stores": [{"file_ids": []}]}}
    made = await house.runtime.assistants.create(HOME, NewAssistant(model="demo", tool_resources=unlimited))
    house.wait(7 * DAY)
    assert await expire_vector_stores(house.runtime.store, now=house.clock.now()) == 1
    assert (await store_of(house, old)).expired_at is not None
    search: Any = made.tool_resources["file_search"]
    kept = await house.runtime.store.read(lambda tx: find_vector_store(tx, HOME, search["vector_store_ids"][0]))
    assert kept.expired_at is None
