"""What waits, what is at work and who works: on both databases, from the process itself and from beside it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import TypeVar

import pytest

from agentrt.clock import SystemClock
from agentrt.dispatch.local import LocalDispatcher
from agentrt.engine.run import Run
from agentrt.errors import NotFoundError, RunStateError, StoreError, UnavailableError
from agentrt.runtime.cancel import cancel_from_outside
from agentrt.runtime.pulse import Pulse, PulseReader, Queue, read_pulse, shared_time
from agentrt.runtime.webhooks.outbox import Outbox
from agentrt.store.database import Store, Tx
from agentrt.store.jobs import Job, insert_job, take_job
from agentrt.store.look import look
from agentrt.store.runs import load_run
from agentrt.store.workers import WorkerProcess, beat_worker
from agentrt.testing.clocks import FakeClock
from agentrt.testing.scripts import ScriptedModel, call, text
from tests.runtime.conftest import World

T = TypeVar("T")

Open = Callable[..., AbstractAsyncContextManager[World]]
LEASE_S = 15.0


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A URL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/agentrt.db"
    url: str = request.getfixturevalue("postgres_url")
    return url


async def pulse_of(database: str) -> Pulse:
    """As a process sees it that has nothing to do with the one that works."""
    clock = SystemClock()
    return await look(database, lambda tx: read_pulse(tx, now=shared_time(tx, clock), lease_s=LEASE_S), clock=clock)


async def test_everything_that_is_not_done_is_counted_where_it_stands(open_world: Open, database: str) -> None:
    hold = asyncio.Event()
    model = ScriptedModel(call("remote", q="x"), text("Slow.", pause=hold), text("Behind."))
    async with open_world(model, extra=f'[runtime]\ndatabase = "{database}"\n') as world:
        await world.rest(await world.run(await world.thread("Go")))
        thread = await world.thread("Hi")
        slow = await world.run(thread)
        await world.until(slow, "in_progress")
        behind = await world.run(thread, on_busy="enqueue")

        pulse = await pulse_of(database)
        assert pulse.queue == Queue(waiting=0, oldest_waiting_s=None, driving=1, waiting_for_caller=1, held=1)
        (worker,) = pulse.workers
        assert (worker.id, worker.role, worker.driving) == (world.runtime.worker_id, "all", 1)
        assert worker.is_alive
        assert worker.drives
        assert (await world.runtime.health()).queue == pulse.queue

        hold.set()
        await world.rest(behind)
    left = await pulse_of(database)
    assert left.queue == Queue(waiting=0, oldest_waiting_s=None, driving=0, waiting_for_caller=1, held=0)
    assert left.workers == [], "it said goodbye"


async def test_the_oldest_waiting_job_has_an_age_and_one_that_is_put_off_does_not_wait(
    open_world: Open, database: str
) -> None:
    async with open_world(ScriptedModel(), extra=f'[runtime]\ndatabase = "{database}"\n') as world:
        store = world.runtime.store

        def write(tx: Tx) -> None:
            for i, ready_at in enumerate((900.0, 940.0, 2000.0)):
                insert_job(tx, Job(id=f"job_{i}", kind="other", subject_id="x", project="p", ready_at=ready_at))

        await store.write(write)
        queue = (await store.read(lambda tx: read_pulse(tx, now=1000.0, lease_s=LEASE_S))).queue
        assert (queue.waiting, queue.oldest_waiting_s) == (2, 100.0)


async def test_a_worker_that_was_not_heard_of_for_a_lease_is_dead(postgres_url: str, open_world: Open) -> None:
    async with open_world(ScriptedModel(), extra=f'[runtime]\ndatabase = "{postgres_url}"\n') as world:
        store, now = world.runtime.store, world.runtime.clock.now()

        def write(tx: Tx) -> None:
            for name, seen_s in (("fresh", 3.0), ("gone", 16.0)):
                worker = WorkerProcess(id=name, role="worker", host="h", pid=1, version="1", started_at=1)
                worker.seen_at = now - seen_s
                beat_worker(tx, worker)

        await store.write(write)
        pulse = await pulse_of(postgres_url)
        alive = {worker.id: worker.is_alive for worker in pulse.workers}
        assert alive == {"fresh": True, "gone": False, world.runtime.worker_id: True}


class _CountingStore:
    """A store that counts how often it is read, and can be away. A long read takes long_read_s."""

    def __init__(self, store: Store, clock: FakeClock) -> None:
        self._store = store
        self._clock = clock
        self.n_reads = 0
        self.n_long_reads = 0
        self.long_read_s = 0.0
        self.is_away = False

    async def read_long(self, fn: Callable[[Tx], T]) -> T:
        self.n_long_reads += 1
        await self._clock.advance(self.long_read_s)
        if self.is_away:
            raise StoreError("away")
        return await self._store.read_long(fn)

    async def read(self, fn: Callable[[Tx], Pulse]) -> Pulse:
        self.n_reads += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise StoreError("away")
        return await self._store.read(fn)


async def test_however_many_ask_the_database_is_asked_once_a_second(open_world: Open) -> None:
    clock = FakeClock()
    async with open_world(ScriptedModel()) as world:
        counting = _CountingStore(world.runtime.store, clock)
        reader = PulseReader(counting, clock, lease_s=LEASE_S)  # type: ignore[arg-type]
        await asyncio.gather(*(reader.read() for _ in range(50)))
        assert counting.n_reads == 1
        await clock.advance(0.9)
        await reader.read()
        assert counting.n_reads == 1
        await clock.advance(0.2)
        await reader.read()
        assert counting.n_reads == 2
        await clock.advance(2)
        counting.is_away = True
        with pytest.raises(UnavailableError, match="does not answer"):
            await reader.read()


async def test_what_takes_long_to_count_is_counted_seldom(open_world: Open) -> None:
    clock = FakeClock()
    async with open_world(ScriptedModel()) as world:
        counting = _CountingStore(world.runtime.store, clock)
        counting.long_read_s = 0.5
        reader = PulseReader(counting, clock, lease_s=LEASE_S)  # type: ignore[arg-type]
        for _ in range(60):
            await reader.read()
            await clock.advance(1)
        assert counting.n_reads >= 55
        assert counting.n_long_reads <= 7, "a twentieth of the time"


async def test_a_look_takes_no_lock_and_writes_nothing(open_world: Open, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/agentrt.db"
    async with open_world(ScriptedModel(), extra=f'[runtime]\ndatabase = "{url}"\n'):

        def write(tx: Tx) -> None:
            insert_job(tx, Job(id="job_1", kind="x", subject_id="x", project="p"))

        with pytest.raises(StoreError, match="cannot be written"):
            await look(url, write, clock=SystemClock())
        assert await look(url, lambda tx: load_run(tx, "run_x"), clock=SystemClock()) is None


# Cancel from beside --------------------------------------------------------------------------------------------------


async def cancel(world: World, run: Run, *, project: str = "default", lease_s: float | None = LEASE_S) -> str:
    """The status after a process that drives nothing has cancelled the run."""
    dispatcher, now = LocalDispatcher(), world.runtime.clock.now()
    outbox = Outbox((), dispatcher=dispatcher)

    def write(tx: Tx) -> str:
        row = cancel_from_outside(
            tx, project, run.spec.id, now=now, lease_s=lease_s, dispatcher=dispatcher, outbox=outbox
        )
        return row.status

    return await world.runtime.store.write(write)


async def test_a_run_that_rests_is_cancelled_from_outside_and_lets_the_next_one_go(
    open_world: Open, database: str
) -> None:
    model = ScriptedModel(call("remote", q="x"), text("Next."))
    async with open_world(model, extra=f'[runtime]\ndatabase = "{database}"\n') as world:
        thread = await world.thread("Go")
        waiting = await world.rest(await world.run(thread))
        behind = await world.run(thread, on_busy="enqueue")
        with pytest.raises(NotFoundError):
            await cancel(world, waiting, project="other")
        assert await cancel(world, waiting) == "cancelled"
        with pytest.raises(RunStateError):
            await cancel(world, waiting)
        pulse = await pulse_of(database)
        assert (pulse.queue.waiting, pulse.queue.held) == (1, 0), "nobody was told, and its row says so"
        assert (await world.look(behind)).status == "queued"


async def test_a_run_with_a_living_driver_is_left_to_that_one(open_world: Open, postgres_url: str) -> None:
    model = ScriptedModel(text("Slow.", pause=asyncio.Event()))
    async with open_world(model, extra=f'[runtime]\ndatabase = "{postgres_url}"\n') as world:
        run = await world.run(await world.thread("Hi"))
        await world.until(run, "in_progress")
        assert await cancel(world, run) == "cancelling"
        await world.until(run, "cancelled")  # its driver has heard with its beat


@pytest.mark.parametrize("lease_s", [LEASE_S, None], ids=["silent for long", "alone with the database"])
async def test_a_run_whose_driver_is_dead_is_ended(open_world: Open, database: str, lease_s: float | None) -> None:
    async with open_world(ScriptedModel(call("remote", q="x")), extra=f'[runtime]\ndatabase = "{database}"\n') as world:
        run = await world.rest(await world.run(await world.thread("Go")))
        now = world.runtime.clock.now() - (100 if lease_s else 0)
        held = await world.runtime.store.write(
            lambda tx: take_job(tx, run.spec.id, worker="gone", now=now, lease_s=LEASE_S)
        )
        assert held is not None
        assert await cancel(world, run, lease_s=lease_s) == "cancelled"
