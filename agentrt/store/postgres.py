"""PostgreSQL through asyncpg: the same functions on a connection of the pool, retried when the server hiccups.

A write is retried only when it is known not to have been committed: when the connection broke during the commit
itself, the server is asked what became of the transaction (agentrt/store/commit_markers.py).
"""

from __future__ import annotations

import itertools
import secrets
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection

from agentrt.clock import Clock
from agentrt.store.commit_markers import (
    MarkerGoneError,
    begin_with_mark,
    delete_markers,
    insert_marker,
    last_commit,
)
from agentrt.store.database import Tx
from agentrt.store.postgres_connect import CONNECTION_LIFETIME_S
from agentrt.store.postgres_errors import is_passing, sqlstate
from agentrt.store.postgres_pool import PostgresPool, transaction
from agentrt.store.postgres_reader import PostgresReader

T = TypeVar("T")

_LONG_READS_AT_ONCE = 2
"""While one waits for the server, another one computes. Each is one more of the server's connections."""

_MARKER = "agentrt commit marker"


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
    """A Store on a PostgreSQL database, which any number of processes share. url: `postgresql://user@host/name`.

    pool_size: how many connections it has at most, without the two for long reads.
    """

    is_shared = True

    def __init__(self, url: str, *, clock: Clock, pool_size: int = 10) -> None:
        self._pool = PostgresPool(url, clock=clock, size=pool_size)
        self._long_reader = PostgresReader(partial(PostgresPool, url, clock=clock, size=_LONG_READS_AT_ONCE))
        self._numbers = itertools.count(1)

    async def write(self, fn: Callable[[Tx], T]) -> T:
        """See Store.write. While the server is away, waits for it up to 30 s."""
        with self._pool.busy():
            give_up_at = self._pool.give_up_at()
            while True:
                try:
                    return await self._pool.retry(lambda: self._write_once(fn), give_up_at)
                except _UnsureError as unsure:
                    if await self._was_committed(unsure, give_up_at):
                        unsure.tx.committed()
                        value: T = unsure.value
                        return value

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """See Store.read. While the server is away, waits for it up to 30 s."""
        return await self._pool.read(fn)

    async def read_long(self, fn: Callable[[Tx], T]) -> T:
        """See Store.read_long. In a thread; while the server is away, waits for it up to 30 s."""
        with self._pool.busy():
            return await self._long_reader.read(fn)

    async def close(self) -> None:
        """See Store.close."""
        await self._pool.close()
        await self._long_reader.close()

    async def _write_once(self, fn: Callable[[Tx], T]) -> T:
        async with self._pool.connection() as conn:
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
            async with self._pool.connection() as conn:
                return await conn.run_sync(lambda sync_conn: last_commit(Tx(sync_conn), unsure.marker_id))

        return await self._pool.retry(ask, give_up_at) == unsure.n


async def _transact(conn: AsyncConnection, fn: Callable[[Tx], T], marker_id: str, n: int) -> T:
    """Raises _UnsureError when it is not known whether the transaction was committed."""

    def call(sync_conn: Connection) -> tuple[Tx, T]:
        tx = Tx(sync_conn)
        return tx, fn(tx)

    async with transaction(conn) as raw:
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
