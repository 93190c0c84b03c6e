"""What StoreSearch finds, as a Library tells it; and what a model is told of files that cannot be searched in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from agentrt.engine.message import SearchCandidate
from agentrt.retrieval.search import Result
from agentrt.runtime.file_search.library import Findings, FoundPassage
from agentrt.runtime.file_search.words import short_name
from agentrt.runtime.vector_stores.search import FindStore, JudgedCandidate, StoreQuery, StoreSearch
from agentrt.store.searchable import UnreadyFile
from agentrt.store.vector_stores import find_vector_store

_MAX_WHY_CHARS: Final = 200
_MAX_WORDS: Final = 16
_MAX_WORD_CHARS: Final = 40


async def find_passages(
    search: StoreSearch,
    project: str,
    store_ids: Sequence[str],
    asked: StoreQuery,
    *,
    find: FindStore = find_vector_store,
) -> Findings:
    """Raises as StoreSearch.search does; find: as there."""
    found = await search.search(project, store_ids, asked, find=find)
    passages = [_passage(result) for result in found.results]
    # The assistant's store and the thread's may hold the same file.
    each = {passage.key: passage for passage in reversed(passages)}
    return Findings(
        passages=[each.pop(passage.key) for passage in passages if passage.key in each],
        candidates=[_candidate(judged) for judged in found.candidates],
        n_candidates=found.n_candidates,
        vector_model=found.vector_model,
        why_no_vectors=found.why_no_vectors,
        rerank_model=found.rerank_model,
        why_not_reranked=found.why_not_reranked,
    )


def tell_missing(unready: Sequence[UnreadyFile]) -> tuple[str, ...]:
    """What a model is told of files that were not searched in."""
    waiting = ", ".join(short_name(file.name) for file in unready if not file.is_failed)
    notes = [f"Not searched, because they are still being indexed: {waiting}."] if waiting else []
    for file in unready:
        if file.is_failed:
            why = " ".join(file.why.split())[:_MAX_WHY_CHARS]
            notes.append(f"{short_name(file.name)} could not be read{f': {why}' if why else '.'}")
    return tuple(notes)


def _passage(result: Result) -> FoundPassage:
    passage = result.passage
    return FoundPassage(
        file_id=result.file.file_id,
        file_name=result.file.filename,
        text=f"{passage.lead}{passage.text}",
        score=result.score,
        page=passage.page,
        start=passage.start,
        end=passage.end,
    )


def _candidate(judged: JudgedCandidate) -> SearchCandidate:
    candidate = judged.candidate
    return SearchCandidate(
        file_id=candidate.file.file_id,
        file_name=candidate.file.filename,
        fate=candidate.fate,
        store_id=candidate.file.store_id,
        chunk=candidate.ord,
        page=candidate.page,
        start=candidate.start,
        end=candidate.end,
        keyword_score=candidate.keyword_score,
        vector_score=candidate.vector_score,
        fused_score=candidate.fused_score,
        fused_rank=candidate.fused_rank,
        rerank_score=judged.rerank_score,
        score=candidate.score,
        rank=candidate.rank,
        words=tuple(word[:_MAX_WORD_CHARS] for word in candidate.words[:_MAX_WORDS]),
    )
