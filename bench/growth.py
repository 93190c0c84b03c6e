"""What grows with the number of finished runs: nothing should. A small and a large database, asked in turns."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from agentrt.config.schema import DEFAULT_PROJECT
from agentrt.dispatch.local import LocalBus, LocalDispatcher
from agentrt.engine.events import DeadlinePassed
from agentrt.engine.message import TextPart
from agentrt.engine.run import Run
from agentrt.runtime.assembly import Runtime
from agentrt.runtime.expiry import expire_runs, expire_vector_stores
from agentrt.runtime.leases import Leases, new_worker_id
from agentrt.runtime.requests import NewMessage, NewRun, NewThread
from agentrt.runtime.retention import Retention
from agentrt.runtime.worker import Worker
from agentrt.store.pages import PageQuery
from agentrt.store.runs import find_run, list_runs
from agentrt.store.threads import list_threads
from bench.fake_model import SAY
from bench.fleet import Bench, write_config
from bench.rows import copy_run, run_sqlite

_N = 150
_LEASE_S = 15.0


@dataclass
class _World:
    """An open database with many finished runs. run: one of them. What the runtime has inside is built once more."""

    runtime: Runtime
    run: Run
    leases: Leases
    retention: Retention

    async def run_to_its_end(self) -> None:
        await _run(self.runtime)

    async def look(self) -> None:
        spec = self.run.spec
        await self.runtime.store.read(lambda tx: find_run(tx, DEFAULT_PROJECT, spec.thread_id, spec.id))

    async def list_runs(self) -> None:
        thread_id = self.run.spec.thread_id
        await self.runtime.store.read(lambda tx: list_runs(tx, DEFAULT_PROJECT, thread_id, PageQuery()))

    async def list_threads(self) -> None:
        await self.runtime.store.read(lambda tx: list_threads(tx, DEFAULT_PROJECT, PageQuery()))

    async def sweep(self) -> None:
        store, now = self.runtime.store, self.runtime.clock.now()
        await expire_runs(store, _nothing_is_overdue, now=now)
        await expire_vector_stores(store, now=now)
        await self.runtime.firing.sweep()
        await self.retention.sweep()

    async def beat(self) -> None:
        await self.leases.beat()

    async def reconcile(self) -> None:
        await self.leases.reconcile()


_ACTS: dict[str, Callable[[_World], Awaitable[None]]] = {
    "a run, from its creation to its end": _World.run_to_its_end,
    "look at a run": _World.look,
    "list a thread's runs": _World.list_runs,
    "list threads": _World.list_threads,
    "sweep": _World.sweep,
    "beat": _World.beat,
    "reconcile": _World.reconcile,
}


async def measure_growth(bench: Bench, *, small: int, large: int) -> None:
    """Median wall times on both databases, of each with few and with many finished runs."""
    for is_on_sqlite in (True, False):
        began = time.monotonic()
        async with _open(bench, small, is_on_sqlite) as one, _open(bench, large, is_on_sqlite) as other:
            filled_s = time.monotonic() - began
            times = [await _times([one, other], act) for act in _ACTS.values()]
        name = "SQLite" if is_on_sqlite else "PostgreSQL"
        print(
            f"{f'{name}, ms (filled in {filled_s:.0f} s)':38}{f'{small:,} runs':>14}{f'{large:,} runs':>14}{'ratio':>8}"
        )
        for act_name, (few_ms, many_ms) in zip(_ACTS, times, strict=True):
            print(f"{act_name:38}{few_ms:14.2f}{many_ms:14.2f}{many_ms / few_ms:8.2f}", flush=True)


async def _times(worlds: list[_World], act: Callable[[_World], Awaitable[None]]) -> list[float]:
    """Median milliseconds on each, taken in turns, so that a busy moment of the machine meets all alike."""
    found: defaultdict[int, list[float]] = defaultdict(list)
    for _ in range(_N):
        for i, world in enumerate(worlds):
            began = time.perf_counter()
            await act(world)
            found[i].append((time.perf_counter() - began) * 1000)
    return [statistics.median(found[i]) for i in range(len(worlds))]


@asynccontextmanager
async def _open(bench: Bench, n: int, is_on_sqlite: bool) -> AsyncGenerator[_World, None]:
    with tempfile.TemporaryDirectory(dir=bench.folder) as name:
        server = None if is_on_sqlite else bench.server
        config = write_config(Path(name), bench.model_url, server=server, lease_s=_LEASE_S)
        async with Runtime(config) as runtime:
            run = await _run(runtime)
            database = runtime.config.runtime.database.reveal()
        if server is None:
            copy_run(run_sqlite(Path(urlsplit(database).path)), run, n=n)
        else:
            server_name = urlsplit(database).path[1:]
            copy_run(lambda sql: bench.server.run_sql(sql, database=server_name), run, n=n)
            server.run_sql("VACUUM ANALYZE", database=server_name)
        async with Runtime(config) as runtime:
            yield _world(runtime, run)


def _world(runtime: Runtime, run: Run) -> _World:
    store, clock, dispatcher = runtime.store, runtime.clock, LocalDispatcher()
    worker = Worker(
        new_worker_id(), store=store, dispatcher=dispatcher, bus=LocalBus(), clock=clock, lease_s=_LEASE_S, drivers={}
    )
    leases = Leases(worker, role="all", url=None, store=store, dispatcher=dispatcher, clock=clock, lease_s=_LEASE_S)
    spec = runtime.config.runtime.retention
    retention = Retention(
        spec, store=store, clock=clock, threads=runtime.threads, files=runtime.files, webhooks=runtime.webhooks
    )
    return _World(runtime, run, leases, retention)


async def _run(runtime: Runtime) -> Run:
    thread = NewThread(messages=(NewMessage("user", (TextPart(SAY),)),))
    run = await runtime.runs.create_with_thread(DEFAULT_PROJECT, thread, NewRun(assistant_id="asst_bench"))
    async for _ in runtime.runs.follow(run.spec.id):
        continue
    return run


async def _nothing_is_overdue(run_id: str, _: DeadlinePassed) -> bool:
    raise AssertionError(f"{run_id} is overdue")
