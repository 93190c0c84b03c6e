"""Jobs: handed out when their transaction is durable, to so many slots, never beside themselves, until drained."""

from __future__ import annotations

import asyncio

import pytest

from agentrt.dispatch.slots import LENT_MAX
from agentrt.store.database import Tx
from tests.contracts.nodes import NODE_TIMEOUT_S, Handle, Node, a_job, serving, until


async def test_a_job_is_handed_out_with_its_transaction_or_not_at_all(node: Node) -> None:
    handle = Handle()

    def fail(tx: Tx) -> None:
        node.dispatcher.submit(tx, a_job("run_never"))
        raise KeyError("the write failed")

    async with serving(node, handle):
        with pytest.raises(KeyError):
            await node.store.write(fail)
        await node.submit(a_job("run_1"))
        await handle.saw(1)
    assert handle.seen == ["run_1"]


async def test_a_job_that_was_submitted_before_anybody_served_is_not_forgotten(node: Node) -> None:
    handle = Handle()
    await node.submit(a_job())
    async with serving(node, handle):
        await handle.saw(1)


async def test_a_job_is_put_off_by_its_delay(node: Node) -> None:
    handle = Handle()
    loop = asyncio.get_running_loop()
    async with serving(node, handle):
        began_at = loop.time()
        await node.submit(a_job("run_later"), delay_s=0.2)
        await node.submit(a_job("run_now"))
        await handle.saw(2)
        assert loop.time() - began_at >= 0.2
    assert handle.seen == ["run_now", "run_later"]


async def test_a_job_that_was_put_off_may_be_wanted_now(node: Node) -> None:
    handle = Handle()
    async with serving(node, handle):
        await node.submit(a_job(), delay_s=3600)
        await node.submit(a_job())
        await handle.saw(1)


async def test_who_reminds_of_a_job_that_waits_does_not_make_the_queue_longer(node: Node) -> None:
    handle = Handle()
    for _ in range(20):
        await node.submit(a_job())
    await node.submit(a_job("run_2"))
    async with serving(node, handle, slots=1):
        await handle.saw(2)
    assert handle.seen == ["run_1", "run_2"]


async def test_a_job_that_is_driven_is_driven_again_after_and_not_beside(node: Node) -> None:
    handle = Handle(holds=True)
    async with serving(node, handle):
        await node.submit(a_job())
        await handle.saw(1)
        await node.submit(a_job(epoch=1))
        await node.submit(a_job("run_2"))
        await handle.saw(2)
        handle.let_go.set()
        await handle.saw(3)
    assert sorted(handle.seen) == ["run_1", "run_1", "run_2"]
    assert handle.n_most == 2


async def test_a_job_that_only_waits_for_others_lends_them_its_slot(node: Node) -> None:
    seen: list[str] = []
    is_ready, may_end = asyncio.Event(), asyncio.Event()

    async def handle(job_id: str) -> None:
        seen.append(f"{job_id} begins")
        if job_id == "run_1":
            async with node.dispatcher.aside(job_id):
                await is_ready.wait()
        elif job_id == "run_2":
            is_ready.set()
            await may_end.wait()
        seen.append(f"{job_id} ends")

    async with serving(node, handle, slots=1):
        for n in (1, 2, 3):
            await node.submit(a_job(f"run_{n}"))
        await asyncio.wait_for(is_ready.wait(), NODE_TIMEOUT_S)
        await asyncio.sleep(0.02)
        assert seen == ["run_1 begins", "run_2 begins"]
        may_end.set()
        await until(lambda: len(seen) == 6)
    assert seen[2:] == ["run_2 ends", "run_1 ends", "run_3 begins", "run_3 ends"]


async def test_only_so_many_jobs_lend_their_slots(node: Node) -> None:
    lent: dict[str, bool] = {}
    may_end = asyncio.Event()

    async def handle(job_id: str) -> None:
        async with node.dispatcher.aside(job_id) as is_lent:
            lent[job_id] = is_lent
            await may_end.wait()

    async with serving(node, handle, slots=2):
        for n in range(20):
            await node.submit(a_job(f"run_{n:02}"))
        await until(lambda: len(lent) == 2 * LENT_MAX + 2)
        await asyncio.sleep(0.02)
        assert len(lent) == 2 * LENT_MAX + 2, "the last two have kept theirs"
        assert sum(lent.values()) == 2 * LENT_MAX
        may_end.set()
        await until(lambda: len(lent) == 20)


async def test_a_job_that_has_lent_its_slot_goes_on_when_it_is_drained(node: Node) -> None:
    seen: list[str] = []
    may_return, may_end = asyncio.Event(), asyncio.Event()

    async def handle(job_id: str) -> None:
        if job_id == "run_1":
            async with node.dispatcher.aside(job_id):
                await may_return.wait()
            may_end.set()
        else:
            may_return.set()
            await may_end.wait()
        seen.append(job_id)

    async with serving(node, handle, slots=1):
        await node.submit(a_job("run_1"))
        await node.submit(a_job("run_2"))
        await asyncio.wait_for(may_return.wait(), NODE_TIMEOUT_S)
    assert seen == ["run_1", "run_2"]


async def test_no_more_than_the_slots_are_driven_at_once_and_the_rest_waits(node: Node) -> None:
    handle = Handle(holds=True)
    async with serving(node, handle, slots=2):
        for n in range(7):
            await node.submit(a_job(f"run_{n}"))
        await handle.saw(2)
        handle.let_go.set()
        await handle.saw(7)
    assert handle.n_most == 2
    assert sorted(handle.seen) == [f"run_{n}" for n in range(7)]


async def test_more_jobs_than_one_look_finds_are_all_driven(node: Node) -> None:
    handle = Handle()

    def submit_all(tx: Tx) -> None:
        for n in range(300):
            node.dispatcher.submit(tx, a_job(f"run_{n}"))

    await node.store.write(submit_all)
    async with serving(node, handle, slots=100):
        await handle.saw(300)
    assert len(set(handle.seen)) == 300


async def test_a_queue_is_taken_only_from_when_it_is_opened(node: Node) -> None:
    handle = Handle()
    async with serving(node, handle):
        await node.submit(a_job("run_code", queue="agent:asst_1"))
        await node.submit(a_job("run_other", queue="agent:asst_2"))
        await node.submit(a_job("run_1"))
        await handle.saw(1)
        assert handle.seen == ["run_1"]
        node.dispatcher.open_queue("agent:asst_1")
        await handle.saw(2)
        await node.submit(a_job("run_more", queue="agent:asst_1"))
        await handle.saw(3)
    assert handle.seen == ["run_1", "run_code", "run_more"]


async def test_a_job_whose_database_failed_is_tried_again_without_one(node: Node) -> None:
    handle = Handle()
    async with serving(node, handle):
        node.dispatcher.retry("run_1", delay_s=0.01)
        await handle.saw(1)


async def test_a_drain_gives_time_to_end(node: Node) -> None:
    handle = Handle(holds=True)
    async with serving(node, handle):
        await node.submit(a_job())
        await handle.saw(1)
        asyncio.get_running_loop().call_later(0.05, handle.let_go.set)
    assert handle.cancelled == []


async def test_a_drain_takes_nothing_new_and_cancels_what_does_not_end_in_time(node: Node) -> None:
    handle = Handle(holds=True)
    async with serving(node, handle, slots=1, grace_s=0.02):
        await node.submit(a_job("run_1"))
        await node.submit(a_job("run_2"))
        await handle.saw(1)
    assert handle.seen == ["run_1"]
    assert handle.cancelled == ["run_1"]


async def test_a_second_drain_and_one_of_a_dispatcher_that_never_served_do_nothing(node: Node) -> None:
    await node.dispatcher.drain(5)
    await node.dispatcher.drain(5)
    await node.dispatcher.serve(Handle(), slots=1)


async def test_who_has_no_patience_for_a_drain_leaves_nothing_running(node: Node) -> None:
    handle = Handle(holds=True)
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(node.dispatcher.serve(handle, slots=1))
        await node.submit(a_job())
        await handle.saw(1)
        draining = group.create_task(node.dispatcher.drain(60))
        await asyncio.sleep(0.01)
        draining.cancel()
    await until(lambda: handle.n_now == 0)
    assert handle.cancelled == ["run_1"]


async def test_who_reminds_of_a_job_whose_queue_nobody_has_opened_does_not_make_it_wait_twice(node: Node) -> None:
    handle = Handle()
    async with serving(node, handle):
        for _ in range(3):
            await node.submit(a_job("run_1", queue="agent:asst_1"))
        await node.submit(a_job("run_2", queue="agent:asst_1"))
        node.dispatcher.open_queue("agent:asst_1")
        await handle.saw(2)
    assert handle.seen == ["run_1", "run_2"]
