"""Live events: from the driver of a run to whoever follows it here.

A follower reads what is stored and then what is published; the events that were published and are not stored yet
are kept here for followers that come in between. A run that another process drives is read again whenever there is
news of it, once for all its followers here; deltas come as they are stored then, up to 25 times a second.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from agentrt.engine.events import TERMINAL_EVENTS, ActionRequired
from agentrt.errors import StoreError, UnavailableError
from agentrt.store.database import Store, Tx
from agentrt.store.run_events import NumberedEvent, read_events
from agentrt.store.runs import has_run

log = logging.getLogger(__name__)

Place: TypeAlias = tuple[int, int]
"""(epoch, seq) of an event."""

_RESTS = (*TERMINAL_EVENTS, ActionRequired)
"""After one of these a run stands still, and a stream of it ends."""

_BEFORE_ALL: Place = (-1, -1)

POLL_EVERY_S = 2.0
"""How long news of a run that another process drives may take when the hint of it was lost."""

_SHUTDOWN = "The server is shutting down. Resume the stream with Last-Event-ID."
_DELETED = "The run was deleted with its thread."
_UNREADABLE = "Another release of agentrt wrote what follows. Resume the stream with Last-Event-ID."


@dataclass(slots=True)
class _Feed:
    """place: up to where every follower has been given what there is; None until the first of them has read."""

    unsaved: list[NumberedEvent] = field(default_factory=list)
    followers: list[Follower] = field(default_factory=list)
    place: Place | None = None
    is_driven: bool = False


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

    def __init__(self, store: Store) -> None:
        self._store = store
        self._feeds: dict[str, _Feed] = {}
        self._stale: set[str] = set()
        self._news = asyncio.Event()
        self._is_closed = False

    def begin(self, run_id: str, log: Sequence[NumberedEvent]) -> None:
        """A driver of the run is here now: what it publishes need not be read.

        log: all that is stored. What another process stored last may not have been read here.
        """
        self._feeds.setdefault(run_id, _Feed()).is_driven = True
        self.publish(run_id, log, is_saved=True)

    def hear(self, run_id: str) -> None:
        """The run's stored events have grown, in another process."""
        feed = self._feeds.get(run_id)
        if feed is not None and feed.followers and not feed.is_driven:
            self._stale.add(run_id)
            self._news.set()

    def hear_all(self) -> None:
        """Hints may have been lost: look after everything that is followed."""
        for run_id in self._feeds:
            self.hear(run_id)

    async def serve(self) -> None:
        """Read what other processes have stored, for ever; the owner cancels it."""
        while True:
            try:
                async with asyncio.timeout(POLL_EVERY_S):
                    await self._news.wait()
            except TimeoutError:
                self.hear_all()
            self._news.clear()
            try:
                await self._read_stale()
            except (StoreError, SQLAlchemyError) as error:
                log.warning("news.failed", extra={"error": type(error).__name__})

    async def _read_stale(self) -> None:
        stale = {run_id: feed.place for run_id in self._stale if (feed := self._feeds.get(run_id)) is not None}
        places = {run_id: place for run_id, place in stale.items() if place is not None}
        self._stale = stale.keys() - places.keys()  # their first followers are about to find out where they are
        if not places:
            return

        def read(tx: Tx) -> Mapping[str, list[NumberedEvent] | str]:
            return {run_id: _look(tx, run_id, after=place) for run_id, place in places.items()}

        for run_id, found in (await self._store.read(read)).items():
            if isinstance(found, str):
                self._close_followers(run_id, found)
            else:
                self.publish(run_id, found, is_saved=True)

    def publish(self, run_id: str, events: Sequence[NumberedEvent], *, is_saved: bool) -> None:
        """Give events to the run's followers; those not saved yet are kept for followers to come.

        They follow what was published before, or repeat it: what repeats is left out.
        """
        feed = self._feeds.get(run_id)
        if feed is None:
            if is_saved:
                return
            feed = self._feeds[run_id] = _Feed()
        place = feed.place or _BEFORE_ALL
        fresh = [numbered for numbered in events if _place_of(numbered) > place]
        if not fresh:
            return
        if not is_saved:
            feed.unsaved.extend(fresh)
        feed.place = _place_of(fresh[-1])
        for follower in feed.followers:
            follower.put(fresh)

    def publish_stored(self, run_id: str, events: Sequence[NumberedEvent]) -> None:
        """Events were stored here by somebody who does not drive the run: they may not follow what was published."""
        if self._store.is_shared:
            self.hear(run_id)  # what another process stored before them is read with them
        else:
            self.publish(run_id, events, is_saved=True)

    def mark_saved(self, run_id: str, last: NumberedEvent) -> None:
        """Everything up to `last` is stored."""
        feed = self._feeds.get(run_id)
        if feed is not None:
            place = _place_of(last)
            feed.unsaved = [n for n in feed.unsaved if _place_of(n) > place]

    def forget(self, run_id: str) -> None:
        """The driver is gone: what it published and never stored does not exist."""
        feed = self._feeds.get(run_id)
        if feed is not None:
            feed.unsaved.clear()
            feed.is_driven = False
            self._drop_if_idle(run_id, feed)
            self.hear(run_id)

    async def follow(
        self,
        run_id: str,
        read: Callable[[Place | None], Awaitable[list[NumberedEvent]]],
        *,
        after: Place | None = None,
        is_resumed: bool = False,
    ) -> AsyncGenerator[list[NumberedEvent], None]:
        """Events after a place, stored and live, in order and each once, until the run is terminal or waits.

        read: the stored events after a place. is_resumed: go on past waits that are over; else the first one ends it.
        Raises UnavailableError when the server shuts down, or when the run is deleted.
        """
        follower = Follower()
        feed = self._feeds.setdefault(run_id, _Feed())
        feed.followers.append(follower)
        if self._is_closed:
            follower.close(_SHUTDOWN)
        follower.put(list(feed.unsaved))
        is_among_first = feed.place is None
        try:
            place = after
            stored = await read(after)
            if is_among_first and feed.place is not None and (not stored or _place_of(stored[-1]) < feed.place):
                stored = await read(after)  # one who came at the same time has read more, and sets the place
            if not stored:
                whole = await read(None) if after is not None else []
                if not whole:  # every run has a first event
                    raise UnavailableError(_DELETED)
                if isinstance(whole[-1].event, _RESTS):
                    return
            if feed.place is None:
                feed.place = _place_of(stored[-1]) if stored else after or _BEFORE_ALL
                if run_id in self._stale:  # there was news while we read
                    self._news.set()
            events = stored
            while True:
                if events:
                    events, is_over = _until_rest(events, goes_past_waits=is_resumed)
                    place = _place_of(events[-1])
                    yield events
                    if is_over:
                        return
                events = [n for n in await follower.take() if place is None or _place_of(n) > place]
        finally:
            feed.followers.remove(follower)
            self._drop_if_idle(run_id, feed)

    def end(self, run_id: str) -> None:
        """End the followers of a run that is gone, with its thread."""
        self._close_followers(run_id, _DELETED)

    def close(self) -> None:
        """End every follower."""
        self._is_closed = True
        for feed in self._feeds.values():
            for follower in feed.followers:
                follower.close(_SHUTDOWN)

    def _close_followers(self, run_id: str, why: str) -> None:
        feed = self._feeds.get(run_id)
        for follower in feed.followers if feed is not None else ():
            follower.close(why)

    def _drop_if_idle(self, run_id: str, feed: _Feed) -> None:
        if not feed.followers and not feed.unsaved and not feed.is_driven and self._feeds.get(run_id) is feed:
            del self._feeds[run_id]
            self._stale.discard(run_id)


def _look(tx: Tx, run_id: str, *, after: Place) -> list[NumberedEvent] | str:
    """What another process has stored after a place; or why nothing more will come of it here."""
    try:
        found = read_events(tx, run_id, after=after)
    except msgspec.DecodeError:  # one run's trouble: the others are read on
        return _UNREADABLE
    return found if found or has_run(tx, run_id) else _DELETED


def _place_of(numbered: NumberedEvent) -> Place:
    return numbered.epoch, numbered.seq


def _until_rest(events: list[NumberedEvent], *, goes_past_waits: bool) -> tuple[list[NumberedEvent], bool]:
    """The events up to where a stream of them ends, and whether it ends there."""
    if not goes_past_waits:
        for i, numbered in enumerate(events):
            if isinstance(numbered.event, _RESTS):
                return events[: i + 1], True
    return events, isinstance(events[-1].event, _RESTS)
