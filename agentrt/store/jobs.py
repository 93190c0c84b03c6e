"""Jobs: what somebody must drive, and the fence that lets only one do it.

Every take-over raises `epoch`; every write of a driver names the epoch it holds. A finished subject has no job, so
that nothing here grows with what is done.
"""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select, update
from sqlmodel import Field

from agentrt.errors import FencedError
from agentrt.store.database import ID_COLUMN, Record, Tx
from agentrt.store.records import fetch_all, fetch_one, insert_records, table_of
from agentrt.store.runs import RunTable
from agentrt.store.statements import Statement


class Job(Record):
    """kind: `run`, or another long job. A run's job has the run's id. touched_at: Unix seconds of the last write."""

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    kind: str
    subject_id: str = Field(sa_type=ID_COLUMN)
    epoch: int = 0
    touched_at: float = 0.0
    dispatch_n: int = 0


class JobTable(Job, table=True):
    __tablename__ = "job"
    # No other index on purpose: touched_at changes with every write of every driver, and live jobs are few.
    __table_args__ = ({"sqlite_with_rowid": False},)


_table = table_of(JobTable)
_runs = table_of(RunTable)
_insert = Statement(_table.insert())
_by_id = Statement(select(_table).where(_table.c.id == bindparam("id")))
_of_kind = Statement(select(_table).where(_table.c.kind == bindparam("kind")).order_by(_table.c.id))
_take = Statement(
    update(_table)
    .where(_table.c.id == bindparam("job_id"))
    .values(epoch=_table.c.epoch + 1, touched_at=bindparam("now"))
    .returning(_table.c.epoch)
)
_touch = Statement(
    update(_table)
    .where(_table.c.id == bindparam("job_id"), _table.c.epoch == bindparam("held_epoch"))
    .values(touched_at=bindparam("now"))
)
_finish = Statement(delete(_table).where(_table.c.id == bindparam("id")))
_finish_of_thread = Statement(
    delete(_table).where(_table.c.id.in_(select(_runs.c.id).where(_runs.c.thread_id == bindparam("thread_id"))))
)


def insert_job(tx: Tx, job: Job) -> None:
    insert_records(tx, _insert, [job])


def find_job(tx: Tx, job_id: str) -> Job | None:
    return fetch_one(tx, _by_id, Job, {"id": job_id})


def take_job(tx: Tx, job_id: str, *, now: float) -> int | None:
    """Take the job over: the new epoch, or None when it is done."""
    row = _take.first(tx, {"job_id": job_id, "now": now})
    return None if row is None else int(row[0])


def fence(tx: Tx, job_id: str, epoch: int, *, now: float) -> None:
    """Go on only if this epoch still holds the job. Raises FencedError."""
    if _touch.run(tx, {"job_id": job_id, "held_epoch": epoch, "now": now}) != 1:
        raise FencedError(f"job {job_id} is no longer held under epoch {epoch}")


def finish_job(tx: Tx, job_id: str) -> None:
    _finish.run(tx, {"id": job_id})


def finish_jobs_of_thread(tx: Tx, thread_id: str) -> None:
    """The jobs of the thread's runs: whoever drives one is fenced off."""
    _finish_of_thread.run(tx, {"thread_id": thread_id})


def list_jobs(tx: Tx, kind: str) -> list[Job]:
    """Every job that is not done."""
    return fetch_all(tx, _of_kind, Job, {"kind": kind})
