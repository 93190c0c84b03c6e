"""Graphs: the vectors of a large store in a table of their own with an HNSW index, where PostgreSQL has pgvector.

A graph is derived from segment_vector and follows it at a distance. Which files are in it is written down, so that a
search looks at the others one by one and nothing is missed; what is deleted is told by the files that can be found.
Source: pgvector 0.8, README: HNSW takes halfvec of up to 4,000 dimensions; with a filter, only an iterative scan
returns as many rows as were asked for.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Sequence
from functools import cache
from math import isnan
from typing import Any, Final

import msgspec
from sqlalchemy import Index, bindparam, delete, exists, select, update
from sqlmodel import Field

from agentrt.store.database import ID_COLUMN, Record, Tx
from agentrt.store.records import insert_records, table_of
from agentrt.store.search_tables import KEY_COLUMN, IndexedFileTable, StoreIndexTable
from agentrt.store.search_vectors import StoredVector
from agentrt.store.segment_ids import FILE_SHIFT, ids_of_file
from agentrt.store.statements import Statement, run_text

MOST_DIMENSIONS: Final = 4000

_OLDEST: Final = (0, 8)  # pgvector's first with iterative scans
_EF_SEARCH: Final = 400
# For the transaction alone.
_SETTINGS: Final = (
    f"SELECT set_config('hnsw.ef_search', '{_EF_SEARCH}', true), "
    "set_config('hnsw.iterative_scan', 'relaxed_order', true)"
)
_NUMBERS_AT_ONCE: Final = 20_000
"""So many are written down for a statement in 10 ms, in which the event loop stands still."""

# What PostgreSQL would begin with: it takes each file for a two-hundredth of the table.
_EXACT_SETTINGS: Final = (
    "SELECT set_config('jit', 'off', true), set_config('max_parallel_workers_per_gather', '0', true)"
)


class VectorGraph(Record):
    """A graph of the vectors that a model has made for a store. is_ready: all have come in once, it may be searched.

    version goes up with every change of the files that are in it.
    """

    id: int | None = Field(default=None, primary_key=True, sa_type=KEY_COLUMN)
    index_key: int = Field(sa_type=KEY_COLUMN)
    model: str = Field(sa_type=ID_COLUMN)
    dimensions: int
    is_ready: bool = False
    version: int = Field(default=0, sa_type=KEY_COLUMN)


class VectorGraphTable(VectorGraph, table=True):
    __tablename__ = "vector_graph"
    __table_args__ = (Index("uq_vector_graph_index_model", "index_key", "model", unique=True),)


class GraphedFile(Record):
    """A file whose vectors are in a graph."""

    graph_id: int = Field(primary_key=True, foreign_key="vector_graph.id", ondelete="CASCADE", sa_type=KEY_COLUMN)
    file_key: int = Field(primary_key=True, sa_type=KEY_COLUMN)


class GraphedFileTable(GraphedFile, table=True):
    __tablename__ = "graphed_file"
    __table_args__ = ({"sqlite_with_rowid": False},)


class Graph(msgspec.Struct, frozen=True, array_like=True):
    """As VectorGraph has it."""

    id: int
    index_key: int
    model: str
    dimensions: int
    is_ready: bool
    version: int


_graphs = table_of(VectorGraphTable)
_graphed = table_of(GraphedFileTable)
_indexed = table_of(IndexedFileTable)
_indexes = table_of(StoreIndexTable)
_columns = (_graphs.c.id, _graphs.c.index_key, _graphs.c.model, _graphs.c.dimensions, _graphs.c.is_ready)
_is_id = _graphs.c.id == bindparam("graph_id")
_find = Statement(
    select(*_columns, _graphs.c.version).where(
        _graphs.c.index_key == bindparam("index_key"), _graphs.c.model == bindparam("model")
    )
)
_is_used = exists().where(_indexes.c.key == _graphs.c.index_key, _indexes.c.vector_model == _graphs.c.model)
_useless = Statement(select(*_columns, _graphs.c.version).where(~_is_used))
_renew = Statement(update(_graphs).where(_is_id).values(version=_graphs.c.version + 1))
_make = Statement(_graphs.insert().values(
    index_key=bindparam("index_key"),
    model=bindparam("model"),
    dimensions=bindparam("dimensions"),
    is_ready=False,
    version=0,
).returning(_graphs.c.id))  # fmt: skip
_ready = Statement(update(_graphs).where(_is_id).values(is_ready=True, version=_graphs.c.version + 1))
_delete = Statement(delete(_graphs).where(_is_id))
_large = Statement(
    select(_indexes.c.key, _indexes.c.vector_model).where(
        _indexes.c.vector_model.is_not(None), _indexes.c.n_chunks >= bindparam("chunks")
    )
)
_files = Statement(select(_graphed.c.file_key).where(_graphed.c.graph_id == bindparam("graph_id")))
_is_graphed = exists().where(_graphed.c.graph_id == bindparam("graph_id"), _graphed.c.file_key == _indexed.c.key)
_new_files = Statement(
    select(_indexed.c.key)
    .where(
        _indexed.c.index_key == bindparam("index_key"),
        _indexed.c.file_id.is_not(None),
        _indexed.c.embedded_with == bindparam("model"),
        ~_is_graphed,
    )
    .limit(bindparam("n"))
)
_is_visible = exists().where(_indexed.c.key == _graphed.c.file_key, _indexed.c.file_id.is_not(None))
_gone_files = Statement(
    select(_graphed.c.file_key).where(_graphed.c.graph_id == bindparam("graph_id"), ~_is_visible).limit(bindparam("n"))
)
_add_file = Statement(_graphed.insert())
_drop_file = Statement(
    delete(_graphed).where(_graphed.c.graph_id == bindparam("graph_id"), _graphed.c.file_key == bindparam("file_key"))
)


def is_postgres(tx: Tx) -> bool:
    """Whether the database could have graphs at all."""
    return tx.conn.dialect.name == "postgresql"


def can_graph(tx: Tx) -> bool:
    """Whether the database has pgvector, one that is new enough, where this user's search_path finds it."""
    sql = "SELECT extversion FROM pg_extension WHERE extname = 'vector' AND to_regtype('halfvec') IS NOT NULL"
    rows = run_text(tx, sql, [])
    return bool(rows) and tuple(int(part) for part in str(rows[0]["extversion"]).split(".")[:2]) >= _OLDEST


def make_extension(tx: Tx) -> None:
    """Switch pgvector on, if the server has it. Raises what a statement raises when this user may not."""
    if run_text(tx, "SELECT 1 AS it FROM pg_available_extensions WHERE name = 'vector'", []):
        run_text(tx, "CREATE EXTENSION IF NOT EXISTS vector", [])


def find_graph(tx: Tx, index_key: int, model: str) -> Graph | None:
    """The graph of a store, ready or not."""
    row = _find.first(tx, {"index_key": index_key, "model": model})
    return None if row is None else Graph(*row)


def graphed_files(tx: Tx, graph_id: int) -> frozenset[int]:
    """The keys of the files whose vectors are in it."""
    return frozenset(row[0] for row in _files.rows(tx, {"graph_id": graph_id}))


def large_stores(tx: Tx, *, n_chunks: int) -> list[tuple[int, str]]:
    """(index key, model) of the stores with so many chunks that are searched by vectors."""
    return [(row[0], row[1]) for row in _large.rows(tx, {"chunks": n_chunks})]


def make_graph(tx: Tx, index_key: int, model: str, *, dimensions: int) -> Graph:
    """A new graph without vectors. Raises sqlalchemy.exc.IntegrityError when another process was faster."""
    row = _make.first(tx, {"index_key": index_key, "model": model, "dimensions": dimensions})
    assert row is not None
    graph_id = int(row[0])
    table = (
        f"CREATE TABLE {_table(graph_id)} (segment_id BIGINT NOT NULL, part INTEGER NOT NULL, "
        f"vector halfvec({dimensions}) NOT NULL, PRIMARY KEY (segment_id, part))"
    )
    run_text(tx, table, [])
    # Before there are rows, though building it of all of them at once is faster: no transaction takes minutes this way.
    name = _table(graph_id)
    run_text(tx, f"CREATE INDEX ix_{name} ON {name} USING hnsw (vector halfvec_cosine_ops)", [])
    return Graph(graph_id, index_key, model, dimensions, False, 0)


def lock_graph(tx: Tx, graph: Graph) -> bool:
    """Let nobody else change it until the transaction ends. False: somebody does, or it is gone."""
    return bool(run_text(tx, "SELECT id FROM vector_graph WHERE id = $1 FOR UPDATE SKIP LOCKED", [graph.id]))


def new_files(tx: Tx, graph: Graph, *, limit: int) -> list[int]:
    """Files with vectors that are not in it."""
    values = {"graph_id": graph.id, "index_key": graph.index_key, "model": graph.model, "n": limit}
    return [row[0] for row in _new_files.rows(tx, values)]


def add_to_graph(tx: Tx, graph: Graph, file_key: int, vectors: Sequence[StoredVector]) -> None:
    """Put a file into it. Vectors of another dimension are left out: a model has changed behind its name."""
    fitting = [one for one in vectors if len(one.vector) == 2 * graph.dimensions]
    sql = (
        f"INSERT INTO {_table(graph.id)} SELECT segment_id, part, CAST(vector AS halfvec) "  # noqa: S608
        "FROM unnest($1::bigint[], $2::integer[], $3::text[]) AS new (segment_id, part, vector)"
    )
    n_at_once = max(1, _NUMBERS_AT_ONCE // graph.dimensions)
    for at in range(0, len(fitting), n_at_once):
        some = fitting[at : at + n_at_once]
        texts = [_text(struct.unpack(f"<{graph.dimensions}e", one.vector)) for one in some]
        run_text(tx, sql, [[one.segment_id for one in some], [one.window for one in some], texts])
    insert_records(tx, _add_file, [GraphedFile(graph_id=graph.id, file_key=file_key)])
    _renew.run(tx, {"graph_id": graph.id})


def gone_files(tx: Tx, graph: Graph, *, limit: int) -> list[int]:
    """Files in it that cannot be found any more."""
    return [row[0] for row in _gone_files.rows(tx, {"graph_id": graph.id, "n": limit})]


def drop_from_graph(tx: Tx, graph: Graph, file_key: int) -> None:
    """Take a file out of it."""
    first, after = ids_of_file(file_key)
    sql = f"DELETE FROM {_table(graph.id)} WHERE segment_id >= $1 AND segment_id < $2"  # noqa: S608
    run_text(tx, sql, [first, after])
    _drop_file.run(tx, {"graph_id": graph.id, "file_key": file_key})
    _renew.run(tx, {"graph_id": graph.id})


def open_graph(tx: Tx, graph: Graph) -> None:
    """Let it be searched."""
    _ready.run(tx, {"graph_id": graph.id})


def useless_graphs(tx: Tx) -> list[Graph]:
    """The graphs of stores that are gone, or are searched by another model's vectors."""
    return [Graph(*row) for row in _useless.rows(tx, {})]


def lost_graphs(tx: Tx) -> list[Graph]:
    """Those of which nothing but their row is left: pgvector was dropped, or a copy put in place where it is not."""
    sql = (
        "SELECT id, index_key, model, dimensions, is_ready, version FROM vector_graph WHERE NOT EXISTS ("
        "SELECT FROM pg_attribute WHERE attrelid = to_regclass('vector_graph_' || vector_graph.id) "
        "AND attname = 'vector' AND NOT attisdropped)"
    )
    return [Graph(**row) for row in run_text(tx, sql, [])]


def drop_graph(tx: Tx, graph: Graph) -> None:
    """Drop it, unless somebody does or has."""
    if lock_graph(tx, graph):
        run_text(tx, f"DROP TABLE IF EXISTS {_table(graph.id)}", [])
        _delete.run(tx, {"graph_id": graph.id})


def search_graph(
    tx: Tx, graph: Graph, vector: Sequence[float], *, n: int, within: Collection[int] | None, without: Collection[int]
) -> list[tuple[int, float]]:
    """(segment id, cosine) of about the n nearest vectors, the nearest first.

    within, without: the keys of files to look in (None: all), and not to look in.
    """
    run_text(tx, _SETTINGS, [])
    values: list[object] = [_text(vector), n]
    conditions = ""
    if within is not None:
        values.append(list(within))
        conditions += f" AND segment_id >> {FILE_SHIFT} = ANY(${len(values)}::bigint[])"
    if without:
        values.append(list(without))
        conditions += f" AND segment_id >> {FILE_SHIFT} <> ALL(${len(values)}::bigint[])"
    return _cosines(run_text(tx, _search(graph.id, conditions), values))


def search_graphed_files(
    tx: Tx, graph: Graph, vector: Sequence[float], *, n: int, files: Collection[int]
) -> list[tuple[int, float]]:
    """(segment id, cosine) of the n nearest vectors of these files (by their keys): all of them are compared."""
    run_text(tx, _EXACT_SETTINGS, [])
    return _cosines(run_text(tx, _compare(graph.id), [_text(vector), n, list(files)]))


def _cosines(rows: Sequence[dict[str, Any]]) -> list[tuple[int, float]]:
    # Nothing is near or far of a vector of nothing but zeros.
    return [(row["segment_id"], 1.0 - row["distance"]) for row in rows if not isnan(row["distance"])]


@cache
def _compare(graph_id: int) -> str:
    return (
        "SELECT segment_id, vector <=> CAST($1::text AS halfvec) AS distance "  # noqa: S608
        "FROM unnest($3::bigint[]) AS files (key) CROSS JOIN LATERAL ("
        f"SELECT segment_id, vector FROM {_table(graph_id)} "
        f"WHERE segment_id >= key << {FILE_SHIFT} AND segment_id < (key + 1) << {FILE_SHIFT} OFFSET 0"
        ") AS own ORDER BY distance LIMIT $2"
    )


@cache
def _search(graph_id: int, conditions: str) -> str:
    return (
        f"SELECT segment_id, vector <=> CAST($1::text AS halfvec) AS distance FROM {_table(graph_id)} "  # noqa: S608
        f"WHERE true{conditions} ORDER BY vector <=> CAST($1::text AS halfvec) LIMIT $2"
    )


def _text(vector: Sequence[float]) -> str:
    """As PostgreSQL reads a halfvec."""
    return f"[{','.join(f'{number:.5g}' for number in vector)}]"


def _table(graph_id: int) -> str:
    return f"vector_graph_{graph_id:d}"
