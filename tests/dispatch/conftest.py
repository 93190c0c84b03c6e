"""A PostgreSQL server that tests may crash, and processes on it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from agentrt.clock import SystemClock
from agentrt.dispatch.postgres import LOOK_EVERY_S
from agentrt.store.migrate import migrate
from agentrt.store.postgres import PostgresStore
from tests.contracts.nodes import Node, OpenNode, make_node
from tests.postgres import PostgresServer, running_postgres


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    """A server of this module's own, with our tables in `postgres`."""
    with running_postgres() as server:
        migrate(server.url(), backup=False)
        yield server


@pytest.fixture
async def open_node(server: PostgresServer) -> AsyncIterator[OpenNode]:
    """Makes one more process, with a store of its own."""
    async for open_one in _nodes(server, LOOK_EVERY_S):
        yield open_one


@pytest.fixture
async def open_told_node(server: PostgresServer) -> AsyncIterator[OpenNode]:
    """Makes one more process, which looks into the queue only when it is told to."""
    async for open_one in _nodes(server, 3600.0):
        yield open_one


async def _nodes(server: PostgresServer, look_every_s: float) -> AsyncIterator[OpenNode]:
    nodes: list[Node] = []

    async def open_one() -> Node:
        store = PostgresStore(server.url(), clock=SystemClock())
        nodes.append(await make_node(server.url(), store, look_every_s=look_every_s))
        return nodes[-1]

    yield open_one
    for node in nodes:
        await node.bus.close()
        await node.store.close()
    server.run_sql("DELETE FROM agentrt_pgqueuer")
