"""Processes that share a database, as far as dispatcher and bus go, and the handles that they drive jobs with."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from agentrt.clock import SystemClock
from agentrt.dispatch.local import LocalBus, LocalDispatcher
from agentrt.dispatch.ports import Bus, Dispatcher
from agentrt.dispatch.postgres import LOOK_EVERY_S, open_postgres
from agentrt.store.database import Store
from agentrt.store.jobs import DEFAULT_QUEUE, Ready

NODE_TIMEOUT_S = 60.0


@dataclass(frozen=True)
class Node:
    """One process."""

    store: Store
    dispatcher: Dispatcher
    bus: Bus

    async def submit(self, job: Ready, *, delay_s: float = 0.0) -> None:
        """Submit a job in a transaction of its own."""
        await self.store.write(lambda tx: self.dispatcher.submit(tx, job, delay_s=delay_s))

    async def notify(self, *ids: str) -> None:
        """Tell of news of these runs in a transaction of its own."""
        await self.store.write(lambda tx: self.bus.notify(tx, "news", ids))


OpenNode: TypeAlias = Callable[[], Awaitable[Node]]


async def make_node(place: Path | str, store: Store, *, look_every_s: float = LOOK_EVERY_S) -> Node:
    """A process on that database, listening."""
    if isinstance(place, Path):
        return Node(store, LocalDispatcher(), LocalBus())
    dispatcher, bus = await open_postgres(place, clock=SystemClock(), look_every_s=look_every_s)
    await bus.start()
    return Node(store, dispatcher, bus)


def a_job(job_id: str = "run_1", *, queue: str = DEFAULT_QUEUE, epoch: int = 0) -> Ready:
    return Ready(job_id, queue, epoch)


class Handle:
    """Notes what it is given, and holds it until `let_go`."""

    def __init__(self, *, holds: bool = False) -> None:
        self.seen: list[str] = []
        self.cancelled: list[str] = []
        self.n_now = 0
        self.n_most = 0
        self.let_go = asyncio.Event()
        if not holds:
            self.let_go.set()

    async def __call__(self, job_id: str) -> None:
        self.seen.append(job_id)
        self.n_now += 1
        self.n_most = max(self.n_most, self.n_now)
        try:
            await self.let_go.wait()
        except asyncio.CancelledError:
            self.cancelled.append(job_id)
            raise
        finally:
            self.n_now -= 1

    async def saw(self, n: int) -> None:
        """Wait until it has been given so many."""
        await until(lambda: len(self.seen) >= n)


@asynccontextmanager
async def serving(
    node: Node, handle: Callable[[str], Awaitable[None]], *, slots: int = 4, grace_s: float = 20.0
) -> AsyncGenerator[None, None]:
    """The node drives jobs; afterwards it is drained."""
    async with asyncio.timeout(NODE_TIMEOUT_S), asyncio.TaskGroup() as group:
        group.create_task(node.dispatcher.serve(handle, slots=slots))
        yield
        await node.dispatcher.drain(grace_s)


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(NODE_TIMEOUT_S):
        while not is_so():
            await asyncio.sleep(0.005)
