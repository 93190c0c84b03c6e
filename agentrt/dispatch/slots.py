"""Slots: so many jobs are driven at once in this process, none of them twice at once."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable


class Slots:
    """Drives jobs, each in a task of its own. What finds no slot waits here, in order.

    A job that is put while it is driven is driven again after. on_free: called when a job has ended.
    """

    def __init__(self, on_free: Callable[[], None] | None = None) -> None:
        self._on_free = on_free
        self._waiting: deque[str] = deque()
        self._queued: set[str] = set()
        self._driven: dict[str, asyncio.Task[None]] = {}
        self._start: Callable[[str], asyncio.Task[None]] | None = None
        self._n = 0
        self._draining = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    @property
    def n_free(self) -> int:
        """How many jobs more would be driven at once."""
        if self._draining.is_set():
            return 0
        return max(0, self._n - len(self._driven.keys() | self._queued))

    @property
    def n_waiting(self) -> int:
        """How many jobs wait for a slot."""
        return len(self._waiting)

    def put(self, job_id: str) -> None:
        """Drive the job as soon as there is a slot; never, when it is drained before."""
        if job_id not in self._queued:
            self._queued.add(job_id)
            self._waiting.append(job_id)
            self._fill()

    async def serve(self, handle: Callable[[str], Awaitable[None]], n: int) -> None:
        """Drive up to n jobs at once, until drained and the last has ended. `handle` does not raise."""
        async with asyncio.TaskGroup() as group:

            def start(job_id: str) -> asyncio.Task[None]:
                return group.create_task(self._drive(handle, job_id), name=f"drive {job_id}")

            self._start, self._n = start, n
            try:
                self._fill()
                await self._draining.wait()
            finally:
                self._draining.set()  # also when it is cancelled: the group takes nothing more

    async def drain(self, grace_s: float) -> None:
        """Start nothing new, give what is driven grace_s to end, then cancel it and wait for its end."""
        self._draining.set()
        try:
            async with asyncio.timeout(grace_s):
                await self._idle.wait()
        except TimeoutError:
            self.stop()
            await self._idle.wait()
        except asyncio.CancelledError:  # nobody wants to wait for the grace any more
            self.stop()
            raise

    def stop(self) -> None:
        """Start nothing new and cancel what is driven."""
        self._draining.set()
        for task in list(self._driven.values()):
            task.cancel()

    def _fill(self) -> None:
        if self._start is None or self._draining.is_set():
            return
        held_back: list[str] = []
        while self._waiting and len(self._driven) < self._n:
            job_id = self._waiting.popleft()
            if job_id in self._driven:
                held_back.append(job_id)
                continue
            self._queued.discard(job_id)
            self._idle.clear()
            self._driven[job_id] = self._start(job_id)
        self._waiting.extendleft(reversed(held_back))

    async def _drive(self, handle: Callable[[str], Awaitable[None]], job_id: str) -> None:
        try:
            await handle(job_id)
        finally:
            del self._driven[job_id]
            if not self._driven:
                self._idle.set()
            self._fill()
            if self._on_free is not None:
                self._on_free()
