"""Runs: their fixed spec, their present state, and the one-active-run-per-thread constraint.

The database holds that constraint, as a partial unique index: no check can race with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import BigInteger, Boolean, Index, bindparam, case, func, literal_column, or_, select, text, update
from sqlmodel import Field

from agentrt.engine.run import ACTIVE, TERMINAL, Run, RunStatus
from agentrt.engine.spec import RunSpec
from agentrt.store.database import ID_COLUMN, Record, Tx
from agentrt.store.pages import Page, PageQuery, Where, fetch_page, listing
from agentrt.store.records import fetch_one, fetch_owned, insert_records, table_of, update_row
from agentrt.store.statements import Statement

# In the words of the indexes, wherever a query means them: SQLite uses a partial index only for the same words.
_IS_ACTIVE = text("status IN ('queued', 'in_progress', 'requires_action', 'cancelling')")
_KEEPS_BUSY = text(f"{_IS_ACTIVE} AND NOT is_held")
_IS_HELD = text("is_held")
_HAS_EVENTS = text("events_gone_at IS NULL")
_IS_SCHEDULED = text("schedule_id IS NOT NULL")
_HAS_ENDED = text("status IN ('cancelled', 'failed', 'completed', 'incomplete', 'expired')")
assert set(TERMINAL) == {"cancelled", "failed", "completed", "incomplete", "expired"}
_OVERDUE_MAX = 100
assert set(ACTIVE) == {"queued", "in_progress", "requires_action", "cancelling"}


class StoredRun(Record):
    """A run's row. spec and state are JSON texts of the engine's values; status repeats what state says.

    is_held: accepted while another run is active; it waits, queued, for that one to end.
    ended_at: None also for runs that ended under a release before this one. events_gone_at: when retention took its
    events. schedule_id: the schedule that made it, which may be gone.
    """

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    project: str = Field(sa_type=ID_COLUMN)
    thread_id: str = Field(foreign_key="thread.id", ondelete="CASCADE", sa_type=ID_COLUMN)
    assistant_id: str = Field(sa_type=ID_COLUMN)
    position: int = Field(sa_type=BigInteger)
    status: str
    is_held: bool = False
    created_at: int = Field(sa_type=BigInteger)
    expires_at: int | None = Field(default=None, sa_type=BigInteger)
    spec: str
    state: str
    meta: str = "{}"
    ended_at: int | None = Field(default=None, sa_type=BigInteger)
    events_gone_at: int | None = Field(default=None, sa_type=BigInteger)
    schedule_id: str | None = Field(default=None, sa_type=ID_COLUMN)

    def to_run(self) -> Run:
        """The engine's value, without the turns: those are folded from the events when a run is driven."""
        spec = _spec_decoder.decode(self.spec)
        meta = _meta_decoder.decode(self.meta)
        run = replace(_run_decoder.decode(self.state), spec=replace(spec, metadata=meta))
        # The row's status is ahead of its state while a cancel waits for the driver to notice.
        return replace(run, status=RunStatus(self.status))


class RunTable(StoredRun, table=True):
    __tablename__ = "run"
    __table_args__ = (
        Index(
            "uq_run_active_thread",
            "thread_id",
            unique=True,
            sqlite_where=_KEEPS_BUSY,
            postgresql_where=_KEEPS_BUSY,
        ),
        Index("ix_run_held", "thread_id", "status", "position", sqlite_where=_IS_HELD, postgresql_where=_IS_HELD),
        Index("ix_run_thread_position", "thread_id", "position"),
        Index("ix_run_live", "expires_at", sqlite_where=_IS_ACTIVE, postgresql_where=_IS_ACTIVE),
        # For lists over all threads (run_lists.py): in order, also of the few that failed among all that did not.
        Index("ix_run_project_created", "project", "created_at", "id"),
        Index("ix_run_status_created", "project", "status", "created_at", "id"),
        Index("ix_run_assistant_created", "project", "assistant_id", "status", "created_at", "id"),
        Index("ix_run_ended", "ended_at", sqlite_where=_HAS_EVENTS, postgresql_where=_HAS_EVENTS),
        Index(
            "ix_run_schedule",
            "schedule_id",
            "created_at",
            "id",
            sqlite_where=_IS_SCHEDULED,
            postgresql_where=_IS_SCHEDULED,
        ),
    )


_table = table_of(RunTable)
_run_decoder = msgspec.json.Decoder(Run)
_spec_decoder = msgspec.json.Decoder(RunSpec)
_meta_decoder = msgspec.json.Decoder(dict[str, str])
_encoder = msgspec.json.Encoder()
_NO_SPEC = RunSpec(id="", thread_id="", assistant_id="", created_at=0, model="")

# An expression rather than the column, where the index of all runs of the project could offer itself in the place of
# the one that leads to few.
IS_PROJECTS = _table.c.project.concat(literal_column("''")) == bindparam("project", type_=ID_COLUMN)
_of_thread: Where = (_table.c.thread_id == bindparam("thread_id"), _table.c.project == bindparam("project"))
_insert = Statement(_table.insert())
_by_id = Statement(select(_table).where(_table.c.id == bindparam("id")))
_has = Statement(select(_table.c.id).where(_table.c.id == bindparam("id")))
_active = Statement(select(_table).where(_table.c.thread_id == bindparam("thread_id"), _KEEPS_BUSY).limit(1))
_held = Statement(
    select(_table)
    .where(_table.c.thread_id == bindparam("thread_id"), _table.c.status == RunStatus.QUEUED.value, _IS_HELD)
    .order_by(_table.c.position)
    .limit(1)
)
_live = Statement(select(_table.c.id).where(_table.c.thread_id == bindparam("thread_id"), _IS_ACTIVE))
# The driver of a run has a timer of its own. As text: the table `job` is declared above this module.
_is_not_driven = text("NOT EXISTS (SELECT 1 FROM job WHERE job.id = run.id AND job.worker IS NOT NULL)")
_overdue = Statement(
    select(_table.c.id).where(_IS_ACTIVE, _table.c.expires_at <= bindparam("now"), _is_not_driven).limit(_OVERDUE_MAX)
)
_resting = Statement(
    select(
        func.sum(case((_table.c.status == RunStatus.REQUIRES_ACTION.value, 1), else_=0)).label("n_waiting"),
        func.sum(case((_IS_HELD, 1), else_=0)).label("n_held"),
    ).where(_IS_ACTIVE)
)
# A cancel that was accepted wins over everything the driver still wants to say but the run's end as cancelled.
_advance = Statement(
    update(_table)
    .where(
        _table.c.id == bindparam("run_id"),
        or_(_table.c.status != "cancelling", bindparam("is_cancelling", type_=Boolean)),
    )
    .values(
        status=bindparam("new_status"),
        state=bindparam("new_state"),
        expires_at=bindparam("new_expires_at"),
        ended_at=bindparam("new_ended_at"),
    )
)
_mark_cancelling = Statement(
    update(_table)
    .where(_table.c.id == bindparam("run_id"), _IS_ACTIVE, _table.c.status != "cancelling")
    .values(status="cancelling")
)
_past_retention = Statement(
    select(_table.c.id)
    .where(_HAS_EVENTS, _table.c.ended_at <= bindparam("before"))
    .order_by(_table.c.ended_at)
    .limit(bindparam("n"))
)
_mark_gone = Statement(update(_table).where(_table.c.id == bindparam("run_id")).values(events_gone_at=bindparam("now")))
_undated = Statement(
    select(_table.c.id).where(_HAS_EVENTS, _table.c.ended_at.is_(None), _HAS_ENDED).limit(bindparam("n"))
)
_date = Statement(
    update(_table)
    .where(_table.c.id == bindparam("run_id"), _table.c.ended_at.is_(None))
    .values(ended_at=_table.c.created_at)
)
_of_schedule: Where = (_table.c.schedule_id == bindparam("schedule_id"), IS_PROJECTS)
_scheduled = listing(StoredRun, _table, kind="run", prefix="run_")
_runs = listing(StoredRun, _table, kind="run", prefix="run_", key=(_table.c.position,), has_time_key=False)


def encode_spec(spec: RunSpec) -> str:
    return _encoder.encode(spec).decode()


def encode_state(run: Run) -> str:
    """The run without its spec, which has a column of its own, and its turns, which are folded from the events."""
    return _encoder.encode(replace(run, spec=_NO_SPEC, turns=())).decode()


def encode_meta(meta: dict[str, str]) -> str:
    return _encoder.encode(meta).decode()


def insert_run(tx: Tx, run: StoredRun) -> None:
    """Raises sqlalchemy.exc.IntegrityError when another run of the thread is active and this one is not held."""
    insert_records(tx, _insert, [run])


def find_run(tx: Tx, project: str, thread_id: str, run_id: str) -> StoredRun:
    """Raises NotFoundError, also for a run of another thread."""
    return fetch_owned(tx, _by_id, StoredRun, run_id, kind="run", thread_id=thread_id, project=project)


def load_run(tx: Tx, run_id: str) -> StoredRun | None:
    """A run by id alone, for whoever drives it: every project's."""
    return fetch_one(tx, _by_id, StoredRun, {"id": run_id})


def has_run(tx: Tx, run_id: str) -> bool:
    """Whether there is such a run, of any project; it may have been deleted with its thread."""
    return _has.first(tx, {"id": run_id}) is not None


def find_active_run(tx: Tx, thread_id: str) -> StoredRun | None:
    """The run that keeps the thread busy."""
    return fetch_one(tx, _active, StoredRun, {"thread_id": thread_id})


def find_held_run(tx: Tx, thread_id: str) -> StoredRun | None:
    """The run that has waited longest for the active one to end."""
    return fetch_one(tx, _held, StoredRun, {"thread_id": thread_id})


def list_runs(tx: Tx, project: str, thread_id: str, query: PageQuery) -> Page[StoredRun]:
    return fetch_page(tx, _runs, (_of_thread,), {"project": project, "thread_id": thread_id}, query)


def list_scheduled_runs(tx: Tx, project: str, schedule_id: str, query: PageQuery) -> Page[StoredRun]:
    """The runs that a schedule made, by the time of their creation."""
    return fetch_page(tx, _scheduled, (_of_schedule,), {"project": project, "schedule_id": schedule_id}, query)


def list_live_runs(tx: Tx, thread_id: str) -> list[str]:
    """Ids of the thread's runs that have not ended, held ones included."""
    return [row[0] for row in _live.rows(tx, {"thread_id": thread_id})]


def list_overdue_runs(tx: Tx, now: float) -> list[str]:
    """Ids of active runs whose time is over and that nobody drives, a hundred at most."""
    return [row[0] for row in _overdue.rows(tx, {"now": int(now)})]


def count_resting_runs(tx: Tx) -> tuple[int, int]:
    """How many runs wait for their callers, and how many for another run of their thread to end. All projects."""
    row = _resting.first(tx, {})
    return (0, 0) if row is None else (int(row[0] or 0), int(row[1] or 0))


def advance_run(tx: Tx, run: Run) -> bool:
    """Write the run's new state. False: a cancel was accepted in the meantime, and nothing was written."""
    values = {
        "run_id": run.spec.id,
        "is_cancelling": run.status in (RunStatus.CANCELLING, RunStatus.CANCELLED),
        "new_status": run.status.value,
        "new_state": encode_state(run),
        "new_expires_at": None if run.status.is_terminal else run.expires_at,
        "new_ended_at": None if run.ended_at is None else int(run.ended_at),
    }
    return _advance.run(tx, values) == 1


def mark_cancelling(tx: Tx, run_id: str) -> bool:
    """Accept a cancel. False: the run is terminal or being cancelled already."""
    return _mark_cancelling.run(tx, {"run_id": run_id}) == 1


def update_run(tx: Tx, run_id: str, changes: dict[str, Any]) -> None:
    """Set the given columns."""
    update_row(tx, _table, run_id, changes)


def list_runs_past_retention(tx: Tx, *, before: float, limit: int) -> list[str]:
    """Ids of runs that ended before a time and still have their events, the oldest first."""
    return [row[0] for row in _past_retention.rows(tx, {"before": int(before), "n": limit})]


def mark_events_gone(tx: Tx, run_id: str, *, now: float) -> None:
    """Note that the run's log is deleted."""
    _mark_gone.run(tx, {"run_id": run_id, "now": int(now)})


def list_undated_runs(tx: Tx, *, limit: int) -> list[str]:
    """Ids of runs that ended under an older release, which did not write down when."""
    return [row[0] for row in _undated.rows(tx, {"n": limit})]


def date_ended_runs(tx: Tx, run_ids: Sequence[str]) -> None:
    """Let these runs count as ended when they were created."""
    _date.run_many(tx, [{"run_id": run_id} for run_id in run_ids])
