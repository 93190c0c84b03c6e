"""Writing to the index of a vector store, and what ranking has to know of it.

A file is staged (`stage_file`), filled (`add_segments`, in as many transactions as it takes), and published in one
stroke. One that is never published, and one that has been deleted since, is swept up by `purge_index`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

import msgspec
from sqlalchemy import BigInteger, BindParameter, and_, bindparam, delete, exists, func, null, select, update

from agentrt.store.database import Tx
from agentrt.store.postings import SegmentTerms, delete_terms, insert_terms
from agentrt.store.records import insert_records, table_of
from agentrt.store.search_tables import (
    FileAttribute,
    FileAttributeTable,
    IndexedFileTable,
    Segment,
    SegmentTable,
    SegmentVectorTable,
    StoreIndexTable,
)
from agentrt.store.segment_ids import ids_of_file
from agentrt.store.statements import Statement
from agentrt.store.vector_store_files import VectorStoreFileTable

AttributeValue: TypeAlias = str | float | bool

STAGED_FOR_S: Final = 6 * 3600
"""What has been staged for longer than this belongs to nobody."""

_indexes = table_of(StoreIndexTable)
_indexed = table_of(IndexedFileTable)
_segments = table_of(SegmentTable)
_attributes = table_of(FileAttributeTable)
_vectors = table_of(SegmentVectorTable)
_store_files = table_of(VectorStoreFileTable)

_key_of_index = Statement(select(_indexes.c.key).where(_indexes.c.store_id == bindparam("store_id")))
# A row for each hidden file, or one without.
_stats = Statement(
    select(
        *(_indexes.c.key, _indexes.c.version, _indexes.c.n_chunks, _indexes.c.n_terms, _indexes.c.vector_model),
        _indexed.c.key.label("hidden"),
    )
    .select_from(_indexes.outerjoin(_indexed, (_indexed.c.index_key == _indexes.c.key) & _indexed.c.file_id.is_(None)))
    .where(_indexes.c.store_id == bindparam("store_id"))
)
_NEW_INDEX: Final[dict[str, BindParameter[Any]]] = {
    name: bindparam(name) for name in ("store_id", "version", "n_chunks", "n_terms")
}
_count = Statement(
    update(_indexes)
    .where(_indexes.c.key == bindparam("index_key"))
    .values(
        version=_indexes.c.version + 1,
        n_chunks=_indexes.c.n_chunks + bindparam("chunks", type_=BigInteger),
        n_terms=_indexes.c.n_terms + bindparam("terms", type_=BigInteger),
    )
)
_stage = Statement(
    _indexed.insert()
    .values(
        index_key=bindparam("index_key"),
        store_id=null(),
        file_id=null(),
        staged_at=bindparam("now"),
        language=null(),
        analyser=0,
        n_chunks=0,
        n_terms=0,
    )
    .returning(_indexed.c.key)
)
_of_store_file = and_(_indexed.c.store_id == bindparam("of_store"), _indexed.c.file_id == bindparam("of_file"))
_hide = Statement(update(_indexed).where(_of_store_file).values(store_id=null(), file_id=null()))
_publish = Statement(
    update(_indexed)
    .where(_indexed.c.key == bindparam("file_key"))
    .values(
        store_id=bindparam("to_store"),
        file_id=bindparam("to_file"),
        staged_at=null(),
        language=bindparam("new_language"),
        analyser=bindparam("new_analyser"),
        n_chunks=bindparam("chunks"),
        n_terms=bindparam("terms"),
        embedded_with=bindparam("with_model"),
    )
    .returning(_indexed.c.index_key)
)
_attributes_of = Statement(
    select(_store_files.c.attributes).where(
        _store_files.c.store_id == bindparam("store_id"), _store_files.c.file_id == bindparam("file_id")
    )
)
_abandon = Statement(update(_indexed).where(_indexed.c.key == bindparam("file_key")).values(staged_at=0))
_key_of = Statement(select(_indexed.c.key, _indexed.c.index_key).where(_of_store_file))
_insert_segments = Statement(_segments.insert())
_insert_attributes = Statement(_attributes.insert())
_delete_attributes = Statement(delete(_attributes).where(_attributes.c.file_key == bindparam("file_key")))
# Each language once, by jumping over the index: there may be a million files, and there are twenty languages.
_of_index = _indexed.c.index_key == bindparam("index_key")
_found = select(func.min(_indexed.c.language).label("language")).where(_of_index).cte("found", recursive=True)
_next_language = select(func.min(_indexed.c.language)).where(_of_index, _indexed.c.language > _found.c.language)
_found = _found.union_all(select(_next_language.scalar_subquery()).where(_found.c.language.is_not(None)))
_languages = Statement(select(_found.c.language).where(_found.c.language.is_not(None)))
_is_garbage = and_(
    _indexed.c.file_id.is_(None),
    func.coalesce(_indexed.c.staged_at, 0) <= bindparam("staged_until", type_=BigInteger),
)
_garbage = Statement(
    select(_indexed.c.key, _indexed.c.index_key, _indexed.c.n_chunks, _indexed.c.n_terms)
    .where(_is_garbage)
    .order_by(_indexed.c.index_key, _indexed.c.key)
    .limit(1)
)
_some_ids = Statement(
    select(_segments.c.id)
    .where(_segments.c.id >= bindparam("first"), _segments.c.id < bindparam("after"))
    .order_by(_segments.c.id)
    .limit(bindparam("n"))
)
_delete_segments = Statement(
    delete(_segments).where(_segments.c.id >= bindparam("first"), _segments.c.id <= bindparam("last"))
)
_delete_vectors = Statement(
    delete(_vectors).where(_vectors.c.segment_id >= bindparam("first"), _vectors.c.segment_id <= bindparam("last"))
)
_delete_file = Statement(delete(_indexed).where(_indexed.c.key == bindparam("file_key")))
_is_empty = ~exists().where(_indexed.c.index_key == _indexes.c.key)
_delete_empty = Statement(delete(_indexes).where(_indexes.c.store_id.is_(None), _is_empty))


class IndexStats(msgspec.Struct, frozen=True):
    """What ranking has to know. hidden: keys of files that are in the index and must not be found.

    languages: of the files; "" is one without a stemmer. vector_model: see StoreIndex.
    """

    index_key: int
    version: int
    n_chunks: int
    n_terms: int
    languages: tuple[str, ...]
    hidden: frozenset[int]
    vector_model: str | None = None


class IndexedSegment(msgspec.Struct, frozen=True):
    """A segment and its terms (see SegmentTerms)."""

    row: Segment
    terms: str


def open_index(tx: Tx, store_id: str) -> int:
    """The key of a vector store's index; made when it has none."""
    found = _key_of_index.first(tx, {"store_id": store_id})
    if found is None:
        # Another process that indexes its first file at this moment may have been faster.
        _make_index(tx.conn.dialect.name).run(tx, {"store_id": store_id, "version": 0, "n_chunks": 0, "n_terms": 0})
        found = _key_of_index.first(tx, {"store_id": store_id})
        assert found is not None
    return int(found[0])


def read_stats(tx: Tx, store_id: str) -> IndexStats | None:
    """None for a store that nothing has been indexed in."""
    rows = _stats.rows(tx, {"store_id": store_id})
    if not rows:
        return None
    index_key, version, n_chunks, n_terms, vector_model, _ = rows[0]
    languages = tuple(row[0] for row in _languages.rows(tx, {"index_key": index_key}))
    hidden = frozenset(row[5] for row in rows if row[5] is not None)
    return IndexStats(index_key, version, n_chunks, n_terms, languages, hidden, vector_model)


def stage_file(tx: Tx, index_key: int, *, now: int) -> int:
    """The key of a new file in an index, which nobody finds before it is published."""
    row = _stage.first(tx, {"index_key": index_key, "now": now})
    assert row is not None
    return int(row[0])


def add_segments(tx: Tx, index_key: int, segments: Sequence[IndexedSegment]) -> None:
    """Store consecutive segments of one staged file with their terms."""
    insert_records(tx, _insert_segments, [segment.row for segment in segments])
    insert_terms(tx, index_key, [SegmentTerms(segment.row.id, segment.terms) for segment in segments])


def publish_file(
    tx: Tx,
    file_key: int,
    *,
    store_id: str,
    file_id: str,
    language: str,
    analyser: int,
    n_chunks: int,
    n_terms: int,
    embedded_with: str | None = None,
) -> bool:
    """Let a staged file be found, in place of what was indexed of it before. False: it is no longer in the store.

    embedded_with: the model whose vectors it has.
    """
    found = _attributes_of.first(tx, {"store_id": store_id, "file_id": file_id})
    if found is None:
        return False
    _hide.run(tx, {"of_store": store_id, "of_file": file_id})
    counts = {"chunks": n_chunks, "terms": n_terms}
    row = _publish.first(
        tx,
        {
            "file_key": file_key,
            "to_store": store_id,
            "to_file": file_id,
            "new_language": language,
            "new_analyser": analyser,
            "with_model": embedded_with,
            **counts,
        },
    )
    assert row is not None
    _write_attributes(tx, file_key, row[0], found[0] or {})
    _count.run(tx, {"index_key": row[0], **counts})
    return True


def abandon_file(tx: Tx, file_key: int) -> None:
    """A staged file will never be published: it is swept up soon."""
    _abandon.run(tx, {"file_key": file_key})


def hide_file(tx: Tx, store_id: str, file_id: str) -> None:
    """Let a file of a store not be found any more; nothing happens when it is not indexed."""
    _hide.run(tx, {"of_store": store_id, "of_file": file_id})


def find_file_key(tx: Tx, store_id: str, file_id: str) -> int | None:
    """The key of an indexed file; None when it is not to be found."""
    found = _key_of.first(tx, {"of_store": store_id, "of_file": file_id})
    return None if found is None else int(found[0])


def index_attributes(tx: Tx, store_id: str, file_id: str, attributes: Mapping[str, AttributeValue]) -> None:
    """Let an indexed file be filtered by these attributes; nothing happens when it is not indexed yet."""
    found = _key_of.first(tx, {"of_store": store_id, "of_file": file_id})
    if found is not None:
        _delete_attributes.run(tx, {"file_key": found[0]})
        _write_attributes(tx, found[0], found[1], attributes)


def purge_index(tx: Tx, *, now: int, n_segments: int = 200) -> bool:
    """Delete up to so many segments of what is hidden for good. False: there was nothing to do."""
    found = _garbage.first(tx, {"staged_until": now - STAGED_FOR_S})
    if found is None:
        return _delete_empty.run(tx, {}) > 0
    file_key, index_key, n_chunks, n_terms = found
    first, after = ids_of_file(file_key)
    ids = [row[0] for row in _some_ids.rows(tx, {"first": first, "after": after, "n": n_segments})]
    if ids:
        delete_terms(tx, ids)
        _delete_vectors.run(tx, {"first": ids[0], "last": ids[-1]})
        _delete_segments.run(tx, {"first": ids[0], "last": ids[-1]})
    # Another process may be sweeping up the same file: who deletes its row takes it out of the counts.
    if len(ids) < n_segments and _delete_file.run(tx, {"file_key": file_key}):
        _count.run(tx, {"index_key": index_key, "chunks": -n_chunks, "terms": -n_terms})
    return True


@cache
def _make_index(dialect: str) -> Statement:
    if dialect == "sqlite":
        from sqlalchemy.dialects.sqlite import insert as sqlite_insert

        return Statement(sqlite_insert(_indexes).values(**_NEW_INDEX).on_conflict_do_nothing())
    from sqlalchemy.dialects.postgresql import insert as postgres_insert

    return Statement(postgres_insert(_indexes).values(**_NEW_INDEX).on_conflict_do_nothing())


def _write_attributes(tx: Tx, file_key: int, index_key: int, attributes: Mapping[str, Any]) -> None:
    rows = [
        FileAttribute(file_key=file_key, index_key=index_key, name=name, **_columns(value))
        for name, value in attributes.items()
    ]
    insert_records(tx, _insert_attributes, rows)


def _columns(value: AttributeValue) -> dict[str, Any]:
    if isinstance(value, str):
        return {"kind": "s", "text": value, "number": None}
    return {"kind": "b" if isinstance(value, bool) else "n", "text": None, "number": float(value)}
