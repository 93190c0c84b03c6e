"""Vector stores: the row of each, its pages, its expiry. The files in it are in vector_store_files.py."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sqlalchemy import BigInteger, Index, bindparam, delete, or_, select, text, update
from sqlmodel import Field

from agentrt.errors import NotFoundError
from agentrt.store.database import ID_COLUMN, JSON_COLUMN, Record, Tx
from agentrt.store.pages import Page, PageQuery, Where, fetch_page, listing
from agentrt.store.records import fetch_all, fetch_one, fetch_owned, insert_records, table_of, update_row
from agentrt.store.statements import Statement

DECLARED = "toml"
"""The origin of a store that agents.toml declares; the others' is None."""

_DAY_S = 86_400
_TOUCH_AFTER_S = 60


class VectorStore(Record):
    """expires_after_days counts from last_active_at, a run's or a search's last use of it; None = never.

    expires_at: when that is over; None with expires_after_days: not known, written by a release before this one.
    expired_at: when it was; the store is there and is not used any more.
    declared_hash: of what agents.toml said when it last changed this row.
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
    origin: str | None = None
    declared_hash: str | None = None

    def is_expired(self, now: float) -> bool:
        """Whether its time is over; the sweeper may not have written that down yet."""
        return self.expired_at is not None or (self.expires_at is not None and self.expires_at <= now)


_EXPIRES = text("expires_after_days IS NOT NULL AND expired_at IS NULL")


class VectorStoreTable(VectorStore, table=True):
    __tablename__ = "vector_store"
    __table_args__ = (
        Index("ix_vector_store_project_created", "project", "created_at", "id"),
        Index("ix_vector_store_expires", "expires_at", sqlite_where=_EXPIRES, postgresql_where=_EXPIRES),
    )


_stores = table_of(VectorStoreTable)
_insert = Statement(_stores.insert())
_delete = Statement(delete(_stores).where(_stores.c.id == bindparam("id")))
_by_id = Statement(select(_stores).where(_stores.c.id == bindparam("id")))
_held = Statement(select(_stores).where(_stores.c.id == bindparam("id")).with_for_update(read=True, key_share=True))
_expiry = _stores.c.last_active_at + _stores.c.expires_after_days * _DAY_S
_touch = Statement(
    update(_stores)
    .where(
        _stores.c.id == bindparam("store_id"),
        _stores.c.expired_at.is_(None),
        or_(_stores.c.expires_at.is_(None), _stores.c.expires_at > bindparam("now", type_=BigInteger)),
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
_declared = Statement(select(_stores).where(_stores.c.origin == DECLARED).order_by(_stores.c.id))
_of_project: Where = (_stores.c.project == bindparam("project"),)
_pages = listing(VectorStore, _stores, kind="vector_store", prefix="vs_")


def insert_vector_store(tx: Tx, store: VectorStore) -> None:
    """A new store. Its expiry begins to count."""
    store.expires_at = expiry_of(store.last_active_at, store.expires_after_days)
    insert_records(tx, _insert, [store])


def expiry_of(last_active_at: int, expires_after_days: int | None) -> int | None:
    """When a store expires that was used then; None = never."""
    return None if expires_after_days is None else last_active_at + expires_after_days * _DAY_S


def find_vector_store(tx: Tx, project: str, store_id: str) -> VectorStore:
    """Raises NotFoundError."""
    return fetch_owned(tx, _by_id, VectorStore, store_id, kind="vector_store", project=project)


def find_store_of_run(tx: Tx, project: str, store_id: str) -> VectorStore:
    """As find_vector_store, and whichever project's that agents.toml declares: its agents are there in every project,
    and search what they name there. Only they can have named it: everybody else is refused when he does."""
    store = load_vector_store(tx, store_id)
    if store is None or (store.project != project and store.origin != DECLARED):
        raise NotFoundError("vector_store", store_id)
    return store


def hold_vector_store(tx: Tx, project: str, store_id: str) -> VectorStore:
    """As find_vector_store, and the store stays until the transaction ends, which is about to put files into it."""
    return fetch_owned(tx, _held, VectorStore, store_id, kind="vector_store", project=project)


def load_vector_store(tx: Tx, store_id: str) -> VectorStore | None:
    """A store by id alone; None when there is none."""
    return fetch_one(tx, _by_id, VectorStore, {"id": store_id})


def list_vector_stores(tx: Tx, project: str, query: PageQuery) -> Page[VectorStore]:
    """Stores of the project, the expired ones too."""
    return fetch_page(tx, _pages, (_of_project,), {"project": project}, query)


def list_declared_stores(tx: Tx) -> list[VectorStore]:
    """The stores that agents.toml declared at the last start."""
    return fetch_all(tx, _declared, VectorStore, {})


def update_vector_store(tx: Tx, store_id: str, changes: dict[str, Any]) -> None:
    """Set the given columns."""
    update_row(tx, _stores, store_id, changes)


def delete_vector_store(tx: Tx, store_id: str) -> None:
    """Delete a store: its files stay, their places in it and its index go."""
    _delete.run(tx, {"id": store_id})


def is_touch_due(store: VectorStore, *, now: float) -> bool:
    """Whether touching the store would change anything."""
    return store.last_active_at < int(now) - _TOUCH_AFTER_S


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
