"""SQLite: WAL, one writer thread with group commit, reads on a connection of their own, long ones in a thread.

One thread writes, because SQLite's lock between connections is unfair: with several writers the slowest waits a
hundred times as long as the median.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, StaticPool

from agentrt.errors import StoreError
from agentrt.store.database import Tx, dump_json, load_json, wait_out
from agentrt.store.lock import FileLock
from agentrt.store.sqlite_reader import SqliteReader, read_in
from agentrt.store.sqlite_writer import Job, SqliteWriter

T = TypeVar("T")

_BUSY_TIMEOUT_MS = 5_000
_CACHED_STATEMENTS = 512
_WAL_BYTES_KEPT = 64 * 1024 * 1024

# By SQLite's primary result code: what is wrong, why, and what a person can do.
_TROUBLES = {
    sqlite3.SQLITE_FULL: (
        "the disk is full",
        "SQLite could not make the file larger",
        "free some space; what was acknowledged is safe",
    ),
    sqlite3.SQLITE_IOERR: ("the disk does not answer", "reading or writing the file failed", "check the disk"),
    sqlite3.SQLITE_NOTADB: ("this is not a SQLite database", "the file has other contents", "name another file"),
    sqlite3.SQLITE_CORRUPT: (
        "the file is damaged",
        "SQLite cannot make sense of its pages",
        "put the newest copy (.bak-…, or your own backup) in its place",
    ),
    sqlite3.SQLITE_READONLY: (
        "it cannot be written",
        "the file or its folder is read-only for this user",
        "change its owner or mode, or name another file",
    ),
    sqlite3.SQLITE_CANTOPEN: (
        "it cannot be opened",
        "this user may not read or write the file or its folder",
        "change its owner or mode, or name another file",
    ),
    sqlite3.SQLITE_BUSY: (
        "another program has locked it",
        f"it did not let go within {_BUSY_TIMEOUT_MS // 1000} s",
        "end the other program that has the file open (a database browser, a backup)",
    ),
}


class SqliteStore:
    """A Store on one SQLite file. Open it on the event loop that will use it. Raises StoreError if it cannot be.

    lock: let go of on close.
    """

    is_shared = False

    def __init__(self, path: Path, *, lock: FileLock | None = None) -> None:
        self._path = path
        self._lock = lock
        self._is_closed = False
        reader = sqlite_engine(path)
        try:
            self._reader = reader.connect()
            for statement in ("BEGIN IMMEDIATE", "ROLLBACK", "PRAGMA query_only=ON"):  # first see that one may write
                self._reader.exec_driver_sql(statement)
        except DBAPIError as error:
            reader.dispose()
            raise store_error(error, path) from error
        self._long_reader = SqliteReader(partial(sqlite_engine, path))
        self._writer = SqliteWriter(sqlite_engine(path), self._translate)

    async def write(self, fn: Callable[[Tx], T]) -> T:
        """See Store.write."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        job = Job(fn, future)
        self._writer.put(job)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            if not self._writer.withdraw(job):
                await wait_out(future)
                future.exception()  # read, so that nobody logs it: whoever wanted to know has gone
            raise

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """See Store.read. Runs inline: a thread switch would cost more than the query."""
        if self._is_closed:
            raise StoreError("The database is closed.")
        try:
            return read_in(Tx(self._reader), fn)
        except (DBAPIError, sqlite3.Error) as error:
            raise self._translate(error) from error

    async def read_long(self, fn: Callable[[Tx], T]) -> T:
        """See Store.read_long. In a thread."""
        if self._is_closed:
            raise StoreError("The database is closed.")
        try:
            return await self._long_reader.read(fn)
        except (DBAPIError, sqlite3.Error) as error:
            raise self._translate(error) from error

    async def close(self) -> None:
        """See Store.close."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            await self._writer.close()
            await self._long_reader.close()
        finally:
            self._reader.close()
            self._reader.engine.dispose()
            if self._lock is not None:
                self._lock.release()

    def _translate(self, error: BaseException) -> BaseException:
        return store_error(error, self._path) if _code(error) in _TROUBLES else error


def sqlite_engine(path: Path, *, foreign_keys: bool = True) -> Engine:
    """An engine for one file, in autocommit: whoever uses it says BEGIN and COMMIT.

    foreign_keys: off for migrations only (SQLite rebuilds tables, and would delete every child row meanwhile).
    """
    engine = create_engine(
        f"sqlite:///{path}",
        isolation_level="AUTOCOMMIT",
        poolclass=StaticPool if foreign_keys else NullPool,
        connect_args={
            "check_same_thread": False,
            "timeout": _BUSY_TIMEOUT_MS / 1000,
            "cached_statements": _CACHED_STATEMENTS,
        },
        json_serializer=dump_json,
        json_deserializer=load_json,
    )

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES_KEPT}")
        connection.execute(f"PRAGMA foreign_keys={'ON' if foreign_keys else 'OFF'}")

    return engine


def create_file(path: Path) -> None:
    """Make the folder and an empty file for this user alone: what people write to their assistants is in it.

    Raises StoreError.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise store_error(error, path) from error


def store_error(error: BaseException, path: Path) -> StoreError:
    """What went wrong with the file, in three lines: what, why, what to do."""
    if isinstance(error, OSError):
        what, why, fix = "it cannot be opened", f"{error.strerror}: {error.filename}", "name a file that can be written"
    else:
        what, why, fix = _TROUBLES.get(_code(error), ("SQLite refuses it", str(error), "name another file"))
    return StoreError(f"Database {path}: {what}\n  why: {why}\n  fix: {fix}")


def _code(error: BaseException) -> int:
    """SQLite's primary result code, -1 for an error of another kind."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    return getattr(cause, "sqlite_errorcode", -1) & 0xFF if isinstance(cause, sqlite3.Error) else -1
