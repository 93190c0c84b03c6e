"""Reading from the index of a vector store: passages, the files that they are of, and which files a filter lets in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from typing import Any, Final, Literal, TypeAlias

import msgspec
from sqlalchemy import ColumnElement, bindparam, literal_column, select, union_all

from agentrt.store.database import Tx
from agentrt.store.files import FileTable
from agentrt.store.records import table_of
from agentrt.store.search_index import AttributeValue
from agentrt.store.search_tables import FileAttributeTable, IndexedFileTable, SegmentTable
from agentrt.store.segment_ids import chunks_of_segment, ids_of_chunk, ids_of_file, is_shared
from agentrt.store.statements import Statement
from agentrt.store.vector_store_files import VectorStoreFileTable

Comparing: TypeAlias = Literal["eq", "gt", "gte", "lt", "lte"]

_indexed = table_of(IndexedFileTable)
_segments = table_of(SegmentTable)
_attributes = table_of(FileAttributeTable)
_store_files = table_of(VectorStoreFileTable)
_files = table_of(FileTable)

_LOT: Final = 16
"""So many are read in one statement; it is filled up, so that there is one statement and not one for each number."""

_columns = (
    *(_segments.c.id, _segments.c.start, _segments.c.end),
    *(_segments.c.page, _segments.c.lead, _segments.c.text),
)
_SEGMENTS_OF_CHUNK: Final = 3
_texts = Statement(
    select(_segments.c.id, _segments.c.text)
    .where(_segments.c.id >= bindparam("first"), _segments.c.id < bindparam("after"))
    .order_by(_segments.c.id)
    .limit(bindparam("n"))
)
_found_files = Statement(
    select(
        _indexed.c.key,
        _indexed.c.store_id,
        _indexed.c.file_id,
        _indexed.c.language,
        _files.c.filename,
        _store_files.c.attributes,
    )
    .select_from(
        _indexed.join(
            _store_files,
            (_store_files.c.store_id == _indexed.c.store_id) & (_store_files.c.file_id == _indexed.c.file_id),
        ).join(_files, _files.c.id == _indexed.c.file_id)
    )
    .where(_indexed.c.key.in_([bindparam(f"key{i}") for i in range(_LOT)]))
)
_with = Statement(
    select(_attributes.c.file_key).where(
        _attributes.c.index_key == bindparam("index_key"), _attributes.c.name == bindparam("name")
    )
)
_OPERATORS: Final = {"eq": "__eq__", "gt": "__gt__", "gte": "__ge__", "lt": "__lt__", "lte": "__le__"}


class Passage(msgspec.Struct, frozen=True):
    """A chunk: characters start to before end of the file's text, with `lead` before them."""

    start: int
    end: int
    page: int
    lead: str
    text: str


GONE: Final = Passage(0, 0, 0, "", "")
"""In place of a chunk that has been swept up since."""


class FoundFile(msgspec.Struct, frozen=True):
    """A file of a store, as a search shows it. language: the stemmer that its terms come from."""

    key: int
    store_id: str
    file_id: str
    language: str
    filename: str
    attributes: dict[str, AttributeValue]


def read_passages(tx: Tx, chunks: Sequence[int]) -> dict[int, Passage]:
    """Chunks by their ids; without those that have been swept up since."""
    rows: dict[int, Sequence[Any]] = {}
    for lot in _lots(chunks):
        ranges = [ids_of_chunk(chunk) for chunk in lot] + [(0, 0)] * (_LOT - len(lot))
        values = {f"first{i}": first for i, (first, _) in enumerate(ranges)}
        values |= {f"after{i}": after for i, (_, after) in enumerate(ranges)}
        rows.update((row[0], row) for row in _find_passages(tx.conn.dialect.name).rows(tx, values))
    of_chunk: dict[int, list[Sequence[Any]]] = {chunk: [] for chunk in chunks}
    for segment in sorted(rows):
        for chunk in chunks_of_segment(segment):
            if chunk in of_chunk:
                of_chunk[chunk].append(rows[segment])
    return {chunk: _passage(segments) for chunk, segments in of_chunk.items() if segments}


def find_indexed_files(tx: Tx, file_keys: Sequence[int]) -> dict[int, FoundFile]:
    """Files by their keys; without those that are not to be found any more."""
    found: dict[int, FoundFile] = {}
    for lot in _lots(file_keys):
        values = {f"key{i}": lot[min(i, len(lot) - 1)] for i in range(_LOT)}
        for row in _found_files.rows(tx, values):
            found[row[0]] = FoundFile(row[0], row[1], row[2], row[3], row[4], row[5] or {})
    return found


def read_texts(tx: Tx, file_key: int, *, after: int, n: int) -> list[tuple[int, str]]:
    """Pieces of an indexed file's text, as (place, piece): the next n behind a place; together they are the text.

    The first place is above 0.
    """
    first, beyond = ids_of_file(file_key)
    values = {"first": max(first, after + 1), "after": beyond, "n": n}
    return [(row[0], row[1]) for row in _texts.rows(tx, values)]


def files_with(tx: Tx, index_key: int, name: str) -> set[int]:
    """The keys of the files that have an attribute."""
    return {row[0] for row in _with.rows(tx, {"index_key": index_key, "name": name})}


def files_where(tx: Tx, index_key: int, name: str, comparing: Comparing, value: AttributeValue) -> set[int]:
    """The keys of the files whose attribute is of the value's kind and compares so. Texts compare by code points."""
    kind = "s" if isinstance(value, str) else "b" if isinstance(value, bool) else "n"
    values: dict[str, Any] = {"index_key": index_key, "name": name, "kind": kind}
    values["value"] = value if kind == "s" else float(value)
    return {row[0] for row in _where(kind == "s", comparing).rows(tx, values)}


def _lots(items: Sequence[int]) -> Iterator[Sequence[int]]:
    return (items[at : at + _LOT] for at in range(0, len(items), _LOT))


@cache
def _find_passages(dialect: str) -> Statement:
    most: ColumnElement[int] = literal_column(str(_SEGMENTS_OF_CHUNK))
    parts = []
    for i in range(_LOT):
        is_between = (_segments.c.id >= bindparam(f"first{i}"), _segments.c.id < bindparam(f"after{i}"))
        part = select(*_columns).where(*is_between)
        if dialect == "postgresql":
            # It takes a range for a two-hundredth of the table, and starts workers or compiles for so many; the limit
            # tells it better. SQLite would pay for the subquery.
            part = select(part.order_by(_segments.c.id).limit(most).subquery())
        parts.append(part)
    return Statement(union_all(*parts))


def _passage(segments: Sequence[Sequence[Any]]) -> Passage:
    """Of a chunk's segments, in order."""
    # A segment without a text of its own and without a lead has no row.
    lead = next((row[4] for row in segments if not is_shared(row[0])), "")
    page = next((row[3] for row in segments if row[1] < row[2]), segments[0][3])
    return Passage(segments[0][1], segments[-1][2], page, lead, "".join([row[5] for row in segments]))


@lru_cache(maxsize=16)
def _where(is_text: bool, comparing: Comparing) -> Statement:
    column: ColumnElement[Any] = _attributes.c.text if is_text else _attributes.c.number
    condition = getattr(column, _OPERATORS[comparing])(bindparam("value"))
    return Statement(
        select(_attributes.c.file_key).where(
            _attributes.c.index_key == bindparam("index_key"),
            _attributes.c.name == bindparam("name"),
            _attributes.c.kind == bindparam("kind"),
            condition,
        )
    )
