"""One executor per PostgreSQL database: an advisory lock on a connection that does nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import asyncpg  # type: ignore[import-untyped]

from agentrt.errors import StoreError
from agentrt.store.postgres_connect import connect
from agentrt.store.postgres_errors import shown_url

# Advisory locks are numbers, per database. The high half is "agrt" in ASCII, so that nobody else picks them by chance.
_CLASS = int.from_bytes(b"agrt")
_EXECUTOR = 1
MIGRATION_LOCK = (_CLASS << 32) + 2

_TRY = "SELECT pg_try_advisory_lock($1)"
_MYSELF = "SELECT pid, application_name, backend_start::text FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_HOLDER = """
SELECT a.pid, a.application_name, a.backend_start::text
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.classid = $1 AND l.objid = $2
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


@dataclass(frozen=True, slots=True)
class _Session:
    """One connection as the server knows it. With its start it is never mistaken for another one of the same pid."""

    pid: int
    name: str
    started_at: str


class PostgresLock:
    """The lock, held. Made by acquire_postgres_lock. When its connection dies, so does the lock: see `keep`."""

    def __init__(self, url: str, name: str, conn: asyncpg.Connection, session: _Session) -> None:
        self._url = url
        self._name = name
        self._conn = conn
        self._session = session
        self._keeping = asyncio.Lock()

    async def keep(self) -> None:
        """Take the lock again if the connection was cut. Raises StoreError when another executor was faster."""
        if self._conn.is_closed():
            async with self._keeping:
                if self._conn.is_closed():
                    self._conn, self._session = await _take(self._url, self._name, before=self._session)

    async def release(self) -> None:
        """Let go."""
        await self._conn.close()


async def acquire_postgres_lock(url: str, *, server_url: str | None = None) -> PostgresLock:
    """Make this process the database's executor. Raises StoreError when there is one, naming it.

    server_url: where this process answers HTTP, to be shown to the second one.
    """
    name = f"agentrt {server_url}" if server_url else "agentrt"
    return PostgresLock(url, name, *await _take(url, name))


async def _take(url: str, name: str, *, before: _Session | None = None) -> tuple[asyncpg.Connection, _Session]:
    """before: our session that had the lock; when the server still believes in it, it is ended."""
    conn = await connect(url, name=name)
    try:
        if not await conn.fetchval(_TRY, (_CLASS << 32) + _EXECUTOR):
            holder = await conn.fetchrow(_HOLDER, _CLASS, _EXECUTOR)
            if holder is None or _Session(*holder) != before:
                raise _taken(url, None if holder is None else _Session(*holder))
            await conn.execute("SELECT pg_terminate_backend($1, 5000)", before.pid)
            if not await conn.fetchval(_TRY, (_CLASS << 32) + _EXECUTOR):
                raise _taken(url, None)
        return conn, _Session(*await conn.fetchrow(_MYSELF))
    except BaseException:
        conn.terminate()
        raise


def _taken(url: str, holder: _Session | None) -> StoreError:
    who = "another connection"
    if holder is not None:
        who = f"connection {holder.pid} ({holder.name}, since {holder.started_at})"
    return StoreError(
        f"Database {shown_url(url)}: another agentrt drives its runs\n"
        f"  why: {who} holds the lock; in this release a database has one executor\n"
        "  fix: stop the other one, or name another database"
    )
