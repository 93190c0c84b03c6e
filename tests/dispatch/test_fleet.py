"""Dispatcher and bus of several processes on one PostgreSQL, whatever becomes of its connections."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import AsyncExitStack

import asyncpg  # type: ignore[import-untyped]
import pytest

from agentrt.clock import SystemClock
from agentrt.dispatch.postgres_channel import Channel
from agentrt.dispatch.postgres_queue import JobQueue
from agentrt.store.database import Tx
from tests.contracts.nodes import Handle, Node, OpenNode, a_job, serving, until
from tests.postgres import PostgresServer

CUT = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname IS NOT NULL"


async def submit_many(node: Node, first: int, n: int) -> None:
    await asyncio.gather(*(node.submit(a_job(f"run_{first + i}")) for i in range(n)))


async def wait_for_driven(handles: list[Handle], n: int) -> Counter[str]:
    """Until the handles together have driven run_0 … run_{n-1}; how often each."""
    wanted = {f"run_{i}" for i in range(n)}
    await until(lambda: wanted <= {job_id for handle in handles for job_id in handle.seen})
    return Counter(job_id for handle in handles for job_id in handle.seen)


async def test_every_job_goes_to_one_process(open_told_node: OpenNode) -> None:
    handles = [Handle(), Handle(), Handle()]
    async with AsyncExitStack() as stack:
        nodes = [await open_told_node() for _ in handles]
        for node, handle in zip(nodes, handles, strict=True):
            await stack.enter_async_context(serving(node, handle, slots=2))
        await asyncio.gather(*(submit_many(node, 40 * i, 40) for i, node in enumerate(nodes)))
        times = await wait_for_driven(handles, 120)
    assert set(times.values()) == {1}


async def test_a_process_that_drives_nothing_hands_its_jobs_to_one_that_does(open_told_node: OpenNode) -> None:
    api, worker, handle = await open_told_node(), await open_told_node(), Handle()
    async with serving(worker, handle):
        await api.submit(a_job())
        await handle.saw(1)


async def test_what_finds_no_slot_here_is_driven_there(open_told_node: OpenNode) -> None:
    full, roomy = await open_told_node(), await open_told_node()
    busy, idle = Handle(holds=True), Handle()
    async with serving(roomy, idle), serving(full, busy, slots=1, grace_s=0):
        await submit_many(full, 0, 5)
        await until(lambda: len(idle.seen) + len(busy.seen) == 5)
    assert len(idle.seen) >= 4


async def test_a_drained_process_leaves_its_jobs_to_the_others(open_told_node: OpenNode) -> None:
    leaving, staying = await open_told_node(), await open_told_node()
    busy, idle = Handle(holds=True), Handle()
    async with serving(staying, idle):
        async with serving(leaving, busy, slots=1, grace_s=0):
            await leaving.submit(a_job("run_0"))
            await until(lambda: bool(busy.seen or idle.seen))
        await leaving.submit(a_job("run_1"))
        await wait_for_driven([busy, idle], 2)
    assert "run_1" in idle.seen


async def test_what_is_left_of_a_rush_is_driven_by_others(open_told_node: OpenNode) -> None:
    rushed, roomy = await open_told_node(), await open_told_node()
    busy, idle = Handle(holds=True), Handle()

    def submit_all(tx: Tx) -> None:
        for n in range(20):
            rushed.dispatcher.submit(tx, a_job(f"run_{n}"))

    async with serving(roomy, idle, slots=2), serving(rushed, busy, slots=4, grace_s=0):
        await rushed.store.write(submit_all)
        await wait_for_driven([busy, idle], 20)


async def test_what_is_put_off_is_driven_in_time_wherever_it_was_submitted(open_told_node: OpenNode) -> None:
    api, worker, handle = await open_told_node(), await open_told_node(), Handle()
    async with serving(worker, handle):
        await api.submit(a_job("run_later"), delay_s=0.3)
        await api.submit(a_job("run_soon"), delay_s=0.1)
        await api.submit(a_job("run_now"))
        await handle.saw(3)
    assert handle.seen == ["run_now", "run_soon", "run_later"]


async def test_a_queue_that_is_opened_is_looked_into_at_once(open_told_node: OpenNode) -> None:
    node, handle = await open_told_node(), Handle()
    await node.submit(a_job(queue="agent:asst_1"))
    async with serving(node, handle):
        await node.submit(a_job("run_2"))
        await handle.saw(1)
        node.dispatcher.open_queue("agent:asst_1")
        await handle.saw(2)


async def test_a_claim_that_is_not_wanted_any_more_leaves_the_jobs_where_they_were(
    open_node: OpenNode, server: PostgresServer
) -> None:
    node = await open_node()
    queue = JobQueue(server.url(), clock=SystemClock())
    await node.submit(a_job(epoch=7))
    assert await queue.claim(["default"], 5, unless=lambda: True) == []
    assert await queue.claim(["default"], 5, unless=lambda: False) == [a_job(epoch=7)]
    queue.close()


async def test_what_was_claimed_does_not_stand_in_the_way_of_the_same_job(
    open_node: OpenNode, server: PostgresServer
) -> None:
    node = await open_node()
    queue = JobQueue(server.url(), clock=SystemClock())
    for _ in range(2):
        await node.submit(a_job())
        assert await queue.claim(["default"], 5, unless=lambda: False) == [a_job()]
    queue.close()


async def test_nothing_is_left_of_jobs_that_were_handed_out(open_node: OpenNode, server: PostgresServer) -> None:
    node, handle = await open_node(), Handle()
    async with serving(node, handle):
        await submit_many(node, 0, 20)
        await handle.saw(20)
    conn = await asyncpg.connect(server.url())
    tables = ("", "_log", "_statistics", "_schedules")
    assert [await conn.fetchval(f"SELECT count(*) FROM agentrt_pgqueuer{table}") for table in tables] == [0, 0, 0, 0]
    await conn.close()


async def test_a_job_that_nobody_took_for_a_day_is_forgotten_by_the_queue(
    open_node: OpenNode, server: PostgresServer
) -> None:
    node = await open_node()
    await node.submit(a_job("run_old", queue="agent:gone"))
    server.run_sql("UPDATE agentrt_pgqueuer SET execute_after = now() - interval '25 hours'")
    await node.submit(a_job("run_new", queue="agent:gone"))
    queue = JobQueue(server.url(), clock=SystemClock())
    assert await queue.claim(["agent:gone"], 5, unless=lambda: False) == [a_job("run_new", queue="agent:gone")]
    queue.close()


@pytest.mark.parametrize("trouble", ["cut connections", "crash"])
async def test_whatever_becomes_of_the_connections_every_job_is_driven(
    open_node: OpenNode, server: PostgresServer, trouble: str
) -> None:
    handles = [Handle(), Handle()]
    nodes = [await open_node() for _ in handles]

    async def make_trouble() -> None:
        if trouble == "crash":
            await asyncio.to_thread(server.crash)
            await asyncio.sleep(0.2)
            await asyncio.to_thread(server.start)
        else:
            await asyncio.to_thread(server.run_sql, CUT)

    async with AsyncExitStack() as stack:
        for node, handle in zip(nodes, handles, strict=True):
            await stack.enter_async_context(serving(node, handle, slots=2))
        for i in range(3):
            async with asyncio.TaskGroup() as group:
                group.create_task(submit_many(nodes[i % 2], 20 * i, 20))
                group.create_task(make_trouble())
        await wait_for_driven(handles, 60)
        await submit_many(nodes[0], 60, 20)
        await wait_for_driven(handles, 80)


async def test_a_job_in_work_goes_on_while_the_server_is_away(open_node: OpenNode, server: PostgresServer) -> None:
    node, handle = await open_node(), Handle(holds=True)
    async with serving(node, handle):
        await node.submit(a_job())
        await handle.saw(1)
        await asyncio.to_thread(server.crash)
        handle.let_go.set()
        await until(lambda: handle.n_now == 0)
        await asyncio.to_thread(server.start)
    assert handle.cancelled == []


async def test_a_drain_does_not_wait_for_a_server_that_is_away(open_node: OpenNode, server: PostgresServer) -> None:
    node, handle = await open_node(), Handle()
    try:
        async with serving(node, handle):
            await node.submit(a_job())
            await handle.saw(1)
            await asyncio.to_thread(server.crash)
    finally:
        await asyncio.to_thread(server.start)


async def test_others_hear_a_hint_and_who_sent_it_hears_it_once(open_node: OpenNode) -> None:
    ada, bob = await open_node(), await open_node()
    heard: dict[str, list[str]] = {"ada": [], "bob": []}
    ada.bus.listen("news", heard["ada"].append)
    bob.bus.listen("news", heard["bob"].append)
    await ada.notify("run_1", "run_2")
    await until(lambda: len(heard["bob"]) == 2)
    await bob.notify("run_3")
    await until(lambda: "run_3" in heard["ada"])
    assert heard == {"ada": ["run_1", "run_2", "run_3"], "bob": ["run_1", "run_2", "run_3"]}


async def test_more_ids_than_fit_into_one_message_are_all_heard(open_node: OpenNode) -> None:
    ada, bob = await open_node(), await open_node()
    heard: list[str] = []
    bob.bus.listen("news", heard.append)
    ids = [f'run_"ü"_{i}_{"x" * 30}' for i in range(1000)]
    await ada.notify(*ids[:500], "much too long " * 1000)
    await ada.notify(*ids[500:])
    await until(lambda: len(heard) == 1000)
    assert heard == ids


async def test_what_is_said_often_in_a_short_time_is_sent_once(open_node: OpenNode) -> None:
    ada, bob = await open_node(), await open_node()
    heard: list[str] = []
    bob.bus.listen("news", heard.append)

    def say_often(tx: Tx) -> None:
        for _ in range(50):
            ada.bus.notify(tx, "news", ["run_1"])

    await ada.store.write(say_often)
    await ada.notify("run_2")
    await until(lambda: "run_2" in heard)
    assert heard == ["run_1", "run_2"]


@pytest.mark.parametrize("trouble", ["cut connections", "crash"])
async def test_who_may_have_missed_hints_hears_so_and_then_hears_again(
    open_node: OpenNode, server: PostgresServer, trouble: str
) -> None:
    ada, bob = await open_node(), await open_node()
    heard: list[str] = []
    gaps: list[str] = []
    bob.bus.listen("news", heard.append)
    bob.bus.on_gap(lambda: gaps.append("bob"))
    ada.bus.on_gap(lambda: gaps.append("ada"))
    for n in range(1, 3):
        if trouble == "crash":
            await asyncio.to_thread(server.crash)
            await asyncio.to_thread(server.start)
        else:
            await asyncio.to_thread(server.run_sql, CUT)
        await until(lambda n=n: gaps.count("ada") == gaps.count("bob") == n)  # type: ignore[misc]
        await ada.notify(f"run_{n}")
        await until(lambda n=n: f"run_{n}" in heard)  # type: ignore[misc]


async def test_a_bus_whose_server_is_away_starts_all_the_same_and_finds_it_later(server: PostgresServer) -> None:
    await asyncio.to_thread(server.crash)
    channel = Channel(server.url(), clock=SystemClock())
    gaps: list[str] = []
    channel.on_gap(lambda: gaps.append("gap"))
    try:
        starting = asyncio.ensure_future(channel.start())
        await asyncio.sleep(0.1)
    finally:
        await asyncio.to_thread(server.start)
    await starting
    await until(lambda: gaps == ["gap"])
    await channel.close()


async def test_two_installations_in_one_database_do_not_hear_each_other(server: PostgresServer) -> None:
    server.run_sql("CREATE SCHEMA other")
    server.run_sql("CREATE TABLE other.job (id text)")
    urls = [server.url(), server.url() + "&search_path=other", server.url() + "&search_path=other,public"]
    channels = [Channel(url, clock=SystemClock()) for url in urls]
    heard: list[list[str]] = [[], [], []]
    for channel, ids in zip(channels, heard, strict=True):
        channel.hear("news", ids.extend)
        await channel.start()
    channels[0].send("news", ["run_public"])
    channels[1].send("news", ["run_other"])
    await until(lambda: heard[2] == ["run_other"])
    assert heard == [[], [], ["run_other"]]
    for channel in channels:
        await channel.close()
    server.run_sql("DROP SCHEMA other CASCADE")
