"""Feeds: what followers get of a run that is driven here, that other processes drive, or now one and now the other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest

from agentrt.clock import SystemClock
from agentrt.engine.events import Event, RunCompleted, RunQueued, RunStarted, TextDelta
from agentrt.errors import UnavailableError
from agentrt.runtime import feed as feed_module
from agentrt.runtime.feed import Feeds, Follower, Place
from agentrt.store.database import Store, Tx
from agentrt.store.postgres import PostgresStore
from agentrt.store.run_events import NumberedEvent, append_events, read_events
from agentrt.store.runs import StoredRun
from agentrt.store.sqlite import SqliteStore
from agentrt.store.threads import delete_thread
from tests.contracts.rows import put_run, put_thread

BEGINNING: tuple[Event, ...] = (RunQueued(at=1), RunStarted(at=2))


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Store]:
    opened = PostgresStore(postgres_url, clock=SystemClock())
    yield opened
    await opened.close()


@pytest.fixture
async def run(store: Store) -> StoredRun:
    """A run with two events of epoch 1."""
    run = await store.write(lambda tx: put_run(tx, put_thread(tx)))
    await put(store, run, 1, 0, *BEGINNING)
    return run


async def put(store: Store, run: StoredRun, epoch: int, seq: int, *events: Event) -> list[NumberedEvent]:
    """Store events as another process does, whose hint of them has not come yet."""
    numbered = [NumberedEvent(epoch, seq + i, event) for i, event in enumerate(events)]
    await store.write(lambda tx: append_events(tx, run.id, numbered))
    return numbered


class Reader:
    """Follows a run, and notes the places of what comes and how it ended."""

    def __init__(self, feeds: Feeds, store: Store, run_id: str) -> None:
        self._feeds = feeds
        self._store = store
        self._run_id = run_id
        self.places: list[Place] = []
        self.why = ""

    async def follow(self) -> None:
        async def read(after: Place | None) -> list[NumberedEvent]:
            return await self._store.read(partial(read_events, run_id=self._run_id, after=after))

        try:
            async with asyncio.timeout(20):
                async for burst in self._feeds.follow(self._run_id, read):
                    self.places += [(numbered.epoch, numbered.seq) for numbered in burst]
        except UnavailableError as error:
            self.why = error.message

    async def saw(self, n: int) -> None:
        while len(self.places) < n:
            await asyncio.sleep(0.005)


@asynccontextmanager
async def following(feeds: Feeds, store: Store, run: StoredRun) -> AsyncGenerator[Reader, None]:
    """A reader that has what is stored. Leaves when its stream has ended."""
    reader = Reader(feeds, store, run.id)
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(feeds.serve())
        task = group.create_task(reader.follow())
        await reader.saw(2)
        yield reader
        await task
        serving.cancel()


async def test_a_follower_that_is_closed_hands_out_what_it_has_and_then_says_why() -> None:
    follower = Follower()
    events = [NumberedEvent(0, 1, RunQueued(at=1))]
    follower.put(events)
    follower.close("Closing.")
    assert await follower.take() == events
    with pytest.raises(UnavailableError, match="Closing"):
        await follower.take()


async def test_who_takes_a_run_over_hands_its_followers_what_they_have_not_heard_of(
    store: Store, run: StoredRun
) -> None:
    feeds = Feeds(store)
    async with following(feeds, store, run) as reader:
        await put(store, run, 1, 2, TextDelta(message_id="m", text="a"))
        log = await store.read(partial(read_events, run_id=run.id))
        feeds.begin(run.id, log)
        feeds.publish(run.id, await put(store, run, 2, 3, RunCompleted(at=3)), is_saved=True)
    assert reader.places == [(1, 0), (1, 1), (1, 2), (2, 3)]


async def test_what_a_caller_changes_comes_after_what_the_driver_elsewhere_stored_before_it(
    store: Store, run: StoredRun
) -> None:
    feeds = Feeds(store)
    async with following(feeds, store, run) as reader:
        await put(store, run, 1, 2, TextDelta(message_id="m", text="a"))
        feeds.publish_stored(run.id, await put(store, run, 2, 3, RunCompleted(at=3)))
    assert reader.places == [(1, 0), (1, 1), (1, 2), (2, 3)]


async def test_what_comes_twice_is_handed_on_once(store: Store, run: StoredRun) -> None:
    feeds = Feeds(store)
    async with following(feeds, store, run) as reader:
        stored = await put(store, run, 1, 2, TextDelta(message_id="m", text="a"))
        for _ in range(2):
            feeds.publish(run.id, stored, is_saved=True)
        feeds.publish(run.id, await put(store, run, 1, 3, RunCompleted(at=3)), is_saved=True)
    assert reader.places == [(1, 0), (1, 1), (1, 2), (1, 3)]


async def test_news_that_come_while_the_first_follower_reads_are_not_lost(
    store: Store, run: StoredRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "POLL_EVERY_S", 1000)
    feeds = Feeds(store)

    async def read(after: Place | None) -> list[NumberedEvent]:
        stored = await store.read(partial(read_events, run_id=run.id, after=after))
        await put(store, run, 1, 2, RunCompleted(at=3))
        feeds.hear(run.id)
        await asyncio.sleep(0)
        return stored

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        serving = group.create_task(feeds.serve())
        bursts = [burst async for burst in feeds.follow(run.id, read)]
        serving.cancel()
    assert [numbered.seq for burst in bursts for numbered in burst] == [0, 1, 2]


async def test_of_two_who_begin_at_once_the_one_who_has_read_less_misses_nothing(store: Store, run: StoredRun) -> None:
    feeds = Feeds(store)
    has_read, other_has_read = asyncio.Event(), asyncio.Event()

    async def read(after: Place | None) -> list[NumberedEvent]:
        return await store.read(partial(read_events, run_id=run.id, after=after))

    async def read_slowly(after: Place | None) -> list[NumberedEvent]:
        stored = await read(after)
        has_read.set()
        await other_has_read.wait()
        return stored

    slow = feeds.follow(run.id, read_slowly)
    first = asyncio.ensure_future(anext(slow))
    await has_read.wait()
    await put(store, run, 1, 2, RunCompleted(at=3))
    assert [len(burst) async for burst in feeds.follow(run.id, read)] == [3]
    other_has_read.set()
    assert [numbered.seq for numbered in await first] == [0, 1, 2]
    await slow.aclose()


async def test_the_stream_of_a_run_that_was_deleted_elsewhere_ends_without_a_hint(
    store: Store, run: StoredRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_module, "POLL_EVERY_S", 0.01)
    async with following(Feeds(store), store, run) as reader:
        await store.write(lambda tx: delete_thread(tx, run.thread_id))
    assert reader.why == "The run was deleted with its thread."


async def test_a_run_that_is_deleted_before_anybody_has_read_it_cannot_be_followed(
    store: Store, run: StoredRun
) -> None:
    await store.write(lambda tx: delete_thread(tx, run.thread_id))
    reader = Reader(Feeds(store), store, run.id)
    await reader.follow()
    assert reader.why == "The run was deleted with its thread."


async def test_events_of_a_release_to_come_end_the_streams_of_their_run_and_no_others(
    store: Store, run: StoredRun
) -> None:
    other = await store.write(lambda tx: put_run(tx, put_thread(tx)))
    await put(store, other, 1, 0, *BEGINNING)
    feeds = Feeds(store)

    def store_strange(tx: Tx) -> None:
        append_events(tx, run.id, [NumberedEvent(1, 2, RunCompleted(at=3))])
        tx.dbapi.cursor().execute(
            "UPDATE run_event SET data = replace(data, 'run_completed', 'of_tomorrow') WHERE seq = 2"
        )

    async with following(feeds, store, run) as reader:
        second = Reader(feeds, store, other.id)
        async with asyncio.TaskGroup() as group:
            group.create_task(second.follow())
            await second.saw(2)
            await store.write(store_strange)
            feeds.hear_all()
            while not reader.why:
                await asyncio.sleep(0.005)
            await put(store, other, 1, 2, RunCompleted(at=3))
            feeds.hear_all()
    assert reader.why.startswith("Another release of agentrt wrote what follows.")
    assert second.places == [(1, 0), (1, 1), (1, 2)]


async def test_nothing_is_kept_of_runs_that_nobody_follows_any_more(sqlite_path: Path) -> None:
    store = SqliteStore(sqlite_path)
    run = await store.write(lambda tx: put_run(tx, put_thread(tx)))
    await put(store, run, 1, 0, *BEGINNING, RunCompleted(at=3))
    feeds = Feeds(store)
    await Reader(feeds, store, run.id).follow()
    assert (feeds._feeds, feeds._stale) == ({}, set())
    await store.close()
