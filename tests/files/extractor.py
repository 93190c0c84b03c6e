"""Extractor: a file → its text, read in a process of its own as for indexing (agentrt/retrieval/preparer.py)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from agentrt.errors import ExtractionError
from agentrt.files.extract import extraction_error
from agentrt.files.extracted import Extracted
from agentrt.files.formats.read import Refusal, read_file
from agentrt.files.processes import ProcessLimits, ProcessPool, ProcessTroubleError


class Reading(msgspec.Struct, frozen=True, tag=True):
    """What was read."""

    extracted: Extracted


_decode: Callable[[bytes], Reading | Refusal] = msgspec.msgpack.Decoder(Reading | Refusal).decode
_encode = msgspec.msgpack.Encoder().encode


def answer(request: bytes) -> bytes:
    """The entry of the process: path and name of a file → a Reading or a Refusal, all as MessagePack."""
    path, filename = msgspec.msgpack.decode(request, type=tuple[str, str])
    try:
        return _encode(Reading(read_file(Path(path), filename)))
    except ExtractionError as error:
        return _encode(Refusal(error.reason, error.message))


class Extractor:
    """Reads files, `size` at a time. Nothing is started before the first one, and nothing is left when idle.

    async with Extractor() as extractor:
        extracted = await extractor.extract(Path("blobs/ab/abcd"), "Report.pdf")
    """

    def __init__(self, *, size: int = 2, limits: ProcessLimits | None = None) -> None:
        self._limits = limits or ProcessLimits()
        self._pool = ProcessPool("tests.files.extractor:answer", size=size, limits=self._limits)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def extract(self, path: Path, filename: str) -> Extracted:
        """The text of the file at path, which its owner calls filename. Its content says what it is, not its name.

        When the caller is cancelled, reading ends at once. Raises ExtractionError.
        """
        try:
            answer = _decode(await self._pool.call(_encode((str(path), filename))))
        except ProcessTroubleError as trouble:
            raise extraction_error(trouble, self._limits) from trouble
        if isinstance(answer, Refusal):
            raise answer.to_error()
        return answer.extracted

    async def close(self) -> None:
        """End the processes. The extractor may be used again."""
        await self._pool.close()
