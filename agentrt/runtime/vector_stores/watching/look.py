"""Look: one look through the folders of a store: new files go in, changed ones take the place of the old ones when they
are indexed, and those that are gone go.

Whatever is done is written down in the transaction that does it, so that a look that was cut off is simply gone on with
by the next one. Each of them also shows that the look is still this process's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, TypeVar

from agentrt.clock import Clock
from agentrt.config.schema import DEFAULT_PROJECT, VectorStoreSpec, WatchedFolder
from agentrt.config.stores import PATH_ATTRIBUTE
from agentrt.dispatch.ports import Dispatcher
from agentrt.engine.message import JsonObject
from agentrt.errors import RequestTooLargeError
from agentrt.files.folder import FolderView, FoundFile, is_unchanged, open_file, view_folder
from agentrt.retrieval.chunk import Chunking
from agentrt.runtime.files import Files, new_file
from agentrt.runtime.requests import NewStoreFile
from agentrt.runtime.storage import Storage
from agentrt.runtime.vector_stores.ingest.queue import chunking_of, put_files, set_attributes
from agentrt.runtime.vector_stores.watching.declared_stores import delete_if_there
from agentrt.store.database import Store, Tx
from agentrt.store.files import hold_those_there, insert_file
from agentrt.store.vector_store_files import VectorStoreFile, find_in_store
from agentrt.store.vector_stores import hold_vector_store
from agentrt.store.watched_folders import (
    WatchedFile,
    forget_watched_file,
    list_watched_files,
    prolong_watch,
    put_watched_file,
)

T = TypeVar("T")

SETTLE_S: Final = 1.0
"""A file that was written to a moment ago may be written to still."""

_READ_BYTES: Final = 1 << 18
_ATTACHED_AT_ONCE: Final = 32
_UNREAD: Final = -1
_SHOWN: Final = 3
_CUT_AT: Final = 2
_STILL_FOUND: Final = " The version before it is still found."


class LookLostError(Exception):
    """Another process has taken the look, because this one gave no sign of life for too long."""


class Look:
    """problems, is_pending: what came of it; pending is what the next look has to go on with soon."""

    def __init__(
        self,
        spec: VectorStoreSpec,
        *,
        holder: str,
        store: Store,
        files: Files,
        storage: Storage,
        dispatcher: Dispatcher,
        clock: Clock,
    ) -> None:
        self._spec = spec
        self._holder = holder
        self._store = store
        self._files = files
        self._storage = storage
        self._dispatcher = dispatcher
        self._clock = clock
        self._chunking = Chunking(spec.chunk_tokens, spec.overlap_tokens)
        self.problems: list[str] = []
        self.is_pending = False

    async def go(self) -> None:
        """Look once. Raises LookLostError, StoreError, UnavailableError when bytes cannot be stored now."""
        known, there = await self._read()
        for row in list(known.values()):
            known[row.path] = await self._settle(row, there)
        views = {folder.label: await self._view(folder) for folder in self._spec.folders}
        found = {
            f"{label}/{file.name}": file for label, view in views.items() if view is not None for file in view.files
        }
        wanted = self._wanted(known, found, is_cut=any(view is not None and view.is_cut for view in views.values()))
        for path, file in wanted:
            await self._take_in(path, file, known.get(path), there)
        await self._remove_gone(known, found, views)
        await self._attach()

    async def _read(self) -> tuple[dict[str, WatchedFile], dict[str, VectorStoreFile]]:
        """What is known, by path; and how its files stand in the store, by id."""

        def read(tx: Tx) -> tuple[dict[str, WatchedFile], dict[str, VectorStoreFile]]:
            rows = list_watched_files(tx, self._spec.id)
            ids = [id_ for row in rows for id_ in (row.file_id, row.next_file_id) if id_ is not None]
            return {row.path: row for row in rows}, find_in_store(tx, self._spec.id, ids)

        return await self._store.read_long(read)

    async def _settle(self, row: WatchedFile, there: dict[str, VectorStoreFile]) -> WatchedFile:
        """What has become of the version that was being indexed, and of the one that is served."""
        after = row.model_copy()
        coming = None if row.next_file_id is None else there.get(row.next_file_id)
        served = None if row.file_id is None else there.get(row.file_id)
        dropped: str | None = None
        if row.next_file_id is None:
            if row.file_id is not None and served is None:  # somebody has deleted it, or taken it out: once more
                after.file_id, after.sha256 = None, ""
            elif served is not None:
                self._compare(after, served)
        elif coming is None or coming.status == "in_progress":
            return row  # put in by _attach, or waited for
        elif coming.status == "completed" or served is None or served.status != "completed":
            after.file_id, after.next_file_id, dropped = row.next_file_id, None, row.file_id
            after.error = _error_of(coming)
        else:  # the old version stays: what cannot be read now may be mended, and until then it is better than nothing
            after.next_file_id, dropped = None, row.next_file_id
            after.error = f"{_error_of(coming)}{_STILL_FOUND}"
        if dropped is not None:
            # First: who dies in between comes to the same again, and no version is left that nobody knows of.
            await delete_if_there(self._files, dropped)
        if after != row:
            await self._write(lambda tx: put_watched_file(tx, after))
        if served is not None and row.next_file_id is None:
            await self._keep_attributes(after, served)
        return after

    def _compare(self, row: WatchedFile, served: VectorStoreFile) -> None:
        if served.status == "in_progress":
            return
        if chunking_of(served.chunking) != self._chunking:
            row.sha256 = ""  # to be read again: indexed as another version, it does not go missing meanwhile
        elif row.size_bytes != _UNREAD and not (row.error or "").endswith(_STILL_FOUND):
            row.error = _error_of(served)  # none, if somebody has put it in again and it went well

    async def _keep_attributes(self, row: WatchedFile, served: VectorStoreFile) -> None:
        wanted = self._attributes(row.path)
        if (served.attributes or {}) != wanted:
            await self._write(
                partial(set_attributes, store_id=self._spec.id, file_id=served.file_id, attributes=wanted)
            )

    async def _view(self, folder: WatchedFolder) -> FolderView | None:
        """None: it cannot be looked through now; what is known of it stays."""
        spec, most = self._spec, _CUT_AT * self._spec.max_files
        look = partial(view_folder, folder.path, include=spec.include, ignore=spec.ignore, limit=most)
        try:
            view = await asyncio.to_thread(look)
        except OSError as error:
            self.problems.append(f"{folder.label}: {(error.strerror or str(error)).lower()}")
            return None
        if view.left_out:
            shown = "; ".join(f"{left.name}: {left.why}" for left in view.left_out[:_SHOWN])
            more = f"; and {len(view.left_out) - _SHOWN} more" if len(view.left_out) > _SHOWN else ""
            self.problems.append(f"{folder.label}: left out: {shown}{more}")
        return view

    def _wanted(
        self, known: Mapping[str, WatchedFile], found: Mapping[str, FoundFile], *, is_cut: bool
    ) -> list[tuple[str, FoundFile]]:
        """As many as there may be; those that are in the store go before new ones."""
        most = self._spec.max_files
        old = [(path, file) for path, file in found.items() if path in known]
        new = [(path, file) for path, file in found.items() if path not in known]
        if is_cut or len(found) > most:
            self.problems.append(f"there are more than max_files = {most:,} files; the others are left out")
        return old + new[: max(0, most - len(old))]

    async def _take_in(
        self, path: str, file: FoundFile, row: WatchedFile | None, there: dict[str, VectorStoreFile]
    ) -> None:
        if row is not None and row.next_file_id is not None and row.next_file_id in there:
            self.is_pending = True  # the version on its way first: it is done with soon, and a changed one comes after
            return
        if row is not None and row.sha256 and (row.size_bytes, row.mtime_ns) == (file.size_bytes, file.mtime_ns):
            return
        if file.size_bytes > self._files.max_bytes:
            await self._note(path, row, f"It is larger than {self._files.max_bytes:,} bytes.")
            return
        if not file.size_bytes:
            return  # nothing to find; of a file that was emptied to be written anew the old version is better
        if 0 <= self._clock.now() - file.mtime_ns / 1e9 < SETTLE_S:
            self.is_pending = True
            return
        try:
            await self._receive(path, file, row)
        except RequestTooLargeError:
            self.is_pending = True  # it is growing
        except OSError as error:
            await self._note(path, row, f"It cannot be read: {(error.strerror or str(error)).lower()}.")

    async def _receive(self, path: str, file: FoundFile, row: WatchedFile | None) -> None:
        """Store the file's bytes, if they are others than before. Raises OSError, RequestTooLargeError."""
        async with self._files.receive(_chunks(file)) as received:
            if not is_unchanged(file):
                self.is_pending = True
                return
            seen: dict[str, Any] = {"size_bytes": file.size_bytes, "mtime_ns": file.mtime_ns, "sha256": received.sha256}
            if row is not None and row.sha256 == received.sha256:
                touched = row.model_copy(update=seen)
                await self._write(lambda tx: put_watched_file(tx, touched))
                return

            def write(tx: Tx, blob: str) -> None:
                self._prolong(tx)
                made = new_file(
                    DEFAULT_PROJECT,
                    blob,
                    size_bytes=received.size_bytes,
                    filename=file.name,
                    purpose="assistants",
                    expires_after_s=None,
                    media_type=None,
                    now=self._clock.now(),
                )
                insert_file(tx, made)
                served = None if row is None else row.file_id
                new = WatchedFile(store_id=self._spec.id, path=path, file_id=served, next_file_id=made.id, **seen)
                put_watched_file(tx, new)

            if row is not None and row.next_file_id is not None:  # it was to be put in, and has changed before that
                await delete_if_there(self._files, row.next_file_id)
            await self._storage.keep(received, write)
            self.is_pending = True

    async def _note(self, path: str, row: WatchedFile | None, why: str) -> None:
        """It could not be taken in as it is."""
        seen: dict[str, Any] = {"size_bytes": _UNREAD, "mtime_ns": 0, "sha256": "", "error": why}
        if row is None:
            note = WatchedFile(store_id=self._spec.id, path=path, **seen)
        else:
            has_old = row.file_id is not None
            note = row.model_copy(update={**seen, "error": f"{why}{_STILL_FOUND}" if has_old else why})
        if note != row:
            await self._write(lambda tx: put_watched_file(tx, note))

    async def _remove_gone(
        self, known: dict[str, WatchedFile], found: dict[str, FoundFile], views: dict[str, FolderView | None]
    ) -> None:
        """Forget what is in no folder any more; not what was only not looked at."""
        for path in sorted(known.keys() - found.keys()):
            folder = next((one for one in self._spec.folders if path.startswith(f"{one.label}/")), None)
            if folder is not None and await self._may_be_there(folder, path, views[folder.label]):
                continue
            row = known[path]
            for file_id in (row.next_file_id, row.file_id):
                if file_id is not None:
                    await delete_if_there(self._files, file_id)
            await self._write(partial(forget_watched_file, store_id=self._spec.id, path=path))

    async def _may_be_there(self, folder: WatchedFolder, path: str, view: FolderView | None) -> bool:
        """Whether a file that was not seen may be in the folder all the same."""
        if view is None or view.has_unread:
            return True
        place = folder.path / path.removeprefix(f"{folder.label}/")
        return view.is_cut and await asyncio.to_thread(place.exists)

    async def _attach(self) -> None:
        """Have those indexed that are stored and not in the store yet, also those that a look before this one left."""
        known, there = await self._read()
        rows = [row for row in known.values() if row.next_file_id is not None and row.next_file_id not in there]
        for at in range(0, len(rows), _ATTACHED_AT_ONCE):
            await self._write(partial(self._attach_some, rows=rows[at : at + _ATTACHED_AT_ONCE]))
        self.is_pending = self.is_pending or any(row.next_file_id is not None for row in known.values())

    def _attach_some(self, tx: Tx, rows: Sequence[WatchedFile]) -> None:
        store = hold_vector_store(tx, DEFAULT_PROJECT, self._spec.id)
        ids = [row.next_file_id for row in rows if row.next_file_id is not None]
        existing = hold_those_there(tx, DEFAULT_PROJECT, ids)
        new: list[NewStoreFile] = []
        for row in rows:
            if row.next_file_id in existing:
                new.append(
                    NewStoreFile(row.next_file_id, attributes=self._attributes(row.path), chunking=self._strategy())
                )
            else:  # somebody has deleted it already
                put_watched_file(tx, row.model_copy(update={"next_file_id": None, "sha256": ""}))
        put_files(tx, self._dispatcher, store, new, now=self._clock.now())

    def _attributes(self, path: str) -> dict[str, str | float | bool]:
        return {**self._spec.attributes, PATH_ATTRIBUTE: path[:512]}

    def _strategy(self) -> JsonObject:
        size, overlap = self._chunking.max_chunk_size_tokens, self._chunking.chunk_overlap_tokens
        return {"type": "static", "static": {"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}}

    async def _write(self, change: Callable[[Tx], T]) -> T:
        def write(tx: Tx) -> T:
            self._prolong(tx)
            return change(tx)

        return await self._store.write(write)

    def _prolong(self, tx: Tx) -> None:
        if not prolong_watch(tx, self._spec.id, holder=self._holder, now=self._clock.now()):
            raise LookLostError


async def _chunks(file: FoundFile) -> AsyncGenerator[bytes, None]:
    source = await asyncio.to_thread(open_file, file)
    with source:
        while piece := await asyncio.to_thread(source.read, _READ_BYTES):
            yield piece


def _error_of(file: VectorStoreFile) -> str | None:
    if file.status == "cancelled":
        return "Indexing it was cancelled."
    return (file.last_error_message or file.last_error_code) if file.status == "failed" else None
