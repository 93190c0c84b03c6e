"""Dispatcher and Bus inside one process, fed after commit. What a crash loses of them, the job's rows still say."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Sequence

from agentrt.dispatch.ports import Hint
from agentrt.store.database import Tx
from agentrt.store.jobs import DEFAULT_QUEUE, Ready


class LocalDispatcher:
    """Jobs in a queue of the event loop. A job that is being driven is not driven twice: it is driven again after."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[str] = deque()
        self._queued: set[str] = set()
        self._parked: defaultdict[str, list[str]] = defaultdict(list)
        self._open = {DEFAULT_QUEUE}
        self._driven: dict[str, asyncio.Task[None]] = {}
        self._news = asyncio.Event()
        self._is_draining = False
        self._idle = asyncio.Event()
        self._idle.set()

    def submit(self, tx: Tx, job: Ready, *, delay_s: float = 0.0) -> None:
        """See Dispatcher.submit."""
        tx.after_commit(lambda: self.put(job, delay_s=delay_s))

    def put(self, job: Ready, *, delay_s: float = 0.0) -> None:
        """Hand out with no transaction: for jobs that an earlier process left."""
        if delay_s > 0:
            self._loop.call_later(delay_s, self.put, job)
        elif job.queue in self._open:
            self._put(job.job_id)
        else:
            self._parked[job.queue].append(job.job_id)

    def retry(self, job_id: str, *, delay_s: float) -> None:
        """See Dispatcher.retry."""
        self._loop.call_later(delay_s, self._put, job_id)

    def open_queue(self, queue: str) -> None:
        """See Dispatcher.open_queue."""
        self._open.add(queue)
        for job_id in self._parked.pop(queue, ()):
            self._put(job_id)

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

    def _put(self, job_id: str) -> None:
        if job_id not in self._queued:
            self._queued.add(job_id)
            self._waiting.append(job_id)
            self._news.set()

    def _stop_driving(self) -> None:
        for task in list(self._driven.values()):
            task.cancel()

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
    """Hints as plain calls after commit. There is nobody else, so that none can be missed."""

    def __init__(self) -> None:
        self._listeners: defaultdict[Hint, list[Callable[[str], None]]] = defaultdict(list)

    async def start(self) -> None:
        """See Bus.start."""

    def notify(self, tx: Tx, hint: Hint, ids: Sequence[str]) -> None:
        """See Bus.notify."""
        tx.after_commit(lambda: self.deliver(hint, ids))

    def listen(self, hint: Hint, callback: Callable[[str], None]) -> Callable[[], None]:
        """See Bus.listen."""
        self._listeners[hint].append(callback)
        return lambda: self._listeners[hint].remove(callback)

    def on_gap(self, callback: Callable[[], None]) -> None:
        """See Bus.on_gap."""

    async def close(self) -> None:
        """See Bus.close."""

    def deliver(self, hint: Hint, ids: Sequence[str]) -> None:
        """Call the listeners now."""
        for callback in list(self._listeners[hint]):
            for object_id in ids:
                callback(object_id)
