"""Files in vector stores: which are in which, with their attributes, and what became of indexing each.

What search finds of them is in search_index.py: exactly those whose status is `completed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Final, Literal, TypeAlias

import msgspec
from sqlalchemy import BigInteger, Index, bindparam, cast, delete, func, select, text, update
from sqlmodel import Field

from agentrt.engine.message import JsonObject
from agentrt.errors import NotFoundError
from agentrt.store.database import ID_COLUMN, JSON_COLUMN, Record, Tx
from agentrt.store.pages import Page, PageQuery, Where, fetch_page, listing
from agentrt.store.records import fetch_all, fetch_one, insert_records, table_of
from agentrt.store.statements import Statement

StoreFileStatus: TypeAlias = Literal["in_progress", "completed", "failed", "cancelled"]

_LOOKED_UP_AT_ONCE: Final = 500
_PLACES_KEPT_S: Final = 86_400
_IS_QUEUED = text("job_id IS NOT NULL")
_IS_FORGOTTEN = text("status = 'in_progress' AND job_id IS NULL")


class VectorStoreFile(Record):
    """A file in a store. chunking: the request's chunking_strategy, None = the default one.

    last_error_code, last_error_message: why its status is `failed`. usage_bytes: None until it is indexed.
    job_id: the job that indexes it, None when that is done. n_tries, retry_at: how often the server's own failure kept
    it from being indexed, and when it is tried again.
    """

    store_id: str = Field(primary_key=True, foreign_key="vector_store.id", ondelete="CASCADE", sa_type=ID_COLUMN)
    file_id: str = Field(primary_key=True, foreign_key="file.id", ondelete="CASCADE", sa_type=ID_COLUMN)
    project: str = Field(sa_type=ID_COLUMN)
    created_at: int = Field(sa_type=BigInteger)
    status: str = "in_progress"
    chunking: JsonObject | None = Field(default=None, sa_type=JSON_COLUMN)
    attributes: JsonObject | None = Field(default=None, sa_type=JSON_COLUMN)
    last_error_code: str | None = None
    last_error_message: str | None = None
    usage_bytes: int | None = Field(default=None, sa_type=BigInteger)
    job_id: str | None = Field(default=None, sa_type=ID_COLUMN)
    n_tries: int | None = None
    retry_at: float | None = None


class VectorStoreFileTable(VectorStoreFile, table=True):
    __tablename__ = "vector_store_file"
    __table_args__ = (
        Index("ix_vector_store_file_file", "file_id"),
        Index("ix_vector_store_file_created", "store_id", "created_at", "file_id"),
        # With the last column, counting needs the index alone.
        Index("ix_vector_store_file_status", "store_id", "status", "created_at", "file_id", "usage_bytes"),
        Index("ix_vector_store_file_job", "job_id", sqlite_where=_IS_QUEUED, postgresql_where=_IS_QUEUED),
        Index(
            "ix_vector_store_file_forgotten", "created_at", sqlite_where=_IS_FORGOTTEN, postgresql_where=_IS_FORGOTTEN
        ),
        {"sqlite_with_rowid": False},
    )


class DetachedFile(Record):
    """Where a file stood in a store that it is in no more: who pages through a store and takes out what there is must
    find the next page. detached_at: it is forgotten after a day."""

    store_id: str = Field(primary_key=True, foreign_key="vector_store.id", ondelete="CASCADE", sa_type=ID_COLUMN)
    file_id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    created_at: int = Field(sa_type=BigInteger)
    detached_at: int = Field(sa_type=BigInteger)


class DetachedFileTable(DetachedFile, table=True):
    __tablename__ = "detached_file"
    __table_args__ = (Index("ix_detached_file_detached", "detached_at"), {"sqlite_with_rowid": False})


class FileCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many files of a store or a batch have which status. usage_bytes: what they take up in the index."""

    in_progress: int = 0
    completed: int = 0
    failed: int = 0
    cancelled: int = 0
    usage_bytes: int = 0

    @property
    def total(self) -> int:
        return self.in_progress + self.completed + self.failed + self.cancelled


_files = table_of(VectorStoreFileTable)
_is_it = (_files.c.store_id == bindparam("its_store"), _files.c.file_id == bindparam("its_file"))
_by_key = Statement(select(_files).where(*_is_it))
_delete = Statement(delete(_files).where(*_is_it))
_of_job = Statement(select(_files).where(_files.c.job_id == bindparam("job_id"), _IS_QUEUED))
_is_due = (*_is_it, _files.c.job_id == bindparam("its_job"), _files.c.status == "in_progress")
_forgotten = Statement(select(_files).where(_IS_FORGOTTEN).order_by(_files.c.created_at).limit(bindparam("n")))
_counts = Statement(
    select(_files.c.status, func.count(), func.sum(_files.c.usage_bytes))
    .where(_files.c.store_id == bindparam("store_id"))
    .group_by(_files.c.status)
)
_holds_file = Statement(select(_files.c.store_id).where(_files.c.file_id == bindparam("file_id")).limit(1))
_of_store: Where = (_files.c.store_id == bindparam("store_id"),)
_of_status: Where = (*_of_store, _files.c.status == bindparam("status"))
_detached = table_of(DetachedFileTable)
_stood_at = Statement(
    select(_detached.c.created_at, _detached.c.file_id).where(
        _detached.c.store_id == bindparam("store_id"), _detached.c.file_id == bindparam("cursor")
    )
)
_old_place = Statement(select(_detached.c.file_id).where(_detached.c.detached_at < bindparam("before")).limit(1))
_forget_places = Statement(delete(_detached).where(_detached.c.detached_at < bindparam("before")))


def _find_gone(tx: Tx, values: Mapping[str, Any], cursor: str) -> tuple[Any, ...] | None:
    # The time in a file's id is that of its upload, and says nothing of its place here.
    row = _stood_at.first(tx, {**values, "cursor": cursor})
    return None if row is None else tuple(row)


_pages = listing(
    VectorStoreFile,
    _files,
    kind="vector store file",
    prefix="file-",
    find_gone=_find_gone,
    key=(_files.c.created_at, _files.c.file_id),
    has_time_key=False,
    cursor=_files.c.file_id,
)


def attach_files(tx: Tx, files: Sequence[VectorStoreFile]) -> None:
    """Put files into a store; those that are in it already stay as they are."""
    insert_records(tx, _put(tx.conn.dialect.name), files)


def find_store_file(tx: Tx, store_id: str, file_id: str) -> VectorStoreFile:
    """Raises NotFoundError."""
    found = load_store_file(tx, store_id, file_id)
    if found is None:
        raise NotFoundError("vector store file", file_id)
    return found


def load_store_file(tx: Tx, store_id: str, file_id: str) -> VectorStoreFile | None:
    """None when the file is not in the store."""
    return fetch_one(tx, _by_key, VectorStoreFile, {"its_store": store_id, "its_file": file_id})


def list_store_files(
    tx: Tx, store_id: str, query: PageQuery, *, status: StoreFileStatus | None = None
) -> Page[VectorStoreFile]:
    """Files of a store by when they were put in; with status, those that have it now.

    A cursor counts also when its file has another status by now. Raises NotFoundError.
    """
    where = _of_store if status is None else _of_status
    values = {"store_id": store_id, "status": status}
    return fetch_page(tx, _pages, (where,), values, query, cursors=(_of_store,))


def count_files(tx: Tx, store_id: str) -> FileCounts:
    """How a store stands."""
    rows = _counts.rows(tx, {"store_id": store_id})
    counts = {str(status): int(n) for status, n, _ in rows}
    return FileCounts(**counts, usage_bytes=sum(int(size or 0) for _, _, size in rows))


def update_store_file(tx: Tx, store_id: str, file_id: str, changes: Mapping[str, Any]) -> None:
    """Set the given columns."""
    if changes:
        values = {f"new_{name}": value for name, value in changes.items()}
        _update(tuple(sorted(changes))).run(tx, {**values, "its_store": store_id, "its_file": file_id})


def end_store_file(tx: Tx, store_id: str, file_id: str, *, job_id: str, changes: Mapping[str, Any]) -> bool:
    """Set the given columns, for the job that indexes the file. False: it is not for this job to index any more.

    The row is held for the rest of the transaction.
    """
    values = {f"new_{name}": value for name, value in changes.items()}
    keys = {"its_store": store_id, "its_file": file_id, "its_job": job_id}
    return _update(tuple(sorted(changes)), of_job=True).run(tx, {**values, **keys}) == 1


def detach_file(tx: Tx, store_id: str, file_id: str, *, now: float) -> None:
    """Take a file out of a store. Raises NotFoundError."""
    _leave_places(tx.conn.dialect.name, of_store=True).run(
        tx, {"its_store": store_id, "its_file": file_id, "at": int(now)}
    )
    if _delete.run(tx, {"its_store": store_id, "its_file": file_id}) != 1:
        raise NotFoundError("vector store file", file_id)


def leave_places(tx: Tx, file_id: str, *, now: float) -> None:
    """Note where a file stands in all stores: it will be deleted in this transaction."""
    _leave_places(tx.conn.dialect.name, of_store=False).run(tx, {"its_file": file_id, "at": int(now)})


def forget_places(tx: Tx, *, now: float) -> None:
    """Forget where files stood that were taken out of stores a day ago and more."""
    _forget_places.run(tx, {"before": int(now) - _PLACES_KEPT_S})


def has_old_places(tx: Tx, *, now: float) -> bool:
    """Whether there is something to forget."""
    return _old_place.first(tx, {"before": int(now) - _PLACES_KEPT_S}) is not None


def files_of_job(tx: Tx, job_id: str) -> list[VectorStoreFile]:
    """What a job has yet to index."""
    found = fetch_all(tx, _of_job, VectorStoreFile, {"job_id": job_id})
    return sorted((file for file in found if file.status == "in_progress"), key=lambda f: (f.created_at, f.file_id))


def list_forgotten_files(tx: Tx, *, limit: int) -> list[VectorStoreFile]:
    """Files that wait for being indexed though no job does it: those that an older release attached."""
    return fetch_all(tx, _forgotten, VectorStoreFile, {"n": limit})


def find_in_store(tx: Tx, store_id: str, file_ids: Sequence[str]) -> dict[str, VectorStoreFile]:
    """Those of the files that are in the store, by their ids."""
    found: dict[str, VectorStoreFile] = {}
    for at in range(0, len(file_ids), _LOOKED_UP_AT_ONCE):
        some = file_ids[at : at + _LOOKED_UP_AT_ONCE]
        rows = tx.conn.execute(select(_files).where(_files.c.store_id == store_id, _files.c.file_id.in_(some)))
        found.update((row["file_id"], VectorStoreFile.model_construct(**row)) for row in map(dict, rows.mappings()))
    return found


def is_in_vector_store(tx: Tx, file_id: str) -> bool:
    """Whether a store holds the file."""
    return _holds_file.first(tx, {"file_id": file_id}) is not None


@lru_cache(maxsize=64)
def _update(names: tuple[str, ...], *, of_job: bool = False) -> Statement:
    values = {name: bindparam(f"new_{name}", type_=_files.c[name].type) for name in names}
    return Statement(update(_files).where(*(_is_due if of_job else _is_it)).values(values))


@cache
def _leave_places(dialect: str, *, of_store: bool) -> Statement:
    at = cast(bindparam("at"), BigInteger)
    rows = select(_files.c.store_id, _files.c.file_id, _files.c.created_at, at).where(
        *(_is_it if of_store else _is_it[1:])
    )
    columns = ["store_id", "file_id", "created_at", "detached_at"]
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        put = sqlite_insert(_detached).from_select(columns, rows)
        changed = {name: put.excluded[name] for name in columns[2:]}
        return Statement(put.on_conflict_do_update(index_elements=columns[:2], set_=changed))
    from sqlalchemy.dialects.postgresql import insert as postgres_insert

    placed = postgres_insert(_detached).from_select(columns, rows)
    changed = {name: placed.excluded[name] for name in columns[2:]}
    return Statement(placed.on_conflict_do_update(index_elements=columns[:2], set_=changed))


@cache
def _put(dialect: str) -> Statement:
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return Statement(sqlite_insert(_files).on_conflict_do_nothing())
    from sqlalchemy.dialects.postgresql import insert as postgres_insert

    return Statement(postgres_insert(_files).on_conflict_do_nothing())
