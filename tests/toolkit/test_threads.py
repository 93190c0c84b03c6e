from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator

import pytest

from agentrt.toolkit.threads import CloggedError, ExpiredError, WorkerThreads


class Gate:
    """Work that waits until it is opened; `started` counts the calls that a thread has begun."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.started = 0

    def __call__(self) -> str:
        self.started += 1
        self.event.wait(30)
        return "through"


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.event.set()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_call_returns_and_raises_what_its_function_does() -> None:
    threads = WorkerThreads()

    def fail() -> None:
        raise KeyError("x")

    assert await threads.run(lambda: 7, owner="a", timeout_s=None) == 7
    with pytest.raises(KeyError):
        await threads.run(fail, owner="a", timeout_s=30)


async def test_an_idle_thread_is_used_again() -> None:
    threads = WorkerThreads()
    names = set()
    for _ in range(20):
        names.add(await threads.run(threading.get_ident, owner="a", timeout_s=30))
        await asyncio.sleep(0.002)
    assert len(names) < 20


async def test_calls_that_hang_do_not_keep_others_from_running(gate: Gate) -> None:
    threads = WorkerThreads(n_core=1, n_max=2)
    for _ in range(5):  # more than there are threads
        with pytest.raises(ExpiredError) as caught:
            await threads.run(gate, owner="hangs", timeout_s=0.01)
        assert caught.value.has_started
    assert await threads.run(lambda: "fine", owner="other", timeout_s=30) == "fine"


async def test_a_function_that_keeps_hanging_is_not_called_any_more_until_it_returns(gate: Gate) -> None:
    threads = WorkerThreads(n_lost_max=2)
    for _ in range(2):
        with pytest.raises(ExpiredError):
            await threads.run(gate, owner="hangs", timeout_s=0.01)
    with pytest.raises(CloggedError):
        await threads.run(gate, owner="hangs", timeout_s=0.01)
    assert gate.started == 2
    assert await threads.run(lambda: "fine", owner="other", timeout_s=30) == "fine"

    gate.event.set()

    async def answer() -> bool:
        try:
            return await threads.run(gate, owner="hangs", timeout_s=30) == "through"
        except CloggedError:
            return False

    async with asyncio.timeout(30):
        while not await answer():
            await asyncio.sleep(0.001)


async def test_a_call_that_got_no_thread_in_time_is_never_made(gate: Gate) -> None:
    threads = WorkerThreads(n_core=1, n_max=1)
    called: list[str] = []
    async with asyncio.TaskGroup() as group:
        group.create_task(threads.run(gate, owner="a", timeout_s=30))
        await until(lambda: gate.started == 1)
        with pytest.raises(ExpiredError) as caught:
            await threads.run(lambda: called.append("late"), owner="b", timeout_s=0.01)
        gate.event.set()
    await threads.run(lambda: called.append("next"), owner="b", timeout_s=30)
    assert not caught.value.has_started
    assert called == ["next"]


async def test_a_cancelled_call_gives_its_place_up(gate: Gate) -> None:
    threads = WorkerThreads(n_core=1, n_max=1)
    async with asyncio.TaskGroup() as group:
        hanging = group.create_task(threads.run(gate, owner="a", timeout_s=None))
        await until(lambda: gate.started == 1)
        waiting = group.create_task(threads.run(lambda: "b", owner="b", timeout_s=None))
        await asyncio.sleep(0)
        hanging.cancel()
    assert waiting.result() == "b"


async def test_blocking_calls_get_more_threads(gate: Gate) -> None:
    threads = WorkerThreads(n_core=1, n_max=8)
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(threads.run(gate, owner=n, timeout_s=30)) for n in range(8)]
        await until(lambda: gate.started == 8)
        gate.event.set()
    assert {call.result() for call in calls} == {"through"}


async def test_many_short_calls_all_come_back() -> None:
    threads = WorkerThreads(n_core=2, n_max=4, idle_s=0.001)  # threads end and start all the time
    async with asyncio.TaskGroup() as group:
        calls = [group.create_task(threads.run(lambda n=n: n * 2, owner="a", timeout_s=30)) for n in range(500)]  # type: ignore[misc]
        for _ in range(10):
            await asyncio.sleep(0.002)
            calls += [group.create_task(threads.run(lambda: 0, owner="a", timeout_s=30)) for _ in range(3)]
    assert [call.result() for call in calls[:500]] == [n * 2 for n in range(500)]


def test_one_pool_serves_many_loops_one_of_them_closed_early() -> None:
    threads = WorkerThreads(n_core=1, n_max=1)
    gate = Gate()

    async def leave() -> None:
        with pytest.raises(ExpiredError):
            await threads.run(gate, owner="a", timeout_s=0.01)

    async def call() -> int:
        return await threads.run(lambda: 7, owner="b", timeout_s=30)

    asyncio.run(leave())
    gate.event.set()  # its answer finds the loop closed
    assert [asyncio.run(call()) for _ in range(3)] == [7, 7, 7]
