"""Reading from the index of a vector store: passages, the files that they are of, and which files a filter lets in."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, Literal, TypeAlias

import msgspec
from sqlalchemy import ColumnElement, bindparam, select

from agentrt.store.database import Tx
from agentrt.store.files import FileTable
from agentrt.store.records import table_of
from agentrt.store.search_index import AttributeValue
from agentrt.store.search_tables import FileAttributeTable, IndexedFileTable, SegmentTable
from agentrt.store.segment_ids import ids_of_chunk, ids_of_file, is_shared
from agentrt.store.statements import Statement
from agentrt.store.vector_store_files import VectorStoreFileTable

Comparing: TypeAlias = Literal["eq", "gt", "gte", "lt", "lte"]

_indexed = table_of(IndexedFileTable)
_segments = table_of(SegmentTable)
_attributes = table_of(FileAttributeTable)
_store_files = table_of(VectorStoreFileTable)
_files = table_of(FileTable)

_in_range = (_segments.c.id >= bindparam("first"), _segments.c.id < bindparam("after"))
_places = Statement(select(_segments.c.id, _segments.c.start, _segments.c.end).where(*_in_range))
_passage = Statement(
    select(
        _segments.c.id,
        _segments.c.start,
        _segments.c.end,
        _segments.c.page,
        _segments.c.lead,
        _segments.c.text,
    )
    .where(*_in_range)
    .order_by(_segments.c.id)
)
_texts = Statement(
    select(_segments.c.id, _segments.c.text).where(*_in_range).order_by(_segments.c.id).limit(bindparam("n"))
)
_found_file = Statement(
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
    .where(_indexed.c.key == bindparam("file_key"))
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


def read_passage(tx: Tx, chunk: int) -> Passage | None:
    """A chunk by its id; None when it has been swept up since."""
    first, after = ids_of_chunk(chunk)
    rows = _passage.rows(tx, {"first": first, "after": after})
    if not rows:
        return None
    # A segment without a text of its own and without a lead has no row.
    lead = next((row[4] for row in rows if not is_shared(row[0])), "")
    page = next((row[3] for row in rows if row[1] < row[2]), rows[0][3])
    return Passage(rows[0][1], rows[-1][2], page, lead, "".join(row[5] for row in rows))


def read_place(tx: Tx, chunk: int) -> tuple[int, int]:
    """Where a chunk begins and ends in its file's text; (0, 0) when it has been swept up since."""
    first, after = ids_of_chunk(chunk)
    rows = _places.rows(tx, {"first": first, "after": after})
    return (min(row[1] for row in rows), max(row[2] for row in rows)) if rows else (0, 0)


def find_indexed_file(tx: Tx, file_key: int) -> FoundFile | None:
    """None when it is not to be found any more."""
    row = _found_file.first(tx, {"file_key": file_key})
    return None if row is None else FoundFile(row[0], row[1], row[2], row[3], row[4], row[5] or {})


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
