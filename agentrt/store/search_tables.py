"""The tables behind search: which files are indexed, their segments, their attributes, their vectors.

A file becomes visible to search at once, when `indexed_file` says which file of which store it is, and vanishes at
once, when that reference does: foreign keys set it to null, whoever deletes the file, its place in the store, or the
store. What is left is swept up later (search_index.purge_index), in small transactions. So nothing here depends on
who deletes what, and a large file is never written or deleted in one long transaction.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Connection,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    Table,
    event,
    text,
)
from sqlmodel import Field

from agentrt.store.database import ID_COLUMN, Record

_SEGMENT_TERMS: Final = (
    "CREATE VIRTUAL TABLE segment_terms USING fts5("
    "terms, detail=none, columnsize=0, tokenize=\"ascii tokenchars ':^_'\")"
)
# Of each size the index has one piece at most when it is tidied up (postings.merge_terms).
_MERGE_BY_TWOS: Final = "INSERT INTO segment_terms (segment_terms, rank) VALUES ('usermerge', 2)"
_POSTING: Final = (
    'CREATE TABLE posting (index_key BIGINT NOT NULL, term VARCHAR COLLATE "C" NOT NULL, part BIGINT NOT NULL, '
    "data BYTEA NOT NULL, CONSTRAINT pk_posting PRIMARY KEY (index_key, term, part))"
)
KEYWORD_DDL: Final = {
    "sqlite": (_SEGMENT_TERMS, _MERGE_BY_TWOS),
    "postgresql": (_POSTING, "CREATE INDEX ix_posting_part ON posting (part)"),
}
"""What makes the keyword index on each engine (postings.py): neither has the other's."""

KEYWORD_TABLES: Final = {
    "sqlite": tuple(f"segment_terms{part}" for part in ("", "_config", "_content", "_data", "_idx")),
    "postgresql": ("posting",),
}

# SQLite gives out numbers only for columns that are called INTEGER.
KEY_COLUMN = BigInteger().with_variant(Integer, "sqlite")


class StoreIndex(Record):
    """The index of one vector store. n_chunks, n_terms: of all its files, for ranking.

    version goes up whenever something becomes visible to search or is swept up. store_id: None once it is deleted.
    vector_model: the model by whose vectors it is searched, None for by words alone.
    """

    key: int | None = Field(default=None, primary_key=True, sa_type=KEY_COLUMN)
    store_id: str | None = Field(default=None, foreign_key="vector_store.id", ondelete="SET NULL", sa_type=ID_COLUMN)
    version: int = Field(default=0, sa_type=BigInteger)
    n_chunks: int = Field(default=0, sa_type=BigInteger)
    n_terms: int = Field(default=0, sa_type=BigInteger)
    vector_model: str | None = Field(default=None, sa_type=ID_COLUMN)


class StoreIndexTable(StoreIndex, table=True):
    __tablename__ = "store_index"
    # Numbers are never given out twice: they are in the keyword index, which outlives the rows for a while.
    __table_args__ = (Index("uq_store_index_store", "store_id", unique=True), {"sqlite_autoincrement": True})


class IndexedFile(Record):
    """A file in an index. store_id and file_id are both None while it is not visible: not yet, or no more.

    staged_at: when its writing began; None once it has been visible. language: the stemmer that its terms come from,
    "" for none, None while it is staged. analyser: the version of the rules that they come from. embedded_with: the
    model whose vectors it has, the newest if there are several.
    """

    key: int | None = Field(default=None, primary_key=True, sa_type=KEY_COLUMN)
    index_key: int = Field(foreign_key="store_index.key", ondelete="CASCADE", sa_type=KEY_COLUMN)
    store_id: str | None = Field(default=None, sa_type=ID_COLUMN)
    file_id: str | None = Field(default=None, sa_type=ID_COLUMN)
    staged_at: int | None = Field(default=None, sa_type=BigInteger)
    language: str | None = Field(default=None, sa_type=ID_COLUMN)
    analyser: int = 0
    n_chunks: int = Field(default=0, sa_type=BigInteger)
    n_terms: int = Field(default=0, sa_type=BigInteger)
    embedded_with: str | None = Field(default=None, sa_type=ID_COLUMN)


_HIDDEN = text("file_id IS NULL")
_VISIBLE = text("file_id IS NOT NULL")


class IndexedFileTable(IndexedFile, table=True):
    __tablename__ = "indexed_file"
    __table_args__ = (
        ForeignKeyConstraint(
            ["store_id", "file_id"],
            ["vector_store_file.store_id", "vector_store_file.file_id"],
            name="fk_indexed_file_store_file",
            ondelete="SET NULL",
        ),
        Index("uq_indexed_file_store_file", "store_id", "file_id", unique=True),
        Index("ix_indexed_file_index_language", "index_key", "language"),
        Index("ix_indexed_file_hidden", "index_key", "key", sqlite_where=_HIDDEN, postgresql_where=_HIDDEN),
        Index(
            "ix_indexed_file_embedded",
            *("index_key", "embedded_with", "key"),
            sqlite_where=_VISIBLE,
            postgresql_where=_VISIBLE,
        ),
        {"sqlite_autoincrement": True},
    )


class Segment(Record):
    """A piece of a file's text: characters start to before end. id: see segment_ids.py.

    lead: what is put before the chunk that the segment belongs to. page: 0 when the format has none.
    """

    id: int = Field(primary_key=True, sa_type=KEY_COLUMN, sa_column_kwargs={"autoincrement": False})
    start: int = Field(sa_type=BigInteger)
    end: int = Field(sa_type=BigInteger)
    n_tokens: int
    page: int = 0
    lead: str = ""
    text: str


class SegmentTable(Segment, table=True):
    __tablename__ = "segment"


@event.listens_for(Record.metadata.tables["segment"], "after_create")
def _make_tables(_target: Table, conn: Connection, **_: object) -> None:
    for statement in KEYWORD_DDL[conn.dialect.name]:
        conn.exec_driver_sql(statement)


class FileAttribute(Record):
    """One attribute of an indexed file. kind: `s` for text, `n` for a number, `b` for a truth value (number 0 or 1)."""

    file_key: int = Field(primary_key=True, foreign_key="indexed_file.key", ondelete="CASCADE", sa_type=KEY_COLUMN)
    name: str = Field(primary_key=True, sa_type=ID_COLUMN)
    index_key: int = Field(sa_type=KEY_COLUMN)
    kind: str = Field(sa_type=ID_COLUMN)
    text: str | None = Field(default=None, sa_type=ID_COLUMN)
    number: float | None = Field(default=None, sa_type=Float)


class FileAttributeTable(FileAttribute, table=True):
    __tablename__ = "file_attribute"
    __table_args__ = (
        Index("ix_file_attribute_text", "index_key", "name", "kind", "text", "file_key"),
        Index("ix_file_attribute_number", "index_key", "name", "kind", "number", "file_key"),
        {"sqlite_with_rowid": False},
    )


class SegmentVector(Record):
    """What an embedding model makes of a part of a segment (or of all of it, window 0).

    vector: little-endian half-precision floats, of length 1. model: what embedding models call theirs.
    """

    index_key: int = Field(primary_key=True, sa_type=KEY_COLUMN)
    model: str = Field(primary_key=True, sa_type=ID_COLUMN)
    segment_id: int = Field(primary_key=True, sa_type=KEY_COLUMN)
    window: int = Field(primary_key=True)
    vector: bytes = Field(sa_type=LargeBinary)


class SegmentVectorTable(SegmentVector, table=True):
    __tablename__ = "segment_vector"
    __table_args__ = (Index("ix_segment_vector_segment", "segment_id"), {"sqlite_with_rowid": False})
