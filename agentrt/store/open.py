"""open_store: from a URL to a Store that is migrated, and locked for this process where that has to be."""

from __future__ import annotations

import asyncio
from pathlib import Path

from agentrt.clock import Clock
from agentrt.errors import StoreError
from agentrt.store.database import Store
from agentrt.store.location import locate
from agentrt.store.lock import acquire_lock
from agentrt.store.migrate import migrate_sqlite, sqlite_revision
from agentrt.store.revisions import pending
from agentrt.store.sqlite import SqliteStore, create_file


async def open_store(url: str, *, clock: Clock, migrate: bool = True, server_url: str | None = None) -> Store:
    """Open `sqlite:///path` or `postgresql://…`.

    migrate: bring the tables up to date (a SQLite file is copied first); else being behind is an error.
    server_url: where this process answers HTTP, for whoever finds a SQLite file taken: that is one process's.
    Raises StoreError, in three lines: what, why, what to do.
    """
    place = locate(url)
    if isinstance(place, Path):
        return await _open_sqlite(place, migrate=migrate, server_url=server_url)
    return await _open_postgres(place, clock=clock, migrate=migrate)


async def _open_sqlite(path: Path, *, migrate: bool, server_url: str | None) -> Store:
    create_file(path)
    lock = acquire_lock(path, url=server_url)
    try:
        revision = sqlite_revision(path)
        if pending(revision, str(path)):
            if not migrate:
                raise _behind(str(path))
            if revision is None:
                migrate_sqlite(path, backup=False)
            else:
                await asyncio.to_thread(migrate_sqlite, path, backup=True)
        return SqliteStore(path, lock=lock)
    except BaseException:
        lock.release()
        raise


async def _open_postgres(url: str, *, clock: Clock, migrate: bool) -> Store:
    try:
        import greenlet  # type: ignore[import-untyped]  # noqa: F401 - SQLAlchemy needs it, and says so late

        from agentrt.store.migrate_postgres import migrate_postgres, postgres_revision
        from agentrt.store.postgres import PostgresStore
        from agentrt.store.postgres_errors import explained, shown_url
    except ImportError as error:
        raise driver_missing(error) from error
    with explained(url):
        revision = await postgres_revision(url)
    if pending(revision, shown_url(url)):
        if not migrate:
            raise _behind(shown_url(url))
        await migrate_postgres(url)
    return PostgresStore(url, clock=clock)


def driver_missing(error: ImportError) -> StoreError:
    """The error for a PostgreSQL database without the packages for it."""
    return StoreError(
        "The database is PostgreSQL, whose driver is not installed\n"
        f"  why: {error}\n"
        "  fix: pip install 'agentrt[postgres]'"
    )


def _behind(shown: str) -> StoreError:
    return StoreError(
        f"Database {shown}: its tables are not up to date\n"
        "  why: another release made them, or nobody yet\n"
        "  fix: agentrt migrate"
    )
