"""LocalReading: brings the index of a FileSearch up to what there is. A file is known again by the hash of its bytes.

What a file was read as is written in one transaction with that: whoever stops in between goes on where he was. Here
nobody else writes, so that no job and no second version of a file is needed, as folders of a server's stores have.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import tempfile
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from agentrt.clock import Clock
from agentrt.config.schema import DEFAULT_PROJECT, FilesSpec
from agentrt.config.stores import PATH_ATTRIBUTE
from agentrt.errors import ExtractionError, InvalidRequestError, ModelError, StoreError
from agentrt.ids import new_id
from agentrt.retrieval.analyser import ANALYSER_VERSION
from agentrt.retrieval.chunk import Chunking
from agentrt.retrieval.index import FileVectors, index_bytes, index_file, sweep_index
from agentrt.retrieval.prepare import Prepared
from agentrt.retrieval.preparer import Preparer
from agentrt.runtime.file_search.sources import Gathered, GivenFile
from agentrt.runtime.vector_stores.ingest.queue import set_attributes
from agentrt.runtime.vector_stores.vectors.indexed import embed_indexed_file
from agentrt.runtime.vector_stores.vectors.texts import SegmentWords, TextVectors
from agentrt.store.database import Store, Tx
from agentrt.store.embedded_files import files_missing, find_index, serve_if_complete
from agentrt.store.files import File, delete_file, insert_file, load_file
from agentrt.store.search_index import AttributeValue
from agentrt.store.search_vectors import delete_other_vectors
from agentrt.store.vector_store_files import VectorStoreFile, attach_files, find_in_store
from agentrt.store.vector_stores import VectorStore, insert_vector_store, load_vector_store, update_vector_store
from agentrt.store.watched_folders import WatchedFile, forget_watched_file, list_watched_files, put_watched_file
from agentrt.version import __version__

log = logging.getLogger(__name__)

STORE_ID: Final = "vs_files"
"""The only vector store of the index."""

_MAX_BYTES: Final = FilesSpec().max_bytes
# Who writes to a file twice within the tick of a file system's clock leaves no other trace of it.
_TICK_S: Final = 2.0
_EMBEDDED_AT_ONCE: Final = 100
_MAX_ATTRIBUTE_CHARS: Final = 512
_OUR_FAULT: Final = "It could not be indexed, which is agentrt's fault: the log says why (ingest.failed)."
_STILL_FOUND: Final = " What is found of it is as it was before."


class LocalReading:
    """One index. vectors: None to search by words alone. attributes: a file's, by its name."""

    def __init__(
        self,
        store: Store,
        preparer: Preparer,
        clock: Clock,
        *,
        chunking: Chunking,
        vectors: TextVectors | None,
        attributes: Callable[[str], Mapping[str, AttributeValue]] | None,
    ) -> None:
        self._store = store
        self._preparer = preparer
        self._clock = clock
        self._chunking = chunking
        self._vectors = vectors
        self._attributes = attributes or (lambda name: {})
        self._wanted: dict[str, dict[str, AttributeValue]] = {}
        self._known: dict[str, WatchedFile] = {}
        self._problem: str | None = None

    async def go(self, gathered: Gathered) -> str | None:
        """Read what is new or has changed, forget what is gone. What kept files from being embedded, if anything.

        Raises StoreError, InvalidRequestError for attributes that are none.
        """
        self._problem = None
        files = list(gathered.files.values())
        self._wanted = {file.key: _checked({**self._attributes(file.name)}, file) for file in files}
        self._known = await self._store.write(self._begin)
        wanted = [file for file in files if not _is_seen(file, self._known.get(file.key))]
        await self._take_in_all(wanted)
        await self._keep_attributes(files)
        gone = [key for key in self._known if key not in gathered.files and not key.startswith(gathered.unread)]
        for key in gone:
            await self._store.write(partial(self._forget, key=key))
        if self._vectors is not None and self._problem is None:
            await self._embed_missing(self._vectors)
        if wanted or gone:
            await sweep_index(self._store, clock=self._clock)
        return self._problem

    def _begin(self, tx: Tx) -> dict[str, WatchedFile]:
        """What is known, by key; of files that have to be read in another way now, nothing but that they are there."""
        now = int(self._clock.now())
        size = f"{self._chunking.max_chunk_size_tokens}/{self._chunking.chunk_overlap_tokens}"
        meta = {"chunks": size, "analyser": str(ANALYSER_VERSION), "release": __version__}
        store = load_vector_store(tx, STORE_ID)
        if store is None:
            made = VectorStore(
                id=STORE_ID, project=DEFAULT_PROJECT, created_at=now, last_active_at=now, name="files", meta=meta
            )
            insert_vector_store(tx, made)
            return {}
        before = store.meta
        if before != meta:
            update_vector_store(tx, STORE_ID, {"meta": meta})
        known = {row.path: row for row in list_watched_files(tx, STORE_ID)}
        for row in known.values():
            # Another release may read what this one's forerunner could not.
            is_retried = row.error is not None and before.get("release") != __version__
            if is_retried or any(before.get(name) != meta[name] for name in ("chunks", "analyser")):
                row.sha256 = ""
                put_watched_file(tx, row)
        return known

    async def _take_in_all(self, files: Sequence[GivenFile]) -> None:
        waiting = iter(files)

        async def take_in_some() -> None:
            for file in waiting:
                await self._take_in(file, self._known.get(file.key))

        try:
            async with asyncio.TaskGroup() as group:
                # One more than there are processes: while one file is written, no process is idle.
                for _ in range(min(self._preparer.size + 1, len(files))):
                    group.create_task(take_in_some())
        except BaseExceptionGroup as failures:
            raise failures.exceptions[0] from None

    async def _take_in(self, file: GivenFile, row: WatchedFile | None) -> None:
        """Read one file, or note why not. Raises StoreError."""
        seen: dict[str, Any] = {"size_bytes": file.size_bytes, "mtime_ns": self._trusted_mtime(file), "sha256": ""}
        try:
            if file.size_bytes > _MAX_BYTES:
                await self._note(file, row, seen, f"It is larger than {_MAX_BYTES:,} bytes.")
                return
            seen["sha256"] = await asyncio.to_thread(_digest, file)
            if row is not None and row.sha256 == seen["sha256"]:
                await self._put(row.model_copy(update=seen))
                return
            async with _as_path(file) as path:
                prepared = await self._preparer.prepare(path, file.name, self._chunking)
            if not await asyncio.to_thread(_is_unchanged, file):
                seen["sha256"] = ""  # what was read may be the older or the newer: it is read again the next time
            await self._write(file, row, seen, prepared, await self._embed(prepared))
        except ExtractionError as error:
            # What is wrong with the file is wrong with it the next time; what went wrong here may go well then.
            seen["sha256"] = "" if error.reason == "server_error" else seen["sha256"]
            await self._note(file, row, seen, error.message)
        except OSError as error:
            await self._note(file, row, seen, f"It cannot be read: {(error.strerror or str(error)).lower()}.")
        except StoreError:
            raise
        except Exception:
            # Whatever it is, it is about this file: the others need not suffer.
            log.exception("ingest.failed", extra={"size": file.size_bytes})
            await self._note(file, row, {**seen, "sha256": ""}, _OUR_FAULT)

    async def _write(
        self,
        file: GivenFile,
        row: WatchedFile | None,
        seen: Mapping[str, Any],
        prepared: Prepared,
        vectors: FileVectors | None,
    ) -> None:
        """Let a file be found, in place of what was read of it before."""
        file_id, now = new_id("file"), int(self._clock.now())
        made = File(
            id=file_id,
            project=DEFAULT_PROJECT,
            created_at=now,
            filename=file.name,
            size_bytes=file.size_bytes,
            purpose="assistants",
            sha256=seen["sha256"],
        )
        place = VectorStoreFile(
            store_id=STORE_ID,
            file_id=file_id,
            project=DEFAULT_PROJECT,
            created_at=now,
            status="completed",
            attributes={**self._wanted[file.key]},
            usage_bytes=index_bytes(prepared, vectors),
        )

        def claim(tx: Tx) -> bool:
            _drop(tx, row)
            insert_file(tx, made)
            attach_files(tx, [place])
            put_watched_file(tx, WatchedFile(store_id=STORE_ID, path=file.key, file_id=file_id, **seen))
            return True

        await index_file(
            self._store, prepared, store_id=STORE_ID, file_id=file_id, clock=self._clock, vectors=vectors, claim=claim
        )
        log.info("ingest.completed", extra={"file": file_id, "chunks": prepared.n_chunks})

    async def _note(self, file: GivenFile, row: WatchedFile | None, seen: Mapping[str, Any], why: str) -> None:
        """It could not be read as it is; of a file that was, the older version stays."""
        served = None if row is None else row.file_id
        error = why if served is None else f"{why}{_STILL_FOUND}"
        await self._put(WatchedFile(store_id=STORE_ID, path=file.key, file_id=served, error=error, **seen))
        # Told in `failures`, and to the model. A warning would be a word without its file on a program's terminal.
        log.info("ingest.refused", extra={"size": file.size_bytes})

    async def _put(self, row: WatchedFile) -> None:
        await self._store.write(lambda tx: put_watched_file(tx, row))

    async def _keep_attributes(self, files: Sequence[GivenFile]) -> None:
        """Those of files that were not read now may be others than the last time."""
        there = await self._store.read_long(
            lambda tx: find_in_store(tx, STORE_ID, [row.file_id for row in self._known.values() if row.file_id])
        )
        for file in files:
            row = self._known.get(file.key)
            served = None if row is None or row.file_id is None else there.get(row.file_id)
            if served is not None and (served.attributes or {}) != (wanted := self._wanted[file.key]):
                put = partial(set_attributes, store_id=STORE_ID, file_id=served.file_id, attributes=wanted)
                await self._store.write(put)

    def _forget(self, tx: Tx, *, key: str) -> None:
        _drop(tx, self._known[key])
        forget_watched_file(tx, STORE_ID, key)

    def _trusted_mtime(self, file: GivenFile) -> int:
        """0 for a file that may be written to again without a change of its time."""
        return 0 if abs(self._clock.now() - file.mtime_ns / 1e9) < _TICK_S else file.mtime_ns

    async def _embed(self, prepared: Prepared) -> FileVectors | None:
        """None: not now. After a failure the model is not asked again before the next look."""
        if self._vectors is None or self._problem is not None:
            return None
        words = (SegmentWords(i, segment.lead + segment.text) for i, segment in enumerate(prepared.segments))
        try:
            return await self._vectors.of(words)
        except ModelError as error:
            if error.reason == "invalid_prompt":
                return FileVectors(self._vectors.model, {})  # and would be the next time
            self._has_failed(error)
            return None

    async def _embed_missing(self, vectors: TextVectors) -> None:
        """Make up for vectors that files lack: another model made theirs, or it did not answer."""
        found = await self._store.read(lambda tx: find_index(tx, STORE_ID))
        if found is None:
            return
        key, model = found[0], vectors.model
        find = partial(files_missing, index_key=key, model=model, limit=_EMBEDDED_AT_ONCE)
        try:
            while missing := await self._store.read(find):
                for file_key in missing:
                    await embed_indexed_file(self._store, vectors, index_key=key, file_key=file_key)
        except ModelError as error:
            self._has_failed(error)
            return
        if await self._store.write(lambda tx: serve_if_complete(tx, key, model)) and found[1] not in (None, model):
            while await self._store.write(lambda tx: delete_other_vectors(tx, key, model)):
                continue

    def _has_failed(self, error: ModelError) -> None:
        log.info("ingest.not_embedded", extra={"reason": error.reason})  # told in `problems`
        self._problem = f"Not all files can be searched by meaning: {error.message}"


def _checked(attributes: dict[str, AttributeValue], file: GivenFile) -> dict[str, AttributeValue]:
    for name, value in attributes.items():
        if not isinstance(value, str | int | float):
            raise InvalidRequestError(
                f"{file.name}: the attribute {name} must be a text, a number or a truth value, not "
                f"{type(value).__name__}."
            )
    return {**attributes, PATH_ATTRIBUTE: file.label[:_MAX_ATTRIBUTE_CHARS]}


def _is_seen(file: GivenFile, row: WatchedFile | None) -> bool:
    """Whether a file is as it was read, as far as one sees without reading it."""
    if row is None or not row.sha256 or not row.mtime_ns:
        return False
    return (row.size_bytes, row.mtime_ns) == (file.size_bytes, file.mtime_ns)


def _is_unchanged(file: GivenFile) -> bool:
    if file.path is None:
        return True
    there = file.path.stat()
    return (there.st_size, there.st_mtime_ns) == (file.size_bytes, file.mtime_ns)


def _digest(file: GivenFile) -> str:
    """Raises OSError."""
    if file.path is None:
        return hashlib.sha256(file.data).hexdigest()
    with file.path.open("rb") as source:
        return hashlib.file_digest(source, "sha256").hexdigest()


@asynccontextmanager
async def _as_path(file: GivenFile) -> AsyncGenerator[Path, None]:
    """The bytes as a file. Raises OSError."""
    if file.path is not None:
        yield file.path
        return
    with tempfile.NamedTemporaryFile(prefix="agentrt-text-") as written:
        await asyncio.to_thread(written.write, file.data)
        written.flush()
        yield Path(written.name)


def _drop(tx: Tx, row: WatchedFile | None) -> None:
    """Let what was read of a file before not be found any more."""
    old = None if row is None or row.file_id is None else load_file(tx, row.file_id)
    if old is not None:
        delete_file(tx, old)
