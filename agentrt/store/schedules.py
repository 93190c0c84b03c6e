"""Schedules: what is asked of which assistant, and when it is due next.

A due time belongs to whoever moves `next_at` on from it, in one statement that names the value it saw: that is what
makes each of them happen once, however many processes look.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Index, bindparam, delete, select, text, update
from sqlmodel import Field

from agentrt.store.database import ID_COLUMN, JSON_COLUMN, Record, Tx
from agentrt.store.pages import Page, PageQuery, Where, fetch_page, listing
from agentrt.store.records import fetch_all, fetch_one, fetch_owned, insert_records, table_of, update_row
from agentrt.store.statements import Statement

DECLARED = "toml"
MADE_BY_API = "api"


class Schedule(Record):
    """Times are Unix seconds.

    thread: `new`, `same`, or a thread's id. thread_id: of `same`, the thread that it made. on_busy: None = the
    thread's or the assistant's policy. catch_up_s: how late a missed due time is still made up for.
    next_at: None = not due: disabled. due_at: the due time that came last, made or missed. fired_at, run_id: of the
    last run. error, error_at: why the last due time made no run; None = it made one.
    declared_hash: of what agents.toml said when it last changed this row; None when the API made it.
    """

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    project: str = Field(sa_type=ID_COLUMN)
    created_at: int = Field(sa_type=BigInteger)
    origin: str = MADE_BY_API
    name: str | None = None
    cron: str
    timezone: str = "UTC"
    assistant_id: str = Field(sa_type=ID_COLUMN)
    message: str
    thread: str = Field(default="new", sa_type=ID_COLUMN)
    thread_id: str | None = Field(default=None, sa_type=ID_COLUMN)
    on_busy: str | None = None
    catch_up_s: int = Field(default=3600, sa_type=BigInteger)
    is_enabled: bool = True
    meta: dict[str, str] = Field(default_factory=dict, sa_type=JSON_COLUMN)
    next_at: int | None = Field(default=None, sa_type=BigInteger)
    due_at: int | None = Field(default=None, sa_type=BigInteger)
    fired_at: int | None = Field(default=None, sa_type=BigInteger)
    run_id: str | None = Field(default=None, sa_type=ID_COLUMN)
    error: str | None = None
    error_at: int | None = Field(default=None, sa_type=BigInteger)
    declared_hash: str | None = None


_IS_COMING = text("next_at IS NOT NULL")
_IS_DECLARED = text(f"origin = '{DECLARED}'")


class ScheduleTable(Schedule, table=True):
    __tablename__ = "schedule"
    __table_args__ = (
        Index("ix_schedule_project_created", "project", "created_at", "id"),
        Index("ix_schedule_next", "next_at", sqlite_where=_IS_COMING, postgresql_where=_IS_COMING),
        Index("ix_schedule_declared", "id", sqlite_where=_IS_DECLARED, postgresql_where=_IS_DECLARED),
    )


_table = table_of(ScheduleTable)
_insert = Statement(_table.insert())
_by_id = Statement(select(_table).where(_table.c.id == bindparam("id")))
_locked = Statement(select(_table).where(_table.c.id == bindparam("id")).with_for_update())
_of_project: Where = (_table.c.project == bindparam("project"),)
_declared = Statement(select(_table).where(_IS_DECLARED).order_by(_table.c.id))
_delete = Statement(delete(_table).where(_table.c.id == bindparam("id")))
_coming = Statement(
    select(_table.c.id, _table.c.next_at).where(_IS_COMING).order_by(_table.c.next_at).limit(bindparam("n"))
)
_claim = Statement(
    update(_table)
    .where(_table.c.id == bindparam("schedule_id"), _table.c.next_at == bindparam("seen"))
    .values(next_at=bindparam("new_next_at"), due_at=bindparam("new_due_at"))
)
_schedules = listing(Schedule, _table, kind="schedule", prefix="sched_")


def insert_schedule(tx: Tx, schedule: Schedule) -> None:
    insert_records(tx, _insert, [schedule])


def find_schedule(tx: Tx, project: str, schedule_id: str) -> Schedule:
    """Raises NotFoundError."""
    return fetch_owned(tx, _by_id, Schedule, schedule_id, kind="schedule", project=project)


def lock_schedule(tx: Tx, schedule_id: str) -> Schedule | None:
    """A schedule by id alone, of any project, that nobody else changes until this transaction ends."""
    return fetch_one(tx, _locked, Schedule, {"id": schedule_id})


def list_schedules(tx: Tx, project: str, query: PageQuery) -> Page[Schedule]:
    return fetch_page(tx, _schedules, (_of_project,), {"project": project}, query)


def list_declared_schedules(tx: Tx) -> list[Schedule]:
    """The schedules that agents.toml declared at the last start."""
    return fetch_all(tx, _declared, Schedule, {})


def list_coming(tx: Tx, *, limit: int) -> list[tuple[str, int]]:
    """(id, next_at) of the schedules that are due first, soonest first; overdue ones are among them."""
    return [(row[0], int(row[1])) for row in _coming.rows(tx, {"n": limit})]


def claim_due(tx: Tx, schedule_id: str, *, seen: int, next_at: int | None, due_at: int) -> bool:
    """Take the due time `seen`: the schedule is due at next_at from now on. False: somebody else has taken it.

    The one who gets True must do what is due in this very transaction.
    """
    values = {"schedule_id": schedule_id, "seen": seen, "new_next_at": next_at, "new_due_at": due_at}
    return _claim.run(tx, values) == 1


def update_schedule(tx: Tx, schedule_id: str, changes: dict[str, Any]) -> None:
    """Set the given columns."""
    update_row(tx, _table, schedule_id, changes)


def delete_schedule(tx: Tx, schedule_id: str) -> None:
    _delete.run(tx, {"id": schedule_id})
