"""Threads, and the counter that orders what stands in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from sqlalchemy import BigInteger, Index, bindparam, delete, exists, select, update
from sqlmodel import Field

from agentrt.engine.message import JsonObject
from agentrt.errors import NotFoundError
from agentrt.store.code_files import THREADS as CODE_FILES
from agentrt.store.database import ID_COLUMN, JSON_COLUMN, Record, Tx, dump_json
from agentrt.store.pages import Page, PageQuery, Where, fetch_page, listing
from agentrt.store.records import fetch_owned, insert_records, table_of, update_row
from agentrt.store.statements import Statement

_HOUR_S = 3600


class Thread(Record):
    """next_pos: the place that the next message, run or step takes. on_busy: None = the agent's policy.

    active_at: when a place was taken last, to the hour, so that most writes leave the index alone; None = not known,
    written by a release before this one.
    """

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    project: str = Field(sa_type=ID_COLUMN)
    created_at: int = Field(sa_type=BigInteger)
    meta: dict[str, str] = Field(default_factory=dict, sa_type=JSON_COLUMN)
    tool_resources: JsonObject = Field(default_factory=dict, sa_type=JSON_COLUMN)
    next_pos: int = Field(default=0, sa_type=BigInteger)
    on_busy: str | None = None
    active_at: int | None = Field(default=None, sa_type=BigInteger)


class ThreadTable(Thread, table=True):
    __tablename__ = "thread"
    __table_args__ = (
        Index("ix_thread_project_created", "project", "created_at", "id"),
        Index("ix_thread_active", "active_at"),
    )


class ThreadPair(Record):
    """One pair of a thread's metadata, so that threads are found by it without reading them all.

    digest: of project, key and value together; long values would not fit an index.
    """

    digest: str = Field(primary_key=True, sa_type=ID_COLUMN)
    created_at: int = Field(primary_key=True, sa_type=BigInteger)
    thread_id: str = Field(primary_key=True, foreign_key="thread.id", ondelete="CASCADE", sa_type=ID_COLUMN)


class ThreadPairTable(ThreadPair, table=True):
    __tablename__ = "thread_pair"
    __table_args__ = (Index("ix_thread_pair_thread", "thread_id"), {"sqlite_with_rowid": False})


_table = table_of(ThreadTable)
_pairs = table_of(ThreadPairTable)
_insert = Statement(_table.insert())
_insert_pairs = Statement(_pairs.insert())
_of_project: Where = (_table.c.project == bindparam("project"),)
_by_id = Statement(select(_table).where(_table.c.id == bindparam("id")))
_made = Statement(select(_table.c.project, _table.c.created_at).where(_table.c.id == bindparam("id")))
_advance = Statement(
    update(_table)
    .where(_table.c.id == bindparam("thread_id"))
    .values(next_pos=_table.c.next_pos + bindparam("n"), active_at=bindparam("new_active_at"))
    .returning(_table.c.next_pos)
)
_lock = Statement(select(_table.c.id).where(_table.c.id == bindparam("thread_id")).with_for_update())
_delete = Statement(delete(_table).where(_table.c.id == bindparam("id")))
_inactive = Statement(
    select(_table.c.id)
    .where(_table.c.active_at <= bindparam("before"))
    .order_by(_table.c.active_at)
    .limit(bindparam("n"))
)
_undated = Statement(select(_table.c.id).where(_table.c.active_at.is_(None)).limit(bindparam("n")))
_date = Statement(
    update(_table)
    .where(_table.c.id == bindparam("thread_id"), _table.c.active_at.is_(None))
    .values(active_at=bindparam("now"))
)
_delete_inactive = Statement(
    delete(_table).where(_table.c.id == bindparam("id"), _table.c.active_at <= bindparam("before"))
)
_touch = Statement(update(_table).where(_table.c.id == bindparam("thread_id")).values(active_at=bindparam("now")))
_delete_pairs = Statement(delete(_pairs).where(_pairs.c.thread_id == bindparam("id")))
_threads = listing(Thread, _table, kind="thread", prefix="thread_")
_threads_by_pair = listing(
    Thread,
    _table,
    kind="thread",
    prefix="thread_",
    source=_pairs.join(_table, _pairs.c.thread_id == _table.c.id),
    key=(_pairs.c.created_at, _pairs.c.thread_id),
)


def hour_of(now: float) -> int:
    """A time as `active_at` keeps it."""
    return int(now) // _HOUR_S * _HOUR_S


def insert_thread(tx: Tx, thread: Thread) -> None:
    insert_records(tx, _insert, [thread])
    CODE_FILES.note(tx, thread.id, thread.tool_resources, is_new=True)
    _write_pairs(tx, thread.id, thread.project, thread.created_at, thread.meta)


def find_thread(tx: Tx, project: str, thread_id: str) -> Thread:
    """Raises NotFoundError."""
    return fetch_owned(tx, _by_id, Thread, thread_id, kind="thread", project=project)


def list_threads(tx: Tx, project: str, query: PageQuery, *, metadata: dict[str, str] | None = None) -> Page[Thread]:
    """Threads of the project; with metadata, those that have all the given pairs."""
    values: dict[str, Any] = {"project": project}
    if not metadata:
        return fetch_page(tx, _threads, (_of_project,), values, query)
    for i, (key, value) in enumerate(metadata.items()):
        values[f"digest_{i}"] = _digest(project, key, value)
    return fetch_page(tx, _threads_by_pair, (_has_pairs(len(metadata)),), values, query)


def take_positions(tx: Tx, thread_id: str, n: int, *, now: float) -> int:
    """Reserve n places in the thread and return the first. Locks the thread's row until the transaction ends.

    Raises NotFoundError.
    """
    row = _advance.first(tx, {"thread_id": thread_id, "n": n, "new_active_at": hour_of(now)})
    if row is None:
        raise NotFoundError("thread", thread_id)
    return int(row[0]) - n


def lock_thread(tx: Tx, thread_id: str) -> None:
    """Wait for whoever is changing what the thread's active run is, and let nobody in until the transaction ends."""
    _lock.rows(tx, {"thread_id": thread_id})


def update_thread(tx: Tx, thread_id: str, changes: dict[str, Any]) -> None:
    """Set the given columns."""
    update_row(tx, _table, thread_id, changes)
    if "tool_resources" in changes:
        CODE_FILES.note(tx, thread_id, changes["tool_resources"])
    if "meta" in changes:
        _delete_pairs.run(tx, {"id": thread_id})
        made = _made.first(tx, {"id": thread_id})
        if made is not None:
            _write_pairs(tx, thread_id, made[0], made[1], changes["meta"])


def delete_thread(tx: Tx, thread_id: str) -> None:
    """Delete the thread with its messages, runs, steps and events, but for jobs: see finish_jobs_of_thread."""
    _delete.run(tx, {"id": thread_id})


def list_inactive_threads(tx: Tx, *, before: float, limit: int) -> list[str]:
    """Ids of threads in which nothing has happened since a time, the longest silent first."""
    # A thread was active up to an hour after what active_at says.
    rows = _inactive.rows(tx, {"before": int(before) - _HOUR_S, "n": limit})
    return [row[0] for row in rows]


def touch_thread(tx: Tx, thread_id: str, *, now: float) -> None:
    """Count the thread as active now."""
    _touch.run(tx, {"thread_id": thread_id, "now": hour_of(now)})


def delete_inactive_thread(tx: Tx, thread_id: str, *, before: float) -> bool:
    """As delete_thread, unless something has happened in the thread since a time. True: it is gone."""
    return _delete_inactive.run(tx, {"id": thread_id, "before": int(before) - _HOUR_S}) == 1


def list_undated_threads(tx: Tx, *, limit: int) -> list[str]:
    """Ids of threads that only an older release has written to."""
    return [row[0] for row in _undated.rows(tx, {"n": limit})]


def date_threads(tx: Tx, thread_ids: Sequence[str], *, now: float) -> None:
    """Let these threads count as active now."""
    _date.run_many(tx, [{"thread_id": thread_id, "now": hour_of(now)} for thread_id in thread_ids])


def _write_pairs(tx: Tx, thread_id: str, project: str, created_at: int, meta: Mapping[str, str]) -> None:
    pairs = [
        ThreadPair(digest=_digest(project, key, value), created_at=created_at, thread_id=thread_id)
        for key, value in meta.items()
    ]
    insert_records(tx, _insert_pairs, pairs)


def _digest(project: str, key: str, value: str) -> str:
    return blake2b(dump_json((project, key, value)).encode(), digest_size=16).hexdigest()


@lru_cache(maxsize=16)
def _has_pairs(n: int) -> Where:
    """Of n pairs: the first leads through the index, each other one is a look-up in it."""
    others = [_pairs.alias(f"pair_{i}") for i in range(1, n)]
    return (
        _pairs.c.digest == bindparam("digest_0"),
        *_of_project,
        *(
            exists().where(
                other.c.digest == bindparam(f"digest_{i}"),
                other.c.created_at == _pairs.c.created_at,
                other.c.thread_id == _pairs.c.thread_id,
            )
            for i, other in enumerate(others, start=1)
        ),
    )
