"""FileSearch: lets an Agent in your process search files. What it takes is imported when it is used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeAlias
from weakref import finalize

from agentrt.engine.message import JsonObject, Message, SearchHit, SearchShown
from agentrt.engine.spec import RunSpec
from agentrt.errors import InvalidRequestError, UnavailableError
from agentrt.runtime.file_search.sources import FailedFile, SearchedFile, Source, check_sources
from agentrt.runtime.hosted import HostedTool

if TYPE_CHECKING:
    from agentrt.models.embeddings import Embedder
    from agentrt.models.reranking import Reranker
    from agentrt.retrieval.filters import Filter
    from agentrt.runtime.file_search.local_index import LocalIndex, Seen

Attributes: TypeAlias = Mapping[str, str | float | bool]

MAX_RESULTS = 50
_CHUNK = 800  # as in the API, which lets neighbours share half


class FileSearch:
    """The tool: `Agent(tools=[FileSearch("handbook/")])`.

        async with FileSearch("handbook/", path="handbook.index") as files:
            agent = Agent("You know our handbook.", model="gpt-5-mini", tools=[files])
            result = await agent.run("How many days of leave do I have?")
            for citation in result.citations:
                print(citation.file_name, citation.page, citation.passage)
            hits = await files.search("leave", limit=5)

    Files are read when it is first used, each in a process of its own kind; what cannot be read is in `failures` and
    in what the model is told. Inside of the block the index stays open, and `refresh` looks for what has changed;
    without one it is opened for each run and each search, and looks every time. Several agents may share one.

    sources: files, folders with all below them, and (name, content) of bytes or text. include, ignore: globs of files
    in folders. path: a file to keep the index in, for the next start of the program to read only what has changed;
    without, it is gone with this object. attributes: a file's, by its name, to filter by; each has `path` anyway.
    embedding: a model to search by meaning, too: a name as an Agent takes one, `minilm`, or an Embedder. reranker: has
    the last word on the order: a name of agents.toml, or a Reranker. chunk_tokens: of a passage; overlap_tokens: how
    many of them are in the next one, too; None = half. config: the agents.toml that names models. max_num_results,
    score_threshold, filter: as in the API. store: the id, or the name in agents.toml, of a vector store of the Runtime
    on whose threads the agent talks, in place of all that is about files.
    Raises InvalidRequestError for options that cannot be.
    """

    def __init__(
        self,
        *sources: Source,
        store: str | None = None,
        path: Path | str | None = None,
        include: Sequence[str] = (),
        ignore: Sequence[str] = (),
        attributes: Callable[[str], Attributes] | None = None,
        embedding: str | Embedder | None = None,
        reranker: str | Reranker | None = None,
        max_num_results: int | None = None,
        score_threshold: float = 0.0,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - the API's word
        chunk_tokens: int = _CHUNK,
        overlap_tokens: int | None = None,
        config: Path | str | None = None,
    ) -> None:
        own = (*sources, path, attributes, embedding, reranker, filter, config, *include, *ignore)
        is_own = any(one is not None for one in own) or chunk_tokens != _CHUNK or overlap_tokens is not None
        if (store is None) == (not sources) or (store is not None and is_own):
            raise InvalidRequestError("FileSearch takes files and folders, or else a vector store of a Runtime.")
        if max_num_results is not None:
            _check_within("max_num_results", max_num_results, 1, MAX_RESULTS)
        _check_within("score_threshold", score_threshold, 0, 1)
        self.store = store
        self.sources = check_sources(sources)
        self.include, self.ignore = tuple(include), tuple(ignore)
        self.attributes = attributes
        self.embedding = embedding
        self.reranker = reranker
        self.max_num_results = max_num_results
        self.score_threshold = score_threshold
        self.filter = _parsed(filter)
        self.chunk_tokens, self.overlap_tokens = _checked_chunks(chunk_tokens, overlap_tokens)
        self.config = None if config is None else Path(config)
        self.files: Mapping[str, SearchedFile] = {}
        self.failures: Sequence[FailedFile] = ()
        self.problems: Sequence[str] = ()
        self._path = None if path is None else Path(path)
        self._index: LocalIndex | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._gate = asyncio.Lock()
        self._n_users = 0

    @property
    def options(self) -> JsonObject | None:
        """As in the tool's `file_search` object."""
        options: JsonObject = {} if self.max_num_results is None else {"max_num_results": self.max_num_results}
        if self.score_threshold:
            options["ranking_options"] = {"score_threshold": self.score_threshold}
        return options or None

    @property
    def index_path(self) -> Path:
        """The file with the index; without `path`, one that is deleted when this object is gone."""
        if self._path is None:
            import shutil
            import tempfile

            folder = tempfile.mkdtemp(prefix="agentrt-files-")
            finalize(self, shutil.rmtree, folder, ignore_errors=True)
            self._path = Path(folder) / "index.db"
        return self._path

    async def search(
        self,
        query: str | Sequence[str],
        *,
        limit: int = 10,
        score_threshold: float | None = None,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - the API's word
    ) -> Sequence[SearchHit]:
        """The passages that answer best, the best first; of several queries each is answered.

        limit: from 1 to 50. filter: beside the one given at the start. Raises InvalidRequestError, StoreError.
        """
        return (await self.explain(query, limit=limit, score_threshold=score_threshold, filter=filter)).hits

    async def explain(
        self,
        query: str | Sequence[str],
        *,
        limit: int = 10,
        score_threshold: float | None = None,
        filter: Mapping[str, Any] | None = None,  # noqa: A002 - the API's word
    ) -> SearchShown:
        """As search, with every candidate, its scores, and why it was kept or dropped."""
        queries = (query,) if isinstance(query, str) else tuple(query)
        if not queries or not all(map(str.strip, queries)):
            raise InvalidRequestError("A query must have more in it than white space.", param="query")
        threshold = self.score_threshold if score_threshold is None else score_threshold
        _check_within("limit", limit, 1, MAX_RESULTS)
        _check_within("score_threshold", threshold, 0, 1)
        parsed = _parsed(filter)
        async with self._opened() as index:
            return await index.search(queries, limit=limit, score_threshold=threshold, filter_=parsed)

    async def refresh(self) -> None:
        """Look at the sources again: what is new or has changed is read, what is gone goes.

        Raises InvalidRequestError for a source that is not there any more, StoreError.
        """
        async with self._opened() as index:
            await index.refresh()

    async def __aenter__(self) -> Self:
        """Reads the files. Raises InvalidRequestError, ModelNotFoundError for `embedding`, StoreError."""
        await self._enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._leave()

    @asynccontextmanager
    async def of(
        self,
        history: Sequence[Message],
        searches: Sequence[SearchShown],
        *,
        context_window: Callable[[RunSpec], Awaitable[int | None]],
    ) -> AsyncGenerator[HostedTool, None]:
        """The tool for one run. history, searches: what was said and found before it."""
        async with self._opened() as index:
            yield index.runner(history, searches, context_window=context_window)

    @asynccontextmanager
    async def _opened(self) -> AsyncGenerator[LocalIndex, None]:
        index = await self._enter()
        try:
            yield index
        finally:
            await self._leave()

    async def _enter(self) -> LocalIndex:
        """The index, opened by the first who needs it."""
        if self.store is not None:
            raise InvalidRequestError(
                f'FileSearch(store="{self.store}") is for agents on threads of a Runtime: agent.run(…, thread=…).'
            )
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._n_users:
                raise UnavailableError("This FileSearch is in use in another event loop now; make one for each.")
            self._loop, self._gate = loop, asyncio.Lock()
        self._n_users += 1
        try:
            async with self._gate:
                if self._index is None:
                    self._index = await self._made().__aenter__()
                return self._index
        except BaseException:
            await self._leave()
            raise

    def _made(self) -> LocalIndex:
        from agentrt.retrieval.chunk import Chunking
        from agentrt.runtime.file_search.local_index import LocalIndex, LocalOptions

        options = LocalOptions(
            sources=self.sources,
            include=self.include,
            ignore=self.ignore,
            path=self.index_path,
            attributes=self.attributes,
            embedding=self.embedding,
            reranker=self.reranker,
            filter=self.filter,
            chunking=Chunking(self.chunk_tokens, self.overlap_tokens),
            config=self.config,
        )
        return LocalIndex(options, self._note)

    def _note(self, seen: Seen) -> None:
        self.files, self.failures, self.problems = seen.files, seen.failures, seen.problems

    async def _leave(self) -> None:
        """The last one closes it."""
        self._n_users -= 1
        if self._n_users:
            return
        async with self._gate:
            if not self._n_users and self._index is not None:
                index, self._index = self._index, None
                await index.__aexit__(None, None, None)


def _check_within(name: str, value: float, least: int, most: int) -> None:
    if not least <= value <= most:
        raise InvalidRequestError(f"{name} must be between {least} and {most}.", param=name)


def _parsed(filter_: Mapping[str, Any] | None) -> Filter | None:
    if filter_ is None:
        return None
    from agentrt.retrieval.filters import parse_filter

    return parse_filter(filter_, param="filter")


def _checked_chunks(chunk_tokens: int, overlap_tokens: int | None) -> tuple[int, int]:
    """Raises InvalidRequestError."""
    from agentrt.retrieval.chunk import Chunking

    overlap = chunk_tokens // 2 if overlap_tokens is None else overlap_tokens
    try:
        Chunking(chunk_tokens, overlap)
    except InvalidRequestError as error:
        said = error.message.replace("max_chunk_size_tokens", "chunk_tokens")
        raise InvalidRequestError(said.replace("chunk_overlap_tokens", "overlap_tokens")) from None
    return chunk_tokens, overlap
