"""The Library of the API's vector stores: those of a run's assistant and of its thread, at most one each."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, Final

import msgspec

from agentrt.clock import Clock
from agentrt.engine.message import JsonObject, SearchShown
from agentrt.engine.spec import RunSpec
from agentrt.errors import NotFoundError
from agentrt.runtime.file_search.findings import find_passages, tell_missing
from agentrt.runtime.file_search.library import MAX_NAMED_FILES, Catalogue, Findings
from agentrt.runtime.file_search.markers import Ref, find_marks
from agentrt.runtime.vector_stores.search import StoreQuery, StoreSearch
from agentrt.runtime.vector_stores.stores import refuse_expired
from agentrt.store.database import Store, Tx
from agentrt.store.searchable import UnreadyFile, list_calls, list_file_names, list_unready_files
from agentrt.store.threads import find_thread
from agentrt.store.vector_stores import VectorStore, find_store_of_run

_FIRST_PAUSE_S: Final = 0.05
_LONGEST_PAUSE_S: Final = 1.0
_MAX_UNREADY: Final = 10


class StoredLibrary:
    """See Library. aside: entered while files are waited for, whose jobs need a slot as the run does; it says whether
    waiting is wise."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        search: StoreSearch,
        *,
        project: str,
        thread_id: str,
        aside: Callable[[], AbstractAsyncContextManager[bool]] = lambda: nullcontext(True),
    ) -> None:
        self._store = store
        self._clock = clock
        self._search = search
        self._project = project
        self._thread_id = thread_id
        self._aside = aside

    async def look(self, spec: RunSpec) -> Catalogue:
        """See Library.look."""
        return await self._store.read(lambda tx: self._look(tx, spec))

    async def settle(self, catalogue: Catalogue, *, timeout_s: float) -> tuple[str, ...]:
        """See Library.settle."""
        until = self._clock.monotonic() + timeout_s
        unready = await self._unready(catalogue)
        if timeout_s > 0 and not _is_final(unready):
            async with self._aside() as may_wait:
                if may_wait:
                    unready = await self._wait(catalogue, until=until)
        return tell_missing(unready)

    async def search(
        self,
        catalogue: Catalogue,
        queries: Sequence[str],
        *,
        limit: int,
        score_threshold: float,
        max_candidates: int,
    ) -> Findings:
        """See Library.search."""
        return await find_passages(
            self._search,
            self._project,
            catalogue.store_ids,
            StoreQuery(
                queries=tuple(queries),
                limit=limit,
                score_threshold=score_threshold,
                explains=True,
                max_candidates=max_candidates,
            ),
            find=find_store_of_run,
        )

    async def sources(self, catalogue: Catalogue, numbers: Collection[int]) -> Mapping[Ref, str]:
        """See Library.sources: from the steps of the runs at these positions of the thread."""
        calls = await self._store.read(
            lambda tx: [call for number in numbers for call in list_calls(tx, self._thread_id, number)]
        )
        return {ref: file_id for call in calls for ref, file_id in _shown(call).items()}

    async def _wait(self, catalogue: Catalogue, *, until: float) -> list[UnreadyFile]:
        pause_s = _FIRST_PAUSE_S
        while (left_s := until - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(pause_s, left_s))
            unready = await self._unready(catalogue)
            if _is_final(unready):
                return unready
            pause_s = min(pause_s * 1.5, _LONGEST_PAUSE_S)
        return await self._unready(catalogue)

    async def _unready(self, catalogue: Catalogue) -> list[UnreadyFile]:
        return await self._store.read(lambda tx: _unready(tx, catalogue.awaited))

    def _look(self, tx: Tx, spec: RunSpec) -> Catalogue:
        thread = find_thread(tx, self._project, self._thread_id)
        own, theirs = vector_store_ids(thread.tool_resources), vector_store_ids(spec.tool_resources)
        stores = {store.id: store for store_id in (*own, *theirs) if (store := self._vector_store(tx, store_id))}
        now = self._clock.now()
        open_ids = [store_id for store_id, store in stores.items() if not store.is_expired(now)]
        for store_id in own:
            if store_id in stores:
                refuse_expired(stores[store_id], now=now)
        names = [name for store_id in open_ids for name in list_file_names(tx, store_id, limit=MAX_NAMED_FILES + 1)]
        distinct = tuple(dict.fromkeys(names))
        return Catalogue(
            number=spec.position,
            store_ids=tuple(open_ids),
            awaited=tuple(store_id for store_id in own if store_id in open_ids),
            file_names=distinct[:MAX_NAMED_FILES],
            has_more=len(distinct) > MAX_NAMED_FILES,
            notes=tuple(
                f"Vector store {store_id} of the assistant has expired; its files cannot be searched."
                for store_id in stores
                if store_id not in open_ids
            ),
        )

    def _vector_store(self, tx: Tx, store_id: str) -> VectorStore | None:
        """None when it was deleted since."""
        try:
            return find_store_of_run(tx, self._project, store_id)
        except NotFoundError:
            return None


def vector_store_ids(resources: JsonObject) -> tuple[str, ...]:
    """The stores that the `tool_resources` of an assistant, a thread or a run name."""
    search = resources.get("file_search")
    store_ids = search.get("vector_store_ids") if isinstance(search, dict) else None
    return tuple(item for item in store_ids if isinstance(item, str)) if isinstance(store_ids, list) else ()


def _unready(tx: Tx, store_ids: Sequence[str]) -> list[UnreadyFile]:
    return [file for store_id in store_ids for file in list_unready_files(tx, store_id, limit=_MAX_UNREADY)]


def _is_final(unready: Sequence[UnreadyFile]) -> bool:
    return all(file.is_failed for file in unready)


def _shown(call: Mapping[str, Any]) -> dict[Ref, str]:
    """The passages that a stored call showed: which one is of which file."""
    if call.get("type") != "file_search" or not isinstance(call.get("shown"), dict):
        return {}
    hits = msgspec.convert(call["shown"], SearchShown).hits
    return {ref: hit.file_id for hit in hits for mark in find_marks(hit.marker) for ref in mark.refs}
