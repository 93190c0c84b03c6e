"""PostgresStore when things go wrong: crashes, cut connections, deadlocks, impatient callers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from agentrt.clock import SystemClock
from agentrt.errors import StoreError
from agentrt.store.database import Tx
from agentrt.store.migrate import migrate
from agentrt.store.postgres import PostgresStore
from agentrt.store.postgres_connect import IDLE_IN_TRANSACTION_S
from agentrt.store.threads import find_thread, take_positions
from agentrt.testing.clocks import FakeClock
from tests.contracts.rows import HOME, put_thread
from tests.postgres import PostgresServer, running_postgres
from tests.store.bad_network import Moment, bad_network


@pytest.fixture(scope="module")
def fragile_server() -> Iterator[PostgresServer]:
    """A server that these tests may crash, with our tables in `postgres`."""
    with running_postgres() as server:
        server.run_sql("ALTER SYSTEM SET deadlock_timeout = '20ms'")
        server.run_sql("SELECT pg_reload_conf()")
        migrate(server.url(), backup=False)
        yield server


@pytest.fixture
async def store(fragile_server: PostgresServer) -> AsyncIterator[PostgresStore]:
    opened = PostgresStore(fragile_server.url(), clock=SystemClock())
    yield opened
    await opened.close()


class Counting:
    """Writes that count in a thread's row: what is there afterwards tells how often they were made."""

    def __init__(self, store: PostgresStore, thread_id: str) -> None:
        self._store = store
        self._thread_id = thread_id
        self.n_acknowledged = 0
        self.n_after_commit = 0
        self.is_stopping = False

    async def run(self, n_writers: int) -> None:
        """Count until told to stop."""
        async with asyncio.TaskGroup() as group:
            for _ in range(n_writers):
                group.create_task(self._write())

    async def _write(self) -> None:
        while not self.is_stopping:
            await self._store.write(self.count)
            self.n_acknowledged += 1

    def count(self, tx: Tx) -> int:
        tx.after_commit(self._committed)
        return take_positions(tx, self._thread_id, 1, now=1.0)

    async def n_stored(self) -> int:
        thread = await self._store.read(lambda tx: find_thread(tx, HOME, self._thread_id))
        return thread.next_pos

    def _committed(self) -> None:
        self.n_after_commit += 1


@pytest.fixture
async def counting(store: PostgresStore) -> Counting:
    return Counting(store, (await store.write(put_thread)).id)


async def check_exactly_once(counting: Counting) -> None:
    assert counting.n_acknowledged > 0
    assert await counting.n_stored() == counting.n_acknowledged == counting.n_after_commit


async def test_no_write_is_lost_or_made_twice_when_the_server_crashes_and_comes_back(
    counting: Counting, fragile_server: PostgresServer
) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(counting.run(n_writers=8))
        for _ in range(2):
            await asyncio.sleep(0.3)
            await asyncio.to_thread(fragile_server.crash)
            await asyncio.sleep(0.1)
            await asyncio.to_thread(fragile_server.start)
        await asyncio.sleep(0.3)
        counting.is_stopping = True
    await check_exactly_once(counting)


async def test_no_write_is_lost_or_made_twice_when_every_connection_is_terminated(
    counting: Counting, fragile_server: PostgresServer
) -> None:
    everybody = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"
    async with asyncio.TaskGroup() as group:
        group.create_task(counting.run(n_writers=8))
        for _ in range(8):
            await asyncio.sleep(0.05)
            await asyncio.to_thread(fragile_server.run_sql, everybody)
        counting.is_stopping = True
    await check_exactly_once(counting)


@pytest.mark.parametrize("moment", ["before", "after", "late"])
async def test_a_commit_whose_answer_is_lost_is_made_once(fragile_server: PostgresServer, moment: Moment) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with bad_network(fragile_server.folder, Path(folder)) as network:
            store = PostgresStore(f"postgresql://postgres@/postgres?host={folder}", clock=SystemClock())
            counting = Counting(store, (await store.write(put_thread)).id)
            for expected in range(3):
                network.cut_next = moment
                assert await store.write(counting.count) == expected
                counting.n_acknowledged += 1
            assert network.n_cuts == 3
            await check_exactly_once(counting)
            await store.close()


async def test_a_caller_who_is_cancelled_during_the_commit_waits_for_its_end(fragile_server: PostgresServer) -> None:
    with tempfile.TemporaryDirectory() as folder:
        async with bad_network(fragile_server.folder, Path(folder)) as network:
            store = PostgresStore(f"postgresql://postgres@/postgres?host={folder}", clock=SystemClock())
            counting = Counting(store, (await store.write(put_thread)).id)
            network.hold_next = True
            writing = asyncio.ensure_future(store.write(counting.count))
            await network.is_holding.wait()
            for _ in range(3):
                writing.cancel()
                await asyncio.sleep(0)
            with pytest.raises(asyncio.CancelledError):
                await writing
            assert counting.n_after_commit == 1
            assert await counting.n_stored() == 1
            await store.close()


async def test_an_error_that_comes_after_the_callers_cancellation_is_nobodys(
    store: PostgresStore, fragile_server: PostgresServer, caplog: pytest.LogCaptureFixture
) -> None:
    asleep = asyncio.Event()
    loop = asyncio.get_running_loop()

    def sleep(tx: Tx) -> None:
        loop.call_soon(asleep.set)
        tx.conn.exec_driver_sql("SELECT pg_sleep(60)")

    reading = asyncio.ensure_future(store.read(sleep))
    await asleep.wait()
    await asyncio.sleep(0.05)
    reading.cancel()
    await asyncio.sleep(0)
    await asyncio.to_thread(
        fragile_server.run_sql,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)'",
    )
    with contextlib.suppress(asyncio.CancelledError):  # raises() would keep the task alive
        await reading
    assert reading.cancelled()
    del reading
    gc.collect()
    assert [record for record in caplog.records if record.name == "asyncio"] == []


async def test_a_process_whose_clock_is_ahead_leaves_the_others_their_commit_markers(
    store: PostgresStore, fragile_server: PostgresServer
) -> None:
    def markers(tx: Tx) -> set[str]:
        return set(tx.conn.exec_driver_sql("SELECT id FROM commit_marker").scalars())

    before = await store.write(markers)
    ahead = PostgresStore(fragile_server.url(), clock=FakeClock(SystemClock().now() + 30 * 86_400.0))
    assert before < await ahead.write(markers)
    await ahead.close()


async def test_a_connection_whose_marker_is_gone_writes_with_a_new_one(
    counting: Counting, store: PostgresStore
) -> None:
    """As when the server's own clock is set forward."""
    await store.write(counting.count)
    await store.write(lambda tx: tx.conn.exec_driver_sql("DELETE FROM commit_marker"))
    await store.write(counting.count)
    assert await counting.n_stored() == counting.n_after_commit == 2


async def test_who_is_frozen_in_a_transaction_does_not_lock_others_out_for_ever(store: PostgresStore) -> None:
    shown = await store.read(
        lambda tx: tx.conn.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar_one()
    )
    assert shown == f"{IDLE_IN_TRANSACTION_S}s"
    thread_id = (await store.write(put_thread)).id
    counting = Counting(store, thread_id)
    n_attempts = 0

    def freeze(tx: Tx) -> None:
        nonlocal n_attempts
        n_attempts += 1
        counting.count(tx)
        if n_attempts == 1:
            tx.conn.exec_driver_sql("SET idle_in_transaction_session_timeout = '50ms'")
            time.sleep(0.3)  # the loop too: so it is when a process is frozen

    await store.write(freeze)
    assert n_attempts == 2, "thawed, it began again"
    assert await counting.n_stored() == 1


async def test_writes_that_lock_each_other_out_are_tried_again(store: PostgresStore) -> None:
    one, two = [(await store.write(put_thread)).id for _ in range(2)]

    def both(first: str, second: str) -> Callable[[Tx], None]:
        def write(tx: Tx) -> None:
            take_positions(tx, first, 1, now=1.0)
            take_positions(tx, second, 1, now=1.0)

        return write

    await asyncio.gather(*[store.write(both(one, two) if i % 2 else both(two, one)) for i in range(30)])
    threads = await store.read(lambda tx: [find_thread(tx, HOME, thread_id) for thread_id in (one, two)])
    assert [thread.next_pos for thread in threads] == [30, 30]


async def test_callers_that_are_cancelled_leave_no_connection_in_a_transaction(store: PostgresStore) -> None:
    thread = await store.write(put_thread)
    for _ in range(5):
        tasks = [
            asyncio.ensure_future(store.write(lambda tx: take_positions(tx, thread.id, 1, now=1.0))) for _ in range(40)
        ]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def left(tx: Tx) -> int:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND pid <> pg_backend_pid()"
        return int(tx.conn.exec_driver_sql(sql).scalar_one())

    assert await store.read(left) == 0
    writes = [store.write(lambda tx: take_positions(tx, thread.id, 1, now=1.0)) for _ in range(40)]
    assert len(set(await asyncio.gather(*writes))) == 40


async def test_long_reads_take_two_connections_more_at_most_and_give_them_back(fragile_server: PostgresServer) -> None:
    store = PostgresStore(fragile_server.url(), clock=SystemClock())
    sql = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'agentrt'"

    def n_connections(tx: Tx) -> int:
        return int(tx.conn.exec_driver_sql(sql).scalar_one())

    before = await store.read(n_connections)
    await asyncio.gather(*[store.read_long(lambda tx: tx.conn.exec_driver_sql("SELECT 1")) for _ in range(8)])
    assert await store.read(n_connections) == before + 2
    await store.close()
    assert [thread for thread in threading.enumerate() if thread.name == "postgres-reader"] == []


async def test_long_reads_go_on_when_connections_are_cut_or_the_server_crashes(
    store: PostgresStore, fragile_server: PostgresServer
) -> None:
    thread = await store.write(put_thread)
    everybody = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()"

    async def look(n: int) -> None:
        for _ in range(n):
            assert await store.read_long(lambda tx: find_thread(tx, HOME, thread.id)) == thread

    for _ in range(4):
        looking = [asyncio.ensure_future(look(50)) for _ in range(4)]
        await asyncio.sleep(0.02)
        await asyncio.to_thread(fragile_server.run_sql, everybody)
        await asyncio.gather(*looking)
    await asyncio.to_thread(fragile_server.crash)
    looking = [asyncio.ensure_future(look(1)) for _ in range(4)]
    await asyncio.sleep(0.1)
    await asyncio.to_thread(fragile_server.start)
    await asyncio.gather(*looking)


async def test_callers_of_long_reads_that_are_cancelled_leave_no_connection_in_a_transaction(
    store: PostgresStore,
) -> None:
    def look(tx: Tx) -> None:
        tx.conn.exec_driver_sql("SELECT pg_sleep(0.002)")

    for pause_s in (0.0, 0.001, 0.005, 0.01):
        tasks = [asyncio.ensure_future(store.read_long(look)) for _ in range(10)]
        await asyncio.sleep(pause_s)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.gather(*[store.read_long(look) for _ in range(4)])  # whatever was under way has ended by then

    def left(tx: Tx) -> int:
        sql = "SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in%' AND pid <> pg_backend_pid()"
        return int(tx.conn.exec_driver_sql(sql).scalar_one())

    assert await store.read(left) == 0


async def test_a_clock_that_leaps_by_days_costs_no_write(fragile_server: PostgresServer) -> None:
    clock = FakeClock()
    store = PostgresStore(fragile_server.url(), clock=clock)
    thread = await store.write(put_thread)
    clock.set(clock.now() + 30 * 86_400)
    places = await asyncio.gather(
        *[store.write(lambda tx: take_positions(tx, thread.id, 1, now=1.0)) for _ in range(20)]
    )
    assert sorted(places) == list(range(20))
    await store.close()


async def test_a_read_sees_one_moment_and_cannot_write(store: PostgresStore) -> None:
    def settings(tx: Tx) -> list[str]:
        names = ("transaction_isolation", "transaction_read_only")
        return [str(tx.conn.exec_driver_sql(f"SHOW {name}").scalar_one()) for name in names]

    assert await store.read(settings) == ["repeatable read", "on"]
    assert await store.write(settings) == ["read committed", "off"]


class ImpatientClock(SystemClock):
    """Its seconds pass as soon as somebody sleeps."""

    def __init__(self) -> None:
        self._skipped = 0.0
        self.n_sleeps = 0

    def monotonic(self) -> float:
        return super().monotonic() + self._skipped

    async def sleep(self, seconds: float) -> None:
        self._skipped += seconds
        self.n_sleeps += 1
        await super().sleep(0)


async def test_a_server_that_stays_away_is_given_up_and_used_again_when_it_is_back(
    fragile_server: PostgresServer,
) -> None:
    store = PostgresStore(fragile_server.url(), clock=ImpatientClock())
    await store.write(put_thread)
    await asyncio.to_thread(fragile_server.crash)
    try:
        with pytest.raises(StoreError, match="cannot be reached"):
            await store.write(put_thread)
        with pytest.raises(StoreError, match="cannot be reached"):
            await store.read(lambda tx: find_thread(tx, HOME, "thread_x"))
    finally:
        await asyncio.to_thread(fragile_server.start)
    await store.write(put_thread)
    await store.close()


async def test_the_first_write_after_a_restart_does_not_stumble_over_every_dead_connection(
    fragile_server: PostgresServer,
) -> None:
    clock = ImpatientClock()
    store = PostgresStore(fragile_server.url(), clock=clock)
    await asyncio.gather(*[store.write(put_thread) for _ in range(30)])
    await asyncio.to_thread(fragile_server.crash)
    await asyncio.to_thread(fragile_server.start)
    await store.write(put_thread)
    assert clock.n_sleeps == 0
    await store.close()
