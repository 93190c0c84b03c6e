"""Runs over all threads of a project: lists with filters, each read from an index however many runs there are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import cycle, islice
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, bindparam, literal_column, select

from agentrt.engine.run import RunStatus
from agentrt.store.database import ID_COLUMN, Tx
from agentrt.store.pages import Made, Page, PageQuery, Where, fetch_page, listing
from agentrt.store.records import fetch_all, fetch_owned, table_of
from agentrt.store.runs import IS_PROJECTS, RunTable, StoredRun
from agentrt.store.statements import Statement
from agentrt.store.threads import find_thread

_STATUSES = tuple(RunStatus)
_EMPTY: ColumnElement[str] = literal_column("''")
_ZERO: ColumnElement[int] = literal_column("0")
_NEVER = 1 << 62


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs; what is empty or None does not narrow. since, until: created at `since` or later, before `until`."""

    statuses: frozenset[RunStatus] = frozenset()
    assistant_id: str | None = None
    thread_id: str | None = None
    since: int | None = None
    until: int | None = None


_table = table_of(RunTable)
_by_id = Statement(select(_table).where(_table.c.id == bindparam("id")))
_of_project: Where = (_table.c.project == bindparam("project"),)
_of_thread: Where = (_table.c.thread_id == bindparam("thread_id"), *_of_project)
_beginning = Statement(
    select(_table)
    .where(_table.c.id >= bindparam("prefix"), _table.c.id < bindparam("prefix_end"), IS_PROJECTS)
    .order_by(_table.c.id.desc())
    .limit(bindparam("n"))
)
_by_time = listing(StoredRun, _table, kind="run", prefix="run_")
_by_position = listing(StoredRun, _table, kind="run", prefix="run_", key=(_table.c.position,), has_time_key=False)


def find_run_of_project(tx: Tx, project: str, run_id: str) -> StoredRun:
    """A run on whatever thread. Raises NotFoundError."""
    return fetch_owned(tx, _by_id, StoredRun, run_id, kind="run", project=project)


def list_project_runs(tx: Tx, project: str, query: PageQuery, only: RunFilter) -> Page[StoredRun]:
    """Runs of the project by their creation. A cursor counts also when its run is not what `only` asks for any more.

    Raises NotFoundError for a thread_id that is not the project's.
    """
    if only.thread_id is not None:
        return _list_of_thread(tx, project, only.thread_id, query, only)
    has_assistant = only.assistant_id is not None
    statuses = sorted(only.statuses) or (_STATUSES if has_assistant else ())
    wheres = tuple(_of_status(status, has_assistant=has_assistant) for status in statuses) or (_of_project,)
    values: dict[str, Any] = {status.name: status.value for status in statuses}
    values |= {"project": project, "assistant_id": only.assistant_id}
    made = Made(only.since, only.until)
    return fetch_page(tx, _by_time, wheres, values, query, cursors=(_of_project,), made=made)


def list_runs_beginning(tx: Tx, project: str, prefix: str, *, limit: int) -> Page[StoredRun]:
    """Runs whose ids begin so, the greatest ids first: those are the newest, among ids of our own making."""
    values = {"project": project, "prefix": prefix, "prefix_end": f"{prefix}\U0010ffff", "n": limit + 1}
    found = fetch_all(tx, _beginning, StoredRun, values)
    return Page(found[:limit], len(found) > limit)


def _list_of_thread(tx: Tx, project: str, thread_id: str, query: PageQuery, only: RunFilter) -> Page[StoredRun]:
    """A thread has few runs: its other conditions are looked at row by row."""
    find_thread(tx, project, thread_id)
    wanted = islice(cycle(sorted(only.statuses) or _STATUSES), len(_STATUSES))
    values = {
        "project": project,
        "thread_id": thread_id,
        "assistant_id": only.assistant_id,
        "since": only.since or 0,
        "until": _NEVER if only.until is None else only.until,
        **{f"wanted_{i}": status.value for i, status in enumerate(wanted)},
    }
    where = _of_thread_and_more(has_assistant=only.assistant_id is not None)
    return fetch_page(tx, _by_position, (where,), values, query, cursors=(_of_thread,))


@lru_cache(maxsize=32)
def _of_status(status: RunStatus, *, has_assistant: bool) -> Where:
    """One status at a time: an index has exactly these rows, in their order."""
    assistant = (_table.c.assistant_id == bindparam("assistant_id"),) if has_assistant else ()
    return (*_of_project, *assistant, _table.c.status == bindparam(status.name))


@lru_cache(maxsize=2)
def _of_thread_and_more(*, has_assistant: bool) -> Where:
    # Expressions, as IS_PROJECTS is one.
    assistant, made_at = _table.c.assistant_id.concat(_EMPTY), _table.c.created_at + _ZERO
    return (
        _table.c.thread_id == bindparam("thread_id"),
        IS_PROJECTS,
        *((assistant == bindparam("assistant_id", type_=ID_COLUMN),) if has_assistant else ()),
        _table.c.status.concat(_EMPTY).in_([bindparam(f"wanted_{i}") for i in range(len(_STATUSES))]),
        made_at >= bindparam("since", type_=BigInteger),
        made_at < bindparam("until", type_=BigInteger),
    )
