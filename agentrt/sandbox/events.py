"""What running code in a sandbox gives back: the events of one call as they happen, and its end.

Everything here was said by the code or by a kernel that may be in the code's hands: bounded in size, never trusted.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

Stream: TypeAlias = Literal["stdout", "stderr"]
Status: TypeAlias = Literal["ok", "error", "timeout", "interrupted", "oom", "crashed", "exit"]
State: TypeAlias = Literal["kept", "restored", "lost"]


class Output(msgspec.Struct, frozen=True, tag_field="kind", tag="output"):
    """A piece of what was printed. n_skipped_bytes: how much is missing before it, because it was too much."""

    stream: Stream
    text: str
    n_skipped_bytes: int = 0


class Display(msgspec.Struct, frozen=True, tag_field="kind", tag="display"):
    """A picture: an open figure, an image, or how the last expression shows itself (`image/png`, `text/html`)."""

    mime: str
    data: bytes


class FileWritten(msgspec.Struct, frozen=True, tag_field="kind", tag="file_written"):
    """A file below /mnt/data that is new or different after the call. path is relative and fit to be shown."""

    path: str
    size_bytes: int
    sha256: str


class CodeError(msgspec.Struct, frozen=True):
    """An exception of the code: its class's name, its text, and the traceback as Python prints it ("" = none)."""

    name: str
    value: str
    traceback: str


class Finished(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="finished"):
    """The end of a call; always the last event.

    result: the repr of the last expression, None if it has no value. state: of the variables: kept; restored to how
    they were before this call, which had to be killed; lost. cpu_ms counts programs that the code waited for;
    max_rss_bytes is the peak of the worker process. n_output_bytes: printed, whether passed on or not.
    """

    status: Status
    result: str | None = None
    error: CodeError | None = None
    state: State = "kept"
    ms: float
    cpu_ms: float
    max_rss_bytes: int
    n_output_bytes: int
    is_truncated: bool


CallEvent: TypeAlias = Output | Display | FileWritten | Finished


class FileEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A file in the sandbox. modified_at: Unix seconds, by the code's word."""

    path: str
    size_bytes: int
    modified_at: float
