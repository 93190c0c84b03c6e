"""Dispatcher and Bus inside one process, fed after commit. What a crash loses of them, start-up recovery finds."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence

from agentrt.dispatch.ports import Hint
from agentrt.store.database import Tx


class LocalDispatcher:
    """Jobs in a queue of the event loop. A job that is being driven is not driven twice: it is driven again after."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[str] = deque()
        self._queued: set[str] = set()
        self._driven: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._is_draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(self, tx: Tx, job_id: str, n: int, delay_s: float = 0.0) -> None:
        """See Dispatcher.submit."""
        if delay_s:
            tx.after_commit(lambda: self._put_later(job_id, delay_s))
        else:
            tx.after_commit(lambda: self.put(job_id))

    def put(self, job_id: str) -> None:
        """Dispatch now, with no transaction: for recovery at start."""
        if job_id not in self._queued:
            self._queued.add(job_id)
            self._waiting.append(job_id)
            self._news.set()

    @property
    def depth(self) -> int:
        """How many jobs wait for a slot."""
        return len(self._waiting)

    async def serve(self, handle: Callable[[str], Awaitable[None]], *, slots: int) -> None:
        """See Dispatcher.serve."""
        async with asyncio.TaskGroup() as group:
            while not self._is_draining:
                await self._news.wait()
                self._news.clear()
                self._start_waiting(group, handle, slots)

    async def drain(self, grace_s: float) -> None:
        """See Dispatcher.drain."""
        self._is_draining = True
        self._news.set()
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            self._stop_driving()
            await self._idle.wait()
        except asyncio.CancelledError:  # nobody wants to wait for the grace any more
            self._stop_driving()
            raise

    def _stop_driving(self) -> None:
        for task in list(self._driven.values()):
            task.cancel()

    def _put_later(self, job_id: str, delay_s: float) -> None:
        self._loop.call_later(delay_s, self.put, job_id)

    def _start_waiting(self, group: asyncio.TaskGroup, handle: Callable[[str], Awaitable[None]], slots: int) -> None:
        if self._is_draining:
            return
        held_back: list[str] = []
        while self._waiting and len(self._driven) < slots:
            job_id = self._waiting.popleft()
            if job_id in self._driven:
                held_back.append(job_id)
                continue
            self._queued.discard(job_id)
            self._idle.clear()
            self._driven[job_id] = group.create_task(self._drive(handle, job_id), name=f"drive {job_id}")
        self._waiting.extendleft(reversed(held_back))

    async def _drive(self, handle: Callable[[str], Awaitable[None]], job_id: str) -> None:
        try:
            await handle(job_id)
        finally:
            del self._driven[job_id]
            if not self._driven:
                self._idle.set()
            self._news.set()


class LocalBus:
    """Hints as plain calls after commit."""

    def __init__(self) -> None:
        self._listeners: defaultdict[Hint, list[Callable[[str], None]]] = defaultdict(list)

    def notify(self, tx: Tx, hint: Hint, ids: Sequence[str]) -> None:
        """See Bus.notify."""
        tx.after_commit(lambda: self._deliver(hint, ids))

    def listen(self, hint: Hint, callback: Callable[[str], None]) -> Callable[[], None]:
        """See Bus.listen."""
        self._listeners[hint].append(callback)
        return lambda: self._listeners[hint].remove(callback)

    def _deliver(self, hint: Hint, ids: Sequence[str]) -> None:
        for callback in list(self._listeners[hint]):
            for object_id in ids:
                callback(object_id)
