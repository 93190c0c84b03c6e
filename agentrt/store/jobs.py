"""Jobs: what somebody must drive, who drives it, and the fence that lets only one do it.

The row is the truth; a queue that hands jobs out only says where to look. Every take-over raises `epoch`, and every
write of a driver names the epoch it holds. A finished subject has no job, so that nothing here grows with what is done.

The row is also the subject's lock: whoever changes a run takes its job row first, and before that the thread's row
when it changes which run is active there. Whoever takes several takes them by id.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Index, bindparam, case, delete, func, or_, select, text, update
from sqlmodel import Field

from agentrt.errors import FencedError
from agentrt.store.database import ID_COLUMN, Record, Tx
from agentrt.store.records import fetch_one, insert_records, table_of
from agentrt.store.runs import RunTable
from agentrt.store.statements import Statement

DEFAULT_QUEUE = "default"
_REMIND_MAX = 100

# In the words of the indexes, wherever a query means them: SQLite uses a partial index only for the same words.
_IS_HELD = text("worker IS NOT NULL")
_IS_READY = text("ready_at IS NOT NULL")


class Job(Record):
    """Something that takes long, until it is done. Times are Unix seconds by the clock that all processes share.

    kind: `run`, or another long job. A run's job has the run's id. queue: which processes may take it.
    worker: the process that drives it, None = nobody. touched_at: that process's last sign of life.
    ready_at: since when somebody should drive it, in the future when it is put off; None = it rests.
    """

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    kind: str
    subject_id: str = Field(sa_type=ID_COLUMN)
    project: str = Field(sa_type=ID_COLUMN)
    queue: str = DEFAULT_QUEUE
    epoch: int = 0
    worker: str | None = None
    ready_at: float | None = None
    touched_at: float = 0.0


class JobTable(Job, table=True):
    __tablename__ = "job"
    # touched_at is in no index on purpose: it changes with every write of every driver.
    __table_args__ = (
        Index("ix_job_held", "worker", sqlite_where=_IS_HELD, postgresql_where=_IS_HELD),
        Index("ix_job_ready", "ready_at", sqlite_where=_IS_READY, postgresql_where=_IS_READY),
        {"sqlite_with_rowid": False},
    )


class Ready(NamedTuple):
    """A job that somebody should drive. With its epoch: the same job, ready again later, is another one."""

    job_id: str
    queue: str
    epoch: int


@dataclass(frozen=True, slots=True)
class Hold:
    """What a driver holds of a job: the epoch under which it took it."""

    job_id: str
    subject_id: str
    kind: str
    project: str
    epoch: int


class HeldJob(NamedTuple):
    """A job as its holder's beat finds it. run_status: None for what is no run."""

    job_id: str
    epoch: int
    run_status: str | None


_table = table_of(JobTable)
_runs = table_of(RunTable)
_is_id = _table.c.id == bindparam("job_id")
_is_hold = _table.c.epoch == bindparam("held_epoch")
_ready_columns = (_table.c.id, _table.c.queue, _table.c.epoch)
_hold_columns = (_table.c.id, _table.c.subject_id, _table.c.kind, _table.c.project, _table.c.epoch)

_how_many_since: tuple[ColumnElement[Any], ...] = (
    func.count(_table.c.id).label("n"),
    func.min(_table.c.ready_at).label("since"),
)
_insert = Statement(_table.insert())
_by_id = Statement(select(_table).where(_is_id))
_mark_ready = Statement(
    update(_table)
    .where(_is_id)
    .values(
        ready_at=case(
            (or_(_table.c.ready_at.is_(None), _table.c.ready_at > bindparam("at")), bindparam("at")),
            else_=_table.c.ready_at,
        )
    )
    .returning(*_ready_columns)
)
_take = Statement(
    update(_table)
    .where(
        _is_id,
        or_(_table.c.worker.is_(None), _table.c.worker == bindparam("me"), _table.c.touched_at < bindparam("stale")),
    )
    .values(epoch=_table.c.epoch + 1, worker=bindparam("me"), ready_at=None, touched_at=bindparam("now"))
    .returning(*_hold_columns)
)
_seize = Statement(
    update(_table)
    .where(_is_id)
    .values(epoch=_table.c.epoch + 1, worker=None, ready_at=None, touched_at=bindparam("now"))
    .returning(*_hold_columns)
)
# Not when it was freed, though nobody has taken it yet: what is begun after this write would be begun beside a taker.
_touch = Statement(update(_table).where(_is_id, _is_hold, _IS_HELD).values(touched_at=bindparam("now")))
_rest = Statement(
    update(_table).where(_is_id, _is_hold).values(worker=None).returning(*_ready_columns, _table.c.ready_at)
)
_hand_back = Statement(
    update(_table)
    .where(_is_id, _is_hold, _IS_HELD)
    .values(worker=None, ready_at=bindparam("now"), touched_at=bindparam("now"))
    .returning(*_ready_columns)
)
_touch_own = Statement(
    update(_table).where(_is_id, _table.c.worker == bindparam("me"), _IS_HELD).values(touched_at=bindparam("now"))
)
_held_by = Statement(
    select(_table.c.id, _table.c.epoch, _runs.c.status)
    .select_from(_table.outerjoin(_runs, _runs.c.id == _table.c.subject_id))
    .where(_table.c.worker == bindparam("me"), _IS_HELD)
)
_free_dead = Statement(
    update(_table)
    .where(_IS_HELD, _table.c.worker != bindparam("me"), _table.c.touched_at < bindparam("stale"))
    .values(worker=None, ready_at=bindparam("now"), touched_at=bindparam("now"))
    .returning(*_ready_columns)
)
_untaken = (
    _IS_READY,
    _table.c.ready_at < bindparam("stale"),
    _table.c.worker.is_(None),
    _table.c.touched_at < bindparam("stale"),
)
_remind = Statement(
    update(_table)
    .where(
        _table.c.id.in_(select(_table.c.id).where(*_untaken).order_by(_table.c.ready_at).limit(_REMIND_MAX)), *_untaken
    )
    .values(touched_at=bindparam("now"))
    .returning(*_ready_columns)
)
_free_of = Statement(
    update(_table)
    .where(_table.c.worker == bindparam("worker_id"), _IS_HELD)
    .values(worker=None, ready_at=bindparam("now"), touched_at=bindparam("now"))
    .returning(*_ready_columns)
)
_free_all = Statement(update(_table).where(_IS_HELD).values(worker=None, ready_at=bindparam("now")))
# Nobody puts a run off: one that is ready in the future was made ready while the machine's clock was ahead.
_set_back = Statement(
    update(_table)
    .where(_IS_READY, _table.c.ready_at > bindparam("now"), _table.c.kind == "run")
    .values(ready_at=bindparam("now"))
)
_ready = Statement(select(*_ready_columns, _table.c.ready_at).where(_IS_READY).order_by(_table.c.ready_at))
_worker_of = Statement(select(_table.c.worker).where(_is_id))
_waiting = Statement(
    select(*_how_many_since).where(_IS_READY, _table.c.ready_at <= bindparam("now"), _table.c.worker.is_(None))
)
_driven = Statement(select(_table.c.worker).where(_IS_HELD))
_finish = Statement(delete(_table).where(_is_id))
_finish_held = Statement(delete(_table).where(_is_id, _is_hold))
_finish_of_thread = Statement(
    delete(_table).where(_table.c.id.in_(select(_runs.c.id).where(_runs.c.thread_id == bindparam("thread_id"))))
)


def insert_job(tx: Tx, job: Job) -> Ready:
    """A new job. Whether somebody should drive it at once is what its ready_at says."""
    insert_records(tx, _insert, [job])
    return Ready(job.id, job.queue, job.epoch)


def find_job(tx: Tx, job_id: str) -> Job | None:
    return fetch_one(tx, _by_id, Job, {"job_id": job_id})


def mark_ready(tx: Tx, job_id: str, *, at: float) -> Ready | None:
    """Somebody should drive the job from then on, or earlier if that was said already. None: it is done."""
    row = _mark_ready.first(tx, {"job_id": job_id, "at": at})
    return None if row is None else Ready(*row)


def take_job(tx: Tx, job_id: str, *, worker: str, now: float, lease_s: float) -> Hold | None:
    """Take the job over. None: it is done, or another worker holds it and showed a sign of life within lease_s."""
    row = _take.first(tx, {"job_id": job_id, "me": worker, "now": now, "stale": now - lease_s})
    return None if row is None else Hold(*row)


def seize_job(tx: Tx, job_id: str, *, now: float) -> Hold | None:
    """Hold the job for the length of this transaction, whoever held it before is fenced off. None: it is done.

    Afterwards it rests. Waits for the transaction of another one that is changing the job.
    """
    row = _seize.first(tx, {"job_id": job_id, "now": now})
    return None if row is None else Hold(*row)


def fence(tx: Tx, job_id: str, epoch: int, *, now: float) -> None:
    """Go on only if this epoch still holds the job, and nobody has freed it. Raises FencedError."""
    if _touch.run(tx, {"job_id": job_id, "held_epoch": epoch, "now": now}) != 1:
        raise _fenced(job_id, epoch)


def rest_job(tx: Tx, hold: Hold) -> Ready | None:
    """Let go of the job. Ready: somebody has asked for it meanwhile, so that it must be handed out again.

    Raises FencedError.
    """
    row = _rest.first(tx, {"job_id": hold.job_id, "held_epoch": hold.epoch})
    if row is None:
        raise _fenced(hold.job_id, hold.epoch)
    return None if row[3] is None else Ready(row[0], row[1], row[2])


def hand_back(tx: Tx, job_id: str, epoch: int, *, now: float) -> Ready | None:
    """Let go of the job for another process to take at once. None: it is not ours any more."""
    row = _hand_back.first(tx, {"job_id": job_id, "held_epoch": epoch, "now": now})
    return None if row is None else Ready(*row)


def touch_held(tx: Tx, worker: str, *, now: float) -> list[HeldJob]:
    """A sign of life for everything that the worker holds, which is returned."""
    held = [HeldJob(*row) for row in _held_by.rows(tx, {"me": worker})]
    if held:
        # One by one, by id, as the flusher takes its jobs: one statement for all would lock them in an order of its
        # own, and the two would wait for each other.
        ids = sorted(job.job_id for job in held)
        _touch_own.run_many(tx, [{"job_id": job_id, "me": worker, "now": now} for job_id in ids])
    return held


def free_dead_jobs(tx: Tx, worker: str, *, now: float, lease_s: float) -> list[Ready]:
    """Free the jobs whose holders, other than this worker, gave no sign of life for lease_s, and remind of those that
    nobody has taken for as long, a hundred at a time: whatever a queue may have lost."""
    values = {"me": worker, "now": now, "stale": now - lease_s}
    return [Ready(*row) for statement in (_free_dead, _remind) for row in statement.rows(tx, values)]


def free_jobs_of(tx: Tx, worker: str, *, now: float) -> list[Ready]:
    """Free the jobs of a worker that is known to be dead."""
    return [Ready(*row) for row in _free_of.rows(tx, {"worker_id": worker, "now": now})]


def free_all_jobs(tx: Tx, *, now: float) -> list[tuple[Ready, float]]:
    """Free every job, for a process that is alone with its database: all that is ready, each with its ready_at."""
    _free_all.run(tx, {"now": now})
    _set_back.run(tx, {"now": now})
    return [(Ready(row[0], row[1], row[2]), float(row[3])) for row in _ready.rows(tx, {})]


def is_held(tx: Tx, job_id: str) -> bool:
    """Whether a worker holds the job now."""
    row = _worker_of.first(tx, {"job_id": job_id})
    return row is not None and row[0] is not None


def waiting_jobs(tx: Tx, *, now: float) -> tuple[int, float | None]:
    """How many jobs are ready and not taken, and since when the oldest of them is."""
    row = _waiting.first(tx, {"now": now})
    assert row is not None
    return int(row[0]), row[1]


def driven_jobs(tx: Tx) -> Counter[str]:
    """How many jobs each worker holds."""
    return Counter(row[0] for row in _driven.rows(tx, {}))


def finish_job(tx: Tx, job_id: str) -> None:
    _finish.run(tx, {"job_id": job_id})


def finish_held_job(tx: Tx, job_id: str, epoch: int) -> None:
    """The end of the job is the last that this epoch writes of it, and so its fence. Raises FencedError."""
    if _finish_held.run(tx, {"job_id": job_id, "held_epoch": epoch}) != 1:
        raise _fenced(job_id, epoch)


def finish_jobs_of_thread(tx: Tx, thread_id: str) -> None:
    """The jobs of the thread's runs: whoever drives one is fenced off."""
    _finish_of_thread.run(tx, {"thread_id": thread_id})


def _fenced(job_id: str, epoch: int) -> FencedError:
    return FencedError(f"job {job_id} is no longer held under epoch {epoch}")
