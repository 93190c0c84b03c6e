"""Uploads: files that come in parts, and the parts that have come. The bytes are in a blob store (agentrt/files)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Index, bindparam, delete, select, text
from sqlmodel import Field

from agentrt.store.database import ID_COLUMN, JSON_COLUMN, Record, Tx
from agentrt.store.records import fetch_all, fetch_owned, insert_records, table_of, update_row
from agentrt.store.statements import Statement

PENDING = "pending"
_IS_PENDING = text(f"status = '{PENDING}'")


class Upload(Record):
    """size_bytes: how large the file will be. media_type: what the caller says it is.

    file_expires_after_s: of the file, once it is there. file_id, part_ids: of a completed one, parts in their order.
    """

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    project: str = Field(sa_type=ID_COLUMN)
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int = Field(sa_type=BigInteger)
    filename: str
    purpose: str
    size_bytes: int = Field(sa_type=BigInteger)
    media_type: str
    file_expires_after_s: int | None = None
    status: str = PENDING
    file_id: str | None = Field(default=None, sa_type=ID_COLUMN)
    part_ids: list[str] = Field(default_factory=list, sa_type=JSON_COLUMN)


class UploadTable(Upload, table=True):
    __tablename__ = "upload"
    __table_args__ = (
        Index("ix_upload_expires", "expires_at"),
        Index("ix_upload_pending", "expires_at", sqlite_where=_IS_PENDING, postgresql_where=_IS_PENDING),
    )


class UploadPart(Record):
    """blob: the name of its bytes, which others may share."""

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    upload_id: str = Field(foreign_key="upload.id", ondelete="CASCADE", sa_type=ID_COLUMN)
    created_at: int = Field(sa_type=BigInteger)
    size_bytes: int = Field(sa_type=BigInteger)
    blob: str = Field(sa_type=ID_COLUMN)


class UploadPartTable(UploadPart, table=True):
    __tablename__ = "upload_part"
    __table_args__ = (
        Index("ix_upload_part_upload", "upload_id"),
        Index("ix_upload_part_blob", "blob"),
    )


_uploads = table_of(UploadTable)
_parts = table_of(UploadPartTable)
_insert = Statement(_uploads.insert())
_insert_part = Statement(_parts.insert())
_by_id = Statement(select(_uploads).where(_uploads.c.id == bindparam("id")))
_locked = Statement(select(_uploads).where(_uploads.c.id == bindparam("id")).with_for_update())
_parts_of = Statement(select(_parts).where(_parts.c.upload_id == bindparam("upload_id")))
_delete_parts = Statement(delete(_parts).where(_parts.c.upload_id == bindparam("upload_id")))
_overdue = Statement(
    select(_uploads.c.project, _uploads.c.id)
    .where(_IS_PENDING, _uploads.c.expires_at <= bindparam("now"))
    .order_by(_uploads.c.expires_at)
    .limit(bindparam("n"))
)
_forget = Statement(delete(_uploads).where(_uploads.c.expires_at <= bindparam("before"), _uploads.c.status != PENDING))


def insert_upload(tx: Tx, upload: Upload) -> None:
    insert_records(tx, _insert, [upload])


def find_upload(tx: Tx, project: str, upload_id: str) -> Upload:
    """Raises NotFoundError."""
    return fetch_owned(tx, _by_id, Upload, upload_id, kind="upload", project=project)


def lock_upload(tx: Tx, project: str, upload_id: str) -> Upload:
    """As find_upload; nobody else adds to it or ends it before the transaction does. Raises NotFoundError."""
    return fetch_owned(tx, _locked, Upload, upload_id, kind="upload", project=project)


def update_upload(tx: Tx, upload_id: str, changes: dict[str, Any]) -> None:
    """Set the given columns."""
    update_row(tx, _uploads, upload_id, changes)


def insert_part(tx: Tx, part: UploadPart) -> None:
    insert_records(tx, _insert_part, [part])


def list_parts(tx: Tx, upload_id: str) -> list[UploadPart]:
    """All parts of an upload, in no order."""
    return fetch_all(tx, _parts_of, UploadPart, {"upload_id": upload_id})


def delete_parts(tx: Tx, upload_id: str) -> None:
    """Forget all parts of an upload. Their blobs are to be released."""
    _delete_parts.run(tx, {"upload_id": upload_id})


def list_overdue_uploads(tx: Tx, *, now: float, limit: int) -> list[tuple[str, str]]:
    """Project and id of the pending uploads whose time is over."""
    return [(row[0], row[1]) for row in _overdue.rows(tx, {"now": int(now), "n": limit})]


def forget_uploads(tx: Tx, *, before: float) -> int:
    """Delete the ended uploads whose time was over before a time; how many there were."""
    return _forget.run(tx, {"before": int(before)})
