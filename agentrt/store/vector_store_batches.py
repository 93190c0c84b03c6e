"""Batches of files that were put into a vector store together: their counts, their files, their cancellation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, ForeignKeyConstraint, Index, bindparam, func, null, select, update
from sqlmodel import Field

from agentrt.ids import time_of
from agentrt.store.database import ID_COLUMN, Record, Tx
from agentrt.store.pages import Page, PageQuery, Where, fetch_page, listing
from agentrt.store.records import fetch_owned, insert_records, table_of, update_row
from agentrt.store.statements import Statement
from agentrt.store.vector_store_files import FileCounts, StoreFileStatus, VectorStoreFile, VectorStoreFileTable


class VectorStoreBatch(Record):
    """cancelled_at: None unless it was cancelled. How far it has come, its files say."""

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    project: str = Field(sa_type=ID_COLUMN)
    store_id: str = Field(foreign_key="vector_store.id", ondelete="CASCADE", sa_type=ID_COLUMN)
    created_at: int = Field(sa_type=BigInteger)
    cancelled_at: int | None = Field(default=None, sa_type=BigInteger)


class VectorStoreBatchTable(VectorStoreBatch, table=True):
    __tablename__ = "vector_store_batch"
    __table_args__ = (Index("ix_vector_store_batch_store", "store_id"),)


class BatchFile(Record):
    """A file of a batch. One that is put into a store again is in several."""

    batch_id: str = Field(primary_key=True, foreign_key="vector_store_batch.id", ondelete="CASCADE", sa_type=ID_COLUMN)
    file_id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    store_id: str = Field(sa_type=ID_COLUMN)


class BatchFileTable(BatchFile, table=True):
    __tablename__ = "vector_store_batch_file"
    __table_args__ = (
        ForeignKeyConstraint(
            ["store_id", "file_id"],
            ["vector_store_file.store_id", "vector_store_file.file_id"],
            name="fk_vector_store_batch_file_store_file",
            ondelete="CASCADE",
        ),
        Index("ix_vector_store_batch_file_store_file", "store_id", "file_id"),
        {"sqlite_with_rowid": False},
    )


_batches = table_of(VectorStoreBatchTable)
_members = table_of(BatchFileTable)
_files = table_of(VectorStoreFileTable)
_insert = Statement(_batches.insert())
_insert_members = Statement(_members.insert())
_by_id = Statement(select(_batches).where(_batches.c.id == bindparam("id")))
_in_batch = _members.join(_files, (_files.c.store_id == _members.c.store_id) & (_files.c.file_id == _members.c.file_id))


def _how_many(status: StoreFileStatus) -> ColumnElement[Any]:
    return func.count().filter(_files.c.status == status).label(status)


_counts = Statement(
    select(_how_many("in_progress"), _how_many("completed"), _how_many("failed"), _how_many("cancelled"))
    .select_from(_in_batch)
    .where(_members.c.batch_id == bindparam("batch_id"))
)
_cancel_files = Statement(
    update(_files)
    .where(
        _files.c.store_id == bindparam("of_store"),
        _files.c.status == "in_progress",
        _files.c.file_id.in_(select(_members.c.file_id).where(_members.c.batch_id == bindparam("batch_id"))),
    )
    .values(status="cancelled", job_id=null(), retry_at=null())
)
_of_batch: Where = (_members.c.batch_id == bindparam("batch_id"),)
_of_status: Where = (*_of_batch, _files.c.status == bindparam("status"))
_pages = listing(
    VectorStoreFile,
    _files,
    kind="vector store file",
    prefix="file-",
    find_gone=lambda tx, values, cursor: None if time_of(cursor) is None else (cursor,),  # ids stand among ids
    source=_in_batch,
    key=(_members.c.file_id,),  # they were put in at once
    has_time_key=False,
    cursor=_members.c.file_id,
)


def insert_batch(tx: Tx, batch: VectorStoreBatch, file_ids: Sequence[str]) -> None:
    """A new batch of files that are in its store."""
    insert_records(tx, _insert, [batch])
    members = [BatchFile(batch_id=batch.id, file_id=file_id, store_id=batch.store_id) for file_id in file_ids]
    insert_records(tx, _insert_members, members)


def find_batch(tx: Tx, project: str, store_id: str, batch_id: str) -> VectorStoreBatch:
    """Raises NotFoundError."""
    kind = "vector store file batch"
    return fetch_owned(tx, _by_id, VectorStoreBatch, batch_id, kind=kind, project=project, store_id=store_id)


def count_batch(tx: Tx, batch_id: str) -> FileCounts:
    """How a batch stands."""
    row = _counts.first(tx, {"batch_id": batch_id})
    assert row is not None
    return FileCounts(in_progress=row[0], completed=row[1], failed=row[2], cancelled=row[3])


def list_batch_files(
    tx: Tx, batch_id: str, query: PageQuery, *, status: StoreFileStatus | None = None
) -> Page[VectorStoreFile]:
    """Files of a batch by when they were uploaded; with status, those that have it now. Raises NotFoundError."""
    where = _of_batch if status is None else _of_status
    return fetch_page(tx, _pages, (where,), {"batch_id": batch_id, "status": status}, query, cursors=(_of_batch,))


def cancel_batch(tx: Tx, batch: VectorStoreBatch, *, now: int) -> None:
    """Let those of its files be that are not indexed yet."""
    _cancel_files.run(tx, {"of_store": batch.store_id, "batch_id": batch.id})
    update_row(tx, _batches, batch.id, {"cancelled_at": now})
