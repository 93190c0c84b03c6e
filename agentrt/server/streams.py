"""OpenStreams: the event streams of an app, so that a server that stops can end them.

Servers wait for open connections before they let an app shut down; a stream of a run that waits for its caller would
hold them for ever.
"""

from __future__ import annotations

from collections.abc import Callable


class OpenStreams:
    """Who is to be told that the server stops."""

    def __init__(self) -> None:
        self._interrupts: set[Callable[[], None]] = set()
        self._is_closed = False

    @property
    def n_open(self) -> int:
        """How many streams are open."""
        return len(self._interrupts)

    def add(self, interrupt: Callable[[], None]) -> None:
        """A stream opens. Interrupted at once when the server is stopping already."""
        self._interrupts.add(interrupt)
        if self._is_closed:
            interrupt()

    def remove(self, interrupt: Callable[[], None]) -> None:
        """A stream has ended."""
        self._interrupts.discard(interrupt)

    def close(self) -> None:
        """End all streams, and those that open from now on. Call it before the server waits for its connections."""
        self._is_closed = True
        for interrupt in list(self._interrupts):
            interrupt()
