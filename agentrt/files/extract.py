"""What the end of a process says about the file that it was reading. What formats look like inside is in formats/."""

from __future__ import annotations

import logging

from agentrt.errors import ExtractionError
from agentrt.files.processes import ProcessLimits, ProcessTroubleError

log = logging.getLogger(__name__)


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
