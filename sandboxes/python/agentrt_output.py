"""What one call prints, on its way to the host: whole lines at once, the rest after a moment, never without a bound.

The first half of the bound is streamed; of what follows only the newest half is kept, and comes at the end with the
number of bytes between. So a flood costs no memory, and both the start and the end of it can be read.
Stdlib only; runs in the box, see runner.py.
"""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Callable

_FLUSH_S = 0.05
_FRAME_CHARS = 32 * 1024
_NEVER = float("inf")
_Decoder = codecs.getincrementaldecoder("utf-8")

Send = Callable[[str, str, int], None]


class Output:
    """One call's stdout and stderr. send takes the stream's name, a text, and how many bytes are missing before it."""

    def __init__(self, send: Send, limit: int) -> None:
        self.n_bytes = 0
        self.due = _NEVER  # when `flush` is wanted, on the caller's clock
        self._send = send
        self._head_left = limit // 2
        self._tail_limit = limit - limit // 2
        self._tail: deque[tuple[str, str]] = deque()
        self._n_tail = 0
        self._n_skipped = 0
        self._pending: list[str] = []
        self._stream = "stdout"
        self._decoders: dict[str, codecs.IncrementalDecoder] = {}

    @property
    def is_truncated(self) -> bool:
        return self._n_skipped > 0

    def feed(self, stream: str, data: bytes, now: float) -> None:
        """Take what was read from a pipe."""
        self.n_bytes += len(data)
        if stream != self._stream:
            self.flush()
            self._stream = stream
        decoder = self._decoders.get(stream)
        if decoder is None:
            decoder = self._decoders[stream] = _Decoder("replace")
        text = decoder.decode(data)
        if not text:
            return
        self._pending.append(text)
        if text.endswith("\n") or len(text) >= _FRAME_CHARS:
            self.flush()
        else:
            self.due = min(self.due, now + _FLUSH_S)

    def flush(self) -> None:
        """Pass on what waits for the end of its line."""
        text = "".join(self._pending)
        self._pending.clear()
        self.due = _NEVER
        for start in range(0, len(text), _FRAME_CHARS):
            self._pass(self._stream, text[start : start + _FRAME_CHARS])

    def end(self) -> None:
        """The call is over: pass on everything that was held back."""
        for name, decoder in self._decoders.items():
            if rest := decoder.decode(b"", final=True):
                self.flush()  # what waits may be the other stream's
                self._stream = name
                self._pending.append(rest)
        self.flush()
        skipped = self._n_skipped
        for stream, text in self._tail:
            self._send(stream, text, skipped)
            skipped = 0
        self._tail.clear()

    def _pass(self, stream: str, text: str) -> None:
        head, text = text[: self._head_left], text[self._head_left :]
        if head:
            self._head_left -= len(head)
            self._send(stream, head, 0)
        if not text:
            return
        self._tail.append((stream, text))
        self._n_tail += len(text)
        while self._n_tail > self._tail_limit:
            name, oldest = self._tail.popleft()
            n_over = self._n_tail - self._tail_limit
            gone, kept = oldest[:n_over], oldest[n_over:]
            self._n_skipped += len(gone.encode("utf-8"))
            self._n_tail -= len(gone)
            if kept:
                self._tail.appendleft((name, kept))
