"""Slots: so many jobs are driven at once in this process, none of them twice at once. One that only waits for others
lends them its slot."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager

LENT_MAX = 4
"""How many jobs may have lent their slot, for each slot there is. Each keeps its memory, and asks the database about
what it waits for: where others come faster than that is done, there would be more and more of them."""


class Slots:
    """Drives jobs, each in a task of its own. What finds no slot waits here, in order.

    A job that is put while it is driven is driven again after. on_free: called when a job has ended.
    """

    def __init__(self, on_free: Callable[[], None] | None = None) -> None:
        self._on_free = on_free
        self._waiting: deque[str] = deque()
        self._queued: set[str] = set()
        self._driven: dict[str, asyncio.Task[None]] = {}
        self._aside: set[str] = set()  # of the driven ones, those that have lent their slot
        self._returning: deque[tuple[str, asyncio.Future[None]]] = deque()
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
        return max(0, self._n - len((self._driven.keys() - self._aside) | self._queued) - len(self._returning))

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

    @asynccontextmanager
    async def aside(self, job_id: str) -> AsyncGenerator[bool, None]:
        """Lend the slot of a driven job to others; then it waits until there is one again, before those that have not
        begun. For a job that is not driven, or has lent its slot already, nothing happens.

        False: so many have lent theirs that this one has to keep it.
        """
        if job_id not in self._driven or job_id in self._aside:
            yield True
            return
        if len(self._aside) >= LENT_MAX * self._n:
            yield False
            return
        self._aside.add(job_id)
        self._freed()
        try:
            yield True
            if not self._has_room:
                turn = asyncio.get_running_loop().create_future()
                self._returning.append((job_id, turn))
                await turn
        finally:
            self._aside.discard(job_id)

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
        self._let_return()
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

    @property
    def _has_room(self) -> bool:
        return self._draining.is_set() or len(self._driven) - len(self._aside) < self._n

    def _freed(self) -> None:
        self._let_return()
        self._fill()
        if self._on_free is not None:
            self._on_free()

    def _let_return(self) -> None:
        while self._returning and self._has_room:
            job_id, turn = self._returning.popleft()
            if not turn.done():
                self._aside.discard(job_id)
                turn.set_result(None)

    def _fill(self) -> None:
        if self._start is None or self._draining.is_set():
            return
        held_back: list[str] = []
        while self._waiting and self._has_room:
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
            self._freed()
