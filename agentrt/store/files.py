"""Files: what is known of each; the bytes are in a blob store, by content hash (agentrt/files)."""

from __future__ import annotations

from sqlalchemy import BigInteger, Index, bindparam, delete, select, text
from sqlmodel import Field

from agentrt.store.database import ID_COLUMN, Record, Tx
from agentrt.store.pages import Page, PageQuery, Where, fetch_page, listing
from agentrt.store.records import fetch_all, fetch_owned, insert_records, table_of
from agentrt.store.statements import Statement


class File(Record):
    """sha256 names the blob, which other files may share."""

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    project: str = Field(sa_type=ID_COLUMN)
    created_at: int = Field(sa_type=BigInteger)
    filename: str
    size_bytes: int = Field(sa_type=BigInteger)
    purpose: str
    sha256: str = Field(sa_type=ID_COLUMN)
    expires_at: int | None = Field(default=None, sa_type=BigInteger)


_EXPIRES = text("expires_at IS NOT NULL")


class FileTable(File, table=True):
    __tablename__ = "file"
    __table_args__ = (
        Index("ix_file_project_created", "project", "created_at", "id"),
        Index("ix_file_project_purpose", "project", "purpose", "created_at", "id"),
        Index("ix_file_sha256", "sha256"),
        Index("ix_file_expires", "expires_at", sqlite_where=_EXPIRES, postgresql_where=_EXPIRES),
    )


_table = table_of(FileTable)
_insert = Statement(_table.insert())
_of_project: Where = (_table.c.project == bindparam("project"),)
_of_purpose: Where = (*_of_project, _table.c.purpose == bindparam("purpose"))
_by_id = Statement(select(_table).where(_table.c.id == bindparam("id")))
_delete = Statement(delete(_table).where(_table.c.id == bindparam("id")))
_same_bytes = Statement(select(_table.c.id).where(_table.c.sha256 == bindparam("sha256")).limit(1))
_expired = Statement(
    select(_table).where(_table.c.expires_at <= bindparam("now")).order_by(_table.c.expires_at).limit(100)
)
_files = listing(File, _table, kind="file", prefix="file-")


def insert_file(tx: Tx, file: File) -> None:
    insert_records(tx, _insert, [file])


def find_file(tx: Tx, project: str, file_id: str) -> File:
    """Raises NotFoundError."""
    return fetch_owned(tx, _by_id, File, file_id, kind="file", project=project)


def list_files(tx: Tx, project: str, query: PageQuery, *, purpose: str | None = None) -> Page[File]:
    """Files of the project; with purpose, those that were uploaded or made for it."""
    where = _of_project if purpose is None else _of_purpose
    return fetch_page(tx, _files, (where,), {"project": project, "purpose": purpose}, query)


def delete_file(tx: Tx, file: File) -> bool:
    """Delete the row. True: no other file has the same bytes, so the blob can go."""
    _delete.run(tx, {"id": file.id})
    return _same_bytes.first(tx, {"sha256": file.sha256}) is None


def list_expired_files(tx: Tx, now: float) -> list[File]:
    """Files whose time is over, at most 100."""
    return fetch_all(tx, _expired, File, {"now": int(now)})
