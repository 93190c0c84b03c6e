"""The sweeper's rhythm: every so often, in time for what is known to be due, and on after a failure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from agentrt.errors import StoreError
from agentrt.runtime.sweeper import DueIn, Sweep, Sweeper
from agentrt.testing.clocks import FakeClock


@asynccontextmanager
async def sweeping(*sweeps: Sweep, clock: FakeClock) -> AsyncGenerator[None, None]:
    async with asyncio.TaskGroup() as group:
        task = group.create_task(Sweeper(sweeps, clock=clock).serve())
        await asyncio.sleep(0.001)
        yield
        task.cancel()


async def pass_time(clock: FakeClock, seconds: float) -> None:
    await clock.advance(seconds)
    await asyncio.sleep(0.001)


async def test_a_sweep_comes_again_and_again() -> None:
    clock, times = FakeClock(0), list[float]()

    async def once() -> None:
        times.append(clock.now())

    async with sweeping(Sweep("test", once, every_s=10), clock=clock):
        assert times == []
        for _ in range(3):
            await pass_time(clock, 10)
    assert times == [10, 20, 30]


async def test_a_sweep_that_knows_what_is_due_is_called_in_time_for_it() -> None:
    clock, times = FakeClock(0), list[float]()

    async def once() -> DueIn:
        times.append(clock.now())
        return DueIn(3 if clock.now() < 13 else 3600)

    async with sweeping(Sweep("test", once, every_s=10), clock=clock):
        for _ in range(23):
            await pass_time(clock, 1)
    [first, second, *rest] = times
    assert second == first + 3
    assert len(rest) == 1


async def test_a_database_that_is_away_and_a_slow_sweep_hold_nothing_up() -> None:
    clock, times = FakeClock(0), list[float]()

    async def fail() -> None:
        times.append(clock.now())
        raise StoreError("away")

    async with sweeping(Sweep("fails", fail, every_s=10), Sweep("hangs", asyncio.Event().wait, every_s=5), clock=clock):
        await pass_time(clock, 10)
        await pass_time(clock, 10)
    assert times == [10, 20]


async def test_a_bug_in_a_sweep_ends_neither_that_sweep_nor_the_process() -> None:
    clock, times = FakeClock(0), list[float]()

    async def fail() -> None:
        times.append(clock.now())
        raise KeyError("a bug")

    async with sweeping(Sweep("fails", fail, every_s=10), clock=clock):
        await pass_time(clock, 10)
        await pass_time(clock, 10)
    assert times == [10, 20]
