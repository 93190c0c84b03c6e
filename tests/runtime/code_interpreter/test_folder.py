"""What is kept of a sandbox's folder when the sandbox does not tell the truth about it, or is interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterable
from pathlib import Path
from typing import cast

import pytest

from agentrt.errors import InvalidRequestError
from agentrt.runtime.code_interpreter.folder import MAX_KEPT_BYTES, Folder
from agentrt.runtime.code_interpreter.memory_shelf import CodeFile, MemoryShelf
from agentrt.sandbox.events import FileEntry
from agentrt.sandbox.sandbox import Sandbox

MB = 1024**2


class Box:
    """A folder that is listed with other sizes than its files have when they are read."""

    box_id = "box"

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.listed: dict[str, int] = {}
        self.stalls = False

    async def list(self) -> list[FileEntry]:
        return [
            FileEntry(path=path, size_bytes=self.listed.get(path, len(data)), modified_at=1.0)
            for path, data in self.files.items()
        ]

    async def read(self, path: str, *, max_bytes: int) -> AsyncGenerator[bytes, None]:
        if len(self.files[path]) > max_bytes:
            raise InvalidRequestError("too large")
        yield self.files[path]

    async def put(self, path: str, data: AsyncIterable[bytes]) -> None:
        self.files[path] = b""
        async for piece in data:
            self.files[path] += piece[:1]
            if self.stalls:
                await asyncio.Event().wait()
            self.files[path] += piece[1:]


def folder_of(box: Box) -> Folder:
    return Folder(cast("Sandbox", box), max_bytes=1000 * MB)


async def test_files_that_grow_while_they_are_kept_are_counted_as_they_are() -> None:
    box, kept, grown = Box(), dict[str, CodeFile](), bytes(60 * MB)
    for n in range(5):
        box.files[f"f{n}"], box.listed[f"f{n}"] = grown, 1
    shelf = MemoryShelf((), kept)
    harvest = await folder_of(box).harvest(await shelf.open(None), shelf)
    assert sum(len(file.data) for file in kept.values()) <= MAX_KEPT_BYTES
    assert len(harvest.made) == 1


async def test_a_file_of_which_only_a_part_was_put_in_is_not_taken_for_a_change(tmp_path: Path) -> None:
    source = tmp_path / "a.csv"
    source.write_bytes(b"whole")
    box, kept = Box(), dict[str, CodeFile]()
    shelf = MemoryShelf([source], kept)
    folder = folder_of(box)
    box.stalls = True
    filling = asyncio.ensure_future(folder.fill(await shelf.open(None), shelf))
    while not box.files.get("a.csv"):
        await asyncio.sleep(0.005)
    filling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await filling
    harvest = await folder.harvest(await shelf.open(None), shelf)
    assert (harvest.made, harvest.gone, kept) == ((), (), {})
    box.stalls = False
    await folder.fill(await shelf.open(None), shelf)
    assert box.files["a.csv"] == b"whole"
