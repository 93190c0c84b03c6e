"""A second connection to read with, in a thread of its own: for what would keep the event loop waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine

from agentrt.store.database import Tx

T = TypeVar("T")


class SqliteReader:
    """Reads, one after the other. Nothing is opened before the first one. open_engine: called in the thread."""

    def __init__(self, open_engine: Callable[[], Engine]) -> None:
        self._open_engine = open_engine
        self._thread: ThreadPoolExecutor | None = None
        self._conn: Connection | None = None

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """Run fn on a consistent view. When the caller is cancelled, it still runs to its end, and nobody hears."""
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite-reader")
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._read, fn)

    async def close(self) -> None:
        """Wait for what is being read, and let go of the file."""
        if self._thread is not None:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._let_go)
            self._thread.shutdown(wait=True)

    def _read(self, fn: Callable[[Tx], T]) -> T:
        if self._conn is None:
            self._conn = self._open_engine().connect()
            self._conn.exec_driver_sql("PRAGMA query_only=ON")
        return read_in(Tx(self._conn), fn)

    def _let_go(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn.engine.dispose()


def read_in(tx: Tx, fn: Callable[[Tx], T]) -> T:
    """Run fn on one view of the database."""
    tx.dbapi.execute("BEGIN")
    try:
        return fn(tx)
    finally:
        tx.dbapi.execute("COMMIT")
