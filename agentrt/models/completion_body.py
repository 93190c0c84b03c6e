"""The body of an answer as its bytes come in: a stream of events, a whole completion, or neither. Pure.

Servers' content types are not to be trusted (streams come as text/plain, error pages as text/event-stream): the first
byte decides. What the JSON means stands in completion_answer.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from agentrt.errors import ModelError
from agentrt.models.client import Chunk, TextChunk
from agentrt.models.completion_answer import AnswerReader
from agentrt.models.failures import ModelServer, hang_up_failure, unreadable_failure
from agentrt.models.sse import EventParser, EventTooLongError, ServerSentEvent

_DONE = b"[DONE]"
_MAX_WHOLE_BYTES = 32 * 1024 * 1024
_SHOWN_BYTES = 2_000


class AnswerBody:
    """Feed it every read, then call end() once. is_done: the server said `[DONE]`; nothing that follows counts.

    feed() and end() hand out chunks one by one, so that what came before a fault reaches the caller before the
    ModelError does.
    """

    def __init__(self, server: ModelServer) -> None:
        self.is_done = False
        self._server = server
        self._reader = AnswerReader(server)
        self._events = EventParser()
        self._head = b""
        self._whole: bytearray | None = None
        self._is_known = False

    @property
    def n_chunks(self) -> int:
        return self._reader.n_chunks

    @property
    def is_complete(self) -> bool:
        """Whether the answer is whole even if the connection breaks now."""
        return self.is_done or self._reader.is_complete

    def feed(self, data: bytes) -> Iterator[Chunk]:
        """The chunks that these bytes complete. Raises ModelError."""
        if not self._is_known:
            self._look(data)
        if self._whole is not None:
            self._collect(data)
            return
        try:
            events = self._events.feed(data)
        except EventTooLongError as error:
            raise self._unreadable(str(error), b"") from None
        yield from _joined(self._read_events(events))

    def end(self, *, is_delimited: bool) -> Iterator[Chunk]:
        """The last chunks, EndChunk last. is_delimited: the body had a length or chunk sizes, so its end is meant.

        Raises ModelError when the answer is not whole, or none.
        """
        if self._whole is not None:
            yield from self._read_whole(bytes(self._whole))
        elif not self.is_done:
            leftover = [event.data for event in self._events.end()]
            self.is_done = leftover == [_DONE]
            if not (is_delimited or self.is_complete):
                # Without a length, a server that crashed looks like one that has finished.
                raise hang_up_failure(self._server, n_chunks=self.n_chunks)
            for data in leftover if not self.is_done else ():
                yield from self._reader.read(data)
            if not self.n_chunks and not self.is_done and self._head.strip():
                raise self._unreadable("not a chat completion", self._head)
        yield from self._reader.end(said_done=self.is_done)

    def _read_events(self, events: Iterable[ServerSentEvent]) -> Iterator[Chunk]:
        read = self._reader.read
        for event in events:
            if event.data == _DONE:
                self.is_done = True
                return
            yield from read(event.data)

    def _look(self, data: bytes) -> None:
        """Find out from the first byte that is not blank what kind of body this is."""
        self._head = (self._head + data)[:_SHOWN_BYTES]
        start = data.lstrip()[:1]
        if not start:
            return
        self._is_known = True
        if start == b"<":
            raise self._unreadable("a web page, not a chat completion", data)
        if start in (b"{", b"["):
            self._whole = bytearray()

    def _collect(self, data: bytes) -> None:
        assert self._whole is not None
        self._whole += data
        if len(self._whole) > _MAX_WHOLE_BYTES:
            raise self._unreadable(f"longer than {_MAX_WHOLE_BYTES} bytes", b"")

    def _read_whole(self, body: bytes) -> Iterator[Chunk]:
        chunks = self._reader.read(body)
        if not chunks and not self._reader.is_complete:
            raise unreadable_failure(self._server, "JSON, but not a chat completion", body, n_chunks=0)
        yield from chunks

    def _unreadable(self, why: str, data: bytes) -> Exception:
        return unreadable_failure(self._server, why, data, n_chunks=self.n_chunks)


def _joined(chunks: Iterator[Chunk]) -> Iterator[Chunk]:
    """The same chunks, with texts that follow each other made one.

    They arrived together, so nobody sees them later than before; but each chunk's way through the engine to whoever
    watches costs as much as its decoding, and they pile up just when there is no CPU to spare.
    """
    texts: list[str] = []
    try:
        for chunk in chunks:
            if isinstance(chunk, TextChunk):
                texts.append(chunk.text)
                continue
            if texts:
                yield TextChunk("".join(texts))
                texts.clear()
            yield chunk
    except ModelError:
        if texts:
            yield TextChunk("".join(texts))
        raise
    if texts:
        yield TextChunk("".join(texts))
