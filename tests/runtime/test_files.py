from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import pytest

from agentrt.errors import NotFoundError
from agentrt.files.blobs import DiskBlobs
from agentrt.runtime import files as files_module
from agentrt.runtime.files import Files
from agentrt.runtime.storage import Storage
from agentrt.store.database import Store
from agentrt.store.files import find_file
from agentrt.store.open import open_store
from agentrt.testing.clocks import FakeClock

IMAGES = {
    "image/png": b"\x89PNG\r\n\x1a\nrest",
    "image/jpeg": b"\xff\xd8\xff\xe0rest",
    "image/gif": b"GIF89arest",
    "image/webp": b"RIFF\x10\x00\x00\x00WEBPrest",
}


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def store(tmp_path: Path, clock: FakeClock) -> AsyncGenerator[Store, None]:
    opened = await open_store(f"sqlite:///{tmp_path}/agentrt.db", clock=clock)
    yield opened
    await opened.close()


@pytest.fixture
def files(store: Store, tmp_path: Path, clock: FakeClock) -> Files:
    storage = Storage(store=store, blobs=DiskBlobs(tmp_path / "blobs"), clock=clock)
    return Files(store=store, storage=storage, clock=clock, max_bytes=1000)


@pytest.mark.parametrize("media_type", IMAGES)
async def test_an_image_is_known_by_its_first_bytes(files: Files, media_type: str) -> None:
    data = IMAGES[media_type]
    file = await files.put("p", pieces(data), filename="lies.txt", purpose="vision")
    assert await files.read_image("p", file.id) == (data, media_type)


async def test_what_is_no_image_is_not_shown(files: Files, monkeypatch: pytest.MonkeyPatch) -> None:
    text = await files.put("p", pieces(b"%PDF-1.7"), filename="a.png", purpose="vision")
    assert await files.read_image("p", text.id) is None
    assert await files.read_image("p", "file-x") is None
    image = await files.put("p", pieces(IMAGES["image/png"]), filename="a.png", purpose="vision")
    assert await files.read_image("other", image.id) is None
    monkeypatch.setattr(files_module, "MAX_IMAGE_BYTES", 4)
    assert await files.read_image("p", image.id) is None


async def test_files_go_when_their_time_is_over(files: Files, store: Store, clock: FakeClock, tmp_path: Path) -> None:
    mortal = await files.put("p", pieces(b"a"), filename="a", purpose="vision", expires_after_s=3600)
    twin = await files.put("q", pieces(b"a"), filename="b", purpose="vision", expires_after_s=7200)
    lasting = await files.put("p", pieces(b"b"), filename="c", purpose="vision")
    assert await files.expire() == 0
    await clock.advance(3600)
    assert await files.expire() == 1
    with pytest.raises(NotFoundError):
        await store.read(lambda tx: find_file(tx, "p", mortal.id))
    assert b"".join([piece async for piece in await files.content(twin)]) == b"a"
    await clock.advance(3600)
    assert await files.expire() == 1
    await store.read(lambda tx: find_file(tx, "p", lasting.id))
    assert len([path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]) == 1
