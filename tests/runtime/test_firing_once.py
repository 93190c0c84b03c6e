"""Each due time makes one run, however many processes look for it and wherever they die."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import pytest

from agentrt.clock import Clock
from agentrt.errors import StoreError
from agentrt.runtime.firing import Firing
from agentrt.store.database import Store, Tx
from agentrt.testing.clocks import FakeClock
from tests.runtime.sweepers import (
    MINUTE,
    START,
    FileClock,
    check_each_time_once,
    is_all_fired,
    make_firing,
    make_schedules,
    open_database,
    what_was_made,
)

T = TypeVar("T")

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(params=["sqlite_path", "postgres_url"], ids=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Path | str:
    found: Path | str = request.getfixturevalue(request.param)
    return found


class FailingStore:
    """A store whose writes fail before, in the middle and after, as if the process had died there."""

    def __init__(self, store: Store, chance: random.Random) -> None:
        self._store = store
        self._chance = chance

    def __getattr__(self, name: str) -> object:
        return getattr(self._store, name)

    async def write(self, fn: Callable[[Tx], T]) -> T:
        await asyncio.sleep(self._chance.choice((0, 0, 0.001)))
        match self._chance.randrange(6):
            case 0:
                raise StoreError("died before")
            case 1:
                await self._store.write(lambda tx: _die(fn(tx)))
            case 2:
                await self._store.write(fn)
                raise StoreError("died after")
        return await self._store.write(fn)


def _die(value: object) -> None:
    raise StoreError("died in the middle")


async def sweep_and_perhaps_die(firing: Firing, chance: random.Random) -> None:
    with suppress(StoreError, TimeoutError):
        async with asyncio.timeout(chance.choice((0.001, 0.004, None))):
            await firing.sweep()


@pytest.mark.parametrize("seed", range(4))
async def test_each_due_time_makes_one_run_whatever_fails(place: Path | str, seed: int) -> None:
    chance, clock, store = random.Random(seed), FakeClock(START), open_database(place)
    ids = await make_schedules(store, clock, 4)
    nodes = [make_firing(FailingStore(store, chance), clock) for _ in range(4)]  # type: ignore[arg-type]
    n_minutes = 12
    for _ in range(n_minutes):
        clock.set(clock.now() + MINUTE)
        while not await is_all_fired(store, clock.now()):
            await asyncio.gather(*(sweep_and_perhaps_die(node, chance) for node in nodes))
    made = await what_was_made(store, ids)
    await store.close()
    check_each_time_once(made, n_minutes=n_minutes)


@contextmanager
def nursery(place: Path | str, clock_file: Path) -> Iterator[Callable[[], int]]:
    """Starts sweeping processes, one a call; they end with the block."""
    command = [sys.executable, "-m", "tests.runtime.sweepers", str(place), str(clock_file)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def start() -> int:
            process.stdin.write("one\n")  # type: ignore[union-attr]
            process.stdin.flush()  # type: ignore[union-attr]
            return int(process.stdout.readline())  # type: ignore[union-attr]

        yield start
        process.stdin.close()


async def until_all_fired(store: Store, clock: Clock) -> None:
    async with asyncio.timeout(60):
        while not await is_all_fired(store, clock.now()):
            await asyncio.sleep(0.002)


async def test_each_due_time_makes_one_run_when_processes_are_killed(place: Path | str, tmp_path: Path) -> None:
    chance, store, clock = random.Random(7), open_database(place), FileClock(tmp_path / "clock")
    clock.set(START)
    ids = await make_schedules(store, clock, 8)
    n_minutes = 15
    with nursery(place, tmp_path / "clock") as start:
        living = [start() for _ in range(3)]
        for _ in range(n_minutes):
            clock.set(clock.now() + MINUTE)
            await asyncio.sleep(chance.uniform(0.0, 0.03))
            os.kill(living.pop(0), signal.SIGKILL)
            living.append(start())
            await until_all_fired(store, clock)
    made = await what_was_made(store, ids)
    await store.close()
    check_each_time_once(made, n_minutes=n_minutes)
