"""Jobs: who drives what, the fence that lets only one write, and how nothing is left lying."""

from __future__ import annotations

import asyncio

import asyncpg  # type: ignore[import-untyped]
import pytest

from agentrt.clock import SystemClock
from agentrt.errors import FencedError
from agentrt.store.database import Store, Tx
from agentrt.store.jobs import (
    Hold,
    Job,
    Ready,
    fence,
    find_job,
    finish_held_job,
    finish_job,
    free_all_jobs,
    free_dead_jobs,
    free_jobs_of,
    hand_back,
    insert_job,
    is_held,
    mark_ready,
    rest_job,
    seize_job,
    take_job,
    touch_held,
    waiting_jobs,
)
from agentrt.store.postgres import PostgresStore
from agentrt.store.runs import StoredRun, load_run, update_run
from agentrt.store.threads import Thread
from agentrt.store.workers import WorkerProcess, beat_worker, forget_silent_workers, forget_worker, list_workers
from tests.contracts.rows import HOME, put_run, put_thread

LEASE_S = 10.0


@pytest.fixture
async def thread(store: Store) -> Thread:
    return await store.write(put_thread)


def a_job(job_id: str = "run_1", *, ready_at: float | None = 0.0, queue: str = "default", kind: str = "run") -> Job:
    return Job(id=job_id, kind=kind, subject_id=job_id, project=HOME, queue=queue, ready_at=ready_at)


async def put(store: Store, *jobs: Job) -> None:
    for job in jobs:
        await store.write(lambda tx, job=job: insert_job(tx, job))  # type: ignore[misc]


async def take(store: Store, job_id: str = "run_1", *, worker: str = "ada", now: float = 1.0) -> Hold | None:
    return await store.write(lambda tx: take_job(tx, job_id, worker=worker, now=now, lease_s=LEASE_S))


async def found(store: Store, job_id: str = "run_1") -> Job:
    job = await store.read(lambda tx: find_job(tx, job_id))
    assert job is not None
    return job


async def test_a_job_that_was_taken_is_not_taken_by_another_while_its_holder_lives(store: Store) -> None:
    await put(store, a_job())
    assert await take(store, worker="ada", now=1.0) == Hold("run_1", "run_1", "run", HOME, 1)
    assert await take(store, worker="bob", now=2.0) is None
    assert await found(store) == a_job(ready_at=None).model_copy(
        update={"epoch": 1, "worker": "ada", "touched_at": 1.0}
    )
    again = await take(store, worker="ada", now=3.0)
    assert again is not None
    assert again.epoch == 2


async def test_a_holder_that_fell_silent_is_taken_over_and_fenced_off(store: Store) -> None:
    await put(store, a_job())
    await take(store, worker="ada", now=1.0)
    await store.write(lambda tx: fence(tx, "run_1", 1, now=5.0))
    assert await take(store, worker="bob", now=14.9) is None
    hold = await take(store, worker="bob", now=15.1)
    assert hold is not None
    assert hold.epoch == 2
    with pytest.raises(FencedError):
        await store.write(lambda tx: fence(tx, "run_1", 1, now=16.0))
    with pytest.raises(FencedError):
        await store.write(lambda tx: rest_job(tx, Hold("run_1", "run_1", "run", HOME, 1)))
    with pytest.raises(FencedError):
        await store.write(lambda tx: finish_held_job(tx, "run_1", 1))
    assert await store.write(lambda tx: hand_back(tx, "run_1", 1, now=16.0)) is None
    await store.write(lambda tx: fence(tx, "run_1", 2, now=16.0))
    await store.write(lambda tx: finish_held_job(tx, "run_1", 2))
    assert await store.read(lambda tx: find_job(tx, "run_1")) is None


async def test_a_job_that_was_freed_is_not_held_any_more_though_nobody_has_taken_it_yet(store: Store) -> None:
    await put(store, a_job())
    await take(store, worker="ada", now=1.0)
    freed = await store.write(lambda tx: free_dead_jobs(tx, "bob", now=30.0, lease_s=LEASE_S))
    assert [job.job_id for job in freed] == ["run_1"]
    with pytest.raises(FencedError):
        await store.write(lambda tx: fence(tx, "run_1", 1, now=31.0))
    assert await take(store, worker="ada", now=31.0) == Hold("run_1", "run_1", "run", HOME, 2)
    await store.write(lambda tx: fence(tx, "run_1", 2, now=32.0))


async def test_a_driver_that_is_fenced_off_writes_nothing(store: Store, thread: Thread) -> None:
    def fill(tx: Tx) -> StoredRun:
        run = put_run(tx, thread)
        insert_job(tx, a_job(run.id))
        return run

    run = await store.write(fill)
    await take(store, run.id, worker="ada", now=1.0)
    await take(store, run.id, worker="bob", now=60.0)

    def drive(tx: Tx) -> None:
        update_run(tx, run.id, {"status": "failed"})
        fence(tx, run.id, 1, now=61.0)

    with pytest.raises(FencedError):
        await store.write(drive)
    row = await store.read(lambda tx: load_run(tx, run.id))
    assert row is not None
    assert row.status == "queued"


async def test_of_many_that_take_a_job_at_once_one_gets_it(store: Store) -> None:
    await put(store, a_job())
    holds = await asyncio.gather(*[take(store, worker=f"worker {n}") for n in range(10)])
    assert [hold.epoch for hold in holds if hold is not None] == [1]


async def test_a_job_that_is_done_cannot_be_taken_held_or_woken(store: Store) -> None:
    await put(store, a_job())
    await store.write(lambda tx: finish_job(tx, "run_1"))
    assert await take(store) is None
    assert await store.write(lambda tx: seize_job(tx, "run_1", now=1.0)) is None
    assert await store.write(lambda tx: mark_ready(tx, "run_1", at=1.0)) is None
    assert await store.read(lambda tx: find_job(tx, "run_1")) is None
    with pytest.raises(FencedError):
        await store.write(lambda tx: fence(tx, "run_1", 0, now=1.0))


async def test_a_job_that_rests_is_nobodys_until_it_is_woken(store: Store) -> None:
    await put(store, a_job())
    hold = await take(store)
    assert hold is not None
    assert await store.write(lambda tx: rest_job(tx, hold)) is None
    assert await store.read(lambda tx: waiting_jobs(tx, now=99.0)) == (0, None)
    assert not await store.read(lambda tx: is_held(tx, "run_1"))
    assert await store.write(lambda tx: mark_ready(tx, "run_1", at=5.0)) == Ready("run_1", "default", 1)
    assert await store.read(lambda tx: waiting_jobs(tx, now=99.0)) == (1, 5.0)


async def test_what_is_asked_of_a_job_while_it_is_driven_is_known_when_it_comes_to_rest(store: Store) -> None:
    await put(store, a_job())
    hold = await take(store)
    assert hold is not None
    await store.write(lambda tx: mark_ready(tx, "run_1", at=2.0))
    assert await store.write(lambda tx: rest_job(tx, hold)) == Ready("run_1", "default", 1)


async def test_of_two_times_to_be_woken_the_earlier_counts(store: Store) -> None:
    await put(store, a_job(ready_at=None))
    for at in (7.0, 5.0, 9.0):
        await store.write(lambda tx, at=at: mark_ready(tx, "run_1", at=at))  # type: ignore[misc]
    assert (await found(store)).ready_at == 5.0


async def test_a_seized_job_rests_afterwards_and_its_holder_is_fenced_off(store: Store) -> None:
    await put(store, a_job())
    await take(store)
    assert await store.write(lambda tx: seize_job(tx, "run_1", now=2.0)) == Hold("run_1", "run_1", "run", HOME, 2)
    job = await found(store)
    assert (job.worker, job.ready_at) == (None, None)
    with pytest.raises(FencedError):
        await store.write(lambda tx: fence(tx, "run_1", 1, now=3.0))


async def test_a_job_that_is_handed_back_is_ready_at_once_but_not_if_it_rests(store: Store) -> None:
    await put(store, a_job(), a_job("run_2"))
    await take(store)
    assert await store.write(lambda tx: hand_back(tx, "run_1", 1, now=3.0)) == Ready("run_1", "default", 1)
    assert (await found(store)).ready_at == 3.0
    hold = await take(store, "run_2")
    assert hold is not None
    await store.write(lambda tx: rest_job(tx, hold))
    assert await store.write(lambda tx: hand_back(tx, "run_2", 1, now=3.0)) is None
    assert (await found(store, "run_2")).ready_at is None


async def test_a_beat_is_a_sign_of_life_for_all_that_is_held_and_tells_what_that_is(
    store: Store, thread: Thread
) -> None:
    run = await store.write(lambda tx: put_run(tx, thread))
    await put(store, a_job(run.id), a_job("job_2"), a_job("job_3"))
    for job_id in (run.id, "job_2"):
        await take(store, job_id, worker="ada", now=1.0)
    await take(store, "job_3", worker="bob", now=1.0)
    held = await store.write(lambda tx: touch_held(tx, "ada", now=8.0))
    assert sorted(held) == sorted([(run.id, 1, "queued"), ("job_2", 1, None)])
    assert [(await found(store, job_id)).touched_at for job_id in (run.id, "job_2", "job_3")] == [8.0, 8.0, 1.0]


async def test_what_dead_workers_hold_and_what_nobody_took_is_found_once_by_all_who_look(store: Store) -> None:
    await put(
        store, a_job("dead"), a_job("alive"), a_job("lost"), a_job("late", ready_at=50.0), a_job("rests", ready_at=None)
    )
    await take(store, "dead", worker="ada", now=1.0)
    await take(store, "alive", worker="bob", now=35.0)
    looks = [
        store.write(lambda tx: free_dead_jobs(tx, "eve", now=40.0, lease_s=LEASE_S)),
        store.write(lambda tx: free_dead_jobs(tx, "kim", now=40.0, lease_s=LEASE_S)),
    ]
    freed = [job for jobs in await asyncio.gather(*looks) for job in jobs]
    assert sorted(freed) == [Ready("dead", "default", 1), Ready("lost", "default", 0)]
    dead = await found(store, "dead")
    assert (dead.worker, dead.ready_at) == (None, 40.0)


async def test_a_worker_does_not_take_its_own_silence_for_death(store: Store) -> None:
    await put(store, a_job())
    await take(store, worker="ada", now=1.0)
    assert await store.write(lambda tx: free_dead_jobs(tx, "ada", now=500.0, lease_s=LEASE_S)) == []


async def test_the_jobs_of_a_process_that_is_known_to_be_dead_are_free_at_once(store: Store) -> None:
    await put(store, a_job(), a_job("run_2"))
    await take(store, "run_1", worker="ada")
    await take(store, "run_2", worker="bob")
    assert await store.write(lambda tx: free_jobs_of(tx, "ada", now=2.0)) == [Ready("run_1", "default", 1)]
    assert await store.read(lambda tx: is_held(tx, "run_2"))


async def test_who_is_alone_with_the_database_finds_everything_that_is_ready(store: Store) -> None:
    later = a_job("later", ready_at=50.0, kind="webhook_delivery")
    await put(store, a_job("held"), later, a_job("rests", ready_at=None), a_job("x", queue="agent:a"))
    await take(store, "held")
    everything = await store.write(lambda tx: free_all_jobs(tx, now=2.0))
    assert sorted(everything) == [
        (Ready("held", "default", 1), 2.0),
        (Ready("later", "default", 0), 50.0),
        (Ready("x", "agent:a", 0), 0.0),
    ]


async def test_a_run_does_not_wait_for_a_clock_that_was_set_back(store: Store) -> None:
    await put(store, a_job(ready_at=3_600.0))
    assert await store.write(lambda tx: free_all_jobs(tx, now=2.0)) == [(Ready("run_1", "default", 0), 2.0)]


async def test_workers_are_listed_until_they_leave_or_are_silent_for_long(store: Store) -> None:
    def worker(name: str, **fields: object) -> WorkerProcess:
        values = {"id": name, "role": "worker", "host": "h", "pid": 1, "version": "1", "started_at": 1, **fields}
        return WorkerProcess.model_validate(values)

    for name, seen_at in (("ada", 1.0), ("bob", 2.0), ("ada", 9.0)):
        await store.write(lambda tx, n=name, s=seen_at: beat_worker(tx, worker(n, seen_at=s, n_driving=int(s))))  # type: ignore[misc]
    everybody = await store.read(list_workers)
    assert [(w.id, w.seen_at, w.n_driving) for w in everybody] == [("ada", 9.0, 9), ("bob", 2.0, 2)]
    await store.write(lambda tx: forget_silent_workers(tx, before=5.0))
    assert [w.id for w in await store.read(list_workers)] == ["ada"]
    await store.write(lambda tx: forget_worker(tx, "ada"))
    assert await store.read(list_workers) == []


async def test_a_beat_and_a_flush_of_the_same_jobs_do_not_wait_for_each_other(postgres_url: str) -> None:
    store = PostgresStore(postgres_url, clock=SystemClock())
    await put(store, a_job("run_2"), a_job("run_1"))  # in the table in this order, and so are they found
    for job_id in ("run_2", "run_1"):
        await take(store, job_id)
    flusher = await asyncpg.connect(postgres_url)
    touch = "UPDATE job SET touched_at = 1 WHERE id = $1"
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        async with flusher.transaction():
            await flusher.execute(touch, "run_1")
            beat = group.create_task(store.write(lambda tx: touch_held(tx, "ada", now=2.0)))
            await is_waiting(flusher)
            await flusher.execute("SET LOCAL lock_timeout = '100ms'")
            await flusher.execute(touch, "run_2")
        assert len(await beat) == 2
    await flusher.close()
    await store.close()


async def is_waiting(conn: asyncpg.Connection) -> None:
    """Returns when another connection waits for a lock."""
    while not await conn.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
        await asyncio.sleep(0.005)
