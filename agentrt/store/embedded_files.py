"""Which files have vectors by which model, and whose vectors a store is searched by.

A store changes to another model in one stroke, when all of its files have that one's vectors.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from sqlalchemy import BigInteger, ColumnElement, bindparam, func, or_, select, true, tuple_, update

from agentrt.store.database import Tx
from agentrt.store.records import table_of
from agentrt.store.search_tables import IndexedFileTable, SegmentTable, StoreIndexTable
from agentrt.store.segment_ids import ids_of_file
from agentrt.store.statements import Statement
from agentrt.store.vector_store_files import VectorStoreFileTable
from agentrt.store.vector_stores import VectorStoreTable

_indexed = table_of(IndexedFileTable)
_indexes = table_of(StoreIndexTable)
_segments = table_of(SegmentTable)
_stores = table_of(VectorStoreTable)
_store_files = table_of(VectorStoreFileTable)

# In ranges and not as "another one", for which no index is used.
_missing_ranges: tuple[ColumnElement[bool], ...] = (
    _indexed.c.embedded_with.is_(None),
    _indexed.c.embedded_with < bindparam("model"),
    _indexed.c.embedded_with > bindparam("model"),
)
_is_missing = or_(*_missing_ranges)
# One for each of its ranges: no index has them in one order.
_missing = tuple(
    Statement(
        select(_indexed.c.key)
        .where(_indexed.c.index_key == bindparam("index_key"), _indexed.c.file_id.is_not(None), is_missing)
        .limit(bindparam("n"))
    )
    for is_missing in _missing_ranges
)
_visible = Statement(
    select(_indexed.c.key, _indexed.c.embedded_with).where(
        _indexed.c.index_key == bindparam("index_key"), _indexed.c.file_id.is_not(None)
    )
)
_stores_missing = Statement(
    select(_indexes.c.store_id, _stores.c.project)
    .join(_stores, _stores.c.id == _indexes.c.store_id)
    .where(_indexes.c.key.in_(select(_indexed.c.index_key).where(_indexed.c.file_id.is_not(None), _is_missing)))
    .order_by(_indexes.c.store_id)
)
_count_missing = Statement(select(func.count()).where(_indexed.c.file_id.is_not(None), _is_missing))
_count_all = Statement(select(func.count()).where(_indexed.c.file_id.is_not(None), true()))
_is_visible = Statement(
    select(_indexed.c.key)
    .where(_indexed.c.key == bindparam("file_key"), _indexed.c.file_id.is_not(None))
    .with_for_update()
)
_mark = Statement(
    update(_indexed)
    .where(_indexed.c.key == bindparam("file_key"), _indexed.c.file_id.is_not(None))
    .values(embedded_with=bindparam("with_model"))
)
_size = Statement(
    update(_store_files)
    .where(
        tuple_(_store_files.c.store_id, _store_files.c.file_id).in_(
            select(_indexed.c.store_id, _indexed.c.file_id).where(
                _indexed.c.key == bindparam("file_key"), _indexed.c.file_id.is_not(None)
            )
        ),
        _store_files.c.status == "completed",  # and not put in again meanwhile
    )
    .values(usage_bytes=bindparam("size", type_=BigInteger))
)
_serve = Statement(
    update(_indexes)
    .where(
        _indexes.c.key == bindparam("index_key"),
        or_(_indexes.c.vector_model.is_(None), _indexes.c.vector_model != bindparam("model")),
    )
    .values(vector_model=bindparam("model"), version=_indexes.c.version + 1)
)
_renew = Statement(
    update(_indexes).where(_indexes.c.key == bindparam("index_key")).values(version=_indexes.c.version + 1)
)
_model_of = Statement(select(_indexes.c.vector_model).where(_indexes.c.store_id == bindparam("store_id")))
_index_of = Statement(select(_indexes.c.key, _indexes.c.vector_model).where(_indexes.c.store_id == bindparam("of")))
_texts = Statement(
    select(_segments.c.id, _segments.c.lead, _segments.c.text, _segments.c.n_tokens)
    .where(_segments.c.id >= bindparam("first"), _segments.c.id < bindparam("after"))
    .order_by(_segments.c.id)
)


class SegmentText(msgspec.Struct, frozen=True, array_like=True):
    """What is embedded of a segment: its lead and its text."""

    segment_id: int
    lead: str
    text: str
    n_tokens: int


class EmbeddingProgress(msgspec.Struct, frozen=True):
    """Of all files that can be found: how many wait for vectors by a model."""

    waiting: int
    files: int


def files_missing(tx: Tx, index_key: int, model: str, *, limit: int) -> list[int]:
    """The keys of some visible files without the model's vectors."""
    for missing in _missing:
        found = missing.rows(tx, {"index_key": index_key, "model": model, "n": limit})
        if found:
            return [row[0] for row in found]
    return []


def stores_missing(tx: Tx, model: str) -> list[tuple[str, str]]:
    """(id, project) of the stores with such files."""
    return [(row[0], row[1]) for row in _stores_missing.rows(tx, {"model": model})]


def embedding_progress(tx: Tx, model: str) -> EmbeddingProgress:
    """How far all stores are."""
    waiting, files = _count_missing.first(tx, {"model": model}), _count_all.first(tx, {})
    assert waiting is not None
    assert files is not None
    return EmbeddingProgress(waiting[0], files[0])


def serving_models(tx: Tx, store_ids: Sequence[str]) -> set[str]:
    """The models by whose vectors these stores are searched."""
    rows = (_model_of.first(tx, {"store_id": store_id}) for store_id in store_ids)
    return {row[0] for row in rows if row is not None and row[0] is not None}


def find_index(tx: Tx, store_id: str) -> tuple[int, str | None] | None:
    """The key of a store's index, and the model by whose vectors it is searched."""
    row = _index_of.first(tx, {"of": store_id})
    return None if row is None else (row[0], row[1])


def file_texts(tx: Tx, file_key: int) -> list[SegmentText]:
    """The segments of a file, in order."""
    first, after = ids_of_file(file_key)
    return [SegmentText(*row) for row in _texts.rows(tx, {"first": first, "after": after})]


def visible_files(tx: Tx, index_key: int) -> dict[int, str | None]:
    """The keys of all files that can be found, each with the model whose vectors it has."""
    return {row[0]: row[1] for row in _visible.rows(tx, {"index_key": index_key})}


def is_visible(tx: Tx, file_key: int) -> bool:
    """Whether the file can be found; it stays so until the transaction ends."""
    return _is_visible.first(tx, {"file_key": file_key}) is not None


def set_size(tx: Tx, file_key: int, usage_bytes: int) -> None:
    """What a visible file takes up in the index. Its place in the store is held for the rest of the transaction."""
    _size.run(tx, {"file_key": file_key, "size": usage_bytes})


def mark_embedded(tx: Tx, index_key: int, file_key: int, model: str) -> None:
    """A visible file has all of the model's vectors."""
    _mark.run(tx, {"file_key": file_key, "with_model": model})
    _renew.run(tx, {"index_key": index_key})


def serve_if_complete(tx: Tx, index_key: int, model: str) -> bool:
    """Search the store by the model's vectors from now on, if all of its files have them; whether it is so."""
    if files_missing(tx, index_key, model, limit=1):
        return False
    _serve.run(tx, {"index_key": index_key, "model": model})
    return True
