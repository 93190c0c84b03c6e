"""Jobs in one process: each is driven, none twice at once, and a drain leaves nothing running."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import Connection, create_engine

from agentrt.dispatch.local import LocalBus, LocalDispatcher
from agentrt.store.database import Tx
from agentrt.store.jobs import Ready

RUN_1 = Ready("run_1", "default", 0)


@pytest.fixture
def conn() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as conn:
        yield conn
    engine.dispose()


@asynccontextmanager
async def serving(
    handle: Callable[[str], object], *, slots: int = 2, grace_s: float = 5.0
) -> AsyncGenerator[LocalDispatcher, None]:
    dispatcher = LocalDispatcher()

    async def drive(job_id: str) -> None:
        await handle(job_id)  # type: ignore[misc]

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(dispatcher.serve(drive, slots=slots))
        yield dispatcher
        await dispatcher.drain(grace_s)


async def test_a_job_is_driven_after_its_commit_and_not_before(conn: Connection) -> None:
    driven: list[str] = []
    done = asyncio.Event()

    async def handle(job_id: str) -> None:
        driven.append(job_id)
        done.set()

    async with serving(handle) as dispatcher:
        tx = Tx(conn)
        dispatcher.submit(tx, RUN_1)
        await asyncio.sleep(0.01)
        assert driven == []
        tx.committed()
        await done.wait()
    assert driven == ["run_1"]


async def test_a_job_that_is_being_driven_is_driven_again_after_and_not_beside() -> None:
    at_once = most = n = 0
    second = asyncio.Event()

    async def handle(job_id: str) -> None:
        nonlocal at_once, most, n
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0.01)
        at_once -= 1
        n += 1
        if n == 2:
            second.set()

    async with serving(handle) as dispatcher:
        dispatcher.put(RUN_1)
        await asyncio.sleep(0.005)
        dispatcher.put(RUN_1)
        dispatcher.put(RUN_1)
        await second.wait()
    assert (most, n) == (1, 2)


async def test_no_more_than_the_slots_are_driven_at_once_and_the_rest_waits() -> None:
    at_once = most = 0
    hold = asyncio.Event()

    async def handle(job_id: str) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await hold.wait()
        at_once -= 1

    async with serving(handle, slots=2) as dispatcher:
        for n in range(5):
            dispatcher.put(Ready(f"run_{n}", "default", 0))
        await asyncio.sleep(0.02)
        assert dispatcher.depth == 3
        hold.set()
        while dispatcher.depth or at_once:
            await asyncio.sleep(0.001)
    assert most == 2


async def test_a_drain_takes_nothing_new_and_cancels_what_does_not_end_in_time() -> None:
    seen: list[str] = []

    async def handle(job_id: str) -> None:
        seen.append(job_id)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append(f"{job_id} cancelled")
            raise

    async with serving(handle, slots=1, grace_s=0.02) as dispatcher:
        dispatcher.put(RUN_1)
        dispatcher.put(Ready("run_2", "default", 0))
        await asyncio.sleep(0.01)
    assert seen == ["run_1", "run_1 cancelled"]


async def test_a_hint_is_delivered_after_the_commit_and_until_the_listener_leaves(conn: Connection) -> None:
    bus, heard = LocalBus(), list[str]()
    leave = bus.listen("cancel", heard.append)
    tx = Tx(conn)
    bus.notify(tx, "cancel", ["run_1", "run_2"])
    assert heard == []
    tx.committed()
    leave()
    again = Tx(conn)
    bus.notify(again, "cancel", ["run_3"])
    again.committed()
    assert heard == ["run_1", "run_2"]
