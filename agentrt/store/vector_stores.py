"""Vector stores as the contract's helpers and attachments make them: the store and which files are in it.

Parsing, indexing and search are not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from sqlalchemy import BigInteger, Index, bindparam, select
from sqlmodel import Field

from agentrt.engine.message import JsonObject
from agentrt.store.database import ID_COLUMN, JSON_COLUMN, Record, Tx
from agentrt.store.records import fetch_owned, insert_records, table_of
from agentrt.store.statements import Statement


class VectorStore(Record):
    """expires_after_days counts from last_active_at; None = never."""

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    project: str = Field(sa_type=ID_COLUMN)
    created_at: int = Field(sa_type=BigInteger)
    last_active_at: int = Field(sa_type=BigInteger)
    name: str = ""
    meta: dict[str, str] = Field(default_factory=dict, sa_type=JSON_COLUMN)
    expires_after_days: int | None = None


class VectorStoreTable(VectorStore, table=True):
    __tablename__ = "vector_store"
    __table_args__ = (Index("ix_vector_store_project_created", "project", "created_at", "id"),)


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


def insert_vector_store(tx: Tx, store: VectorStore, files: Sequence[VectorStoreFile]) -> None:
    """A new store with its first files."""
    insert_records(tx, _insert_store, [store])
    insert_records(tx, _insert_files, files)


def find_vector_store(tx: Tx, project: str, store_id: str) -> VectorStore:
    """Raises NotFoundError."""
    return fetch_owned(tx, _by_id, VectorStore, store_id, kind="vector_store", project=project)


def attach_files(tx: Tx, files: Sequence[VectorStoreFile]) -> None:
    """Put files into a store; those that are in it already stay as they are."""
    insert_records(tx, _put_files(tx.conn.dialect.name), files)


@cache
def _put_files(dialect: str) -> Statement:
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return Statement(sqlite_insert(_files).on_conflict_do_nothing())
    from sqlalchemy.dialects.postgresql import insert as postgres_insert

    return Statement(postgres_insert(_files).on_conflict_do_nothing())
