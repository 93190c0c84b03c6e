"""VectorDriver: gives the files of a store the vectors that they lack, one file after the other.

They lack them when another model was chosen, or when it did not answer while they were indexed. Meanwhile the store is
searched as before: by the old model's vectors, or by words. It changes in one stroke, when no file is left.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from agentrt.clock import Clock
from agentrt.dispatch.ports import Dispatcher
from agentrt.errors import ModelError
from agentrt.retrieval.index import FileVectors
from agentrt.runtime.drive import Interrupt
from agentrt.runtime.vector_stores.places import Places
from agentrt.runtime.vector_stores.vectors.texts import SegmentWords, TextVectors
from agentrt.store.database import Store, Tx
from agentrt.store.embedded_files import (
    SegmentText,
    file_texts,
    files_missing,
    find_index,
    is_visible,
    mark_embedded,
    serve_if_complete,
    set_size,
)
from agentrt.store.jobs import Hold, fence, finish_held_job, finish_job, mark_ready, rest_job
from agentrt.store.search_vectors import StoredVector, delete_file_vectors, delete_other_vectors, insert_vectors

log = logging.getLogger(__name__)

RETRY_AFTER_S: Final = 60.0
"""How long a store rests when the embedding model does not answer."""

_AT_ONCE: Final = 2
_FILES_AT_ONCE: Final = 100
_VECTORS_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class BegunVectors:
    """A job under this process's epoch, and the index of its store."""

    hold: Hold
    index_key: int


class VectorDriver:
    """Drives jobs that embed what a store has; see JobDriver. vectors: of the model that search uses, None for none."""

    def __init__(self, *, store: Store, dispatcher: Dispatcher, clock: Clock, vectors: TextVectors | None) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._clock = clock
        self._vectors = vectors
        self._places = Places(_AT_ONCE, wake=lambda job_id: dispatcher.retry(job_id, delay_s=0.0))

    def begin(self, tx: Tx, hold: Hold) -> BegunVectors | None:
        """See JobDriver.begin."""
        found = find_index(tx, hold.subject_id)
        if found is None or self._vectors is None:
            finish_job(tx, hold.job_id)
            return None
        return BegunVectors(hold, found[0])

    async def drive(self, begun: BegunVectors, interrupt: Interrupt) -> None:
        """See JobDriver.drive."""
        assert self._vectors is not None
        wait_s = self._places.enter(begun.hold.job_id)
        if wait_s is not None:
            await self._store.write(lambda tx: self._put_off(tx, begun.hold, wait_s))
            return
        try:
            if await self._embed_all(begun, self._vectors, interrupt):
                await self._conclude(begun, self._vectors.model, interrupt)
        except ModelError as error:
            log.warning("vectors.put_off", extra={"store": begun.hold.subject_id, "reason": error.reason})
            await self._store.write(lambda tx: self._put_off(tx, begun.hold, RETRY_AFTER_S))
        finally:
            self._places.leave()

    async def fail(self, hold: Hold, message: str) -> None:
        """See JobDriver.fail. The next sweep tries again."""
        await self._store.write(lambda tx: finish_held_job(tx, hold.job_id, hold.epoch))

    async def _embed_all(self, begun: BegunVectors, vectors: TextVectors, interrupt: Interrupt) -> bool:
        """Embed file after file. False: interrupted. Raises ModelError when the model does not answer."""
        find = partial(files_missing, index_key=begun.index_key, model=vectors.model, limit=_FILES_AT_ONCE)
        while files := await self._store.read(find):
            for file_key in files:
                if interrupt.is_resting:
                    return False
                await self._embed(begun, vectors, file_key)
        return True

    async def _embed(self, begun: BegunVectors, vectors: TextVectors, file_key: int) -> None:
        texts = await self._store.read_long(partial(file_texts, file_key=file_key))
        try:
            made = await vectors.of(SegmentWords(i, text.lead + text.text) for i, text in enumerate(texts))
        except ModelError as error:
            if error.reason != "invalid_prompt":
                raise
            # It is about this text, and would be the next time: a file without vectors is found by its words.
            log.error("vectors.refused", extra={"store": begun.hold.subject_id, "file_key": file_key})
            made = FileVectors(vectors.model, {})
        await self._write(begun, file_key, texts, made)

    async def _write(self, begun: BegunVectors, file_key: int, texts: Sequence[SegmentText], made: FileVectors) -> None:
        """Write the vectors of a file, in place of what a dead process had written of them."""
        rows, model = _rows(texts, made), made.model
        size = sum(len(text.text.encode()) + len(text.lead.encode()) for text in texts)
        size += sum(len(row.vector) for row in rows)

        def clear(tx: Tx) -> None:
            fence(tx, begun.hold.job_id, begun.hold.epoch, now=self._clock.now())
            delete_file_vectors(tx, begun.index_key, model, file_key)

        def add(tx: Tx, some: Sequence[StoredVector], *, is_last: bool) -> bool:
            fence(tx, begun.hold.job_id, begun.hold.epoch, now=self._clock.now())
            if is_last:
                set_size(tx, file_key, size)  # its row before that of the index, as whoever deletes it does
            if not is_visible(tx, file_key):  # swept up already, perhaps: nobody would delete these
                return False
            insert_vectors(tx, begun.index_key, model, some)
            if is_last:
                mark_embedded(tx, begun.index_key, file_key, model)
            return True

        await self._store.write(clear)
        for at in range(0, max(1, len(rows)), _VECTORS_AT_ONCE):
            some = rows[at : at + _VECTORS_AT_ONCE]
            if not await self._store.write(partial(add, some=some, is_last=at + _VECTORS_AT_ONCE >= len(rows))):
                return

    async def _conclude(self, begun: BegunVectors, model: str, interrupt: Interrupt) -> None:
        """Change the store to the model, and take away what others have made."""

        def serve(tx: Tx) -> bool:
            fence(tx, begun.hold.job_id, begun.hold.epoch, now=self._clock.now())
            return serve_if_complete(tx, begun.index_key, model)

        def clean(tx: Tx) -> bool:
            fence(tx, begun.hold.job_id, begun.hold.epoch, now=self._clock.now())
            return delete_other_vectors(tx, begun.index_key, model)

        if await self._store.write(serve):
            log.info("vectors.completed", extra={"store": begun.hold.subject_id, "model": model})
            while await self._store.write(clean):
                if interrupt.is_resting:
                    return
        # A file that came without vectors meanwhile has the sweep make another job.
        await self._store.write(lambda tx: finish_held_job(tx, begun.hold.job_id, begun.hold.epoch))

    def _put_off(self, tx: Tx, hold: Hold, wait_s: float) -> None:
        """Let go of the job until then. Raises FencedError."""
        mark_ready(tx, hold.job_id, at=self._clock.now() + wait_s)
        ready = rest_job(tx, hold)
        if ready is not None:
            self._dispatcher.submit(tx, ready, delay_s=wait_s)


def _rows(texts: Sequence[SegmentText], made: FileVectors) -> list[StoredVector]:
    return [
        StoredVector(text.segment_id, window, vector)
        for i, text in enumerate(texts)
        for window, vector in enumerate(made.of_segment.get(i, ()))
    ]
