"""Long reads of PostgreSQL, in a thread with an event loop and connections of its own.

The driver belongs to an event loop, and what a long read computes between its statements keeps that loop waiting: so
it must not be the one that everything else runs on.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from agentrt.store.database import Tx
from agentrt.store.postgres_pool import PostgresPool

T = TypeVar("T")


class PostgresReader:
    """Reads, as many at once as its pool has connections. Nothing is started or opened before the first one.

    open_pool: the pool must be nobody else's. The thread does not keep a process alive that forgets to close.
    """

    def __init__(self, open_pool: Callable[[], PostgresPool]) -> None:
        self._open_pool = open_pool
        self._started: _Started | None = None

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """See PostgresPool.read. When the caller is cancelled, what the thread is at runs on, and nobody hears."""
        if self._started is None:
            self._started = _Started(self._open_pool())
        running = self._started
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(running.pool.read(fn), running.loop))

    async def close(self) -> None:
        """Wait for what is being read, and let go of connections and thread."""
        running = self._started
        if running is None:
            return
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(running.pool.close(), running.loop))
        if self._started is not None:  # who closed it at the same time may have been faster
            self._started = None
            running.stop()


class _Started:
    """A running thread, with its event loop and pool."""

    def __init__(self, pool: PostgresPool) -> None:
        self.pool = pool
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="postgres-reader", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Nothing runs in it any more."""
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def _run(self) -> None:
        try:
            self.loop.run_forever()
        finally:
            self.loop.close()
