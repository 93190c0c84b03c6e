from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentrt.errors import RequestTooLargeError, UnavailableError
from agentrt.files.blobs import DiskBlobs

LIMIT = 10_000_000


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def read(blobs: DiskBlobs, sha256: str, start: int = 0, stop: int | None = None) -> bytes:
    return b"".join([piece async for piece in blobs.read(sha256, start=start, stop=stop)])


async def keep(blobs: DiskBlobs, *data: bytes) -> str:
    async with blobs.receive(pieces(*data), max_bytes=LIMIT) as received:
        await received.keep()
    return received.sha256


async def test_what_is_kept_is_found_under_its_hash(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path)
    data = os.urandom(3_000_000)
    async with blobs.receive(pieces(data[:10], data[10:2_000_000], data[2_000_000:]), max_bytes=LIMIT) as received:
        assert (received.size_bytes, received.sha256) == (len(data), hashlib.sha256(data).hexdigest())
        assert not await blobs.has(received.sha256)
        await received.keep()
    assert await blobs.has(received.sha256)
    assert await read(blobs, received.sha256) == data
    assert [path.name for path in files_in(tmp_path)] == [received.sha256]


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 5), (3, None), (5, 6), (9, 100), (50, None)])
async def test_any_range_can_be_read(tmp_path: Path, start: int, stop: int | None) -> None:
    blobs = DiskBlobs(tmp_path)
    sha256 = await keep(blobs, b"0123456789")
    assert await read(blobs, sha256, start, stop) == b"0123456789"[start:stop]


async def test_what_is_not_kept_leaves_nothing(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path)
    async with blobs.receive(pieces(b"abc"), max_bytes=LIMIT):
        assert len(files_in(tmp_path)) == 1
    assert files_in(tmp_path) == []


async def test_too_many_bytes_leave_nothing(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path)
    with pytest.raises(RequestTooLargeError, match="at most 5 bytes"):
        async with blobs.receive(pieces(b"abc", b"def"), max_bytes=5):
            raise AssertionError("it was let in")
    assert files_in(tmp_path) == []
    async with blobs.receive(pieces(b"abc", b"de"), max_bytes=5) as received:
        await received.keep()


async def test_a_source_that_breaks_leaves_nothing(tmp_path: Path) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"abc" * 1_000_000
        raise ConnectionError("gone")

    with pytest.raises(ConnectionError):
        async with DiskBlobs(tmp_path).receive(broken(), max_bytes=LIMIT):
            raise AssertionError("it was let in")
    assert files_in(tmp_path) == []


async def test_a_cancelled_upload_leaves_nothing(tmp_path: Path) -> None:
    async def endless() -> AsyncIterator[bytes]:
        yield b"abc" * 1_000_000
        await asyncio.Event().wait()

    async def upload() -> None:
        async with DiskBlobs(tmp_path).receive(endless(), max_bytes=LIMIT):
            raise AssertionError("it was let in")

    async with asyncio.TaskGroup() as group:
        task = group.create_task(upload())
        while not files_in(tmp_path):
            await asyncio.sleep(0.001)
        task.cancel()
    assert files_in(tmp_path) == []


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(code, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UnavailableError, match="no room left"):
        await keep(DiskBlobs(tmp_path), b"abc")
    assert files_in(tmp_path) == []


async def test_a_folder_that_cannot_be_written_is_an_error_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "incoming").write_text("a file where the folder should be")
    with pytest.raises(FileExistsError):
        await keep(DiskBlobs(tmp_path), b"abc")


async def test_the_same_bytes_are_kept_once(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path)
    assert await keep(blobs, b"abc") == await keep(blobs, b"a", b"bc")
    assert len(files_in(tmp_path)) == 1


async def test_deleting_twice_is_no_error(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path)
    sha256 = await keep(blobs, b"abc")
    await blobs.delete(sha256)
    await blobs.delete(sha256)
    assert files_in(tmp_path) == []
    with pytest.raises(FileNotFoundError):
        await read(blobs, sha256)


async def test_what_a_dead_process_left_is_removed(tmp_path: Path) -> None:
    sha256 = await keep(DiskBlobs(tmp_path), b"abc")
    (tmp_path / "incoming" / "left").write_bytes(b"half")
    blobs = DiskBlobs(tmp_path)
    assert [path.name for path in files_in(tmp_path)] == [sha256]
    assert await read(blobs, sha256) == b"abc"
