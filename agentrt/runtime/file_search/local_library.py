"""The Library of an Agent in code: the files of its FileSearch, and what its conversation has been shown of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from agentrt.config.schema import DEFAULT_PROJECT
from agentrt.engine.message import FileCitation, Message, SearchShown, TextPart
from agentrt.engine.spec import RunSpec
from agentrt.retrieval.filters import Filter
from agentrt.runtime.file_search.findings import find_passages, tell_missing
from agentrt.runtime.file_search.library import MAX_NAMED_FILES, Catalogue, Findings
from agentrt.runtime.file_search.local_reading import STORE_ID
from agentrt.runtime.file_search.markers import Ref, find_marks
from agentrt.runtime.file_search.sources import FailedFile
from agentrt.runtime.vector_stores.search import StoreQuery, StoreSearch
from agentrt.store.database import Store
from agentrt.store.searchable import UnreadyFile, list_file_names

_MAX_TOLD: Final = 10


class LocalLibrary:
    """See Library. history, searches: of the conversation before the run."""

    def __init__(
        self,
        store: Store,
        search: StoreSearch,
        *,
        filter_: Filter | None,
        failures: Sequence[FailedFile],
        history: Sequence[Message],
        searches: Sequence[SearchShown],
    ) -> None:
        self._store = store
        self._search = search
        self._filter = filter_
        self._failures = failures
        self._history = history
        self._searches = searches

    async def look(self, spec: RunSpec) -> Catalogue:
        """See Library.look."""
        names = await self._store.read(lambda tx: list_file_names(tx, STORE_ID, limit=MAX_NAMED_FILES + 1))
        distinct = tuple(dict.fromkeys(names))
        return Catalogue(
            number=spec.position,
            store_ids=(STORE_ID,),
            file_names=distinct[:MAX_NAMED_FILES],
            has_more=len(distinct) > MAX_NAMED_FILES,
        )

    async def settle(self, catalogue: Catalogue, *, timeout_s: float) -> tuple[str, ...]:
        """See Library.settle. Nothing is waited for: the files were read before the run."""
        return tell_missing([UnreadyFile(file.name, True, file.reason) for file in self._failures[:_MAX_TOLD]])

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
        asked = StoreQuery(
            queries=tuple(queries),
            limit=limit,
            score_threshold=score_threshold,
            filter=self._filter,
            explains=True,
            max_candidates=max_candidates,
        )
        return await find_passages(self._search, DEFAULT_PROJECT, catalogue.store_ids, asked)

    async def sources(self, catalogue: Catalogue, numbers: Collection[int]) -> Mapping[Ref, str]:
        """See Library.sources: from what was cited, and from what was found, which says more."""
        marked = [(note.text, note.file_id) for message in self._history for note in _citations(message)]
        marked += [(hit.marker, hit.file_id) for shown in self._searches for hit in shown.hits]
        refs = {ref: file_id for text, file_id in marked for mark in find_marks(text) for ref in mark.refs}
        return {ref: file_id for ref, file_id in refs.items() if ref[0] in numbers}


def _citations(message: Message) -> list[FileCitation]:
    parts = [part for part in message.parts if isinstance(part, TextPart)]
    return [note for part in parts for note in part.annotations if isinstance(note, FileCitation)]
