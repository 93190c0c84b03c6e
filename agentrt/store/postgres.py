"""PostgreSQL through asyncpg: the same functions on a connection of the pool, retried when the server hiccups.

A write is retried only when it is known not to have been committed: when the connection broke during the commit
itself, the server is asked what became of the transaction (agentrt/store/commit_markers.py).
"""

from __future__ import annotations

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from agentrt.clock import Clock
from agentrt.errors import StoreError
from agentrt.store.commit_markers import (
    MarkerGoneError,
    begin_with_mark,
    delete_markers,
    insert_marker,
    last_commit,
)
from agentrt.store.database import Tx, wait_out
from agentrt.store.postgres_connect import CONNECTION_LIFETIME_S, connect_engine
from agentrt.store.postgres_errors import is_fatal, is_passing, sqlstate, store_error

T = TypeVar("T")

_GIVE_UP_AFTER_S = 30.0
_FIRST_PAUSE_S = 0.05
_LONGEST_PAUSE_S = 2.0

_MARKER = "agentrt commit marker"
_BEGIN_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"


class _UnsureError(Exception):
    """The connection broke while a transaction was being committed. value: what its function returned.

    marker_id, n: where the server has it when it was committed.
    """

    def __init__(self, tx: Tx, value: Any, marker_id: str, n: int) -> None:
        super().__init__(marker_id, n)
        self.tx = tx
        self.value = value
        self.marker_id = marker_id
        self.n = n


class PostgresStore:
    """A Store on a PostgreSQL database, which any number of processes share. url: `postgresql://user@host/name`."""

    is_shared = True

    def __init__(self, url: str, *, clock: Clock, pool_size: int = 10) -> None:
        self._url = url
        self._clock = clock
        self._engine = connect_engine(url, pool_size=pool_size, has_timeout=True, begins_by_itself=False)
        self._slots = asyncio.Semaphore(pool_size)
        self._numbers = itertools.count(1)
        self._is_closed = False
        self._n_busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def write(self, fn: Callable[[Tx], T]) -> T:
        """See Store.write. While the server is away, waits for it up to 30 s."""
        with self._busy():
            give_up_at = self._clock.monotonic() + _GIVE_UP_AFTER_S
            while True:
                try:
                    return await self._retry(lambda: self._write_once(fn), give_up_at)
                except _UnsureError as unsure:
                    if await self._was_committed(unsure, give_up_at):
                        unsure.tx.committed()
                        value: T = unsure.value
                        return value

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """See Store.read. While the server is away, waits for it up to 30 s."""
        with self._busy():
            give_up_at = self._clock.monotonic() + _GIVE_UP_AFTER_S
            return await self._retry(lambda: self._read_once(fn), give_up_at)

    async def read_long(self, fn: Callable[[Tx], T]) -> T:
        """See Store.read_long. The driver belongs to the event loop: only the server's part is elsewhere."""
        return await self.read(fn)

    async def close(self) -> None:
        """See Store.close."""
        self._is_closed = True
        await self._idle.wait()
        await self._engine.dispose()

    @contextmanager
    def _busy(self) -> Iterator[None]:
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

    async def _retry(self, attempt: Callable[[], Coroutine[Any, Any, T]], give_up_at: float) -> T:
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
            await self._clock.sleep(pause_s)
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)

    async def _read_once(self, fn: Callable[[Tx], T]) -> T:
        async with _connection(self._engine) as conn:
            async with _transaction(conn) as raw:
                await raw.execute(_BEGIN_READ)
                value = await conn.run_sync(lambda sync_conn: fn(Tx(sync_conn)))
                await raw.execute("COMMIT")
            return value

    async def _write_once(self, fn: Callable[[Tx], T]) -> T:
        async with _connection(self._engine) as conn:
            try:
                return await _transact(conn, fn, await self._marker_of(conn), next(self._numbers))
            except MarkerGoneError:
                (await conn.get_raw_connection()).info.pop(_MARKER)
                return await _transact(conn, fn, await self._marker_of(conn), next(self._numbers))

    async def _marker_of(self, conn: AsyncConnection) -> str:
        """The connection's own commit marker, made when it is first needed."""
        info = (await conn.get_raw_connection()).info
        if _MARKER not in info:
            marker_id = secrets.token_hex(16)

            def make(sync_conn: Connection) -> None:  # in two transactions, of one statement each
                tx = Tx(sync_conn)
                delete_markers(tx, age_s=2 * CONNECTION_LIFETIME_S)
                insert_marker(tx, marker_id)

            await conn.run_sync(make)
            info[_MARKER] = marker_id
        return str(info[_MARKER])

    async def _was_committed(self, unsure: _UnsureError, give_up_at: float) -> bool:
        """Raises StoreError if the server does not say in time."""

        async def ask() -> int | None:
            async with _connection(self._engine) as conn:
                return await conn.run_sync(lambda sync_conn: last_commit(Tx(sync_conn), unsure.marker_id))

        return await self._retry(ask, give_up_at) == unsure.n


@asynccontextmanager
async def _connection(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection of the pool; it does not go back there after an error that a new one would not have."""
    async with engine.connect() as conn:
        try:
            yield conn
        except Exception as error:
            if is_passing(error) and not sqlstate(error).startswith("40"):
                await conn.invalidate()
            raise


async def _transact(conn: AsyncConnection, fn: Callable[[Tx], T], marker_id: str, n: int) -> T:
    """Raises _UnsureError when it is not known whether the transaction was committed."""

    def call(sync_conn: Connection) -> tuple[Tx, T]:
        tx = Tx(sync_conn)
        return tx, fn(tx)

    async with _transaction(conn) as raw:
        await begin_with_mark(raw, marker_id, n)
        tx, value = await conn.run_sync(call)
        try:
            await raw.execute("COMMIT")
        except Exception as error:
            if is_passing(error) and not sqlstate(error).startswith("40"):
                raise _UnsureError(tx, value, marker_id, n) from error
            raise
    tx.committed()
    return value


@asynccontextmanager
async def _transaction(conn: AsyncConnection) -> AsyncIterator[Any]:
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
