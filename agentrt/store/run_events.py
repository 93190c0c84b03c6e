"""The event log of runs: chunks of numbered events, as the engine encodes them.

A chunk follows the one before it without a hole, and its key is (run, first number): two writers of one run cannot
both store a number, whatever they believe.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import BigInteger, Boolean, Integer, Text, bindparam, delete, func, literal, select
from sqlmodel import Field

from agentrt.engine.events import Event, decode_events, encode_events
from agentrt.errors import FencedError
from agentrt.store.database import ID_COLUMN, Record, Tx
from agentrt.store.records import table_of
from agentrt.store.statements import Statement


@dataclass(frozen=True, slots=True)
class NumberedEvent:
    """An event with its place in the run's log. seq counts 0, 1, 2 … over the run; epoch tells drivers apart."""

    epoch: int
    seq: int
    event: Event


class RunEvent(Record):
    """n events from number seq on, as a JSON list."""

    run_id: str = Field(primary_key=True, foreign_key="run.id", ondelete="CASCADE", sa_type=ID_COLUMN)
    seq: int = Field(primary_key=True, sa_type=BigInteger)
    epoch: int
    n: int
    is_delta: bool
    data: str


class RunEventTable(RunEvent, table=True):
    __tablename__ = "run_event"


_table = table_of(RunEventTable)
_of_run = _table.c.run_id == bindparam("run_id", type_=ID_COLUMN)
_log = select(_table.c.epoch, _table.c.seq, _table.c.data).where(_of_run).order_by(_table.c.seq)
_whole = Statement(_log)
# The chunk that holds the place, or the last one before it of no later epoch: what an id names that was handed out
# and never stored is past its epoch's last event, and the next epoch has used its number again.
_start = (
    select(_table.c.seq)
    .where(_of_run, _table.c.seq <= bindparam("seq"), _table.c.epoch <= bindparam("epoch", type_=BigInteger))
    .order_by(_table.c.seq.desc())
    .limit(1)
    .scalar_subquery()
)
_from = Statement(_log.where(_table.c.seq >= func.coalesce(_start, 0)))
_some_from = Statement(_log.where(_table.c.seq >= func.coalesce(_start, 0)).limit(bindparam("n_chunks")))
_last = select(_table.c.seq + _table.c.n).where(_of_run).order_by(_table.c.seq.desc()).limit(1)
_next_seq = Statement(_last)
_append = Statement(
    _table.insert().from_select(
        ["run_id", "seq", "epoch", "n", "is_delta", "data"],
        select(
            bindparam("run_id", type_=ID_COLUMN),
            bindparam("seq", type_=BigInteger),
            bindparam("epoch", type_=Integer),
            bindparam("n", type_=Integer),
            bindparam("is_delta", type_=Boolean),
            bindparam("data", type_=Text),
        ).where(bindparam("seq", type_=BigInteger) == func.coalesce(_last.scalar_subquery(), literal(0))),
    )
)
_delete = Statement(delete(_table).where(_of_run))


def append_events(tx: Tx, run_id: str, events: list[NumberedEvent]) -> None:
    """Store events with consecutive numbers of one epoch, as one chunk that follows what is stored.

    Raises FencedError when it does not: another writer was here.
    """
    if not events:
        return
    first = events[0]
    row = {
        "run_id": run_id,
        "seq": first.seq,
        "epoch": first.epoch,
        "n": len(events),
        "is_delta": all(numbered.event.is_delta for numbered in events),
        "data": encode_events([numbered.event for numbered in events]).decode(),
    }
    if _append.run(tx, row) != 1:
        raise FencedError(f"event {first.seq} of run {run_id} does not follow what is stored")


def read_events(
    tx: Tx, run_id: str, *, after: tuple[int, int] | None = None, n_chunks: int | None = None
) -> list[NumberedEvent]:
    """Stored events in order; with after=(epoch, seq), those that follow that one.

    n_chunks: read only so many rows, two at least; there are no more events when there is none in them.
    """
    if after is None:
        rows = _whole.rows(tx, {"run_id": run_id})
    else:
        # Only the first row can be one that holds nothing behind the place.
        values = {"run_id": run_id, "epoch": after[0], "seq": after[1], "n_chunks": n_chunks}
        rows = (_from if n_chunks is None else _some_from).rows(tx, values)
    found = [
        NumberedEvent(epoch, seq + i, event) for epoch, seq, data in rows for i, event in enumerate(decode_events(data))
    ]
    return found if after is None else [n for n in found if (n.epoch, n.seq) > after]


def next_seq(tx: Tx, run_id: str) -> int:
    """The number that the run's next event takes."""
    row = _next_seq.first(tx, {"run_id": run_id})
    return 0 if row is None else int(row[0])


def delete_events(tx: Tx, run_id: str) -> None:
    """Forget a run's log."""
    _delete.run(tx, {"run_id": run_id})
