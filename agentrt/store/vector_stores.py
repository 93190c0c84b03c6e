"""Vector stores as the contract's helpers and attachments make them: the store, which files are in it, its end.

Parsing, indexing and search are not here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache

from sqlalchemy import BigInteger, Index, bindparam, select, text, update
from sqlmodel import Field

from agentrt.engine.message import JsonObject
from agentrt.store.database import ID_COLUMN, JSON_COLUMN, Record, Tx
from agentrt.store.records import fetch_owned, insert_records, table_of
from agentrt.store.statements import Statement

_DAY_S = 86_400
_TOUCH_AFTER_S = 60


class VectorStore(Record):
    """expires_after_days counts from last_active_at, a run's or a search's last use of it; None = never.

    expires_at: when that is over; None with expires_after_days: not known, written by a release before this one.
    expired_at: when it was; the store is there and is not used any more.
    """

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    project: str = Field(sa_type=ID_COLUMN)
    created_at: int = Field(sa_type=BigInteger)
    last_active_at: int = Field(sa_type=BigInteger)
    name: str = ""
    meta: dict[str, str] = Field(default_factory=dict, sa_type=JSON_COLUMN)
    expires_after_days: int | None = None
    expires_at: int | None = Field(default=None, sa_type=BigInteger)
    expired_at: int | None = Field(default=None, sa_type=BigInteger)


_EXPIRES = text("expires_after_days IS NOT NULL AND expired_at IS NULL")


class VectorStoreTable(VectorStore, table=True):
    __tablename__ = "vector_store"
    __table_args__ = (
        Index("ix_vector_store_project_created", "project", "created_at", "id"),
        Index("ix_vector_store_expires", "expires_at", sqlite_where=_EXPIRES, postgresql_where=_EXPIRES),
    )


class VectorStoreFile(Record):
    """A file in a store. chunking: the request's chunking_strategy, None = the default one."""

    store_id: str = Field(primary_key=True, foreign_key="vector_store.id", ondelete="CASCADE", sa_type=ID_COLUMN)
    file_id: str = Field(primary_key=True, foreign_key="file.id", ondelete="CASCADE", sa_type=ID_COLUMN)
    project: str = Field(sa_type=ID_COLUMN)
    created_at: int = Field(sa_type=BigInteger)
    status: str = "in_progress"
    chunking: JsonObject | None = Field(default=None, sa_type=JSON_COLUMN)


class VectorStoreFileTable(VectorStoreFile, table=True):
    __tablename__ = "vector_store_file"
    __table_args__ = (Index("ix_vector_store_file_file", "file_id"), {"sqlite_with_rowid": False})


_stores = table_of(VectorStoreTable)
_files = table_of(VectorStoreFileTable)
_insert_store = Statement(_stores.insert())
_insert_files = Statement(_files.insert())
_by_id = Statement(select(_stores).where(_stores.c.id == bindparam("id")))
_expiry = _stores.c.last_active_at + _stores.c.expires_after_days * _DAY_S
_touch = Statement(
    update(_stores)
    .where(
        _stores.c.id == bindparam("store_id"),
        _stores.c.expired_at.is_(None),
        _stores.c.last_active_at < bindparam("now", type_=BigInteger) - _TOUCH_AFTER_S,
    )
    .values(
        last_active_at=bindparam("now", type_=BigInteger),
        expires_at=bindparam("now", type_=BigInteger) + _stores.c.expires_after_days * _DAY_S,
    )
)
_due = Statement(
    select(_stores.c.id)
    .where(_EXPIRES, _stores.c.expires_at <= bindparam("now"))
    .order_by(_stores.c.expires_at)
    .limit(bindparam("n"))
)
_expire = Statement(
    update(_stores)
    .where(_stores.c.id == bindparam("store_id"), _EXPIRES, _stores.c.expires_at <= bindparam("now"))
    .values(expired_at=bindparam("now"))
)
_undated = Statement(select(_stores.c.id).where(_EXPIRES, _stores.c.expires_at.is_(None)).limit(bindparam("n")))
_date = Statement(
    update(_stores)
    .where(_stores.c.id == bindparam("store_id"), _stores.c.expires_at.is_(None))
    .values(expires_at=_expiry)
)
_holds_file = Statement(select(_files.c.store_id).where(_files.c.file_id == bindparam("file_id")).limit(1))


def insert_vector_store(tx: Tx, store: VectorStore, files: Sequence[VectorStoreFile]) -> None:
    """A new store with its first files. Its expiry begins to count."""
    if store.expires_after_days is not None:
        store.expires_at = store.last_active_at + store.expires_after_days * _DAY_S
    insert_records(tx, _insert_store, [store])
    insert_records(tx, _insert_files, files)


def find_vector_store(tx: Tx, project: str, store_id: str) -> VectorStore:
    """Raises NotFoundError."""
    return fetch_owned(tx, _by_id, VectorStore, store_id, kind="vector_store", project=project)


def attach_files(tx: Tx, files: Sequence[VectorStoreFile]) -> None:
    """Put files into a store; those that are in it already stay as they are."""
    insert_records(tx, _put_files(tx.conn.dialect.name), files)


def touch_vector_stores(tx: Tx, store_ids: Iterable[str], *, now: float) -> None:
    """Count the stores as used now, to the minute; one that has expired stays so."""
    # In one order for all, so that no two transactions wait for each other.
    for store_id in sorted(store_ids):
        _touch.run(tx, {"store_id": store_id, "now": int(now)})


def list_due_stores(tx: Tx, *, now: float, limit: int) -> list[str]:
    """Ids of the stores whose time is over, and of those whose time an older release has not written down."""
    rows = [*_undated.rows(tx, {"n": limit}), *_due.rows(tx, {"now": int(now), "n": limit})]
    return [row[0] for row in rows]


def expire_vector_store(tx: Tx, store_id: str, *, now: float) -> bool:
    """Let the store be expired if its time is over."""
    _date.run(tx, {"store_id": store_id})
    return _expire.run(tx, {"store_id": store_id, "now": int(now)}) == 1


def is_in_vector_store(tx: Tx, file_id: str) -> bool:
    """Whether a store holds the file."""
    return _holds_file.first(tx, {"file_id": file_id}) is not None


@cache
def _put_files(dialect: str) -> Statement:
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return Statement(sqlite_insert(_files).on_conflict_do_nothing())
    from sqlalchemy.dialects.postgresql import insert as postgres_insert

    return Statement(postgres_insert(_files).on_conflict_do_nothing())
