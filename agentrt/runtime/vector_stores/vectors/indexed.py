"""The vectors of a file that is in the index already, of its segments there."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from agentrt.errors import ModelError
from agentrt.retrieval.index import FileVectors
from agentrt.runtime.vector_stores.vectors.texts import SegmentWords, TextVectors
from agentrt.store.database import Store, Tx
from agentrt.store.embedded_files import SegmentText, file_texts, is_visible, mark_embedded, set_size
from agentrt.store.search_vectors import StoredVector, delete_file_vectors, insert_vectors

log = logging.getLogger(__name__)

_AT_ONCE: Final = 500


async def embed_indexed_file(
    store: Store,
    vectors: TextVectors,
    *,
    index_key: int,
    file_key: int,
    check: Callable[[Tx], None] = lambda tx: None,
) -> None:
    """Give a file the model's vectors, in place of those that a dead process had written.

    check: called first in each transaction; what it raises is raised. Raises ModelError when the model does not answer.
    """
    texts = await store.read_long(partial(file_texts, file_key=file_key))
    try:
        made = await vectors.of(SegmentWords(i, text.lead + text.text) for i, text in enumerate(texts))
    except ModelError as error:
        if error.reason != "invalid_prompt":
            raise
        # It is about this text, and would be the next time: a file without vectors is found by its words.
        log.error("vectors.refused", extra={"index": index_key, "file_key": file_key})
        made = FileVectors(vectors.model, {})
    rows, model = _rows(texts, made), made.model
    size = sum(len(text.text.encode()) + len(text.lead.encode()) for text in texts)
    size += sum(len(row.vector) for row in rows)

    def clear(tx: Tx) -> None:
        check(tx)
        delete_file_vectors(tx, index_key, model, file_key)

    def add(tx: Tx, some: Sequence[StoredVector], *, is_last: bool) -> bool:
        check(tx)
        if is_last:
            set_size(tx, file_key, size)  # its row before that of the index, as whoever deletes it does
        if not is_visible(tx, file_key):  # swept up already, perhaps: nobody would delete these
            return False
        insert_vectors(tx, index_key, model, some)
        if is_last:
            mark_embedded(tx, index_key, file_key, model)
        return True

    await store.write(clear)
    for at in range(0, max(1, len(rows)), _AT_ONCE):
        if not await store.write(partial(add, some=rows[at : at + _AT_ONCE], is_last=at + _AT_ONCE >= len(rows))):
            return


def _rows(texts: Sequence[SegmentText], made: FileVectors) -> list[StoredVector]:
    return [
        StoredVector(text.segment_id, window, vector)
        for i, text in enumerate(texts)
        for window, vector in enumerate(made.of_segment.get(i, ()))
    ]
