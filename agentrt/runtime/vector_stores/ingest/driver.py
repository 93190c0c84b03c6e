"""IngestDriver: reads the files of a job in processes of their own and writes them into the index, one after the other.

A file is found, and called completed, in one transaction, under the job's fence. What a dead process was at is done
again from the file's beginning; what it had written of it is never found, and swept up.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from agentrt.clock import Clock
from agentrt.dispatch.ports import Dispatcher
from agentrt.errors import ExtractionError, FencedError, StoreError, UnavailableError
from agentrt.retrieval.index import FileVectors, index_bytes, index_file
from agentrt.retrieval.prepare import Prepared
from agentrt.retrieval.preparer import Preparer
from agentrt.runtime.drive import Interrupt
from agentrt.runtime.files import Files
from agentrt.runtime.vector_stores.ingest.queue import chunking_of
from agentrt.runtime.vector_stores.places import Places
from agentrt.runtime.vector_stores.vectors.inline import FileEmbedding
from agentrt.store.database import Store, Tx
from agentrt.store.files import File, load_file
from agentrt.store.jobs import Hold, fence, finish_held_job, finish_job, mark_ready, rest_job
from agentrt.store.vector_store_files import VectorStoreFile, end_store_file, files_of_job, load_store_file

log = logging.getLogger(__name__)

RETRY_AFTER_S: Final = (2.0, 10.0, 60.0)
"""How long a file rests after each failure of the server's own; after one more it is given up."""

_OUR_FAULT: Final = "The server failed to index the file; its log says why (ingest.failed). Attach it again."


@dataclass(frozen=True, slots=True)
class BegunIngest:
    """A job under this process's epoch, and the files that it has yet to index."""

    hold: Hold
    files: Sequence[VectorStoreFile]


class IngestDriver:
    """Drives jobs that index files; see JobDriver.

    most_places: how many at once in this process, at most. embedding: None to index by words alone.
    """

    def __init__(
        self,
        *,
        store: Store,
        dispatcher: Dispatcher,
        clock: Clock,
        files: Files,
        preparer: Preparer,
        most_places: int,
        embedding: FileEmbedding | None = None,
    ) -> None:
        self._store = store
        self._dispatcher = dispatcher
        self._clock = clock
        self._files = files
        self._preparer = preparer
        self._embedding = embedding
        # One more than there are processes: while one job writes to the database, no process is idle.
        n_places = min(preparer.size + 1, most_places)
        self._places = Places(n_places, wake=lambda job_id: dispatcher.retry(job_id, delay_s=0.0))

    def begin(self, tx: Tx, hold: Hold) -> BegunIngest | None:
        """See JobDriver.begin."""
        files = files_of_job(tx, hold.job_id)
        if not files:
            finish_job(tx, hold.job_id)
            return None
        return BegunIngest(hold, files)

    async def drive(self, begun: BegunIngest, interrupt: Interrupt) -> None:
        """See JobDriver.drive."""
        wait_s = self._places.enter(begun.hold.job_id)
        if wait_s is not None:
            await self._store.write(lambda tx: self._put_off(tx, begun.hold, wait_s))
            return
        try:
            for file in begun.files:
                if interrupt.is_resting:
                    return
                await self._index(begun.hold, file.file_id)
            await self._store.write(lambda tx: self._conclude(tx, begun.hold))
        finally:
            self._places.leave()

    async def fail(self, hold: Hold, message: str) -> None:
        """See JobDriver.fail."""

        def write(tx: Tx) -> None:
            fence(tx, hold.job_id, hold.epoch, now=self._clock.now())
            for file in files_of_job(tx, hold.job_id):
                _end(tx, hold, file, _failed("server_error", message))
            finish_job(tx, hold.job_id)

        await self._store.write(write)

    async def _index(self, hold: Hold, file_id: str) -> None:
        """Index one file, or note why not. Raises FencedError, StoreError."""
        found = await self._store.read(lambda tx: _find_due(tx, hold, file_id, now=self._clock.now()))
        if found is None:
            return
        row, file = found
        began = self._clock.monotonic()
        try:
            async with self._files.as_path(file) as path:
                prepared = await self._preparer.prepare(path, file.filename, chunking_of(row.chunking))
            vectors = None if self._embedding is None else await self._embedding.of(prepared)
            is_indexed = await self._write(hold, row, prepared, vectors)
        except (FencedError, StoreError):
            raise
        except ExtractionError as error:
            await self._note(hold, row, error.reason, error.message)
        except UnavailableError as error:
            await self._note(hold, row, "server_error", error.message)
        except Exception:
            # Whatever it is, it is about this file: the others of the job need not suffer.
            log.exception("ingest.failed", extra={"store": row.store_id, "file": file_id})
            await self._note(hold, row, "server_error", _OUR_FAULT)
        else:
            ms = round((self._clock.monotonic() - began) * 1000)
            facts = {"store": row.store_id, "file": file_id, "ms": ms, "chunks": prepared.n_chunks}
            log.info("ingest.completed" if is_indexed else "ingest.dropped", extra=facts)

    async def _write(self, hold: Hold, row: VectorStoreFile, prepared: Prepared, vectors: FileVectors | None) -> bool:
        """Let the file be found. False: it was detached, cancelled or put in again meanwhile."""
        size = index_bytes(prepared, vectors)
        completed = {"status": "completed", "usage_bytes": size, "job_id": None, "retry_at": None}

        def claim(tx: Tx) -> bool:
            fence(tx, hold.job_id, hold.epoch, now=self._clock.now())
            return _end(tx, hold, row, completed)

        return await index_file(
            self._store,
            prepared,
            store_id=row.store_id,
            file_id=row.file_id,
            clock=self._clock,
            vectors=vectors,
            claim=claim,
        )

    async def _note(self, hold: Hold, row: VectorStoreFile, code: str, message: str) -> None:
        """Let the file be failed, or tried again when it was our fault."""
        n_tries = (row.n_tries or 0) + 1
        changes = _failed(code, message)
        if code == "server_error" and n_tries <= len(RETRY_AFTER_S):
            changes = {"n_tries": n_tries, "retry_at": self._clock.now() + RETRY_AFTER_S[n_tries - 1]}

        def write(tx: Tx) -> None:
            fence(tx, hold.job_id, hold.epoch, now=self._clock.now())
            _end(tx, hold, row, changes)

        await self._store.write(write)
        facts = {"store": row.store_id, "file": row.file_id, "code": code, "try": n_tries}
        log.warning("ingest.refused" if "status" in changes else "ingest.put_off", extra=facts)

    def _conclude(self, tx: Tx, hold: Hold) -> None:
        """The end of the job, or until when it rests. Raises FencedError."""
        left = files_of_job(tx, hold.job_id)
        if left:
            now = self._clock.now()
            self._put_off(tx, hold, max(0.0, min(file.retry_at or now for file in left) - now))
        else:
            finish_held_job(tx, hold.job_id, hold.epoch)

    def _put_off(self, tx: Tx, hold: Hold, wait_s: float) -> None:
        """Let go of the job until then. Raises FencedError."""
        mark_ready(tx, hold.job_id, at=self._clock.now() + wait_s)
        ready = rest_job(tx, hold)
        if ready is not None:
            self._dispatcher.submit(tx, ready, delay_s=wait_s)


def _find_due(tx: Tx, hold: Hold, file_id: str, *, now: float) -> tuple[VectorStoreFile, File] | None:
    """None when it is not to be indexed by this job any more, or not yet."""
    row, file = load_store_file(tx, hold.subject_id, file_id), load_file(tx, file_id)
    if row is None or file is None or row.status != "in_progress" or row.job_id != hold.job_id:
        return None
    return None if row.retry_at is not None and row.retry_at > now else (row, file)


def _end(tx: Tx, hold: Hold, row: VectorStoreFile, changes: dict[str, Any]) -> bool:
    return end_store_file(tx, row.store_id, row.file_id, job_id=hold.job_id, changes=changes)


def _failed(code: str, message: str) -> dict[str, Any]:
    return {
        "status": "failed",
        "last_error_code": code,
        "last_error_message": message,
        "job_id": None,
        "retry_at": None,
    }
