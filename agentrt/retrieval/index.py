"""Put a prepared file into the index of a store: written in pieces that nobody finds, then visible in one stroke."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeAlias

import msgspec

from agentrt.clock import Clock
from agentrt.retrieval.prepare import Prepared, PreparedSegment
from agentrt.store.database import Store, Tx
from agentrt.store.embedded_files import serve_if_complete
from agentrt.store.postings import merge_terms
from agentrt.store.search_index import (
    IndexedSegment,
    abandon_file,
    add_segments,
    open_index,
    publish_file,
    purge_index,
    stage_file,
)
from agentrt.store.search_tables import Segment
from agentrt.store.search_vectors import StoredVector, insert_vectors
from agentrt.store.segment_ids import segment_id

Piece: TypeAlias = list[tuple[int, PreparedSegment]]
"""Some segments of a file, with their numbers."""

# Other writes wait for a transaction: this is about 15 ms of it.
_PIECE_CHARS = 200_000
_PURGED_AT_ONCE = 50


class FileVectors(msgspec.Struct, frozen=True):
    """What a model has made of a file. of_segment: segment number → the vectors of its windows (see SegmentVector)."""

    model: str
    of_segment: Mapping[int, Sequence[bytes]]


def index_bytes(prepared: Prepared, vectors: FileVectors | None) -> int:
    """What a file takes up in the index: its texts and vectors."""
    size = sum(len(segment.text.encode()) + len(segment.lead.encode()) for segment in prepared.segments)
    return size + (0 if vectors is None else sum(len(one) for own in vectors.of_segment.values() for one in own))


async def index_file(
    store: Store,
    prepared: Prepared,
    *,
    store_id: str,
    file_id: str,
    clock: Clock,
    vectors: FileVectors | None = None,
    claim: Callable[[Tx], bool] = lambda tx: True,
) -> bool:
    """Let a file of a vector store be found, in place of what was indexed of it before; without vectors, by its words.

    claim: called in the transaction that lets it be found; writes what belongs to it, or says no.
    False: it was refused, or taken out of the store meanwhile. A crash or an error in between leaves what the sweeper
    takes away.
    """
    indexing = _Indexing(prepared, store_id, file_id, vectors, claim, staged_at=int(clock.now()))
    return await indexing.run(store)


class _Indexing:
    """One file on its way into the index."""

    def __init__(
        self,
        prepared: Prepared,
        store_id: str,
        file_id: str,
        vectors: FileVectors | None,
        claim: Callable[[Tx], bool],
        *,
        staged_at: int,
    ) -> None:
        self._prepared = prepared
        self._store_id = store_id
        self._file_id = file_id
        self._vectors = vectors
        self._claim = claim
        self._staged_at = staged_at
        self._pieces = list(_pieces(prepared.segments))

    async def run(self, store: Store) -> bool:
        """See index_file. Most files are small: they are begun, written and published in one transaction."""
        if len(self._pieces) == 1:
            return await store.write(self._index_at_once)
        index_key, file_key = await store.write(self._begin)
        for piece in self._pieces[1:]:
            await store.write(partial(self._add, index_key=index_key, file_key=file_key, piece=piece))
        return await store.write(partial(self._finish, index_key=index_key, file_key=file_key))

    def _index_at_once(self, tx: Tx) -> bool:
        return self._claim(tx) and self._publish(tx, *self._begin(tx))

    def _begin(self, tx: Tx) -> tuple[int, int]:
        """(index key, file key)."""
        index_key = open_index(tx, self._store_id)
        file_key = stage_file(tx, index_key, now=self._staged_at)
        self._add(tx, index_key, file_key, self._pieces[0])
        return index_key, file_key

    def _add(self, tx: Tx, index_key: int, file_key: int, piece: Piece) -> None:
        add_segments(tx, index_key, _rows(piece, file_key))
        if self._vectors is not None:
            insert_vectors(tx, index_key, self._vectors.model, _vector_rows(piece, file_key, self._vectors))

    def _finish(self, tx: Tx, index_key: int, file_key: int) -> bool:
        if self._claim(tx):
            return self._publish(tx, index_key, file_key)
        abandon_file(tx, file_key)
        return False

    def _publish(self, tx: Tx, index_key: int, file_key: int) -> bool:
        prepared, vectors = self._prepared, self._vectors
        is_published = publish_file(
            tx,
            file_key,
            store_id=self._store_id,
            file_id=self._file_id,
            language=prepared.language,
            analyser=prepared.analyser,
            n_chunks=prepared.n_chunks,
            n_terms=prepared.n_terms,
            embedded_with=None if vectors is None else vectors.model,
        )
        if not is_published:
            abandon_file(tx, file_key)
        elif vectors is not None:
            serve_if_complete(tx, index_key, vectors.model)
        return is_published


async def sweep_index(store: Store, *, clock: Clock) -> int:
    """Take away what is hidden for good, and tidy up what is left; how many steps it took. For quiet times."""
    n = 0
    now = int(clock.now())
    while await store.write(lambda tx: purge_index(tx, now=now, n_segments=_PURGED_AT_ONCE) or merge_terms(tx)):
        n += 1
    return n


def _pieces(segments: Sequence[PreparedSegment]) -> Iterator[Piece]:
    """Segments that have something in them, with their numbers, in pieces of about _PIECE_CHARS; at least one."""
    piece: Piece = []
    n_chars = 0
    for number, segment in enumerate(segments):
        if not segment.text and not segment.lead and number:
            continue  # with an overlap of a half, every other one: chunks have no part of their own
        piece.append((number, segment))
        n_chars += len(segment.text)
        if n_chars >= _PIECE_CHARS:
            yield piece
            piece, n_chars = [], 0
    if piece or not segments:
        yield piece


def _vector_rows(piece: Piece, file_key: int, vectors: FileVectors) -> list[StoredVector]:
    return [
        StoredVector(segment_id(file_key, number, segment.lengths), window, vector)
        for number, segment in piece
        for window, vector in enumerate(vectors.of_segment.get(number, ()))
    ]


def _rows(piece: Piece, file_key: int) -> list[IndexedSegment]:
    return [
        IndexedSegment(
            Segment(
                id=segment_id(file_key, number, segment.lengths),
                start=segment.start,
                end=segment.end,
                n_tokens=segment.n_tokens,
                page=segment.page,
                lead=segment.lead,
                text=segment.text,
            ),
            segment.terms,
        )
        for number, segment in piece
    ]
