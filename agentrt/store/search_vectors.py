"""Vectors of segments: written with a staged file, read all, or a few to look at them closely."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec
from sqlalchemy import BigInteger, Integer, bindparam, delete, select, tuple_

from agentrt.store.database import Tx
from agentrt.store.records import insert_records, table_of
from agentrt.store.search_tables import SegmentVector, SegmentVectorTable
from agentrt.store.segment_ids import ids_of_file
from agentrt.store.statements import Statement

_vectors = table_of(SegmentVectorTable)
_insert = Statement(_vectors.insert())
_of_index = (_vectors.c.index_key == bindparam("index_key"), _vectors.c.model == bindparam("model"))
_columns = (_vectors.c.segment_id, _vectors.c.window, _vectors.c.vector)
_place = tuple_(_vectors.c.segment_id, _vectors.c.window)
_next = Statement(
    select(*_columns)
    .where(
        *_of_index,
        _place > tuple_(bindparam("after_segment", type_=BigInteger), bindparam("after_window", type_=Integer)),
    )
    .order_by(_vectors.c.segment_id, _vectors.c.window)
    .limit(bindparam("n"))
)
_first = Statement(select(_vectors.c.vector).where(*_of_index).limit(1))
_is_of_file = (_vectors.c.segment_id >= bindparam("first"), _vectors.c.segment_id <= bindparam("last"))
_of_file = Statement(select(*_columns).where(*_of_index, *_is_of_file))
_delete_range = Statement(delete(_vectors).where(*_of_index, *_is_of_file))
_some_ids = Statement(
    select(_vectors.c.segment_id).where(*_of_index).order_by(_vectors.c.segment_id).limit(bindparam("n"))
)
_is_index = _vectors.c.index_key == bindparam("index_key")
_others = tuple(
    Statement(select(_vectors.c.model).where(_is_index, is_other).limit(1))
    for is_other in (_vectors.c.model < bindparam("model"), _vectors.c.model > bindparam("model"))
)
_AT_ONCE: Final = 400
READ_AT_ONCE: Final = 2000
"""So many vectors are in memory while all of a store are read: with 1,536 dimensions, 6 MB."""

_of_segments = Statement(
    select(*_columns).where(*_of_index, _vectors.c.segment_id.in_([bindparam(f"s{i}") for i in range(_AT_ONCE)]))
)


class StoredVector(msgspec.Struct, frozen=True, array_like=True):
    """A vector as it is stored (see SegmentVector)."""

    segment_id: int
    window: int
    vector: bytes


def insert_vectors(tx: Tx, index_key: int, model: str, vectors: Sequence[StoredVector]) -> None:
    """Store vectors of a staged file."""
    rows = [
        SegmentVector(index_key=index_key, model=model, segment_id=v.segment_id, window=v.window, vector=v.vector)
        for v in vectors
    ]
    insert_records(tx, _insert, rows)


def delete_file_vectors(tx: Tx, index_key: int, model: str, file_key: int) -> None:
    """Delete the vectors that the model has made for a file."""
    first, after = ids_of_file(file_key)
    _delete_range.run(tx, {"index_key": index_key, "model": model, "first": first, "last": after - 1})


def delete_other_vectors(tx: Tx, index_key: int, model: str, *, n: int = 500) -> bool:
    """Delete some of the vectors of a store that another model has made. False: there were none."""
    for find in _others:
        found = find.first(tx, {"index_key": index_key, "model": model})
        if found is not None:
            other = {"index_key": index_key, "model": found[0]}
            ids = _some_ids.rows(tx, {**other, "n": n})
            _delete_range.run(tx, {**other, "first": ids[0][0], "last": ids[-1][0]})
            return True
    return False


def read_vectors(tx: Tx, index_key: int, model: str, *, n: int = READ_AT_ONCE) -> Iterator[StoredVector]:
    """Every vector of a store that the model has made, in the order of segments; those of hidden files too.

    They are read as they are asked for, n at once.
    """
    segment, window = -1, 0
    while True:
        place = {"after_segment": segment, "after_window": window, "n": n}
        rows = _next.rows(tx, {"index_key": index_key, "model": model, **place})
        yield from (StoredVector(*row) for row in rows)
        if len(rows) < n:
            return
        segment, window = rows[-1][0], rows[-1][1]


def first_vector(tx: Tx, index_key: int, model: str) -> bytes | None:
    """One of the vectors that the model has made for a store."""
    row = _first.first(tx, {"index_key": index_key, "model": model})
    return None if row is None else bytes(row[0])


def read_file_vectors(tx: Tx, index_key: int, model: str, file_key: int) -> list[StoredVector]:
    """The vectors that the model has made for a file."""
    first, after = ids_of_file(file_key)
    values = {"index_key": index_key, "model": model, "first": first, "last": after - 1}
    return [StoredVector(*row) for row in _of_file.rows(tx, values)]


def read_segment_vectors(tx: Tx, index_key: int, model: str, segment_ids: Sequence[int]) -> list[StoredVector]:
    """The vectors of some segments."""
    values = {"index_key": index_key, "model": model}
    found: list[StoredVector] = []
    for at in range(0, len(segment_ids), _AT_ONCE):
        some = segment_ids[at : at + _AT_ONCE]
        # Filled up with the last one, so that there is one statement and not one for each number of them.
        ids = {f"s{i}": some[min(i, len(some) - 1)] for i in range(_AT_ONCE)}
        found += [StoredVector(*row) for row in _of_segments.rows(tx, {**values, **ids})]
    return found
