"""The index of a FileSearch while it is open: the server's tables in a SQLite file, read and searched as there."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from agentrt.clock import SystemClock
from agentrt.config.schema import DEFAULT_PROJECT
from agentrt.engine.message import Message, SearchHit, SearchShown
from agentrt.engine.spec import RunSpec
from agentrt.models.embeddings import Embedder
from agentrt.models.reranking import Reranker
from agentrt.retrieval.chunk import Chunking
from agentrt.retrieval.filters import Compound, Filter
from agentrt.retrieval.preparer import Preparer
from agentrt.runtime.default_search_models import default_embedder, default_reranker
from agentrt.runtime.file_search.findings import find_passages
from agentrt.runtime.file_search.library import FoundPassage
from agentrt.runtime.file_search.local_library import LocalLibrary
from agentrt.runtime.file_search.local_reading import STORE_ID, LocalReading
from agentrt.runtime.file_search.sources import FailedFile, Gathered, SearchedFile, Source, gather
from agentrt.runtime.file_search.tool import MAX_CANDIDATES, SearchRunner
from agentrt.runtime.vector_stores.search import StoreQuery, StoreSearch
from agentrt.runtime.vector_stores.vectors.questions import QuestionVectors
from agentrt.runtime.vector_stores.vectors.texts import TextVectors
from agentrt.store.database import Store
from agentrt.store.open import open_store
from agentrt.store.watched_folders import WatchedFile, list_watched_files

_BESIDE: Final = ("", "-wal", "-shm", "-journal", ".lock")
"""How the names of the index's files go on behind its own; copies from before a migration have `.bak-` and more."""


class LocalOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of a FileSearch, as it explains it. path: the file that the index is in."""

    sources: Sequence[Source]
    include: Sequence[str]
    ignore: Sequence[str]
    path: Path
    attributes: Callable[[str], Mapping[str, str | float | bool]] | None
    embedding: str | Embedder | None
    reranker: str | Reranker | None
    filter: Filter | None
    chunking: Chunking
    config: Path | None


class Seen(msgspec.Struct, frozen=True):
    """What a look at the sources has found. files: by their ids. problems: in words."""

    files: Mapping[str, SearchedFile]
    failures: Sequence[FailedFile]
    problems: Sequence[str]


class LocalIndex:
    """Open from `async with` on; entering reads the files. tell: called with what each look has found."""

    def __init__(self, options: LocalOptions, tell: Callable[[Seen], None]) -> None:
        self._options = options
        self._tell = tell
        self._failures: Sequence[FailedFile] = ()
        self._clock = SystemClock()
        self._exits = AsyncExitStack()
        self._gate = asyncio.Lock()

    async def __aenter__(self) -> Self:
        options = self._options
        async with AsyncExitStack() as exits:
            embedder, reranker = await _embedder(options), await _reranker(options)
            self._store = await open_store(f"sqlite:///{options.path}", clock=self._clock)
            exits.push_async_callback(self._store.close)
            preparer = Preparer()
            exits.push_async_callback(preparer.close)
            self._reading = LocalReading(
                self._store,
                preparer,
                self._clock,
                chunking=options.chunking,
                vectors=None if embedder is None else TextVectors(embedder, store=self._store, clock=self._clock),
                attributes=options.attributes,
            )
            self._search = _search(self._store, self._clock, embedder, reranker)
            await self.refresh()
            self._exits = exits.pop_all()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._exits.__aexit__(kind, error, trace)

    async def refresh(self) -> None:
        """Look at the sources, and read what is new or has changed."""
        async with self._gate:
            gathered = await asyncio.to_thread(_gather, self._options)
            problem = await self._reading.go(gathered)
            rows = await self._store.read_long(lambda tx: list_watched_files(tx, STORE_ID))
            files = {row.file_id: _searched(row, row.file_id, gathered) for row in rows if row.file_id is not None}
            failed = [_failed(row, gathered) for row in rows if row.error is not None]
            self._failures = [*failed, *gathered.left_out]
            problems = [*gathered.problems, *([] if problem is None else [problem])]
            self._tell(Seen(files, self._failures, problems))

    def runner(
        self,
        history: Sequence[Message],
        searches: Sequence[SearchShown],
        *,
        context_window: Callable[[RunSpec], Awaitable[int | None]],
    ) -> SearchRunner:
        """file_search for one run."""
        library = LocalLibrary(
            self._store,
            self._search,
            filter_=self._options.filter,
            failures=self._failures,
            history=history,
            searches=searches,
        )
        return SearchRunner(library, clock=self._clock, context_window=context_window)

    async def search(
        self, queries: Sequence[str], *, limit: int, score_threshold: float, filter_: Filter | None
    ) -> SearchShown:
        """Search outside of a run."""
        asked = StoreQuery(
            queries=tuple(queries),
            limit=limit,
            score_threshold=score_threshold,
            filter=_both(self._options.filter, filter_),
            explains=True,
            max_candidates=MAX_CANDIDATES,
        )
        found = await find_passages(self._search, DEFAULT_PROJECT, [STORE_ID], asked)
        return SearchShown(
            hits=tuple(_hit(passage) for passage in found.passages),
            score_threshold=score_threshold,
            queries=tuple(queries),
            candidates=tuple(found.candidates),
            n_candidates=found.n_candidates,
            vector_model=found.vector_model,
            why_no_vectors=found.why_no_vectors,
            rerank_model=found.rerank_model,
            why_not_reranked=found.why_not_reranked,
        )


def _search(store: Store, clock: SystemClock, embedder: Embedder | None, reranker: Reranker | None) -> StoreSearch:
    def find(model: str) -> Embedder | None:
        return embedder if embedder is not None and embedder.model == model else None

    async def as_they_are(queries: Sequence[str]) -> Sequence[str]:
        return queries

    vectors = None if embedder is None else QuestionVectors(find, clock=clock)
    return StoreSearch(store=store, clock=clock, rewrite=as_they_are, vectors=vectors, reranker=reranker)


async def _embedder(options: LocalOptions) -> Embedder | None:
    """Raises ModelNotFoundError, ModelError for one whose files cannot be read."""
    named = options.embedding
    return await default_embedder(named, config=options.config) if isinstance(named, str) else named


async def _reranker(options: LocalOptions) -> Reranker | None:
    """Raises ModelNotFoundError."""
    named = options.reranker
    return await default_reranker(named, config=options.config) if isinstance(named, str) else named


def _gather(options: LocalOptions) -> Gathered:
    """Without the index itself, which may be in one of the folders."""
    found = gather(options.sources, include=options.include, ignore=options.ignore)
    own = str(options.path.resolve())
    for key in [key for key in found.files if key.removeprefix(own) in _BESIDE or key.startswith(f"{own}.bak-")]:
        del found.files[key]
    return found


def _searched(row: WatchedFile, file_id: str, gathered: Gathered) -> SearchedFile:
    given = gathered.files.get(row.path)
    if given is None:
        return SearchedFile(file_id, Path(row.path).name, Path(row.path), row.size_bytes)
    return SearchedFile(file_id, given.name, given.path, given.size_bytes)


def _failed(row: WatchedFile, gathered: Gathered) -> FailedFile:
    given = gathered.files.get(row.path)
    name, path = (Path(row.path).name, Path(row.path)) if given is None else (given.name, given.path)
    return FailedFile(name, path, row.error or "")


def _both(one: Filter | None, other: Filter | None) -> Filter | None:
    if one is None or other is None:
        return one or other
    return Compound("and", (one, other))


def _hit(passage: FoundPassage) -> SearchHit:
    return SearchHit(
        file_id=passage.file_id,
        file_name=passage.file_name,
        score=passage.score,
        text=passage.text,
        page=passage.page,
        start=passage.start,
        end=passage.end,
    )
