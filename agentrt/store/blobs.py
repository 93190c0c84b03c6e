"""Blobs: which bytes the blob store holds, and which of them are still needed. The bytes are in agentrt/files.

A blob is `coming` while its bytes are being put in place, `live` once something refers to it, and `dead` when nothing
does any more; a dead one never lives again, and its name is never used again. So nobody who deletes dead bytes, however
late, can hit anybody's file, and of several who delete files with the same bytes the last one always knows that it is.
"""

from __future__ import annotations

import secrets
from functools import cache

from sqlalchemy import BigInteger, Index, bindparam, delete, select, text, update
from sqlmodel import Field

from agentrt.store.database import ID_COLUMN, Record, Tx
from agentrt.store.files import FileTable
from agentrt.store.records import insert_records, table_of
from agentrt.store.statements import Statement
from agentrt.store.uploads import UploadPartTable

COMING, LIVE, DEAD = "coming", "live", "dead"
_NOT_LIVE = text(f"state != '{LIVE}'")


class Blob(Record):
    """name: where the bytes are. since: when it came into its state."""

    name: str = Field(primary_key=True, sa_type=ID_COLUMN)
    sha256: str = Field(sa_type=ID_COLUMN)
    state: str
    since: int = Field(sa_type=BigInteger)


class BlobTable(Blob, table=True):
    __tablename__ = "blob"
    __table_args__ = (
        Index("ix_blob_sha256", "sha256"),
        Index("ix_blob_since", "state", "since", sqlite_where=_NOT_LIVE, postgresql_where=_NOT_LIVE),
    )


_table = table_of(BlobTable)
_file_blob = table_of(FileTable).c.sha256
_part_blob = table_of(UploadPartTable).c.blob
_by_name = _table.c.name == bindparam("blob")
_insert = Statement(_table.insert())
_live = Statement(select(_table.c.name).where(_table.c.sha256 == bindparam("sha256"), _table.c.state == LIVE).limit(1))
_state = Statement(select(_table.c.state).where(_by_name).with_for_update())
_change = Statement(
    update(_table)
    .where(_by_name, _table.c.state == bindparam("old"))
    .values(state=bindparam("new"), since=bindparam("now"))
)
_in_file = Statement(select(_file_blob).where(_file_blob == bindparam("blob")).limit(1))
_in_part = Statement(select(_part_blob).where(_part_blob == bindparam("blob")).limit(1))
_abandon = Statement(
    update(_table)
    .where(_NOT_LIVE, _table.c.state == COMING, _table.c.since <= bindparam("before"))
    .values(state=DEAD, since=bindparam("now"))
)
_dead = Statement(
    select(_table.c.name).where(_NOT_LIVE, _table.c.state == DEAD).order_by(_table.c.since).limit(bindparam("n"))
)
_delete = Statement(delete(_table).where(_by_name, _table.c.state == DEAD))


def new_blob(sha256: str, *, now: float) -> Blob:
    """A blob that is coming, under a name of its own."""
    return Blob(name=f"{sha256}-{secrets.token_hex(4)}", sha256=sha256, state=COMING, since=int(now))


def insert_blob(tx: Tx, blob: Blob) -> None:
    insert_records(tx, _insert, [blob])


def find_live_blob(tx: Tx, sha256: str) -> str | None:
    """The name of a live blob with these bytes. It may be dead by now: see hold_blob."""
    row = _live.first(tx, {"sha256": sha256})
    return None if row is None else str(row[0])


def hold_blob(tx: Tx, name: str) -> bool:
    """Let a live blob stay so until the transaction ends, which may begin to refer to it. False: it is not live."""
    row = _state.first(tx, {"blob": name})
    return row is not None and row[0] == LIVE


def settle_blob(tx: Tx, name: str, *, now: float) -> bool:
    """The bytes are in place: let the blob live. False: it was given up meanwhile."""
    return _change.run(tx, {"blob": name, "old": COMING, "new": LIVE, "now": int(now)}) == 1


def give_up_blob(tx: Tx, name: str, *, now: float) -> bool:
    """What was coming will not come. False: it is there."""
    return _change.run(tx, {"blob": name, "old": COMING, "new": DEAD, "now": int(now)}) == 1


def release_blob(tx: Tx, name: str, *, now: float) -> bool:
    """To be called when a reference to the blob was taken away: True if it was the last one, and the blob is dead."""
    if _state.first(tx, {"blob": name}) is None:  # stored by a release that did not count
        insert_records(
            tx, _insert_if_new(tx.conn.dialect.name), [Blob(name=name, sha256=name, state=LIVE, since=int(now))]
        )
        _state.first(tx, {"blob": name})
    # Behind the lock: whoever released it before us has committed, and what he took away is not seen any more.
    if _in_file.first(tx, {"blob": name}) is not None or _in_part.first(tx, {"blob": name}) is not None:
        return False
    return _change.run(tx, {"blob": name, "old": LIVE, "new": DEAD, "now": int(now)}) == 1


def abandon_blobs(tx: Tx, *, before: float, now: float) -> int:
    """Give up what has been coming since a time; how many there were."""
    return _abandon.run(tx, {"before": int(before), "now": int(now)})


def list_dead_blobs(tx: Tx, *, limit: int) -> list[str]:
    """Names of blobs whose bytes can go, the longest dead first."""
    return [row[0] for row in _dead.rows(tx, {"n": limit})]


def delete_blob(tx: Tx, name: str) -> None:
    """The bytes of a dead blob are gone."""
    _delete.run(tx, {"blob": name})


@cache
def _insert_if_new(dialect: str) -> Statement:
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return Statement(sqlite_insert(_table).on_conflict_do_nothing())
    from sqlalchemy.dialects.postgresql import insert as postgres_insert

    return Statement(postgres_insert(_table).on_conflict_do_nothing())
