"""FleetClock: the server's time, on a machine whose own clock says what it likes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from agentrt.clock import SystemClock
from agentrt.runtime.fleet_clock import FleetClock
from agentrt.store.clock import database_time
from agentrt.store.database import Store
from agentrt.store.postgres import PostgresStore
from agentrt.testing.clocks import FakeClock

A_MINUTE = 60


@pytest.fixture
async def store(postgres_url: str) -> AsyncIterator[Store]:
    opened = PostgresStore(postgres_url, clock=SystemClock())
    yield opened
    await opened.close()


async def test_a_machine_whose_clock_is_wrong_shows_the_servers_time(store: Store) -> None:
    clock = FleetClock(FakeClock(0))
    await clock.measure(store)
    assert abs(clock.now() - await store.read(database_time)) < A_MINUTE


async def test_one_measurement_corrects_what_was_right_before_the_machine_slept(store: Store) -> None:
    base = FakeClock(0)
    clock = FleetClock(base)
    for _ in range(10):
        await clock.measure(store)
    await base.advance(-3600)  # as if the server's clock had gone on for an hour while ours stood still
    await clock.measure(store)
    assert abs(clock.now() - await store.read(database_time)) < A_MINUTE
