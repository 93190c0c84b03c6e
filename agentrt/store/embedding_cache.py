"""What embedding models have made of which text lately: whoever needs it again, pays nothing.

The same file in several stores, a file that is put in again, a job that was cut off: their texts are the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256

from sqlalchemy import BigInteger, Index, LargeBinary, bindparam, delete, select
from sqlmodel import Field

from agentrt.store.database import ID_COLUMN, Record, Tx
from agentrt.store.records import table_of
from agentrt.store.statements import Statement


class CachedEmbedding(Record):
    """The vector of a text (by its SHA-256), as SegmentVector has it."""

    model: str = Field(primary_key=True, sa_type=ID_COLUMN)
    digest: bytes = Field(primary_key=True, sa_type=LargeBinary)
    made_at: int = Field(sa_type=BigInteger)
    vector: bytes = Field(sa_type=LargeBinary)


class CachedEmbeddingTable(CachedEmbedding, table=True):
    __tablename__ = "cached_embedding"
    __table_args__ = (Index("ix_cached_embedding_made", "made_at"), {"sqlite_with_rowid": False})


_cached = table_of(CachedEmbeddingTable)
_is_it = (_cached.c.model == bindparam("its_model"), _cached.c.digest == bindparam("its_digest"))
_find = Statement(select(_cached.c.vector).where(*_is_it))
_old = Statement(
    select(_cached.c.model, _cached.c.digest)
    .where(_cached.c.made_at < bindparam("until"))
    .order_by(_cached.c.made_at)
    .limit(bindparam("n"))
)
_delete = Statement(delete(_cached).where(*_is_it))
_NEW = {column.name: bindparam(column.name, type_=column.type) for column in _cached.columns}


def text_digest(text: str) -> bytes:
    """What a text is found by."""
    return sha256(text.encode("utf-8", "surrogatepass")).digest()


def find_cached(tx: Tx, model: str, digests: Sequence[bytes]) -> dict[bytes, bytes]:
    """The vectors that there are, by the digests of their texts."""
    found = {digest: _find.first(tx, {"its_model": model, "its_digest": digest}) for digest in digests}
    return {digest: row[0] for digest, row in found.items() if row is not None}


def keep_cached(tx: Tx, model: str, vectors: Mapping[bytes, bytes], *, now: int) -> None:
    """Keep vectors by the digests of their texts; those that are there stay."""
    rows = [{"model": model, "digest": digest, "made_at": now, "vector": vectors[digest]} for digest in sorted(vectors)]
    if rows:
        _insert(tx.conn.dialect.name).run_many(tx, rows)


def purge_cached(tx: Tx, *, until: int, n: int = 200) -> bool:
    """Delete up to so many that are older. False: there were none."""
    old = _old.rows(tx, {"until": until, "n": n})
    _delete.run_many(tx, [{"its_model": row[0], "its_digest": row[1]} for row in old])
    return bool(old)


@cache
def _insert(dialect: str) -> Statement:
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return Statement(sqlite_insert(_cached).values(**_NEW).on_conflict_do_nothing())
    from sqlalchemy.dialects.postgresql import insert as postgres_insert

    return Statement(postgres_insert(_cached).values(**_NEW).on_conflict_do_nothing())
