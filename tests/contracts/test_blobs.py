"""Every place for bytes keeps what it is given, and nothing else."""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from agentrt.files.blobs import Blobs, DiskBlobs
from agentrt.files.s3 import S3Blobs
from tests.s3 import Bucket

LARGE = os.urandom(20_000_000)  # several parts, and several ranges


@dataclass(frozen=True)
class Place:
    """blobs, opened anew by another process with `again`. names: what is kept there; spool: what is on the way."""

    blobs: Blobs
    again: Callable[[], Blobs]
    names: Callable[[], list[str]]
    spool: Path

    def spooled(self) -> list[Path]:
        return list(self.spool.glob("*"))


@pytest.fixture(params=["disk", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "disk":
        folder = tmp_path / "blobs"

        def on_disk() -> list[str]:
            return sorted(path.name for path in folder.rglob("*") if path.is_file() and path.parent.name != "incoming")

        return Place(DiskBlobs(folder), lambda: DiskBlobs(folder), on_disk, folder / "incoming")
    bucket: Bucket = request.getfixturevalue("bucket")
    spool = tmp_path / "spool"

    def again() -> Blobs:
        return S3Blobs(bucket.spec(), spool=spool)

    return Place(again(), again, bucket.names, spool)


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


async def keep(blobs: Blobs, name: str, *data: bytes) -> None:
    async with blobs.receive(pieces(*data)) as received:
        await received.keep(name)


async def read(blobs: Blobs, name: str, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([piece async for piece in blobs.read(name, start=start, stop=stop)])


async def test_what_is_kept_is_found_under_its_name(place: Place) -> None:
    parts = LARGE[:10], LARGE[10:2_000_000], LARGE[2_000_000:]
    async with place.blobs.receive(pieces(*parts)) as received:
        assert (received.size_bytes, received.sha256) == (len(LARGE), hashlib.sha256(LARGE).hexdigest())
        assert not await place.blobs.has("ab-large")
        await received.keep("ab-large")
    assert await place.blobs.has("ab-large")
    assert await read(place.blobs, "ab-large") == LARGE
    assert await read(place.again(), "ab-large", 5_000_000, 12_000_000) == LARGE[5_000_000:12_000_000]
    assert (place.names(), place.spooled()) == (["ab-large"], [])


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 5), (3, None), (5, 6), (9, 100), (50, None), (50, 60)])
async def test_any_range_can_be_read(place: Place, start: int, stop: int | None) -> None:
    await keep(place.blobs, "ab-digits", b"0123456789")
    assert await read(place.blobs, "ab-digits", start, stop) == b"0123456789"[start:stop]


async def test_no_bytes_are_bytes_too(place: Place) -> None:
    await keep(place.blobs, "ab-empty")
    assert await place.blobs.has("ab-empty")
    assert await read(place.blobs, "ab-empty") == b""


async def test_a_path_holds_the_bytes_as_long_as_it_is_needed(place: Place) -> None:
    await keep(place.blobs, "ab-large", LARGE)
    async with place.blobs.as_path("ab-large") as path:
        assert path.read_bytes() == LARGE
        # Another process that starts meanwhile does not take it for something left behind.
        place.again()
        assert path.is_file()
    assert (place.names(), place.spooled()) == (["ab-large"], [])


async def test_what_is_not_kept_leaves_nothing(place: Place) -> None:
    async with place.blobs.receive(pieces(b"abc")):
        assert len(place.spooled()) == 1
    assert (place.names(), place.spooled()) == ([], [])


async def test_a_source_that_breaks_leaves_nothing(place: Place) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield LARGE
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        async with place.blobs.receive(broken()):
            raise AssertionError("it was let in")
    assert (place.names(), place.spooled()) == ([], [])


async def test_a_cancelled_upload_leaves_nothing(place: Place) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield LARGE
        await asyncio.Event().wait()

    async def upload() -> None:
        async with place.blobs.receive(endless()):
            raise AssertionError("it was let in")

    async with asyncio.TaskGroup() as group:
        task = group.create_task(upload())
        while not place.spooled():
            await asyncio.sleep(0.001)
        task.cancel()
    assert (place.names(), place.spooled()) == ([], [])


async def test_deleting_twice_is_no_error(place: Place) -> None:
    await keep(place.blobs, "ab-gone", b"abc")
    await place.blobs.delete("ab-gone")
    await place.blobs.delete("ab-gone")
    assert place.names() == []


async def test_what_is_not_there_is_said_to_be_missing(place: Place) -> None:
    assert not await place.blobs.has("ab-none")
    with pytest.raises(FileNotFoundError):
        await read(place.blobs, "ab-none")
    with pytest.raises(FileNotFoundError):
        async with place.blobs.as_path("ab-none"):
            raise AssertionError("there is a path")
    assert place.spooled() == []


async def test_what_a_dead_process_left_is_removed_and_what_a_living_one_writes_is_not(place: Place) -> None:
    await keep(place.blobs, "ab-kept", b"abc")
    (place.spool / "left").write_bytes(b"half")
    async with place.blobs.receive(pieces(b"still coming")) as received:
        other = place.again()
        assert len(place.spooled()) == 1
        await received.keep("ab-late")
    assert await read(other, "ab-late") == b"still coming"
    assert (sorted(place.names()), place.spooled()) == (["ab-kept", "ab-late"], [])
