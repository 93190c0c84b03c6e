"""Migrating PostgreSQL: under an advisory lock, in one transaction."""

from __future__ import annotations

from sqlalchemy import Connection

from agentrt.store.migrations import VERSION_TABLE
from agentrt.store.postgres_connect import connect, connect_engine
from agentrt.store.postgres_errors import explained, shown_url
from agentrt.store.revisions import create_tables, not_ours, pending, upgrade_tables
from agentrt.store.schema import metadata

# to_regclass looks along the search_path, as every statement of ours does.
_IS_STAMPED = f"SELECT to_regclass('{VERSION_TABLE}') IS NOT NULL"
_REVISION = f"SELECT max(version_num) FROM {VERSION_TABLE}"  # noqa: S608
_ANY_EXISTS = "SELECT bool_or(to_regclass(name) IS NOT NULL) FROM unnest($1::text[]) name"

# Advisory locks are numbers, per database. The high half is "agrt" in ASCII, so that nobody else picks them by chance.
MIGRATION_LOCK = (int.from_bytes(b"agrt") << 32) + 2


async def postgres_revision(url: str) -> str | None:
    """The revision that the database is stamped with; None for one without our tables. Raises StoreError."""
    with explained(url):
        conn = await connect(url)
        try:
            is_stamped = await conn.fetchval(_IS_STAMPED)
            is_taken = is_stamped or await conn.fetchval(_ANY_EXISTS, list(metadata().tables))
            if is_taken and not is_stamped:
                # Tables and stamp come at once, so look again: another process may have made them since.
                is_stamped = await conn.fetchval(_IS_STAMPED)
            if is_stamped:
                return str(await conn.fetchval(_REVISION))
            if is_taken:
                raise not_ours(shown_url(url))
        finally:
            await conn.close()
    return None


async def migrate_postgres(url: str) -> list[str]:
    """Apply what is missing; the applied revisions, oldest first. Raises StoreError."""
    shown = shown_url(url)
    await postgres_revision(url)  # says what is wrong before anything is locked

    def migrate(conn: Connection) -> list[str]:
        conn.exec_driver_sql("SELECT pg_advisory_xact_lock($1)", (MIGRATION_LOCK,))
        is_stamped = conn.exec_driver_sql(_IS_STAMPED).scalar_one()
        stamped = conn.exec_driver_sql(_REVISION).scalar_one() if is_stamped else None
        todo = pending(stamped, shown)
        if stamped is None:
            create_tables(conn)
        elif todo:
            upgrade_tables(conn)
        return list(todo)

    engine = connect_engine(url)
    try:
        with explained(url):
            async with engine.begin() as conn:
                return await conn.run_sync(migrate)
    finally:
        await engine.dispose()
