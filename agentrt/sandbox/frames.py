"""The frames that a kernel sends, read as what they are: bytes from a process that may be in the code's hands.

A JSON line and, where it says `"raw": N`, N bytes after it. Sizes are checked before anything is kept, shapes by
msgspec, and whoever says more than he was asked for is not listened to any longer. The other side's reader is
sandboxes/python/agentrt_frames.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, TypeAlias

import msgspec

from agentrt.sandbox.events import CodeError, State, Status, Stream
from agentrt.sandbox.netframe import NetFrame

MAX_LINE_BYTES: Final = 2 * 1024 * 1024
MAX_RAW_BYTES: Final = 16 * 1024 * 1024

_Id = Annotated[str, msgspec.Meta(max_length=64)]
_Short = Annotated[str, msgspec.Meta(max_length=256)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 50)]
_Millis = Annotated[float, msgspec.Meta(ge=0, le=1e15)]


class Hello(msgspec.Struct, frozen=True, tag_field="t", tag="hello"):
    """The kernel is there. v: protocol. py: version of Python. active: the call that still runs, after a re-attach."""

    nonce: _Id
    v: int
    py: _Short
    packages: Annotated[tuple[_Short, ...], msgspec.Meta(max_length=1000)] = ()
    active: _Id | None = None


class Out(msgspec.Struct, frozen=True, tag_field="t", tag="out"):
    id: _Id
    s: Stream
    d: str
    skipped: _Count = 0


class Picture(msgspec.Struct, frozen=True, tag_field="t", tag="display"):
    id: _Id
    mime: _Short
    raw: _Count


class File(msgspec.Struct, frozen=True, tag_field="t", tag="file"):
    id: _Id
    path: str
    size: _Count
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]


class Done(msgspec.Struct, frozen=True, tag_field="t", tag="done"):
    id: _Id
    status: Status
    ms: _Millis
    cpu_ms: _Millis
    max_rss: _Count
    out_bytes: _Count
    truncated: bool
    state: State
    result: str | None = None
    error: CodeError | None = None


class Ok(msgspec.Struct, frozen=True, tag_field="t", tag="ok"):
    id: _Id


class Fail(msgspec.Struct, frozen=True, tag_field="t", tag="fail"):
    """code: not_found, refused, full, failed, busy, unknown."""

    id: _Id
    code: _Short
    message: _Short = ""


class Data(msgspec.Struct, frozen=True, tag_field="t", tag="data"):
    """A piece of a file in raw; size: of the whole file."""

    id: _Id
    size: _Count
    raw: _Count = 0


class Listing(msgspec.Struct, frozen=True, tag_field="t", tag="files"):
    """raw: a JSON list of ListedFile."""

    id: _Id
    raw: _Count


class ListedFile(msgspec.Struct, frozen=True):
    path: str
    size: _Count
    mtime: int


# As many as the kernel lists at most: agentrt_files.py.
_Listed = Annotated[list[ListedFile], msgspec.Meta(max_length=10_000)]

Frame: TypeAlias = Hello | Out | Picture | File | Done | Ok | Fail | Data | Listing | NetFrame


class _RawSize(msgspec.Struct, frozen=True):
    raw: Annotated[int, msgspec.Meta(ge=0, le=MAX_RAW_BYTES)] = 0


class HostileError(Exception):
    """The kernel said something that no kernel of ours says. The box is not to be trusted any more."""


class FrameReader:
    """Bytes in, frames and their raw bytes out. A frame of a kind or shape that is not known counts and is dropped."""

    def __init__(self) -> None:
        self.n_dropped = 0
        self._pieces: list[bytes] = []
        self._n_held = 0
        self._n_raw = 0
        self._line: bytes | None = None
        self._frames = msgspec.json.Decoder(Frame)
        self._sizes = msgspec.json.Decoder(_RawSize)

    def feed(self, data: bytes) -> Iterator[tuple[Frame, bytes]]:
        """The frames that data completes. Raises HostileError for what cannot even be skipped."""
        at = 0
        while at < len(data):
            if self._line is None:
                end = data.find(b"\n", at)
                if end < 0:
                    self._hold(data[at:], MAX_LINE_BYTES)
                    return
                self._hold(data[at:end], MAX_LINE_BYTES)
                at = end + 1
                self._line = self._taken()
                self._n_raw = self._size_of_raw(self._line)
            else:
                piece = data[at : at + self._n_raw - self._n_held]
                self._hold(piece, MAX_RAW_BYTES)
                at += len(piece)
            if self._n_held == self._n_raw:
                line, self._line = self._line, None
                raw = self._taken()
                frame = self._decoded(line)
                if frame is not None:
                    yield frame, raw

    def listing(self, raw: bytes) -> list[ListedFile]:
        """What a Listing carries. Raises HostileError."""
        try:
            return msgspec.json.decode(raw, type=_Listed)
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise HostileError(f"a listing that is none: {error}") from None

    def _size_of_raw(self, line: bytes) -> int:
        try:
            return self._sizes.decode(line).raw
        except (msgspec.DecodeError, RecursionError, UnicodeError) as error:
            raise HostileError(f"a line that is no frame: {error}") from None

    def _decoded(self, line: bytes) -> Frame | None:
        try:
            frame: Frame = self._frames.decode(line)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            self.n_dropped += 1
            return None
        return frame

    def _hold(self, piece: bytes, limit: int) -> None:
        self._pieces.append(piece)
        self._n_held += len(piece)
        if self._n_held > limit:
            raise HostileError("a frame without an end")

    def _taken(self) -> bytes:
        held = b"".join(self._pieces)
        self._pieces.clear()
        self._n_held = 0
        return held
