"""What became of a commit whose answer was lost: each connection numbers its transactions in a row of its own.

The transaction's id would not do: after a crash PostgreSQL gives the ids of transactions it has forgotten to new ones.
SQLite needs no markers, because nothing stands between the writer and the file.

Their age is told by the server's clock: one process whose own is ahead would take everybody's.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, bindparam, cast, delete, func, select
from sqlmodel import Field

from agentrt.store.database import ID_COLUMN, Record, Tx
from agentrt.store.records import table_of
from agentrt.store.statements import Statement


class CommitMarker(Record):
    """n: the number of the last transaction that was committed through the connection.

    made_at: Unix seconds, of the server's clock.
    """

    id: str = Field(primary_key=True, sa_type=ID_COLUMN)
    made_at: int = Field(sa_type=BigInteger)
    n: int = Field(default=0, sa_type=BigInteger)


class CommitMarkerTable(CommitMarker, table=True):
    __tablename__ = "commit_marker"


_table = table_of(CommitMarkerTable)
_now = cast(func.extract("epoch", func.now()), BigInteger)
_insert = Statement(_table.insert().values(id=bindparam("id"), made_at=_now, n=0))
_last = Statement(select(_table.c.n).where(_table.c.id == bindparam("id")).with_for_update())
_delete_old = Statement(delete(_table).where(_table.c.made_at < _now - bindparam("age_s", type_=BigInteger)))


class MarkerGoneError(Exception):
    """The connection's marker was deleted: the server's clock was set forward. Nothing was written."""


def insert_marker(tx: Tx, marker_id: str) -> None:
    _insert.run(tx, {"id": marker_id})


async def begin_with_mark(conn: Any, marker_id: str, n: int) -> None:
    """Begin a transaction that leaves its number, in one trip to the server. conn: the driver's own.

    At its beginning, and not together with the COMMIT: whoever asks about a COMMIT that is still on its way to the
    server has to find the row locked. Raises MarkerGoneError; the caller rolls back.
    """
    sql = f"BEGIN ISOLATION LEVEL READ COMMITTED; UPDATE {_table.name} SET n = {n} WHERE id = '{marker_id}'"  # noqa: S608
    if await conn.execute(sql) != "UPDATE 1":
        raise MarkerGoneError


def last_commit(tx: Tx, marker_id: str) -> int | None:
    """The number of the last transaction that was committed; waits for the end of one that is still under way."""
    row = _last.first(tx, {"id": marker_id})
    return None if row is None else int(row[0])


def delete_markers(tx: Tx, *, age_s: int) -> None:
    """Forget the markers of connections that were opened so long ago."""
    _delete_old.run(tx, {"age_s": age_s})
