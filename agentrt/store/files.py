"""Files: what is known of each; the bytes are in a blob store (agentrt/files)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import BigInteger, Index, bindparam, delete, select, text, update
from sqlmodel import Field

from agentrt.errors import NotFoundError
from agentrt.store.database import ID_COLUMN, Record, Tx
from agentrt.store.pages import Page, PageQuery, Where, fetch_page, listing
from agentrt.store.records import fetch_all, fetch_one, fetch_owned, insert_records, table_of
from agentrt.store.statements import Statement

_LOOKED_UP_AT_ONCE = 500


class File(Record):
    """sha256: the name of the blob, which other files may share; it begins with the bytes' hash, and is that alone in
    files that an older release stored. media_type: what the uploader said it is; None = nothing, or nothing definite.

    kept_at: when retention last found a reason to keep it, its creation to begin with; None = not known, written by a
    release before this one.
    """

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    project: str = Field(sa_type=ID_COLUMN)
    created_at: int = Field(sa_type=BigInteger)
    filename: str
    size_bytes: int = Field(sa_type=BigInteger)
    purpose: str
    sha256: str = Field(sa_type=ID_COLUMN)
    expires_at: int | None = Field(default=None, sa_type=BigInteger)
    kept_at: int | None = Field(default=None, sa_type=BigInteger)
    media_type: str | None = None

    @property
    def digest(self) -> str:
        """The bytes' own hash."""
        return self.sha256.partition("-")[0]


_EXPIRES = text("expires_at IS NOT NULL")
_STAYS = text("expires_at IS NULL")


class FileTable(File, table=True):
    __tablename__ = "file"
    __table_args__ = (
        Index("ix_file_project_created", "project", "created_at", "id"),
        Index("ix_file_project_purpose", "project", "purpose", "created_at", "id"),
        Index("ix_file_sha256", "sha256"),
        Index("ix_file_expires", "expires_at", sqlite_where=_EXPIRES, postgresql_where=_EXPIRES),
        Index("ix_file_kept", "kept_at", sqlite_where=_STAYS, postgresql_where=_STAYS),
    )


_table = table_of(FileTable)
_insert = Statement(_table.insert())
_of_project: Where = (_table.c.project == bindparam("project"),)
_of_purpose: Where = (*_of_project, _table.c.purpose == bindparam("purpose"))
_by_id = Statement(select(_table).where(_table.c.id == bindparam("id")))
_to_delete = Statement(select(_table).where(_table.c.id == bindparam("id")).with_for_update())
_delete = Statement(delete(_table).where(_table.c.id == bindparam("id")))
_expired = Statement(
    select(_table).where(_table.c.expires_at <= bindparam("now")).order_by(_table.c.expires_at).limit(100)
)
_old = Statement(
    select(_table)
    .where(_STAYS, _table.c.kept_at <= bindparam("before"))
    .order_by(_table.c.kept_at)
    .limit(bindparam("n"))
)
_keep = Statement(update(_table).where(_table.c.id == bindparam("file_id")).values(kept_at=bindparam("now")))
_undated = Statement(select(_table.c.id).where(_STAYS, _table.c.kept_at.is_(None)).limit(bindparam("n")))
_date = Statement(
    update(_table)
    .where(_table.c.id == bindparam("file_id"), _table.c.kept_at.is_(None))
    .values(kept_at=_table.c.created_at)
)
_files = listing(File, _table, kind="file", prefix="file-")


def insert_file(tx: Tx, file: File) -> None:
    insert_records(tx, _insert, [file])


def find_file(tx: Tx, project: str, file_id: str) -> File:
    """Raises NotFoundError."""
    return fetch_owned(tx, _by_id, File, file_id, kind="file", project=project)


def find_files(tx: Tx, project: str, file_ids: Iterable[str]) -> dict[str, File]:
    """The files with these ids, by id; those that the project does not have are left out."""
    found = {}
    for file_id in file_ids:
        file = fetch_one(tx, _by_id, File, {"id": file_id})
        if file is not None and file.project == project:
            found[file_id] = file
    return found


def load_file(tx: Tx, file_id: str) -> File | None:
    """A file by id alone, for whoever works on it: every project's."""
    return fetch_one(tx, _by_id, File, {"id": file_id})


def find_file_to_delete(tx: Tx, project: str, file_id: str) -> File:
    """As find_file. From now on nobody can name the file, and whoever has named it before has committed."""
    return fetch_owned(tx, _to_delete, File, file_id, kind="file", project=project)


def hold_files(tx: Tx, project: str, file_ids: Sequence[str]) -> None:
    """Let files stay until the transaction ends, which is about to name them.

    Whoever names a file, in whatever table, has to call this first: it waits for one who is deleting the file at this
    moment, and one who wants to delete it afterwards waits for us. Raises NotFoundError for the first file that the
    project does not have.
    """
    held = hold_those_there(tx, project, file_ids)
    for file_id in file_ids:
        if file_id not in held:
            raise NotFoundError("file", file_id)


def hold_those_there(tx: Tx, project: str, file_ids: Sequence[str]) -> set[str]:
    """As hold_files, for those of them that the project has."""
    ordered = sorted(set(file_ids))  # in one order for all, so that no two transactions wait for each other
    held: set[str] = set()
    for at in range(0, len(ordered), _LOOKED_UP_AT_ONCE):
        some = ordered[at : at + _LOOKED_UP_AT_ONCE]
        # What a foreign key takes too: it stands in nobody's way but a deletion's.
        query = (
            select(_table.c.id)
            .where(_table.c.project == project, _table.c.id.in_(some))
            .order_by(_table.c.id)
            .with_for_update(read=True, key_share=True)
        )
        held.update(tx.conn.execute(query).scalars())
    return held


def list_files(tx: Tx, project: str, query: PageQuery, *, purpose: str | None = None) -> Page[File]:
    """Files of the project; with purpose, those that were uploaded or made for it."""
    where = _of_project if purpose is None else _of_purpose
    return fetch_page(tx, _files, (where,), {"project": project, "purpose": purpose}, query)


def delete_file(tx: Tx, file: File) -> None:
    """Delete the row. Its blob is to be released."""
    _delete.run(tx, {"id": file.id})


def list_expired_files(tx: Tx, now: float) -> list[File]:
    """Files whose time is over, at most 100."""
    return fetch_all(tx, _expired, File, {"now": int(now)})


def list_old_files(tx: Tx, *, before: float, limit: int) -> list[File]:
    """Files without an expiry of their own that nothing has kept since a time, the oldest first."""
    return fetch_all(tx, _old, File, {"before": int(before), "n": limit})


def keep_file(tx: Tx, file_id: str, *, now: float) -> None:
    """Note that there is a reason to keep the file now."""
    _keep.run(tx, {"file_id": file_id, "now": int(now)})


def list_undated_files(tx: Tx, *, limit: int) -> list[str]:
    """Ids of files without an expiry that an older release made."""
    return [row[0] for row in _undated.rows(tx, {"n": limit})]


def date_files(tx: Tx, file_ids: Sequence[str]) -> None:
    """Let these files count from their creation."""
    _date.run_many(tx, [{"file_id": file_id} for file_id in file_ids])
