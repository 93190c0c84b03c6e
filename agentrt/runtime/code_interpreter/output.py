"""What a call of code prints and draws, as it is shown: in bursts, in order, of too much the middle left out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final, TypeVar

from agentrt.engine.message import CodeOutput, Image, Logs
from agentrt.runtime.hosted import Piece
from agentrt.runtime.turn import storable

T = TypeVar("T")

BURST_EVERY_S: Final = 0.04
"""Between two pieces of what is printed: as often as pieces are stored, for all runs together."""

MAX_IN_BURST: Final = 2000
"""Pieces; a kernel in the code's hands may send a million tiny ones in a call."""


class Transcript:
    """The outputs of one call: what was shown while it ran, glued together, is what is kept.

    max_bytes: of all that is printed. The first half is shown as it comes. More is held back, and of that the last half
    is shown at the end, behind a note of how much is missing.
    """

    def __init__(self, max_bytes: int) -> None:
        self._head_room = self._tail_room = max_bytes // 2
        self._outputs: list[Image | list[str]] = []  # of a log, its pieces
        self._is_full = False
        self._held: deque[bytes] = deque()
        self._n_held = 0
        self._n_missing = 0
        self.is_at_line_start = True

    @property
    def outputs(self) -> tuple[CodeOutput, ...]:
        """All that was shown, in its order."""
        return tuple(Logs("".join(output)) if isinstance(output, list) else output for output in self._outputs)

    @property
    def text(self) -> str:
        """All text that was shown."""
        return "".join(piece for output in self._outputs if isinstance(output, list) for piece in output)

    @property
    def n_images(self) -> int:
        return sum(isinstance(output, Image) for output in self._outputs)

    def print(self, text: str, *, n_missing_bytes: int = 0) -> Piece | None:
        """Text was printed; so much before it did not come. What is to be shown now."""
        data = storable(text).encode()
        if text:
            self.is_at_line_start = text.endswith("\n")
        if n_missing_bytes:
            self._is_full = True
            self._n_missing += n_missing_bytes
        if self._is_full:
            self._hold(data)
            return None
        if len(data) <= self._head_room:
            self._head_room -= len(data)
            return self._show(data.decode())
        head = data[: self._head_room].decode(errors="ignore")
        self._is_full = True
        self._hold(data[len(head.encode()) :])
        return self._show(head)

    def draw(self, file_id: str) -> Piece:
        """An image was drawn, and is stored as that file."""
        image = Image(file_id)
        self.is_at_line_start = True
        self._outputs.append(image)
        return Piece(len(self._outputs) - 1, image)

    def end(self) -> Piece | None:
        """Nothing more will come. What was held back."""
        held = b"".join(self._held)
        n_over = max(0, len(held) - self._tail_room)
        n_missing = self._n_missing + n_over
        note = f"\n[… {n_missing:,} bytes cut out …]\n" if n_missing else ""
        return self._show(note + held[n_over:].decode(errors="ignore"))

    def _hold(self, data: bytes) -> None:
        self._held.append(data)
        self._n_held += len(data)
        while self._n_held - len(self._held[0]) >= self._tail_room:
            first = self._held.popleft()
            self._n_held -= len(first)
            self._n_missing += len(first)

    def _show(self, text: str) -> Piece | None:
        if not text:
            return None
        if not self._outputs or isinstance(self._outputs[-1], Image):
            self._outputs.append([])
        log = self._outputs[-1]
        assert isinstance(log, list)
        log.append(text)
        return Piece(len(self._outputs) - 1, Logs(text))


async def bursts(source: AsyncGenerator[T, None], *, every_s: float = BURST_EVERY_S) -> AsyncGenerator[list[T], None]:
    """What the source gives, the first at once, then at most one burst every so often; its end is not waited with.

    A source that gives more than fits into a burst is made to wait for the reader.
    Raises what the source raises, behind all that it gave before. Whoever stops early closes the source.
    """
    waiting: list[T] = []
    news, room = asyncio.Event(), asyncio.Event()
    room.set()
    failures: list[Exception] = []

    async def pump() -> None:
        try:
            async with aclosing(source):
                async for item in source:
                    waiting.append(item)
                    news.set()
                    if len(waiting) >= MAX_IN_BURST:
                        room.clear()
                        await room.wait()
        except Exception as error:  # for the reader: a task group would put it into a group
            failures.append(error)
        finally:
            news.set()

    async with asyncio.TaskGroup() as group:
        task = group.create_task(pump())
        try:
            while not task.done() or waiting:
                await news.wait()
                news.clear()
                burst = waiting.copy()
                waiting.clear()
                room.set()
                if burst:
                    yield burst
                await asyncio.wait([task], timeout=every_s)
        except GeneratorExit:  # nobody wants the rest; the group would raise it on as an error of its own
            task.cancel()
            return
    if failures:
        raise failures[0]
