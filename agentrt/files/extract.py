"""Extractor: a file → its text, read in a process of its own. What the formats look like inside is in formats/."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from agentrt.errors import ExtractionError
from agentrt.files.extracted import Extracted
from agentrt.files.formats.read import Reading, ReadRequest, Refusal
from agentrt.files.processes import ProcessLimits, ProcessPool, ProcessTroubleError

log = logging.getLogger(__name__)

_decode: Callable[[bytes], Reading | Refusal] = msgspec.msgpack.Decoder(Reading | Refusal).decode
_encode = msgspec.msgpack.Encoder().encode

_ENTRY = "agentrt.files.formats.read:answer"


class Extractor:
    """Reads files, `size` at a time. Nothing is started before the first one, and nothing is left when idle.

    async with Extractor() as extractor:
        extracted = await extractor.extract(Path("blobs/ab/abcd"), "Report.pdf")
    """

    def __init__(self, *, size: int = 2, limits: ProcessLimits | None = None) -> None:
        self._limits = limits or ProcessLimits()
        self._pool = ProcessPool(_ENTRY, size=size, limits=self._limits)

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
            answer = _decode(await self._pool.call(_request(path, filename)))
        except ProcessTroubleError as trouble:
            raise extraction_error(trouble, self._limits) from trouble
        if isinstance(answer, Refusal):
            raise answer.to_error()
        return answer.extracted

    async def close(self) -> None:
        """End the processes. The extractor may be used again."""
        await self._pool.close()


def _request(path: Path, filename: str) -> bytes:
    # Absolute: a process that was started before somebody changed the folder is in another one.
    return _encode(ReadRequest(str(path.absolute()), filename))


def extraction_error(trouble: ProcessTroubleError, limits: ProcessLimits) -> ExtractionError:
    """What the end of a process says about the file that it was reading."""
    log.warning("files.reading_failed", extra={"trouble": trouble.kind, "detail": trouble.detail})
    match trouble.kind:
        case "memory":
            return _too_much(f"more than {limits.memory_bytes >> 20} MB of memory")
        case "cpu":
            return _too_much(f"more than {limits.cpu_s} seconds of work")
        case "wall":
            return _too_much(f"more than {limits.wall_s:g} seconds")
        case "output":
            return _too_much(f"more than {limits.answer_bytes >> 20} MB for its text")
        case "crash":
            return ExtractionError(
                "invalid_file",
                "The file is damaged or made to do harm: reading it crashes the reader. Print it to a new PDF and "
                "upload that.",
            )
        case "bug" | "start":
            return ExtractionError(
                "server_error",
                "The server could not read the file, which is the server's fault: its log says why "
                "(files.reading_failed). Upload the file in another format, or as plain text.",
            )


def _too_much(what: str) -> ExtractionError:
    return ExtractionError(
        "invalid_file",
        f"Reading the file takes {what}: it is damaged, or too large for one file. Split it, or save it as plain text.",
    )
