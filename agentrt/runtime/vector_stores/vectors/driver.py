"""VectorDriver: gives the files of a store the vectors that they lack, one file after the other.

They lack them when another model was chosen, or when it did not answer while they were indexed. Meanwhile the store is
searched as before: by the old model's vectors, or by words. It changes in one stroke, when no file is left.

While processes with two configurations share a database, as in a rolling restart, those with the older one leave all
this to the others (store/workers.py).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from agentrt.clock import Clock
from agentrt.dispatch.ports import Dispatcher
from agentrt.errors import ModelError
from agentrt.runtime.drive import Interrupt
from agentrt.runtime.vector_stores.places import Places
from agentrt.runtime.vector_stores.vectors.indexed import embed_indexed_file
from agentrt.runtime.vector_stores.vectors.texts import TextVectors
from agentrt.store.database import Store, Tx
from agentrt.store.embedded_files import files_missing, find_index, serve_if_complete
from agentrt.store.jobs import Hold, fence, finish_held_job, finish_job, mark_ready, rest_job
from agentrt.store.search_vectors import delete_other_vectors
from agentrt.store.workers import is_embedding_in_force

log = logging.getLogger(__name__)

RETRY_AFTER_S: Final = 60.0
"""How long a store rests when the embedding model does not answer."""

LEFT_TO_OTHERS_S: Final = 1.0
"""How long a job rests that this process has taken though it is for those with a newer configuration."""

_AT_ONCE: Final = 2
_FILES_AT_ONCE: Final = 100


@dataclass(frozen=True, slots=True)
class BegunVectors:
    """A job under this process's epoch, and the index of its store."""

    hold: Hold
    index_key: int


class VectorDriver:
    """Drives jobs that embed what a store has; see JobDriver. vectors: of the model that search uses, None for none."""

    def __init__(
        self, *, store: Store, dispatcher: Dispatcher, clock: Clock, vectors: TextVectors | None, lease_s: float
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._clock = clock
        self._vectors = vectors
        self._lease_s = lease_s
        self._places = Places(_AT_ONCE, wake=lambda job_id: dispatcher.retry(job_id, delay_s=0.0))

    def begin(self, tx: Tx, hold: Hold) -> BegunVectors | None:
        """See JobDriver.begin."""
        if not self._is_in_force(tx):
            self._put_off(tx, hold, LEFT_TO_OTHERS_S)
            return None
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

        def find(tx: Tx) -> list[int]:
            # When it is not, this is over: who finishes the job lets the others' sweep make one of their own.
            is_ours = self._is_in_force(tx)
            return files_missing(tx, begun.index_key, vectors.model, limit=_FILES_AT_ONCE) if is_ours else []

        def check(tx: Tx) -> None:
            fence(tx, begun.hold.job_id, begun.hold.epoch, now=self._clock.now())

        while files := await self._store.read(find):
            for file_key in files:
                if interrupt.is_resting:
                    return False
                await embed_indexed_file(
                    self._store, vectors, index_key=begun.index_key, file_key=file_key, check=check
                )
        return True

    async def _conclude(self, begun: BegunVectors, model: str, interrupt: Interrupt) -> None:
        """Change the store to the model, and take away what others have made."""

        def serve(tx: Tx) -> bool:
            fence(tx, begun.hold.job_id, begun.hold.epoch, now=self._clock.now())
            return self._is_in_force(tx) and serve_if_complete(tx, begun.index_key, model)

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

    def _is_in_force(self, tx: Tx) -> bool:
        model = None if self._vectors is None else self._vectors.model
        return is_embedding_in_force(tx, model, now=self._clock.now(), lease_s=self._lease_s)

    def _put_off(self, tx: Tx, hold: Hold, wait_s: float) -> None:
        """Let go of the job until then. Raises FencedError."""
        mark_ready(tx, hold.job_id, at=self._clock.now() + wait_s)
        ready = rest_job(tx, hold)
        if ready is not None:
            self._dispatcher.submit(tx, ready, delay_s=wait_s)
