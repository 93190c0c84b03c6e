"""The Shelf of an Agent's code session: files of this machine go in, what code makes stays in memory."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncGenerator, AsyncIterable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from agentrt.engine.spec import RunSpec
from agentrt.errors import InvalidRequestError, NotFoundError
from agentrt.ids import new_id
from agentrt.runtime.code_interpreter.shelf import Held, Kept, Remembered, free_path

_READ_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class CodeFile:
    """What code drew or wrote. id: as in `CallOutput`, in `CodeShown` and in annotations."""

    id: str
    name: str
    data: bytes = field(repr=False)


class MemoryShelf:
    """A Shelf that lives as long as its conversation. inputs: files of this machine; kept: where new ones go.

    Raises InvalidRequestError for an input that is not there: whoever wrote the program can mend it, the model cannot.
    """

    def __init__(self, inputs: Sequence[Path], kept: dict[str, CodeFile]) -> None:
        self.key = new_id("thread")
        self._kept = kept
        self._inputs: dict[str, Path] = {}
        self._files: dict[str, Held] = {}
        self._box_id = ""
        for path in inputs:
            file_id, place = new_id("file"), free_path(path.name, self._files)
            self._inputs[file_id] = path
            if not path.is_file():
                raise InvalidRequestError(f"There is no file {path} for code_interpreter ({path.absolute()}).")
            size = path.stat().st_size
            self._files[place] = Held(
                path=place, file_id=file_id, sha256="", size_bytes=size, name=path.name, input_id=file_id
            )

    async def open(self, spec: RunSpec | None) -> Remembered:
        """See Shelf.open."""
        return Remembered(box_id=self._box_id, files=tuple(self._files.values()))

    async def read(self, file: Held) -> AsyncGenerator[bytes, None]:
        """See Shelf.read."""
        if file.file_id in self._kept:
            yield self._kept[file.file_id].data
            return
        path = self._inputs[file.file_id]
        try:
            opened = await asyncio.to_thread(path.open, "rb")
        except OSError as error:
            raise NotFoundError("file", f"{path}: {error.strerror}") from None
        with opened:
            while piece := await asyncio.to_thread(opened.read, _READ_BYTES):
                yield piece

    async def keep(self, name: str, data: AsyncIterable[bytes], *, unless_sha256: str | None = None) -> Kept | None:
        """See Shelf.keep."""
        digest, pieces = hashlib.sha256(), list[bytes]()
        async for piece in data:  # hashed as they come: of a whole file at once, nobody else would have his turn
            digest.update(piece)
            pieces.append(piece)
        whole, sha256 = b"".join(pieces), digest.hexdigest()
        if sha256 == unless_sha256:
            return None
        file = CodeFile(new_id("file"), name, whole)
        self._kept[file.id] = file
        return Kept(file.id, sha256, len(whole))

    async def remember(self, box_id: str, *, made: Sequence[Held] = (), gone: Collection[str] = ()) -> None:
        """See Shelf.remember."""
        self._box_id = box_id
        self._files.update({file.path: file for file in made})
        for path in gone:
            self._files.pop(path, None)
