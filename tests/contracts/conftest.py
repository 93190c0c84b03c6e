"""The store of the contract suite, once for every driver."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentrt.clock import SystemClock
from agentrt.store.database import Store
from agentrt.store.postgres import PostgresStore
from agentrt.store.sqlite import SqliteStore


@pytest.fixture(params=["sqlite_path", "postgres_url"], ids=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest) -> Path | str:
    """Where a database with our tables and no rows is."""
    found: Path | str = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def store(place: Path | str) -> AsyncIterator[Store]:
    """That database, open."""
    opened = SqliteStore(place) if isinstance(place, Path) else PostgresStore(place, clock=SystemClock())
    yield opened
    await opened.close()
