"""The database under the fleet, as the test sees it: what is in it (in plain SQL), and its crashes."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import asyncpg  # type: ignore[import-untyped]

from tests.postgres import PostgresServer, running_postgres

Row: TypeAlias = Sequence[Any]

DATABASE = "chaos"

_STOPPED_WITHIN_S = 30


class UnreachableError(Exception):
    """The database does not answer now."""


class Database(Protocol):
    """A database of one test. name: as the report calls it."""

    name: str
    url: str

    async def rows(self, sql: str) -> list[Row]:
        """Read. Raises UnreachableError while the database is down."""
        ...

    async def close(self) -> None: ...


class SqliteDatabase:
    """A SQLite file, read beside the process that has it open."""

    name = "SQLite"

    def __init__(self, file: Path) -> None:
        self.url = f"sqlite:///{file}"
        self._file = file

    async def rows(self, sql: str) -> list[Row]:
        # Read-only: whoever closes a file last would tidy up after the process that was killed, and hide what it left.
        try:
            with closing(sqlite3.connect(f"file:{self._file}?mode=ro", uri=True)) as connection:
                return connection.execute(sql).fetchall()
        except sqlite3.OperationalError as error:
            raise UnreachableError from error

    async def close(self) -> None:
        return


class PostgresDatabase:
    """A database on a PostgreSQL server that can crash and lose its connections."""

    name = "PostgreSQL"

    def __init__(self, server: PostgresServer) -> None:
        self.url = server.url(DATABASE)
        self.folder = server.folder
        self._server = server
        self._connection: Any = None
        self._in_use = asyncio.Lock()

    async def rows(self, sql: str) -> list[Row]:
        async with self._in_use:
            try:
                if self._connection is None or self._connection.is_closed():
                    self._connection = await asyncpg.connect(self.url)
                return [tuple(row) for row in await self._connection.fetch(sql)]
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                if self._connection is not None:
                    self._connection.terminate()
                self._connection = None
                raise UnreachableError from error

    async def cut_connections(self) -> int:
        """Cut off everybody else; how many that were."""
        others = "pid <> pg_backend_pid() AND backend_type = 'client backend'"
        found = await self.rows(f"SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE {others}")
        return int(found[0][0])

    async def crash(self) -> None:
        """Stop at once, without a goodbye to anybody: what `pg_ctl stop -m immediate` does, but without starting that
        first, so that it happens in the very moment."""
        pid_file = self.folder / "postmaster.pid"
        os.kill(int(pid_file.read_text().splitlines()[0]), signal.SIGQUIT)
        async with asyncio.timeout(_STOPPED_WITHIN_S):
            while pid_file.exists():
                await asyncio.sleep(0.01)

    async def restart(self) -> None:
        """Start after a crash."""
        await asyncio.to_thread(self._server.start)

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()
            self._connection = None


@contextmanager
def postgres() -> Iterator[PostgresDatabase]:
    """A server of its own, gone afterwards."""
    with running_postgres(max_connections=150) as server:
        server.run_sql(f"CREATE DATABASE {DATABASE}")
        yield PostgresDatabase(server)
