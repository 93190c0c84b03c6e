"""Which revisions there are, and how tables come to one: what both databases' migrations share."""

from __future__ import annotations

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table

from agentrt.errors import StoreError
from agentrt.store.migrations import VERSION_TABLE, alembic_config, known_revisions
from agentrt.store.schema import metadata

_VERSION = Table(
    VERSION_TABLE,
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name=f"{VERSION_TABLE}_pkc"),
)


def pending(stamped: str | None, shown: str) -> tuple[str, ...]:
    """The revisions to apply to a database stamped so, oldest first. Raises StoreError if a newer release made it."""
    known = known_revisions()
    if stamped is None:
        return known
    if stamped not in known:
        raise StoreError(
            f"Database {shown}: a newer agentrt has written it\n"
            f"  why: its tables have revision {stamped}, this release knows up to {known[-1]}\n"
            f"  fix: install the newer release, or put a copy from before (.bak-{known[-1]}) in its place"
        )
    return known[known.index(stamped) + 1 :]


def not_ours(shown: str) -> StoreError:
    """The error for a database with tables of somebody else."""
    return StoreError(
        f"Database {shown}: it holds something else\n"
        "  why: it has tables that agentrt did not make\n"
        "  fix: name another database, or an empty one"
    )


def create_tables(conn: Connection) -> None:
    """All tables of this release in an empty database, stamped. The caller's transaction."""
    metadata().create_all(conn, checkfirst=False)
    _VERSION.create(conn)
    conn.execute(_VERSION.insert().values(version_num=known_revisions()[-1]))


def upgrade_tables(conn: Connection) -> None:
    """Apply what is missing, in the caller's transaction."""
    from alembic import command

    command.upgrade(alembic_config(conn), "head")
