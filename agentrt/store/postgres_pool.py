"""A pool of connections to PostgreSQL, of one event loop: attempts on it, and reads.

What the server's hiccups have broken is tried again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncConnection

from agentrt.clock import Clock
from agentrt.errors import StoreError
from agentrt.store.database import Tx, wait_out
from agentrt.store.postgres_connect import connect_engine
from agentrt.store.postgres_errors import is_fatal, is_passing, sqlstate, store_error

T = TypeVar("T")

log = logging.getLogger(__name__)

_GIVE_UP_AFTER_S = 30.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0

_BEGIN_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class PostgresPool:
    """Up to `size` connections, opened when they are first needed. Only for the event loop that uses it first."""

    def __init__(self, url: str, *, clock: Clock, size: int) -> None:
        self._url = url
        self._clock = clock
        self._engine = connect_engine(url, pool_size=size, has_timeout=True, begins_by_itself=False)
        self._slots = asyncio.Semaphore(size)
        self._is_closed = False
        self._n_busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """See Store.read. While the server is away, waits for it up to 30 s."""

        async def once() -> T:
            async with self.connection() as conn:
                async with transaction(conn) as raw:
                    await raw.execute(_BEGIN_READ)
                    value = await conn.run_sync(lambda sync_conn: fn(Tx(sync_conn)))
                    await raw.execute("COMMIT")
                return value

        with self.busy():
            return await self.retry(once, self.give_up_at())

    async def close(self) -> None:
        """Refuse what comes, wait for the end of what is under way, and close the connections."""
        self._is_closed = True
        await self._idle.wait()
        await self._engine.dispose()

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Keeps the pool open. Raises StoreError when it is closed."""
        if self._is_closed:
            raise StoreError("The database is closed.")
        self._n_busy += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._n_busy -= 1
            if not self._n_busy:
                self._idle.set()

    def give_up_at(self) -> float:
        """When somebody who begins now has waited long enough, by the clock's monotonic time."""
        return self._clock.monotonic() + _GIVE_UP_AFTER_S

    async def retry(self, attempt: Callable[[], Coroutine[Any, Any, T]], give_up_at: float) -> T:
        """Attempt until it works or raises what does not pass. Raises StoreError when the time is up."""
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async with asyncio.timeout(_GIVE_UP_AFTER_S):
                    await self._slots.acquire()
                try:
                    return await _to_its_end(attempt())
                finally:
                    self._slots.release()
            except Exception as error:
                if not is_passing(error):
                    if is_fatal(error):
                        raise store_error(error, self._url) from error
                    raise
                if self._clock.monotonic() + pause_s > give_up_at:
                    raise store_error(error, self._url) from error
                if pause_s == _FIRST_PAUSE_S:  # once, not at each try: a server that is away is tried for long
                    facts = {"error": type(error).__name__, "sqlstate": sqlstate(error)}
                    log.info("store.retried", extra=facts)
            await self._clock.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[AsyncConnection]:
        """A connection; it does not go back to the others after an error that a new one would not have."""
        async with self._engine.connect() as conn:
            try:
                yield conn
            except Exception as error:
                if is_passing(error) and not sqlstate(error).startswith("40"):
                    await conn.invalidate()
                raise


@asynccontextmanager
async def transaction(conn: AsyncConnection) -> AsyncIterator[Any]:
    """The driver's own connection, on which our caller says BEGIN and COMMIT: what stands between it and us would cost
    as much again. Rolled back on error."""
    raw: Any = (await conn.get_raw_connection()).driver_connection
    try:
        yield raw
    except BaseException:
        try:
            await raw.execute("ROLLBACK")
        except Exception:
            raw.terminate()  # it must not go back to the pool in a transaction
        raise


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """Await it; when we are cancelled, wait for its end before we say so. The task does not outlive this call.

    A commit that is cancelled may happen all the same, and the driver takes a connection whose BEGIN or ROLLBACK was
    cancelled for one without a transaction (a test finds such connections, left "idle in transaction").
    """
    task = asyncio.get_running_loop().create_task(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await wait_out(task)
        if not task.cancelled():
            task.exception()  # looked at, or asyncio logs that nobody did: the caller does not want to know any more
        raise
