"""Live events inside this process: from the driver of a run to whoever follows it.

A follower reads what is stored and then what is published; the events that were published and are not stored yet
are kept here for followers that come in between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass, field

from agentrt.engine.events import TERMINAL_EVENTS, ActionRequired
from agentrt.errors import UnavailableError
from agentrt.store.run_events import NumberedEvent

_RESTS = (*TERMINAL_EVENTS, ActionRequired)
"""After one of these a run stands still, and a stream of it ends."""

_SHUTDOWN = "The server is shutting down. Resume the stream with Last-Event-ID."


@dataclass(slots=True)
class _Feed:
    unsaved: list[NumberedEvent] = field(default_factory=list)
    followers: list[Follower] = field(default_factory=list)


class Follower:
    """One reader's queue. Events come in bursts: a slow reader gets longer ones."""

    def __init__(self) -> None:
        self._events: list[NumberedEvent] = []
        self._news = asyncio.Event()
        self._closed: str | None = None

    def put(self, events: list[NumberedEvent]) -> None:
        self._events.extend(events)
        self._news.set()

    def close(self, why: str) -> None:
        self._closed = why
        self._news.set()

    async def take(self) -> list[NumberedEvent]:
        """All that has come since the last time, at least one event. Raises UnavailableError when the feed closes."""
        if self._closed is None:  # closing is no news twice: what came with it was taken the last time
            await self._news.wait()
        self._news.clear()
        events, self._events = self._events, []
        if self._closed is not None and not events:
            raise UnavailableError(self._closed)
        return events


class Feeds:
    """The feeds of all runs that are driven or followed here."""

    def __init__(self) -> None:
        self._feeds: dict[str, _Feed] = {}
        self._is_closed = False

    def publish(self, run_id: str, events: list[NumberedEvent], *, is_saved: bool) -> None:
        """Give events to the run's followers; those not saved yet are kept for followers to come."""
        feed = self._feeds.get(run_id)
        if feed is None:
            if is_saved:
                return
            feed = self._feeds[run_id] = _Feed()
        if not is_saved:
            feed.unsaved.extend(events)
        for follower in feed.followers:
            follower.put(events)

    def mark_saved(self, run_id: str, last: NumberedEvent) -> None:
        """Everything up to `last` is stored."""
        feed = self._feeds.get(run_id)
        if feed is not None:
            place = (last.epoch, last.seq)
            feed.unsaved = [n for n in feed.unsaved if (n.epoch, n.seq) > place]
            self._drop_if_idle(run_id, feed)

    def forget(self, run_id: str) -> None:
        """The driver is gone: what it published and never stored does not exist."""
        feed = self._feeds.get(run_id)
        if feed is not None:
            feed.unsaved.clear()
            self._drop_if_idle(run_id, feed)

    async def follow(
        self,
        run_id: str,
        read: Callable[[tuple[int, int] | None], Awaitable[list[NumberedEvent]]],
        *,
        after: tuple[int, int] | None = None,
        is_resumed: bool = False,
    ) -> AsyncGenerator[list[NumberedEvent], None]:
        """Events after a place, stored and live, in order and each once, until the run is terminal or waits.

        read: the stored events after a place. is_resumed: go on past waits that are over; else the first one ends it.
        Raises UnavailableError when the server shuts down.
        """
        follower = Follower()
        feed = self._feeds.setdefault(run_id, _Feed())
        feed.followers.append(follower)
        if self._is_closed:
            follower.close(_SHUTDOWN)
        follower.put(list(feed.unsaved))
        try:
            place = after
            stored = await read(after)
            if not stored and after is not None:
                whole = await read(None)
                if whole and isinstance(whole[-1].event, _RESTS):
                    return
            events = stored
            while True:
                if events:
                    events, is_over = _until_rest(events, goes_past_waits=is_resumed)
                    place = (events[-1].epoch, events[-1].seq)
                    yield events
                    if is_over:
                        return
                events = [n for n in await follower.take() if place is None or (n.epoch, n.seq) > place]
        finally:
            feed.followers.remove(follower)
            self._drop_if_idle(run_id, feed)

    def end(self, run_id: str) -> None:
        """End the followers of a run that is gone, with its thread."""
        feed = self._feeds.get(run_id)
        for follower in feed.followers if feed is not None else ():
            follower.close("The run was deleted with its thread.")

    def close(self) -> None:
        """End every follower."""
        self._is_closed = True
        for feed in self._feeds.values():
            for follower in feed.followers:
                follower.close(_SHUTDOWN)

    def _drop_if_idle(self, run_id: str, feed: _Feed) -> None:
        if not feed.followers and not feed.unsaved and self._feeds.get(run_id) is feed:
            del self._feeds[run_id]


def _until_rest(events: list[NumberedEvent], *, goes_past_waits: bool) -> tuple[list[NumberedEvent], bool]:
    """The events up to where a stream of them ends, and whether it ends there."""
    if not goes_past_waits:
        for i, numbered in enumerate(events):
            if isinstance(numbered.event, _RESTS):
                return events[: i + 1], True
    return events, isinstance(events[-1].event, _RESTS)
