"""Preparer: files → what the index takes of them, in processes of their own. What is done there is in prepare.py."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from agentrt.files.extract import extraction_error
from agentrt.files.formats.read import Refusal
from agentrt.files.processes import ProcessLimits, ProcessPool, ProcessTroubleError
from agentrt.retrieval.chunk import Chunking
from agentrt.retrieval.prepare import Prepared, PrepareRequest

_ENTRY = "agentrt.retrieval.prepare:answer"

_decode: Callable[[bytes], Prepared | Refusal] = msgspec.msgpack.Decoder(Prepared | Refusal).decode
_encode = msgspec.msgpack.Encoder().encode

PREPARED_AT_ONCE: Final = max(1, min(4, os.cpu_count() or 1))


class Preparer:
    """Prepares files, `size` at a time.

    async with Preparer() as preparer:
        prepared = await preparer.prepare(Path("blobs/ab/abcd"), "Report.pdf", Chunking())
    """

    def __init__(self, *, size: int = PREPARED_AT_ONCE, limits: ProcessLimits | None = None) -> None:
        self.size = size
        self._limits = limits or ProcessLimits()
        self._pool = ProcessPool(_ENTRY, size=size, limits=self._limits)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def prepare(self, path: Path, filename: str, chunking: Chunking) -> Prepared:
        """Read, cut and analyse the file at path. When the caller is cancelled, that ends at once.

        Raises ExtractionError.
        """
        try:
            answer = _decode(await self._pool.call(_request(path, filename, chunking)))
        except ProcessTroubleError as trouble:
            raise extraction_error(trouble, self._limits) from trouble
        if isinstance(answer, Refusal):
            raise answer.to_error()
        return answer

    async def close(self) -> None:
        """End the processes. The preparer may be used again."""
        await self._pool.close()


def _request(path: Path, filename: str, chunking: Chunking) -> bytes:
    # Absolute: a process that was started before somebody changed the folder is in another one.
    return _encode(PrepareRequest(str(path.absolute()), filename, chunking))
