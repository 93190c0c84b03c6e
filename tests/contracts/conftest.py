"""Store, dispatcher and bus of the contract suites, once for every driver."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentrt.clock import SystemClock
from agentrt.store.database import Store
from agentrt.store.postgres import PostgresStore
from agentrt.store.sqlite import SqliteStore
from tests.contracts.nodes import Node, OpenNode, make_node


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


@pytest.fixture
async def open_node(place: Path | str, store: Store) -> AsyncIterator[OpenNode]:
    """Makes one more process on that database."""
    nodes: list[Node] = []

    async def open_one() -> Node:
        nodes.append(await make_node(place, store))
        return nodes[-1]

    yield open_one
    for node in nodes:
        await node.bus.close()


@pytest.fixture
async def node(open_node: OpenNode) -> Node:
    """The one process."""
    return await open_node()
