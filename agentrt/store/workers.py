"""Workers: the processes that work on this database, each with its last sign of life."""

from __future__ import annotations

from sqlalchemy import BigInteger, bindparam, delete, select, update
from sqlmodel import Field

from agentrt.store.database import ID_COLUMN, Record, Tx
from agentrt.store.records import fetch_all, insert_records, table_of
from agentrt.store.statements import Statement


class WorkerProcess(Record):
    """role: `all`, `api` or `worker`. seen_at: its last beat, by the leases' clock. url: where it answers HTTP.

    embedding: the name of the vectors that it gives files; None when it gives none, or is of an older release.
    """

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    role: str
    host: str
    pid: int
    version: str
    url: str | None = None
    started_at: int = Field(sa_type=BigInteger)
    seen_at: float = 0.0
    n_driving: int = 0
    embedding: str | None = None


class WorkerTable(WorkerProcess, table=True):
    __tablename__ = "worker"


_table = table_of(WorkerTable)
_is_id = _table.c.id == bindparam("worker_id")
_insert = Statement(_table.insert())
_beat = Statement(update(_table).where(_is_id).values(seen_at=bindparam("now"), n_driving=bindparam("n")))
_all = Statement(select(_table))
_forget = Statement(delete(_table).where(_is_id))
_forget_silent = Statement(delete(_table).where(_table.c.seen_at < bindparam("before")))


def beat_worker(tx: Tx, worker: WorkerProcess) -> None:
    """Write the worker's sign of life; it enters the list with the first one."""
    if _beat.run(tx, {"worker_id": worker.id, "now": worker.seen_at, "n": worker.n_driving}) == 0:
        insert_records(tx, _insert, [worker])


def list_workers(tx: Tx) -> list[WorkerProcess]:
    """All of them, also those that have fallen silent, the oldest first. There are few."""
    return sorted(fetch_all(tx, _all, WorkerProcess, {}), key=lambda worker: (worker.started_at, worker.id))


def is_embedding_in_force(tx: Tx, embedding: str | None, *, now: float, lease_s: float) -> bool:
    """Whether files shall have these vectors: those of the process that was started last, of all that drive jobs.

    While processes with two configurations run side by side, only one of them may change what is there, or they would
    do so in turns for ever. When the newest one ends, the one before it counts again.
    """
    says = [
        worker.embedding
        for worker in list_workers(tx)
        if worker.embedding is not None and worker.role != "api" and worker.seen_at >= now - lease_s
    ]
    return not says or says[-1] == embedding


def forget_worker(tx: Tx, worker_id: str) -> None:
    """The process has ended, or is known to be dead."""
    _forget.run(tx, {"worker_id": worker_id})


def forget_silent_workers(tx: Tx, *, before: float) -> None:
    """Forget those that gave no sign of life since then."""
    _forget_silent.run(tx, {"before": before})
