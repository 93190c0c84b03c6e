"""What came of one call, all of it: the drained events, for whoever does not follow them as they come."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from agentrt.sandbox.events import CallEvent, CodeError, Display, FileWritten, Finished, Output, State, Status

_WHY: Final[dict[Status, str]] = {
    "timeout": "The code was stopped: it took too long.",
    "interrupted": "The code was interrupted.",
    "oom": "The code was killed: it used more memory than there is.",
    "crashed": "The Python process crashed.",
}
_STATES: Final[dict[State, str]] = {
    "kept": "",
    "restored": " Variables are as they were before this call.",
    "lost": " All variables are lost.",
}


class CodeResult(msgspec.Struct, frozen=True, kw_only=True):
    """One call's outcome. status `ok` means that the code ran to its end; see Finished for the rest of the fields.

    output is stdout and stderr in the order in which they came; a gap says how much was left out.
    """

    status: Status
    output: str
    result: str | None
    error: CodeError | None
    displays: tuple[Display, ...]
    files: tuple[FileWritten, ...]
    state: State
    ms: float
    cpu_ms: float
    max_rss_bytes: int
    is_truncated: bool

    @property
    def text(self) -> str:
        """What a model should read: the output, the last expression's value, and why it ended if not by itself."""
        parts = [self.output.rstrip("\n")]
        if self.result is not None:
            parts.append(self.result)
        if self.error is not None and self.error.traceback:
            parts.append(self.error.traceback.rstrip("\n"))
        if self.status in _WHY:
            parts.append(_WHY[self.status] + _STATES[self.state])
        elif self.state != "kept":
            parts.append(_STATES[self.state].strip())
        return "\n".join(part for part in parts if part)


def drained(events: Iterable[CallEvent]) -> CodeResult:
    """All events of one call; the last one is Finished."""
    output: list[str] = []
    displays: list[Display] = []
    files: list[FileWritten] = []
    end: Finished | None = None
    for event in events:
        match event:
            case Output():
                output.append(_gap(event.n_skipped_bytes) + event.text)
            case Display():
                displays.append(event)
            case FileWritten():
                files.append(event)
            case Finished():
                end = event
    assert end is not None
    return CodeResult(
        status=end.status,
        output="".join(output),
        result=end.result,
        error=end.error,
        displays=tuple(displays),
        files=tuple(files),
        state=end.state,
        ms=end.ms,
        cpu_ms=end.cpu_ms,
        max_rss_bytes=end.max_rss_bytes,
        is_truncated=end.is_truncated,
    )


def _gap(n_bytes: int) -> str:
    return f"\n… {n_bytes:,} bytes left out …\n" if n_bytes else ""
