"""Server-sent events: bytes in, events out. Pure and incremental; no reconnecting, no JSON.

Source: WHATWG HTML, "Server-sent events", 9.2.5 and 9.2.6. `retry` is dropped: a model's answer cannot be resumed.
"""

from __future__ import annotations

import msgspec

_BOM = b"\xef\xbb\xbf"
_DATA = b"data: "
_BOM_LENGTH = len(_BOM)
_DATA_LENGTH = len(_DATA)


class ServerSentEvent(msgspec.Struct, frozen=True, gc=False):
    """data is UTF-8, its lines joined by LF; id is the last one the stream has set, "" before that."""

    data: bytes
    event: str = "message"
    id: str = ""


class EventTooLongError(ValueError):
    """An event has passed the parser's limit and has not ended yet."""


class EventParser:
    """One stream's parser. Bytes stay bytes: lines are cut at ASCII, so a cut in a UTF-8 sequence needs no care."""

    def __init__(self, *, max_event_bytes: int = 32 * 1024 * 1024) -> None:
        self._max_event_bytes = max_event_bytes
        self._pieces: list[bytes] = []
        self._n_pending = 0
        self._after_cr = False
        self._at_start = True
        self._last_id = ""

    def feed(self, data: bytes) -> list[ServerSentEvent]:
        """The events that these bytes complete, in order. Raises EventTooLongError."""
        if self._at_start:
            data = self._without_bom(data)
        if self._after_cr or b"\r" in data:
            data = self._with_lf_only(data)
        # What has no line end cannot end an event: keep it aside, so that a long event is joined once and not per read.
        if b"\n" not in data:
            self._keep(data)
            return []
        if self._pieces:
            data = b"".join((*self._pieces, data))
            self._pieces.clear()
            self._n_pending = 0
        *blocks, rest = data.split(b"\n\n")
        if rest:
            self._keep(rest)
        events = []
        for block in blocks:
            # The hot case, nearly every event of a model: one data line and nothing else.
            if block.startswith(_DATA) and b"\n" not in block:
                events.append(ServerSentEvent(block[_DATA_LENGTH:], "message", self._last_id))
            elif (event := self._read_block(block)) is not None:
                events.append(event)
        return events

    def end(self) -> list[ServerSentEvent]:
        """The event that stands in the buffer when the stream ends.

        The specification drops it; some model servers forget the last blank line, so whoever trusts them asks.
        """
        rest = b"".join(self._pieces)
        self._pieces.clear()
        self._n_pending = 0
        event = self._read_block(rest)
        return [] if event is None else [event]

    def _keep(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._n_pending += len(piece)
        if self._n_pending > self._max_event_bytes:
            raise EventTooLongError(f"an event is longer than {self._max_event_bytes} bytes")

    def _without_bom(self, data: bytes) -> bytes:
        """Take one byte order mark off the head of the stream, also when it comes in pieces."""
        data = b"".join((*self._pieces, data))
        self._pieces.clear()
        self._n_pending = 0
        if len(data) < _BOM_LENGTH and _BOM.startswith(data):
            self._keep(data)
            return b""
        self._at_start = False
        return data.removeprefix(_BOM)

    def _with_lf_only(self, data: bytes) -> bytes:
        """CRLF and CR become LF. A CR at the very end counts at once; a LF that follows later is the same line end."""
        if self._after_cr and data:
            data = data.removeprefix(b"\n")
            self._after_cr = False
        if data.endswith(b"\r"):
            self._after_cr = True
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")

    def _read_block(self, block: bytes) -> ServerSentEvent | None:
        """Read the lines between two blank ones. None when they hold no data: comments, or an id alone."""
        data: list[bytes] = []
        event = ""
        for line in block.split(b"\n"):
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            match name:
                case b"data":
                    data.append(value)
                case b"event":
                    event = value.decode("utf-8", "replace")
                case b"id" if b"\0" not in value:
                    self._last_id = value.decode("utf-8", "replace")
        return ServerSentEvent(b"\n".join(data), event or "message", self._last_id) if data else None
