"""Vector stores whose folders are watched: who looks through them when, and what is known of each of their files.

A look belongs to whoever takes it in one statement, for a while that each of its writes prolongs: that is what makes
one process of many do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import BigInteger, bindparam, delete, func, or_, select, update
from sqlmodel import Field

from agentrt.store.database import ID_COLUMN, JSON_COLUMN, Record, Tx
from agentrt.store.records import fetch_all, fetch_one, insert_records, table_of
from agentrt.store.statements import Statement

HELD_S = 60.0
"""How long a look is its process's without a sign of life."""


class FolderWatch(Record):
    """A store with folders. Times are Unix seconds.

    due_at: when it is looked through next. holder, held_until: who is at it. checked_at: when that was done last.
    problems: what its owner should know of the folders, in words; those of single files are in WatchedFile.
    """

    store_id: str = Field(primary_key=True, foreign_key="vector_store.id", ondelete="CASCADE", sa_type=ID_COLUMN)
    due_at: float = 0.0
    holder: str | None = None
    held_until: float | None = None
    checked_at: int | None = Field(default=None, sa_type=BigInteger)
    problems: list[str] = Field(default_factory=list, sa_type=JSON_COLUMN)


class FolderWatchTable(FolderWatch, table=True):
    __tablename__ = "folder_watch"


class WatchedFile(Record):
    """A file of a folder. path: the folder as it is written, and the file's place below.

    size_bytes, mtime_ns, sha256: of what was read last. file_id: the version that the store serves; None: none yet.
    next_file_id: the version that is being indexed, until it takes the place of that. error: why what was read last is
    not found.
    """

    store_id: str = Field(primary_key=True, foreign_key="vector_store.id", ondelete="CASCADE", sa_type=ID_COLUMN)
    path: str = Field(primary_key=True, sa_type=ID_COLUMN)
    size_bytes: int = Field(sa_type=BigInteger)
    mtime_ns: int = Field(sa_type=BigInteger)
    sha256: str = ""
    file_id: str | None = Field(default=None, sa_type=ID_COLUMN)
    next_file_id: str | None = Field(default=None, sa_type=ID_COLUMN)
    error: str | None = None


class WatchedFileTable(WatchedFile, table=True):
    __tablename__ = "watched_file"
    __table_args__ = ({"sqlite_with_rowid": False},)


class WatchCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many files of folders a store has, how many are being indexed, and how many of them are not found as they
    are."""

    files: int = 0
    pending: int = 0
    failed: int = 0


_watches = table_of(FolderWatchTable)
_files = table_of(WatchedFileTable)
_insert_watch = Statement(_watches.insert())
_watch = Statement(select(_watches).where(_watches.c.store_id == bindparam("store_id")))
_all_watches = Statement(select(_watches).order_by(_watches.c.store_id))
_delete_watch = Statement(delete(_watches).where(_watches.c.store_id == bindparam("store_id")))
_is_free = or_(_watches.c.held_until.is_(None), _watches.c.held_until <= bindparam("now"))
_take = Statement(
    update(_watches)
    .where(_watches.c.store_id == bindparam("its_store"), _watches.c.due_at <= bindparam("now"), _is_free)
    .values(holder=bindparam("who"), held_until=bindparam("until"))
)
_is_mine = (_watches.c.store_id == bindparam("its_store"), _watches.c.holder == bindparam("who"))
_prolong = Statement(update(_watches).where(*_is_mine).values(held_until=bindparam("until")))
_finish = Statement(
    update(_watches)
    .where(*_is_mine)
    .values(
        holder=None,
        held_until=None,
        due_at=bindparam("next_due"),
        checked_at=bindparam("checked"),
        problems=bindparam("said", type_=JSON_COLUMN),
    )
)
_let_go = Statement(
    update(_watches)
    .where(_watches.c.store_id == bindparam("its_store"))
    .values(holder=None, held_until=None, due_at=0.0)
)
_of_store = Statement(select(_files).where(_files.c.store_id == bindparam("store_id")).order_by(_files.c.path))
_failures = Statement(
    select(_files)
    .where(_files.c.store_id == bindparam("store_id"), _files.c.error.is_not(None))
    .order_by(_files.c.path)
    .limit(bindparam("n"))
)
_numbers: list[Any] = [func.count(), func.count(_files.c.next_file_id), func.count(_files.c.error)]
_counts = Statement(select(*_numbers).where(_files.c.store_id == bindparam("store_id")))
_delete_file = Statement(
    delete(_files).where(_files.c.store_id == bindparam("store_id"), _files.c.path == bindparam("path"))
)
_insert_file = Statement(_files.insert())


def insert_watch(tx: Tx, store_id: str) -> None:
    """Let a store be looked through from now on."""
    if find_watch(tx, store_id) is None:
        insert_records(tx, _insert_watch, [FolderWatch(store_id=store_id)])


def delete_watch(tx: Tx, store_id: str) -> None:
    """Let it not be any more; what is known of its files stays."""
    _delete_watch.run(tx, {"store_id": store_id})


def find_watch(tx: Tx, store_id: str) -> FolderWatch | None:
    """None: the store has no folders."""
    return fetch_one(tx, _watch, FolderWatch, {"store_id": store_id})


def list_watches(tx: Tx) -> list[FolderWatch]:
    """Of all stores."""
    return fetch_all(tx, _all_watches, FolderWatch, {})


def take_watch(tx: Tx, store_id: str, *, holder: str, now: float) -> bool:
    """Take the look that is due. False: it is not due, or somebody is at it."""
    values = {"its_store": store_id, "who": holder, "now": now, "until": now + HELD_S}
    return _take.run(tx, values) == 1


def prolong_watch(tx: Tx, store_id: str, *, holder: str, now: float) -> bool:
    """A sign of life of who has it. False: somebody else has taken it since."""
    return _prolong.run(tx, {"its_store": store_id, "who": holder, "until": now + HELD_S}) == 1


def finish_watch(tx: Tx, store_id: str, *, holder: str, now: float, due_at: float, problems: Sequence[str]) -> None:
    """The look is over; the next one is due then."""
    values = {"its_store": store_id, "who": holder, "next_due": due_at, "checked": int(now), "said": list(problems)}
    _finish.run(tx, values)


def free_watch(tx: Tx, store_id: str) -> None:
    """Let a look be due at once, whoever was at it: its process is gone, or what it looks for has changed."""
    _let_go.run(tx, {"its_store": store_id})


def list_watched_files(tx: Tx, store_id: str) -> list[WatchedFile]:
    """All that is known of a store's folders, by path."""
    return fetch_all(tx, _of_store, WatchedFile, {"store_id": store_id})


def list_watch_failures(tx: Tx, store_id: str, *, limit: int) -> list[WatchedFile]:
    """The files that are not found as they are, by path."""
    return fetch_all(tx, _failures, WatchedFile, {"store_id": store_id, "n": limit})


def count_watched(tx: Tx, store_id: str) -> WatchCounts:
    row = _counts.first(tx, {"store_id": store_id})
    assert row is not None
    return WatchCounts(files=int(row[0]), pending=int(row[1]), failed=int(row[2]))


def put_watched_file(tx: Tx, file: WatchedFile) -> None:
    """What is known of a file, in place of what was."""
    forget_watched_file(tx, file.store_id, file.path)
    insert_records(tx, _insert_file, [file])


def forget_watched_file(tx: Tx, store_id: str, path: str) -> None:
    _delete_file.run(tx, {"store_id": store_id, "path": path})
