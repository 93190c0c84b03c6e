"""Connections to PostgreSQL: asyncpg reads the URL itself, so that whatever libpq knows (`sslmode`, `host=/run/…`,
`~/.pgpass`) works here; SQLAlchemy keeps the pool."""

from __future__ import annotations

from typing import Any

import asyncpg  # type: ignore[import-untyped]
from sqlalchemy import event
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from agentrt.store.database import dump_json, load_json

_CONNECT_TIMEOUT_S = 10.0
_COMMAND_TIMEOUT_S = 30.0
IDLE_IN_TRANSACTION_S = 5
"""How long a transaction may do nothing until the server ends it. Whoever is frozen in the middle of one, or has lost
its network, holds locks on the rows of its runs: nobody else could take them over."""
_PREPARED_STATEMENTS = 512
CONNECTION_LIFETIME_S = 24 * 3600
_NAME_MAX = 63  # what PostgreSQL keeps of an application_name


async def connect(url: str, *, name: str = "agentrt", command_timeout_s: float | None = None) -> asyncpg.Connection:
    """One connection. name: how the server lists it. Raises what asyncpg raises."""
    return await asyncpg.connect(
        url,
        timeout=_CONNECT_TIMEOUT_S,
        command_timeout=command_timeout_s,
        server_settings={"application_name": name[:_NAME_MAX]},
    )


def connect_engine(
    url: str, *, pool_size: int = 1, has_timeout: bool = False, begins_by_itself: bool = True
) -> AsyncEngine:
    """A pool of connections. has_timeout: a statement may take 30 s, so that a frozen server is noticed.

    begins_by_itself: the first statement begins a transaction; else whoever uses it says BEGIN, COMMIT and ROLLBACK.
    """

    async def open_connection(**_: Any) -> asyncpg.Connection:
        conn = await connect(url, command_timeout_s=_COMMAND_TIMEOUT_S if has_timeout else None)
        # Not among the server_settings: poolers refuse those that they do not know.
        await conn.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_IN_TRANSACTION_S}s'")
        return conn

    engine = create_async_engine(
        "postgresql+asyncpg://",
        async_creator=open_connection,
        pool_size=pool_size,
        max_overflow=0,
        **({} if begins_by_itself else {"isolation_level": "AUTOCOMMIT"}),
        pool_recycle=CONNECTION_LIFETIME_S,
        connect_args={"prepared_statement_cache_size": _PREPARED_STATEMENTS},
        json_serializer=dump_json,
        json_deserializer=load_json,
    )

    @event.listens_for(engine.sync_engine, "checkout")
    def drop_dead(dbapi_connection: Any, _record: object, _proxy: object) -> None:
        # asyncpg has heard of it when the server is gone: no need to ask, and no need to fail.
        if dbapi_connection.driver_connection.is_closed():
            raise DisconnectionError

    return engine
