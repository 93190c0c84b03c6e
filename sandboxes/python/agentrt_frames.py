"""Frames of the kernel's protocol: a JSON line and, where it says `"raw": N`, N bytes after it. Both directions.

Stdlib only; runs in the box, see runner.py. (The host's own reader is agentrt/sandbox/frames.py.)
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Iterator
from typing import Any

Frame = dict[str, Any]

_WRITE_BYTES = 1 << 18
# Made once: what `json.dumps` makes for these separators, it makes in every call.
_encoded = json.JSONEncoder(separators=(",", ":")).encode
_decoded = json.JSONDecoder().decode


class BadFrame(Exception):
    """The other side does not speak the protocol, or says too much at once."""


class FrameReader:
    """Bytes in, whole frames out. max_line and max_raw bound what is held for one frame."""

    def __init__(self, *, max_line: int, max_raw: int) -> None:
        self._max_line = max_line
        self._max_raw = max_raw
        self._pieces: list[bytes] = []
        self._n_held = 0
        self._frame: Frame | None = None
        self._n_raw = 0

    def feed(self, data: bytes) -> Iterator[tuple[Frame, bytes]]:
        """The frames that data completes. Raises BadFrame; nothing can be read after that."""
        while data:
            if self._frame is None:
                line, newline, data = data.partition(b"\n")
                self._hold(line, self._max_line)
                if not newline:
                    return
                self._frame = _parsed(self._taken())
                self._n_raw = _raw_size(self._frame, self._max_raw)
            else:
                n_missing = self._n_raw - self._n_held
                self._hold(data[:n_missing], self._max_raw)
                data = data[n_missing:]
            if self._n_held == self._n_raw:
                frame, self._frame = self._frame, None
                yield frame, self._taken()

    def _hold(self, piece: bytes, limit: int) -> None:
        self._pieces.append(piece)
        self._n_held += len(piece)
        if self._n_held > limit:
            raise BadFrame("too long")

    def _taken(self) -> bytes:
        held = b"".join(self._pieces)
        self._pieces.clear()
        self._n_held = 0
        return held


class FrameWriter:
    """Frames out, through a descriptor that must never make PID 1 wait."""

    def __init__(self, fd: int) -> None:
        os.set_blocking(fd, False)
        self.fd = fd
        self.n_waiting = 0
        self._waiting: deque[bytes] = deque()

    def send(self, kind: str, fields: Frame, raw: bytes | None = None) -> None:
        frame: Frame = {"t": kind, **fields}
        if raw is not None:
            frame["raw"] = len(raw)
        line = _encoded(frame).encode("ascii") + b"\n"
        for piece in (line, raw) if raw else (line,):
            self._waiting.append(piece)
            self.n_waiting += len(piece)
        self.flush()

    def flush(self) -> None:
        """Write what the other side takes now. Raises BrokenPipeError when it is gone."""
        while self._waiting:
            piece = self._waiting[0]
            try:
                n_written = os.write(self.fd, piece[:_WRITE_BYTES])
            except BlockingIOError:
                return
            self.n_waiting -= n_written
            if n_written == len(piece):
                self._waiting.popleft()
            else:
                self._waiting[0] = piece[n_written:]


def clean(value: object, limit: int) -> str:
    """A text of the worker, cut and free of lone surrogates, which are not JSON for everybody; "" for what is none."""
    if not isinstance(value, str):
        return ""
    return value[:limit].encode("utf-8", "replace").decode("utf-8")


def _parsed(line: bytes) -> Frame:
    try:
        frame = _decoded(line.decode("utf-8"))
    except (ValueError, RecursionError):
        raise BadFrame("no JSON") from None
    if not isinstance(frame, dict) or not isinstance(frame.get("t"), str):
        raise BadFrame("no frame")
    return frame


def _raw_size(frame: Frame, limit: int) -> int:
    size = frame.get("raw", 0)
    if type(size) is not int or not 0 <= size <= limit:
        raise BadFrame("no size")
    return size
