"""Puts files into vector stores, and has somebody index them. The one way into a store, whoever asks.

A job indexes a few files of one store: one for each would make a batch of 2,000 files 2,000 jobs, and one for all
would leave the other processes of a fleet without work.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from agentrt.clock import Clock
from agentrt.dispatch.ports import Dispatcher
from agentrt.engine.message import JsonObject
from agentrt.ids import new_id
from agentrt.retrieval.chunk import Chunking
from agentrt.runtime.requests import NewStoreFile, NewVectorStore
from agentrt.store.database import Store, Tx
from agentrt.store.files import hold_files
from agentrt.store.jobs import Job, insert_job
from agentrt.store.search_index import AttributeValue, hide_file, index_attributes
from agentrt.store.vector_store_files import (
    VectorStoreFile,
    attach_files,
    find_in_store,
    list_forgotten_files,
    update_store_file,
)
from agentrt.store.vector_stores import VectorStore, insert_vector_store

log = logging.getLogger(__name__)

KIND: Final = "ingest"
"""The kind of a job that indexes files; its subject is the vector store."""

_FILES_PER_JOB: Final = 8
_JOBS_AT_LEAST: Final = 8
_FORGOTTEN_AT_ONCE: Final = 200
_FRESH: Final[dict[str, Any]] = {
    "status": "in_progress",
    "last_error_code": None,
    "last_error_message": None,
    "usage_bytes": None,
    "n_tries": None,
    "retry_at": None,
}


def make_store(tx: Tx, dispatcher: Dispatcher, project: str, new: NewVectorStore, *, now: float) -> VectorStore:
    """A new store, whose first files will be indexed. Raises NotFoundError for a file that does not exist."""
    store = VectorStore(
        id=new_id("vs"),
        project=project,
        created_at=int(now),
        last_active_at=int(now),
        name=new.name,
        meta=new.metadata,
        expires_after_days=new.expires_after_days,
    )
    insert_vector_store(tx, store)
    put_files(tx, dispatcher, store, [NewStoreFile(id_, chunking=new.chunking) for id_ in new.file_ids], now=now)
    return store


def put_files(tx: Tx, dispatcher: Dispatcher, store: VectorStore, new: Sequence[NewStoreFile], *, now: float) -> None:
    """Put files into a store and have them indexed.

    One that is in it gets the new attributes, if there are some; it is indexed again when that has failed, or was
    cancelled, or when it shall be cut in another way. Until then it is not found.
    Raises NotFoundError for a file that does not exist.
    """
    wanted = {file.file_id: file for file in new}
    if not wanted:
        return
    hold_files(tx, store.project, list(wanted))
    # In one order for all, so that no two transactions wait for each other.
    file_ids = sorted(wanted)
    there = find_in_store(tx, store.id, file_ids)
    for lot in _lots([i for i in file_ids if i not in there or _is_stale(there[i], wanted[i])]):
        job_id = _submit_job(tx, dispatcher, store.project, store.id, now=now)
        for file_id in lot:
            if file_id in there:
                _begin_again(tx, store.id, wanted[file_id], job_id)
        added = [_row(store, wanted[i], job_id, now=now) for i in lot if i not in there]
        attach_files(tx, added)
    for file_id in sorted(there):
        set_attributes(tx, store.id, file_id, wanted[file_id].attributes)


def set_attributes(tx: Tx, store_id: str, file_id: str, attributes: Mapping[str, AttributeValue] | None) -> None:
    """Replace the attributes of a file that is in the store; None leaves them."""
    if attributes is not None:
        update_store_file(tx, store_id, file_id, {"attributes": dict(attributes)})
        index_attributes(tx, store_id, file_id, attributes)


def chunking_of(strategy: JsonObject | None) -> Chunking:
    """What a stored chunking_strategy says; the default for `auto` and None."""
    static = None if strategy is None else strategy.get("static")
    if not isinstance(static, dict):
        return Chunking()
    size, overlap = static.get("max_chunk_size_tokens"), static.get("chunk_overlap_tokens")
    assert isinstance(size, int)
    assert isinstance(overlap, int)
    return Chunking(size, overlap)


async def queue_forgotten(store: Store, dispatcher: Dispatcher, *, clock: Clock) -> None:
    """Have the files indexed that an older release put into stores, which could not do it."""

    def write(tx: Tx) -> int:
        found = list_forgotten_files(tx, limit=_FORGOTTEN_AT_ONCE)
        found.sort(key=lambda file: (file.project, file.store_id))
        for (project, store_id), files in groupby(found, key=lambda file: (file.project, file.store_id)):
            for lot in _lots([file.file_id for file in files]):
                job_id = _submit_job(tx, dispatcher, project, store_id, now=clock.now())
                for file_id in lot:
                    update_store_file(tx, store_id, file_id, {"job_id": job_id})
        return len(found)

    while await store.read(lambda tx: list_forgotten_files(tx, limit=1)):
        log.info("ingest.queued", extra={"files": await store.write(write)})


def _submit_job(tx: Tx, dispatcher: Dispatcher, project: str, store_id: str, *, now: float) -> str:
    job_id = new_id("job")
    job = Job(id=job_id, kind=KIND, subject_id=store_id, project=project, ready_at=now, touched_at=now)
    dispatcher.submit(tx, insert_job(tx, job))
    return job_id


def _begin_again(tx: Tx, store_id: str, wanted: NewStoreFile, job_id: str) -> None:
    changes = {**_FRESH, "chunking": _strategy(wanted.chunking), "job_id": job_id}
    update_store_file(tx, store_id, wanted.file_id, changes)
    hide_file(tx, store_id, wanted.file_id)  # after the row, as the driver does: neither waits for the other in turn


def _row(store: VectorStore, new: NewStoreFile, job_id: str, *, now: float) -> VectorStoreFile:
    return VectorStoreFile(
        store_id=store.id,
        file_id=new.file_id,
        project=store.project,
        created_at=int(now),
        chunking=_strategy(new.chunking),
        attributes=None if new.attributes is None else {**new.attributes},
        job_id=job_id,
    )


def _is_stale(file: VectorStoreFile, wanted: NewStoreFile) -> bool:
    return file.status in ("failed", "cancelled") or chunking_of(file.chunking) != chunking_of(wanted.chunking)


def _strategy(requested: JsonObject | None) -> JsonObject | None:
    """As it is stored: `auto` is no strategy of its own."""
    return requested if requested is not None and requested.get("type") == "static" else None


def _lots(file_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """The files of one job each: so that a few files are several jobs, and many files not too many."""
    size = min(_FILES_PER_JOB, -(-len(file_ids) // _JOBS_AT_LEAST))
    return (file_ids[at : at + size] for at in range(0, len(file_ids), size or 1))
