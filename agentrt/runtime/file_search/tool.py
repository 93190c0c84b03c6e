"""The file_search tool of a run: queries go to the stores, passages come back, markers in answers become citations.

Where passages come from is a port (library.py). What a model reads is words.py's.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Final

from msgspec.structs import replace

from agentrt.clock import Clock
from agentrt.engine.message import Annotation, Role, SearchCandidate, SearchHit, SearchShown, ToolCall, ToolResult
from agentrt.engine.run import Run
from agentrt.engine.spec import FileSearchTool, FunctionTool, RunSpec
from agentrt.errors import AgentrtError
from agentrt.runtime.file_search.library import Catalogue, Findings, FoundPassage, Library
from agentrt.runtime.file_search.limits import SearchLimits, search_limits
from agentrt.runtime.file_search.markers import Ref, cite, find_marks, write_marker
from agentrt.runtime.file_search.queries import read_queries
from agentrt.runtime.file_search.words import search_function, tell
from agentrt.runtime.hosted import Piece

log = logging.getLogger(__name__)

INDEXING_WAIT_S: Final = 60.0
"""How long a run waits for the files of its thread. Source: the vendor's guide."""

MAX_CANDIDATES: Final = 50
"""So many are kept in a step."""

_MAX_NUMBERS: Final = 20


class SearchRunner:
    """A HostedTool: file_search in one run.

    context_window: of the run's model, None when it is unknown.
    """

    def __init__(
        self, library: Library, *, clock: Clock, context_window: Callable[[RunSpec], Awaitable[int | None]]
    ) -> None:
        self._library = library
        self._clock = clock
        self._context_window = context_window
        self._catalogue: Catalogue | None = None
        self._waits_until: float | None = None
        self._places: dict[tuple[str, int, int], Ref] = {}
        self._sources: dict[Ref, str] = {}
        self._next_place: int | None = None

    async def offer(self, spec: RunSpec) -> FunctionTool | None:
        """See HostedTool.offer. Offered also without any file: the call says then that there are none."""
        return search_function(await self._look(spec))

    async def run(self, run: Run, call: ToolCall) -> AsyncGenerator[Piece | ToolResult, None]:
        """See HostedTool.run."""
        try:
            queries = read_queries(call.arguments)
        except ValueError as error:
            yield ToolResult(call.id, str(error), "invalid_arguments")
            return
        try:
            yield await self._search(run, call.id, queries)
        except AgentrtError as error:
            log.warning("search.failed", extra={"run": run.spec.id, "error": type(error).__name__})
            yield ToolResult(call.id, f"Error: {error.message}", "unavailable", SearchShown(queries=queries))

    async def annotate(self, run: Run, text: str) -> tuple[Annotation, ...]:
        """See HostedTool.annotate: markers of this run's passages, and of earlier ones in the thread."""
        marks = find_marks(text)
        refs = {ref for mark in marks for ref in mark.refs} - self._sources.keys()
        if refs:
            catalogue = await self._look(run.spec)
            numbers = sorted({number for number, _ in refs if number <= catalogue.number}, reverse=True)
            self._sources |= await self._library.sources(catalogue, numbers[:_MAX_NUMBERS])
        return cite(marks, self._sources)

    async def _look(self, spec: RunSpec) -> Catalogue:
        if self._catalogue is None:
            self._catalogue = await self._library.look(spec)
        return self._catalogue

    async def _search(self, run: Run, call_id: str, queries: tuple[str, ...]) -> ToolResult:
        began = self._clock.monotonic()
        catalogue, limits = await self._look(run.spec), await self._limits(run.spec)
        findings, notes = Findings(), catalogue.notes
        if catalogue.store_ids:
            notes += await self._settle(catalogue)
            findings = await self._library.search(
                catalogue,
                queries,
                limit=limits.max_results,
                score_threshold=limits.score_threshold,
                max_candidates=MAX_CANDIDATES,
            )
        told = tell(
            findings.passages,
            queries if catalogue.store_ids else (),
            notes,
            budget_tokens=limits.budget_tokens,
            marker_of=lambda passage: write_marker(self._place(run, catalogue.number, passage)),
        )
        log.info(
            "search.done",
            extra={
                "run": run.spec.id,
                "stores": len(catalogue.store_ids),
                "queries": len(queries),
                "found": len(findings.passages),
                "shown": len(told.hits),
                "tokens": told.n_tokens,
                "ms": round((self._clock.monotonic() - began) * 1000, 1),
            },
        )
        return ToolResult(call_id, told.text, shown=_shown(queries, limits, findings, told.hits, told.n_tokens))

    async def _limits(self, spec: RunSpec) -> SearchLimits:
        options = next((tool.options for tool in spec.tools if isinstance(tool, FileSearchTool)), None)
        context_window = await self._context_window(spec)
        return search_limits(options, context_window=context_window, max_prompt_tokens=spec.max_prompt_tokens)

    async def _settle(self, catalogue: Catalogue) -> tuple[str, ...]:
        """Wait for files that are being indexed; all calls of the run together not longer than INDEXING_WAIT_S."""
        if self._waits_until is None:
            self._waits_until = self._clock.monotonic() + INDEXING_WAIT_S
        return await self._library.settle(catalogue, timeout_s=max(0.0, self._waits_until - self._clock.monotonic()))

    def _place(self, run: Run, number: int, passage: FoundPassage) -> Ref:
        """The passage's place among those that this run reads; one that is found again has it already."""
        if self._next_place is None:
            self._next_place = _first_place(run, number)
        ref = self._places.get(passage.key)
        if ref is None:
            ref = self._places[passage.key] = (number, self._next_place)
            self._sources[ref] = passage.file_id
            self._next_place += 1
        return ref


def _first_place(run: Run, number: int) -> int:
    """The first that no passage has which another process has shown in this run."""
    texts = [message.text for message in run.turns if message.role is Role.TOOL]
    calls = () if run.tool_step is None else run.tool_step.calls
    texts += [call.result.output for call in calls if call.result is not None]
    places = [place for text in texts for mark in find_marks(text) for own, place in mark.refs if own == number]
    return max(places, default=-1) + 1


def _shown(
    queries: tuple[str, ...], limits: SearchLimits, findings: Findings, hits: tuple[SearchHit, ...], n_tokens: int
) -> SearchShown:
    return SearchShown(
        hits=hits,
        ranker=limits.ranker,
        score_threshold=limits.score_threshold,
        queries=queries,
        candidates=_candidates(findings.candidates, hits),
        n_candidates=findings.n_candidates,
        vector_model=findings.vector_model,
        why_no_vectors=findings.why_no_vectors,
        rerank_model=findings.rerank_model,
        why_not_reranked=findings.why_not_reranked,
        n_tokens=n_tokens,
        budget_tokens=limits.budget_tokens,
    )


def _candidates(candidates: Sequence[SearchCandidate], hits: tuple[SearchHit, ...]) -> tuple[SearchCandidate, ...]:
    """With the markers of those that a model was shown."""
    markers = {(hit.file_id, hit.start, hit.end): hit.marker for hit in hits}
    found = []
    for candidate in candidates[:MAX_CANDIDATES]:
        marker = markers.get((candidate.file_id, candidate.start, candidate.end), "")
        if candidate.fate == "kept":
            candidate = replace(candidate, marker=marker) if marker else replace(candidate, fate="beyond_budget")
        found.append(candidate)
    return tuple(found)
