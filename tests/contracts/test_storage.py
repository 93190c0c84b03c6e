"""Bytes and the rows that refer to them, on every database: nothing is lost, and nothing is left."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest

from agentrt.clock import SystemClock
from agentrt.errors import InvalidRequestError, NotFoundError, StoreError, UnavailableError
from agentrt.files.blobs import DiskBlobs
from agentrt.runtime.files import Files
from agentrt.runtime.storage import ABANDONED_AFTER_S, Storage
from agentrt.runtime.uploads import NewUpload, Uploads
from agentrt.store.blobs import find_live_blob
from agentrt.store.database import Store, Tx
from agentrt.store.files import File, delete_file
from agentrt.store.postgres import PostgresStore
from agentrt.testing.clocks import FakeClock

DATA = b"the same bytes"


class Blobs(DiskBlobs):
    """On a disk, with a door before what deletes and one before what reads; or out of order."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.is_out = False
        self.door, self.reading_door, self.is_reading = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self.door.set()
        self.reading_door.set()

    async def read(self, name: str, *, start: int = 0, stop: int | None = None) -> AsyncGenerator[bytes, None]:
        self.is_reading.set()
        await self.reading_door.wait()
        async with aclosing(super().read(name, start=start, stop=stop)) as pieces:
            async for piece in pieces:
                yield piece

    async def delete(self, name: str) -> None:
        await self.door.wait()
        if self.is_out:
            raise UnavailableError("Out of order.")
        await super().delete(name)


class Machine:
    """One process: its own connection to the database, the same folder of bytes."""

    def __init__(self, store: Store, folder: Path, clock: FakeClock) -> None:
        self.store = store
        self.blobs = Blobs(folder)
        self.storage = Storage(store=store, blobs=self.blobs, clock=clock)
        self.files = Files(store=store, storage=self.storage, clock=clock, max_bytes=1000)
        self.uploads = Uploads(store=store, storage=self.storage, clock=clock, max_bytes=1000)

    async def put(self, data: bytes = DATA) -> File:
        return await self.files.put("p", pieces(data), filename="a", purpose="vision")

    async def begin_upload(self) -> tuple[str, str]:
        """An upload, and its only part."""
        new = NewUpload(filename="a", purpose="vision", size_bytes=len(DATA), media_type="image/png")
        upload = await self.uploads.create("p", new)
        async with self.uploads.receive(pieces(DATA)) as received:
            return upload.id, (await self.uploads.add("p", upload.id, received)).id

    async def read(self, file: File) -> bytes:
        return b"".join([piece async for piece in await self.files.content(file)])

    async def delete(self, file: File) -> None:
        await self.files.delete("p", file.id)


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "blobs"


@pytest.fixture
def kept(folder: Path) -> Callable[[], int]:
    """How many blobs there are, those on their way too."""
    return lambda: sum(path.is_file() for path in folder.rglob("*"))


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def machines(store: Store, place: Path | str, folder: Path, clock: FakeClock) -> AsyncGenerator[list[Machine]]:
    """Two on PostgreSQL, one on SQLite, twice."""
    async with AsyncExitStack() as exits:
        other = store
        if isinstance(place, str):
            other = PostgresStore(place, clock=SystemClock())
            exits.push_async_callback(other.close)
        yield [Machine(store, folder, clock), Machine(other, folder, clock)]


async def count(store: Store, sql: str) -> int:
    def read(tx: Tx) -> int:
        return int(tx.conn.exec_driver_sql(sql).scalar_one())

    return await store.read(read)


async def test_the_same_bytes_are_kept_once(machines: list[Machine], kept: Callable[[], int]) -> None:
    one, two = await machines[0].put(), await machines[1].put()
    assert one.sha256 == two.sha256
    assert kept() == 1
    await machines[1].delete(one)
    assert await machines[0].read(two) == DATA
    await machines[0].delete(two)
    assert kept() == 0


async def test_whoever_deletes_and_uploads_at_once_loses_nothing_and_leaves_nothing(
    machines: list[Machine], store: Store, kept: Callable[[], int]
) -> None:
    one, two = machines
    files = [await one.put(), await two.put()]
    for _ in range(12):
        made = await asyncio.gather(one.delete(files[0]), two.delete(files[1]), one.put(), two.put())
        files = [made[2], made[3]]
        assert [await machine.read(file) for machine in machines for file in files] == [DATA] * 4
    await asyncio.gather(one.delete(files[0]), two.delete(files[1]))
    assert kept() == 0
    assert await count(store, "SELECT count(*) FROM blob") == 0


async def test_of_two_who_take_the_last_references_away_one_knows_that_it_was_the_last(
    machines: list[Machine], store: Store, place: Path | str
) -> None:
    one, two = machines
    files = [await one.put(), await two.put()]

    def delete(tx: Tx, file: File, machine: Machine) -> list[str]:
        delete_file(tx, file)
        dead = machine.storage.release(tx, [file.sha256])
        if isinstance(place, str):  # long enough for the other one to be in the middle of it, too
            tx.conn.exec_driver_sql("SELECT pg_sleep(0.2)")
        return dead

    dead = await asyncio.gather(
        one.store.write(lambda tx: delete(tx, files[0], one)), two.store.write(lambda tx: delete(tx, files[1], two))
    )
    assert sorted(dead) == [[], [files[0].sha256]]


async def test_a_late_deletion_cannot_hit_bytes_that_came_again(
    machines: list[Machine], store: Store, kept: Callable[[], int]
) -> None:
    one, two = machines
    file = await one.put()
    one.blobs.door.clear()  # as if the process was frozen before its last step
    async with asyncio.TaskGroup() as group:
        deletion = group.create_task(one.delete(file))
        while await store.read(lambda tx: find_live_blob(tx, file.sha256[:64])) is not None:
            await asyncio.sleep(0.001)
        again = await two.put()
        one.blobs.door.set()
        await deletion
    assert await two.read(again) == DATA
    assert kept() == 1


async def test_a_file_is_deleted_also_while_its_bytes_cannot_be(
    machines: list[Machine], kept: Callable[[], int]
) -> None:
    one, _ = machines
    file = await one.put()
    one.blobs.is_out = True
    await one.delete(file)
    with pytest.raises(NotFoundError):
        await one.delete(file)
    await one.storage.sweep()
    assert kept() == 1
    one.blobs.is_out = False
    await one.storage.sweep()
    assert kept() == 0


async def test_bytes_whose_row_never_came_are_swept_after_a_while(
    machines: list[Machine], store: Store, clock: FakeClock, kept: Callable[[], int]
) -> None:
    one, two = machines

    def die(tx: Tx, blob: str) -> None:
        raise asyncio.CancelledError  # no handler may help, as when the process is killed

    with pytest.raises(asyncio.CancelledError):
        async with one.storage.receive(pieces(DATA)) as received:
            await one.storage.keep(received, die)
    assert kept() == 1
    living = await two.put()
    assert kept() == 2, "what is coming is not shared: it may never come"
    await two.storage.sweep()
    assert kept() == 2
    await clock.advance(ABANDONED_AFTER_S)
    await two.storage.sweep()
    assert kept() == 1
    assert await two.read(living) == DATA
    assert await count(store, "SELECT count(*) FROM blob") == 1


async def test_bytes_whose_row_is_refused_go_at_once(
    machines: list[Machine], store: Store, kept: Callable[[], int]
) -> None:
    def refuse(tx: Tx, blob: str) -> None:
        raise StoreError("no")

    with pytest.raises(StoreError):
        async with machines[0].storage.receive(pieces(DATA)) as received:
            await machines[0].storage.keep(received, refuse)
    assert kept() == 0
    assert await count(store, "SELECT count(*) FROM blob") == 0


async def test_bytes_that_were_given_up_meanwhile_make_no_file(
    machines: list[Machine], store: Store, kept: Callable[[], int]
) -> None:
    one, two = machines
    async with one.storage.receive(pieces(DATA)) as received:
        put = received.keep

        async def slow(name: str) -> None:
            await put(name)
            await two.storage.sweep(abandoned_after_s=0)

        received.keep = slow  # type: ignore[method-assign]
        with pytest.raises(UnavailableError, match="took too long"):
            await one.files.keep("p", received, filename="a", purpose="vision")
    assert kept() == 0
    assert await count(store, "SELECT count(*) FROM file") == 0


async def test_bytes_that_somebody_took_away_are_stored_anew(machines: list[Machine], folder: Path) -> None:
    file = await machines[0].put()
    (folder / file.sha256[:2] / file.sha256).unlink()
    with pytest.raises(UnavailableError, match=f"content of {file.id} is missing"):
        await machines[0].files.content(file)
    with pytest.raises(UnavailableError, match="is missing"):
        async with machines[0].files.as_path(file):
            raise AssertionError("there is a path")
    again = await machines[1].put()
    assert await machines[0].read(again) == DATA


async def test_files_of_an_older_release_share_their_bytes_and_let_them_go(
    machines: list[Machine], store: Store, folder: Path, kept: Callable[[], int]
) -> None:
    one, two = machines
    files = [await one.put(), await two.put()]
    name = files[0].sha256
    plain = name[:64]
    (folder / name[:2] / name).rename(folder / name[:2] / plain)

    def age(tx: Tx) -> None:
        tx.conn.exec_driver_sql("DELETE FROM blob")
        tx.conn.exec_driver_sql(f"UPDATE file SET sha256 = '{plain}'")

    await store.write(age)
    await asyncio.gather(one.delete(files[0]), two.delete(files[1]))
    assert kept() == 0
    assert await count(store, "SELECT count(*) FROM blob") == 0


async def test_parts_and_files_share_their_bytes(machines: list[Machine], kept: Callable[[], int]) -> None:
    one, two = machines
    file = await one.put()
    upload_id, part_id = await two.begin_upload()
    await one.delete(file)
    _, again = await one.uploads.complete("p", upload_id, [part_id])
    assert kept() == 1
    assert (again.sha256, await two.read(again)) == (file.sha256, DATA)
    await two.delete(again)
    assert kept() == 0


@pytest.mark.parametrize("how", ["cancelled", "expired"])
async def test_an_upload_that_ends_while_it_is_put_together_makes_no_file(
    machines: list[Machine], store: Store, clock: FakeClock, kept: Callable[[], int], how: str
) -> None:
    one, two = machines
    upload_id, part_id = await one.begin_upload()
    one.blobs.reading_door.clear()
    async with asyncio.TaskGroup() as group:

        async def complete() -> None:
            with pytest.raises(InvalidRequestError, match=f"has status '{how}'"):
                await one.uploads.complete("p", upload_id, [part_id])

        group.create_task(complete())
        await one.blobs.is_reading.wait()
        if how == "cancelled":
            await two.uploads.cancel("p", upload_id)
        else:
            await clock.advance(3600)
            await two.uploads.expire()
        one.blobs.reading_door.set()
    assert kept() == 0
    assert [await count(store, f"SELECT count(*) FROM {table}") for table in ("file", "upload_part", "blob")] == [0] * 3


async def test_of_two_processes_that_complete_one_upload_both_say_the_same(
    machines: list[Machine], store: Store, kept: Callable[[], int]
) -> None:
    one, two = machines
    upload_id, part_id = await one.begin_upload()
    one.blobs.reading_door.clear()
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(one.uploads.complete("p", upload_id, [part_id]))
        await one.blobs.is_reading.wait()
        _, file = await two.uploads.complete("p", upload_id, [part_id])
        one.blobs.reading_door.set()
    assert slow.result()[1].id == file.id
    assert kept() == 1
    assert await count(store, "SELECT count(*) FROM file") == 1


async def test_who_completes_an_upload_while_another_takes_its_parts_away_gets_its_file(
    machines: list[Machine],
) -> None:
    one, two = machines
    new = NewUpload(filename="a", purpose="vision", size_bytes=8, media_type="image/png")
    upload_id = (await one.uploads.create("p", new)).id
    part_ids = []
    for data in (b"half", b"half"[::-1]):
        async with one.uploads.receive(pieces(data)) as received:
            part_ids.append((await one.uploads.add("p", upload_id, received)).id)
    one.blobs.reading_door.clear()
    async with asyncio.TaskGroup() as group:
        slow = group.create_task(one.uploads.complete("p", upload_id, part_ids))
        await one.blobs.is_reading.wait()
        _, file = await two.uploads.complete("p", upload_id, part_ids)
        one.blobs.reading_door.set()
    assert slow.result()[1].id == file.id
    assert await two.read(file) == b"halfflah"
