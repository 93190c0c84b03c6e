"""PgDispatcher: jobs for all processes that share a PostgreSQL database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial

from agentrt.clock import Clock
from agentrt.dispatch.postgres_bus import PgBus
from agentrt.dispatch.postgres_channel import Channel
from agentrt.dispatch.postgres_queue import JobQueue, enqueue
from agentrt.dispatch.postgres_tables import install_queue
from agentrt.dispatch.slots import Slots
from agentrt.store.database import Tx
from agentrt.store.jobs import DEFAULT_QUEUE, Ready

LOOK_EVERY_S = 2.0
"""How often a process with free slots looks into the queue though nobody told it to."""
_WAKE = "job"
_WAKE_LATER = "job_later"
_CLAIM_MAX = 50
_LAST_CLAIM_WITHIN_S = 1.0


async def open_postgres(
    url: str,
    *,
    clock: Clock,
    listen_url: str | None = None,
    migrate: bool = True,
    look_every_s: float = LOOK_EVERY_S,
) -> tuple[PgDispatcher, PgBus]:
    """The dispatcher and the bus of a database that has our tables.

    listen_url: where the server itself is, when `url` leads to a pooler. migrate: make the queue's tables or bring them
    up to date; else being behind is an error. Raises StoreError.
    """
    await install_queue(listen_url or url, migrate=migrate)
    channel = Channel(listen_url or url, clock=clock)
    return PgDispatcher(url, channel, clock=clock, look_every_s=look_every_s), PgBus(channel)


class PgDispatcher:
    """Jobs in a queue in PostgreSQL, of which each process claims what it has slots for.

    A process that has a free slot takes what it submits itself, without telling others; it tells them when its slots
    are full. Whoever missed that looks every so often.
    """

    def __init__(self, url: str, channel: Channel, *, clock: Clock, look_every_s: float = LOOK_EVERY_S) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue = JobQueue(url, clock=clock)
        self._channel = channel
        self._look_every_s = look_every_s
        self._slots = Slots(self._slot_freed)
        self._open = {DEFAULT_QUEUE}
        self._news = asyncio.Event()
        self._is_behind = False  # there may be more in the queue than we had slots for
        self._is_draining = False
        self._due_at = float("inf")  # by the loop's clock: when a delayed job should be looked for
        self._knows_due_at = False
        self._claiming: asyncio.Task[None] | None = None
        channel.hear(_WAKE, partial(self._woken, is_later=False))
        channel.hear(_WAKE_LATER, partial(self._woken, is_later=True))
        channel.on_gap(self._news.set)

    def submit(self, tx: Tx, job: Ready, *, delay_s: float = 0.0) -> None:
        """See Dispatcher.submit."""
        enqueue(tx, job, delay_s=delay_s)
        tx.after_commit(lambda: self._submitted(job.queue, is_later=delay_s > 0))

    def retry(self, job_id: str, *, delay_s: float) -> None:
        """See Dispatcher.retry."""
        self._loop.call_later(delay_s, self._slots.put, job_id)

    def aside(self, job_id: str) -> AbstractAsyncContextManager[bool]:
        """See Dispatcher.aside."""
        return self._slots.aside(job_id)

    def open_queue(self, queue: str) -> None:
        """See Dispatcher.open_queue."""
        self._open.add(queue)
        self._news.set()

    async def serve(self, handle: Callable[[str], Awaitable[None]], *, slots: int) -> None:
        """See Dispatcher.serve."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._slots.serve(handle, slots), name="slots")
                self._claiming = group.create_task(self._claim_until_drained(), name="claim")
        finally:
            self._queue.close()

    async def drain(self, grace_s: float) -> None:
        """See Dispatcher.drain."""
        self._is_draining = True
        self._news.set()
        self._channel.send(_WAKE, sorted(self._open))  # what we would have taken is now for others
        try:
            if self._claiming is not None:  # what it has claimed must get its slot before there are none
                await asyncio.wait([self._claiming], timeout=_LAST_CLAIM_WITHIN_S)
                self._claiming.cancel()
        except asyncio.CancelledError:
            self._slots.stop()
            raise
        await self._slots.drain(grace_s)

    def _submitted(self, queue: str, *, is_later: bool) -> None:
        has_room = self._slots.n_free > 0 and not self._is_behind and not self._is_draining
        if has_room and queue in self._open:
            self._woken([queue], is_later=is_later)
        else:
            self._channel.send(_WAKE_LATER if is_later else _WAKE, [queue])

    def _woken(self, queues: Sequence[str], *, is_later: bool) -> None:
        if not self._open.isdisjoint(queues):
            self._knows_due_at = self._knows_due_at and not is_later
            self._news.set()

    def _slot_freed(self) -> None:
        if self._is_behind:
            self._news.set()

    async def _claim_until_drained(self) -> None:
        while not self._is_draining:
            if not self._knows_due_at:
                await self._look_ahead()
            was_behind = self._is_behind
            await self._claim_what_fits()
            if self._is_behind:
                if not was_behind:
                    self._channel.send(_WAKE, sorted(self._open))
                await self._news_within(None)
            elif not await self._news_within(self._pause_s()):
                self._knows_due_at = False

    async def _look_ahead(self) -> None:
        # Before the claim: what becomes due between the two is claimed, and not waited for.
        self._knows_due_at = True
        due_in_s = await self._queue.next_due_s(frozenset(self._open))
        self._due_at = float("inf") if due_in_s is None else self._loop.time() + due_in_s

    async def _claim_what_fits(self) -> None:
        """Claim until the queue or the slots are used up."""
        while n := min(self._slots.n_free, _CLAIM_MAX):
            jobs = await self._queue.claim(frozenset(self._open), n, unless=lambda: self._is_draining)
            for job in jobs:
                self._slots.put(job.job_id)
            if len(jobs) < n:
                self._is_behind = False
                return
        self._is_behind = True

    def _pause_s(self) -> float:
        """How long nobody needs to look if nobody tells."""
        return min(self._look_every_s, max(0.0, self._due_at - self._loop.time()))

    async def _news_within(self, timeout_s: float | None) -> bool:
        """Whether there was news."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._news.wait()
        except TimeoutError:
            return False
        self._news.clear()
        return True
