"""Bring a database to this release's tables. Alembic is imported only when there is something to change: an empty
database is made from the tables themselves, which a test compares with what the migrations make."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import Connection
from sqlalchemy.exc import SQLAlchemyError

from agentrt.errors import StoreError
from agentrt.store.location import locate
from agentrt.store.lock import acquire_lock
from agentrt.store.migrations import VERSION_TABLE
from agentrt.store.revisions import create_tables, not_ours, pending, upgrade_tables
from agentrt.store.sqlite import create_file, sqlite_engine, store_error


def needs_migration(url: str) -> bool:
    """Whether `migrate` has something to do: compares the stamped revision, imports no Alembic.

    Blocks; inside an event loop use open_store. Raises StoreError if the database is newer, not ours or out of reach.
    """
    place = locate(url)
    if isinstance(place, Path):
        return bool(pending(sqlite_revision(place), str(place)))
    from agentrt.store.migrate_postgres import postgres_revision

    return bool(pending(asyncio.run(postgres_revision(place)), "PostgreSQL"))


def migrate(url: str, *, backup: bool) -> list[str]:
    """Apply what is missing; the applied revisions, oldest first.

    backup: copy a SQLite file that holds data to `NAME.bak-REVISION` first (PostgreSQL servers have their own ways).
    Blocks; inside an event loop use open_store. Raises StoreError, also when a process has the SQLite file open.
    """
    place = locate(url)
    if isinstance(place, Path):
        create_file(place)
        lock = acquire_lock(place)
        try:
            return migrate_sqlite(place, backup=backup)
        finally:
            lock.release()
    from agentrt.store.migrate_postgres import migrate_postgres

    return asyncio.run(migrate_postgres(place))


def migrate_sqlite(path: Path, *, backup: bool) -> list[str]:
    """As `migrate`, for who holds the file's lock."""
    stamped = sqlite_revision(path)
    todo = pending(stamped, str(path))
    if not todo:
        return []
    try:
        if stamped is not None and backup:
            _copy(path, path.with_name(f"{path.name}.bak-{stamped}"))
        # Foreign keys off: SQLite changes a table by rebuilding it, and would delete every child row meanwhile.
        engine = sqlite_engine(path, foreign_keys=False)
        with closing(engine.connect()) as conn:
            _migrate_in_transaction(conn, is_empty=stamped is None)
        engine.dispose()
    except (SQLAlchemyError, sqlite3.Error, OSError) as error:
        raise store_error(error, path) from error
    return list(todo)


def sqlite_revision(path: Path) -> str | None:
    """The revision that the file is stamped with; None for a missing or empty one.

    Raises StoreError for a file that is not ours.
    """
    if not path.exists() or path.stat().st_size == 0:
        return None
    try:
        with closing(sqlite3.connect(path.absolute().as_uri() + "?mode=rw", uri=True)) as conn:
            tables = {name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if VERSION_TABLE in tables:
                (revision,) = conn.execute(f"SELECT max(version_num) FROM {VERSION_TABLE}").fetchone()  # noqa: S608
                return str(revision)
    except (sqlite3.Error, OSError) as error:
        raise store_error(error, path) from error
    if tables:
        raise not_ours(str(path))
    return None


def _migrate_in_transaction(conn: Connection, *, is_empty: bool) -> None:
    conn.exec_driver_sql("BEGIN IMMEDIATE")
    try:
        if is_empty:
            create_tables(conn)
        else:
            upgrade_tables(conn)
        orphan = conn.exec_driver_sql("PRAGMA foreign_key_check").first()
        if orphan is not None:
            raise StoreError(
                f"The migration would leave rows of {orphan[0]} without their {orphan[2]}; nothing was done."
            )
    except BaseException:
        conn.exec_driver_sql("ROLLBACK")
        raise
    conn.exec_driver_sql("COMMIT")


def _copy(path: Path, target: Path) -> None:
    """A whole copy, with what is still in the WAL; in place at once or not at all."""
    partial = target.with_name(f"{target.name}.part")
    partial.unlink(missing_ok=True)
    create_file(partial)
    with closing(sqlite3.connect(path)) as source, closing(sqlite3.connect(partial)) as copy:
        source.backup(copy)
    partial.replace(target)
