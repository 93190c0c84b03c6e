"""Indexing files as jobs, on every database: what is found when, after which failures, and what is left of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from agentrt.dispatch.local import LocalDispatcher
from agentrt.errors import FencedError, NotFoundError
from agentrt.files.blobs import DiskBlobs
from agentrt.retrieval.chunk import Chunking
from agentrt.retrieval.index import sweep_index
from agentrt.retrieval.prepare import Prepared
from agentrt.retrieval.preparer import Preparer
from agentrt.retrieval.search import Question, SearchOptions, search
from agentrt.runtime.drive import Interrupt
from agentrt.runtime.files import Files
from agentrt.runtime.requests import NewStoreFile, NewVectorStore
from agentrt.runtime.storage import Storage
from agentrt.runtime.vector_stores.ingest.driver import RETRY_AFTER_S, IngestDriver
from agentrt.runtime.vector_stores.ingest.queue import queue_forgotten
from agentrt.runtime.vector_stores.stores import VectorStores
from agentrt.store.database import Store, Tx
from agentrt.store.files import find_file
from agentrt.store.jobs import Hold, find_job, take_job
from agentrt.store.search_index import read_stats
from agentrt.store.vector_store_files import (
    FileCounts,
    VectorStoreFile,
    attach_files,
    count_files,
    find_store_file,
)
from agentrt.testing.clocks import FakeClock
from tests.contracts.rows import HOME
from tests.contracts.test_search import count_rows

LIVER = "The liver makes bile."
LONG = "The liver stores sugar, and nothing else is told in this line.\n" * 8000


class Reading(Preparer):
    """A Preparer, with something that happens before a file is read."""

    def __init__(self) -> None:
        super().__init__(size=1)
        self.before: Callable[[str], Awaitable[None]] | None = None
        self.n_read = 0

    async def prepare(self, path: Path, filename: str, chunking: Chunking) -> Prepared:
        """See Preparer.prepare."""
        self.n_read += 1
        if self.before is not None:
            await self.before(filename)
        return await super().prepare(path, filename, chunking)


class House:
    """Files and vector stores on a database, and a driver that is told what to drive."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store = store
        self.clock = FakeClock()
        self.folder = folder
        self.reading = Reading()
        self.dispatcher = LocalDispatcher()
        storage = Storage(store=store, blobs=DiskBlobs(folder), clock=self.clock)
        self.files = Files(store=store, storage=storage, clock=self.clock, max_bytes=10_000_000)
        self.stores = VectorStores(store=store, dispatcher=self.dispatcher, clock=self.clock)
        self.driver = IngestDriver(
            store=store,
            dispatcher=self.dispatcher,
            clock=self.clock,
            files=self.files,
            preparer=self.reading,
            most_places=2,
        )

    async def file(self, text: str, name: str = "notes.txt") -> str:
        async def pieces() -> AsyncIterator[bytes]:
            yield text.encode()

        return (await self.files.put(HOME, pieces(), filename=name, purpose="assistants")).id

    async def a_store(self, *texts: str) -> str:
        ids = [await self.file(text, f"{n}.txt") for n, text in enumerate(texts)]
        return (await self.stores.create(HOME, NewVectorStore(file_ids=tuple(ids)))).id

    async def jobs(self) -> list[str]:
        rows = await self.store.read(lambda tx: tx.conn.exec_driver_sql("SELECT id FROM job ORDER BY id").all())
        return [row[0] for row in rows]

    async def take(self, job_id: str, worker: str = "ada") -> Hold | None:
        now = self.clock.now()
        return await self.store.write(lambda tx: take_job(tx, job_id, worker=worker, now=now, lease_s=0.0))

    async def drive(self, job_id: str, *, interrupt: Interrupt | None = None, worker: str = "ada") -> None:
        hold = await self.take(job_id, worker)
        assert hold is not None
        await self.drive_held(hold, interrupt)

    async def drive_held(self, hold: Hold, interrupt: Interrupt | None = None) -> None:
        begun = await self.store.write(lambda tx: self.driver.begin(tx, hold))
        if begun is not None:
            await self.driver.drive(begun, interrupt or Interrupt())

    async def drive_all(self) -> None:
        for job_id in await self.jobs():
            await self.drive(job_id)

    async def counts(self, store_id: str) -> FileCounts:
        return await self.store.read(lambda tx: count_files(tx, store_id))

    async def rows(self, store_id: str) -> list[VectorStoreFile]:
        def read(tx: Tx) -> list[VectorStoreFile]:
            ids = tx.conn.exec_driver_sql("SELECT file_id FROM vector_store_file ORDER BY file_id").all()
            return [find_store_file(tx, store_id, row[0]) for row in ids]

        return await self.store.read(read)

    async def n_found(self, store_id: str) -> int:
        options = SearchOptions(limit=50)
        return len((await self.store.read(lambda tx: search(tx, [store_id], [Question("liver")], options))).results)

    async def sweep(self) -> dict[str, int]:
        await sweep_index(self.store, clock=self.clock)
        return await count_rows(self.store)


@pytest.fixture
async def house(store: Store, tmp_path: Path) -> AsyncIterator[House]:
    opened = House(store, tmp_path / "blobs")
    yield opened
    await opened.reading.close()


async def test_a_file_is_found_once_its_job_is_done_and_the_job_is_gone(house: House) -> None:
    store_id = await house.a_store(LIVER)
    assert (await house.counts(store_id), await house.n_found(store_id)) == (FileCounts(in_progress=1), 0)
    await house.drive_all()
    assert await house.counts(store_id) == FileCounts(completed=1, usage_bytes=len(LIVER))
    assert (await house.n_found(store_id), await house.jobs()) == (1, [])


async def test_many_files_are_a_few_jobs(house: House) -> None:
    store_id = await house.a_store(*[LIVER] * 20)
    assert len(await house.jobs()) == 7
    await house.drive_all()
    assert (await house.counts(store_id)).completed == 20
    assert await house.n_found(store_id) == 20


async def test_what_is_our_fault_is_tried_again_and_then_given_up(house: House) -> None:
    store_id = await house.a_store(LIVER)
    (blob,) = [path for path in house.folder.rglob("*") if path.is_file()]
    data = blob.read_bytes()
    blob.unlink()
    (job_id,) = await house.jobs()
    for n, wait_s in enumerate(RETRY_AFTER_S, 1):
        await house.drive(job_id)
        (row,) = await house.rows(store_id)
        assert (row.status, row.n_tries, row.retry_at) == ("in_progress", n, house.clock.now() + wait_s)
        job = await house.store.read(lambda tx: find_job(tx, job_id))
        assert job is not None
        assert (job.worker, job.ready_at) == (None, house.clock.now() + wait_s)
        house.clock.set(house.clock.now() + wait_s)
    await house.drive(job_id)
    (row,) = await house.rows(store_id)
    assert (row.status, row.last_error_code, row.job_id) == ("failed", "server_error", None)
    assert "missing" in str(row.last_error_message)
    assert await house.jobs() == []
    blob.write_bytes(data)
    await house.stores.put_file(HOME, store_id, NewStoreFile(row.file_id))
    await house.drive_all()
    (row,) = await house.rows(store_id)
    assert (row.status, row.last_error_code, await house.n_found(store_id)) == ("completed", None, 1)


async def test_a_file_is_not_tried_again_before_its_time(house: House) -> None:
    store_id = await house.a_store(LIVER)
    for path in [path for path in house.folder.rglob("*") if path.is_file()]:
        path.unlink()
    (job_id,) = await house.jobs()
    await house.drive(job_id)
    await house.drive(job_id)
    (row,) = await house.rows(store_id)
    assert row.n_tries == 1


async def test_a_bug_costs_one_file_and_not_the_others_of_its_job(house: House) -> None:
    store_id = await house.a_store(*[LIVER] * 16)

    async def fail(filename: str) -> None:
        if filename == "3.txt":
            raise ValueError("a bug")

    house.reading.before = fail
    for _ in range(len(RETRY_AFTER_S) + 1):
        await house.drive_all()
        house.clock.set(house.clock.now() + max(RETRY_AFTER_S))
    assert (await house.counts(store_id)).completed == 15
    (failed,) = [row for row in await house.rows(store_id) if row.status == "failed"]
    assert failed.last_error_code == "server_error"


async def test_a_job_that_was_taken_over_writes_nothing_more(house: House) -> None:
    store_id = await house.a_store(LIVER)
    (job_id,) = await house.jobs()
    stale = await house.take(job_id)
    assert stale is not None
    house.clock.set(house.clock.now() + 1)

    async def take_over(filename: str) -> None:
        house.reading.before = None
        await house.drive(job_id, worker="bob")

    house.reading.before = take_over
    with pytest.raises(FencedError):
        await house.drive_held(stale)
    assert (await house.counts(store_id)).completed == 1
    assert await house.n_found(store_id) == 1
    stats = await house.store.read(lambda tx: read_stats(tx, store_id))
    assert stats is not None
    assert stats.n_chunks == 1


@pytest.mark.parametrize("text", [LIVER, LONG], ids=["small", "large"])
@pytest.mark.parametrize("deleting", ["place", "file", "store"])
async def test_what_is_deleted_while_it_is_read_leaves_nothing(house: House, deleting: str, text: str) -> None:
    store_id = await house.a_store(text)
    (row,) = await house.rows(store_id)

    async def delete(filename: str) -> None:
        if deleting == "place":
            await house.stores.detach_file(HOME, store_id, row.file_id)
        elif deleting == "store":
            await house.stores.delete(HOME, store_id)
        else:
            file = await house.store.read(lambda tx: find_file(tx, HOME, row.file_id))
            place = house.folder / file.sha256[:2] / file.sha256
            data = place.read_bytes()
            await house.files.delete(HOME, row.file_id)
            place.write_bytes(data)  # it had been opened already, as it were

    house.reading.before = delete
    await house.drive_all()
    assert await house.jobs() == []
    assert await house.n_found(store_id) == 0
    left = await house.sweep()
    assert {name: n for name, n in left.items() if name != "store_index"} == dict.fromkeys(
        left.keys() - {"store_index"}, 0
    )


async def test_a_worker_that_rests_stops_between_two_files(house: House) -> None:
    store_id = await house.a_store(*[LIVER] * 16)
    job_id = (await house.jobs())[0]
    interrupt = Interrupt()

    async def rest(filename: str) -> None:
        interrupt.rest()

    house.reading.before = rest
    await house.drive(job_id, interrupt=interrupt)
    assert (await house.counts(store_id)).completed == 1
    house.reading.before = None
    await house.drive(job_id)
    assert (await house.counts(store_id)).completed == 2


async def test_a_cancelled_file_is_not_read(house: House) -> None:
    store_id = await house.a_store()
    ids = [await house.file(LIVER) for _ in range(3)]
    batch = await house.stores.put_batch(HOME, store_id, [NewStoreFile(file_id) for file_id in ids])
    await house.drive((await house.jobs())[0])
    await house.stores.cancel_batch(HOME, store_id, batch.id)
    await house.drive_all()
    assert await house.counts(store_id) == FileCounts(completed=1, cancelled=2, usage_bytes=len(LIVER))
    assert (house.reading.n_read, await house.jobs()) == (1, [])


async def test_a_job_that_our_code_cannot_drive_fails_its_files(house: House) -> None:
    store_id = await house.a_store(LIVER)
    hold = await house.take((await house.jobs())[0])
    assert hold is not None
    await house.driver.fail(hold, "agentrt failed inside")
    (row,) = await house.rows(store_id)
    assert (row.status, row.last_error_message, await house.jobs()) == ("failed", "agentrt failed inside", [])


async def test_files_that_an_older_release_attached_are_indexed(house: House) -> None:
    store_id = await house.a_store()
    ids = [await house.file(LIVER) for _ in range(3)]
    rows = [VectorStoreFile(store_id=store_id, file_id=file_id, project=HOME, created_at=1) for file_id in ids]
    await house.store.write(lambda tx: attach_files(tx, rows))
    await queue_forgotten(house.store, house.dispatcher, clock=house.clock)
    await queue_forgotten(house.store, house.dispatcher, clock=house.clock)
    assert len(await house.jobs()) == 3
    await house.drive_all()
    assert (await house.counts(store_id)).completed == 3


async def test_the_largest_number_of_jobs_waits_without_holding_anything(house: House) -> None:
    store_id = await house.a_store(*[LIVER] * 5)
    jobs = await house.jobs()
    waited: list[str] = []

    async def drive_the_others(filename: str) -> None:
        if house.reading.n_read == 1:
            for job_id in jobs[1:]:
                await house.drive(job_id)
                job = await house.store.read(lambda tx, job_id=job_id: find_job(tx, job_id))  # type: ignore[misc]
                if job is not None:
                    assert job.worker is None
                    waited.append(job_id)

    house.reading.before = drive_the_others
    await house.drive(jobs[0])
    assert waited == []  # there is a second place, which each of them had in turn
    assert (await house.counts(store_id)).completed == 5


async def test_an_unknown_file_is_refused_and_nothing_is_written(house: House) -> None:
    store_id = await house.a_store()
    known = await house.file(LIVER)
    with pytest.raises(NotFoundError):
        await house.stores.put_batch(HOME, store_id, [NewStoreFile(known), NewStoreFile("file-none")])
    assert (await house.counts(store_id), await house.jobs()) == (FileCounts(), [])
