"""What is peculiar to a disk, and to a bucket. What both do is in tests/contracts/test_blobs.py."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentrt.config.schema import FilesSpec
from agentrt.errors import ConfigError, UnavailableError
from agentrt.files.blobs import Blobs, DiskBlobs
from agentrt.files.open import open_blobs
from agentrt.files.s3 import S3Blobs, check_bucket
from tests.s3 import Bucket


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


def files_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


async def keep(blobs: Blobs, name: str, *data: bytes) -> None:
    async with blobs.receive(pieces(*data)) as received:
        await received.keep(name)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_said_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(code, "full")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UnavailableError, match="no room left"):
        await keep(DiskBlobs(tmp_path), "ab-c", b"abc")
    assert files_in(tmp_path) == []


async def test_a_folder_that_cannot_be_written_is_an_error_of_its_own(tmp_path: Path) -> None:
    blobs = DiskBlobs(tmp_path)
    (tmp_path / "incoming").write_text("a file where the folder should be")
    with pytest.raises(FileExistsError):
        await keep(blobs, "ab-c", b"abc")


async def test_an_error_of_the_sender_is_not_mistaken_for_one_of_the_disk(tmp_path: Path) -> None:
    async def failing() -> AsyncIterator[bytes]:
        yield b"a"
        raise OSError(errno.ENOSPC, "somewhere else")

    with pytest.raises(OSError, match="somewhere else"):
        async with DiskBlobs(tmp_path).receive(failing()):
            raise AssertionError("it was let in")


async def test_a_bucket_that_is_not_there_is_said(
    bucket: Bucket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blobs = S3Blobs(bucket.spec(bucket="no-such-bucket"), spool=tmp_path)
    with pytest.raises(UnavailableError, match="no bucket no-such-bucket"):
        await check_bucket(bucket.spec(bucket="no-such-bucket"))
    await check_bucket(bucket.spec())
    with caplog.at_level(logging.WARNING), pytest.raises(UnavailableError, match="bucket for files is not there"):
        await keep(blobs, "ab-c", b"abc")
    assert [record.message for record in caplog.records] == ["blobs.no_bucket"]
    assert files_in(tmp_path) == []


async def test_a_server_that_is_not_there_is_said_without_its_credentials(
    bucket: Bucket, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blobs = S3Blobs(bucket.spec(endpoint="http://127.0.0.1:9"), spool=tmp_path, retries=0)
    with caplog.at_level(logging.WARNING):
        for attempt in (blobs.has("ab-c"), keep(blobs, "ab-c", b"abc"), blobs.delete("ab-c")):
            with pytest.raises(UnavailableError, match="does not answer"):
                await attempt
    assert {record.message for record in caplog.records} == {"blobs.failed"}
    assert "127.0.0.1:9" in caplog.records[0].__dict__["error"]
    assert not any("never-shown" in str(record.__dict__) for record in caplog.records)


async def test_a_cancelled_copy_into_a_bucket_is_not_to_be_seen(bucket: Bucket, tmp_path: Path) -> None:
    blobs = S3Blobs(bucket.spec(), spool=tmp_path)
    async with asyncio.TaskGroup() as group:
        task = group.create_task(keep(blobs, "ab-c", os.urandom(30_000_000)))
        while not bucket.unfinished():
            await asyncio.sleep(0.001)
        task.cancel()
    assert not await blobs.has("ab-c")
    assert files_in(tmp_path) == []


def test_without_the_extra_the_remedy_is_named(bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(ConfigError, match=r"pip install 'agentrt\[s3\]'"):
        open_blobs(FilesSpec(s3=bucket.spec()), data_dir=tmp_path)
