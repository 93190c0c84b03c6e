"""StoreSearch: the one way to search vector stores, for the API, for runs and for the command line.

How passages are found and ranked is in retrieval/; here is what needs waiting: rewriting, embedding, reranking.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Final, TypeAlias

import msgspec
from msgspec.structs import replace

from agentrt.clock import Clock
from agentrt.models.reranking import Reranker
from agentrt.retrieval.filters import Filter
from agentrt.retrieval.search import Candidate, Found, Question, Result, SearchOptions, search
from agentrt.runtime.vector_stores.reranking import Judgement, PassageJudge
from agentrt.runtime.vector_stores.stores import refuse_expired
from agentrt.runtime.vector_stores.vectors.cache import VectorCache
from agentrt.runtime.vector_stores.vectors.questions import Embedded, QuestionVectors
from agentrt.store.database import Store, Tx
from agentrt.store.embedded_files import files_missing, find_index, serving_models
from agentrt.store.vector_stores import VectorStore, find_vector_store, is_touch_due, touch_vector_stores

_TO_COME: Final = "Some of its files have no vectors yet; the service makes them."

Rewrite: TypeAlias = Callable[[Sequence[str]], Awaitable[Sequence[str]]]
"""Questions → as many queries, in their order. Never fails: at worst they are the same."""


class StoreQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched for. queries: each is answered, a passage counts by the one that it answers best.

    rewrites: whether they are put into the words of documents first. reranks: whether more is looked at than the words
    and the meaning of each passage. explains: whether the candidates that are no results are told of, at most
    max_candidates; None: all.
    """

    queries: tuple[str, ...]
    limit: int = 10
    score_threshold: float = 0.0
    filter: Filter | None = None
    rewrites: bool = False
    reranks: bool = True
    explains: bool = False
    max_candidates: int | None = None


class JudgedCandidate(msgspec.Struct, frozen=True):
    """A candidate, and what the reranker said of it; None: it did not look. Its rank and fate are the final ones."""

    candidate: Candidate
    rerank_score: float | None = None


class StoreAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """queries: those that were searched for. results: the best first. candidates: likewise, when asked for, of
    n_candidates that were considered.

    vector_model: the model whose vectors were compared (several stores may have several); None: words only.
    why_no_vectors: what kept the vectors of a store from being compared; None when it has none, or nothing has.
    rerank_model: whose scores those of the results are; why_not_reranked: what kept the reranker from it, if there is
    one and it was asked for.
    """

    queries: tuple[str, ...]
    results: list[Result]
    candidates: list[JudgedCandidate]
    n_candidates: int = 0
    vector_model: str | None = None
    why_no_vectors: str | None = None
    rerank_model: str | None = None
    why_not_reranked: str | None = None


FindStore: TypeAlias = Callable[[Tx, str, str], VectorStore]
"""A store by project and id. Raises NotFoundError."""

_Read: TypeAlias = tuple[Found, bool, set[str]]
"""What was found, whether the use of the stores has to be written down, and the models of their vectors by then."""


class StoreSearch:
    """Searches vector stores. Whatever of vectors and reranker is None, or fails, is done without.

    rewrite: what is done with queries that shall be rewritten, unless a search brings its own. embedding: the name of
    the vectors that files shall have; an answer says of a store that waits for them that it does.
    """

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        rewrite: Rewrite,
        vectors: QuestionVectors | None = None,
        reranker: Reranker | None = None,
        embedding: str | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._rewrite = rewrite
        self._questions = vectors
        self._embedding = embedding
        self._judge = None if reranker is None else PassageJudge(reranker, clock)
        self._vectors = VectorCache()

    async def search(
        self,
        project: str,
        store_ids: Sequence[str],
        asked: StoreQuery,
        *,
        rewrite: Rewrite | None = None,
        find: FindStore = find_vector_store,
    ) -> StoreAnswer:
        """Search stores as if they were one; they count as used. rewrite: in place of the one given at the start.

        find: which stores the project may search in this way.
        Raises NotFoundError, InvalidRequestError for a store that has expired.
        """

        def look(tx: Tx) -> tuple[set[str], bool]:
            self._check(tx, project, store_ids, find)
            return serving_models(tx, store_ids), self._is_to_come(tx, store_ids)

        # Before anything is paid for: a store that nobody may search, or without vectors.
        models, is_to_come = await self._store.read(look)
        queries = asked.queries
        if asked.rewrites:
            queries = tuple(await (rewrite or self._rewrite)(queries))
        judge = self._judge if asked.reranks else None
        options = SearchOptions(
            limit=asked.limit if judge is None else max(judge.candidates, asked.limit),
            score_threshold=asked.score_threshold if judge is None else 0.0,
            filter=asked.filter,
            rewards_pairs=asked.reranks,
            is_explained=asked.explains,
            max_candidates=asked.max_candidates,
        )

        while True:
            embedded = await self._embed(queries, sorted(models))
            check = partial(self._check, project=project, store_ids=store_ids, find=find)
            read = partial(self._read, check=check, store_ids=store_ids, embedded=embedded, options=options)
            found, is_touch_due, newer = await self._store.read_long(read)
            if newer <= models:
                break
            models = newer  # a store's vectors were exchanged meanwhile: the old model's question does not fit them
        if is_touch_due:
            await self._store.write(lambda tx: touch_vector_stores(tx, set(store_ids), now=self._clock.now()))
        said = Judgement() if judge is None else await judge.judge(queries, [_text(one) for one in found.results])
        results, candidates = _cut(found, asked) if said.scores is None else _reranked(found, said.scores, asked)
        return StoreAnswer(
            queries=queries,
            results=results,
            candidates=_best(candidates, asked.max_candidates),
            n_candidates=found.n_candidates,
            vector_model=", ".join(embedded.models) or None,
            why_no_vectors=embedded.why_not or (_TO_COME if is_to_come else None),
            rerank_model=None if judge is None or said.scores is None else judge.name,
            why_not_reranked=said.why_not,
        )

    def _read(
        self,
        tx: Tx,
        *,
        check: Callable[[Tx], bool],
        store_ids: Sequence[str],
        embedded: Embedded,
        options: SearchOptions,
    ) -> _Read:
        is_due = check(tx)
        newer = serving_models(tx, store_ids) if embedded.models else set()
        nearest = self._vectors.nearest if embedded.models else None
        return search(tx, store_ids, embedded.questions, options, nearest), is_due, newer

    def _check(self, tx: Tx, project: str, store_ids: Sequence[str], find: FindStore) -> bool:
        """Whether the stores' use has to be written down; most of the time it was a moment ago."""
        now = self._clock.now()
        stores = [find(tx, project, store_id) for store_id in store_ids]
        for found in stores:
            refuse_expired(found, now=now)
        return any(is_touch_due(found, now=now) for found in stores)

    def _is_to_come(self, tx: Tx, store_ids: Sequence[str]) -> bool:
        """Whether a store is searched by words until its files have the first vectors."""
        model = self._embedding
        if model is None:
            return False
        found = (find_index(tx, store_id) for store_id in store_ids)
        without = [index[0] for index in found if index is not None and index[1] is None]
        return any(files_missing(tx, key, model, limit=1) for key in without)

    async def _embed(self, queries: Sequence[str], models: Sequence[str]) -> Embedded:
        if self._questions is None:
            return Embedded([Question(query) for query in queries])
        return await self._questions.embed(queries, models)


Judged: TypeAlias = tuple[list[Result], list[JudgedCandidate]]


def _cut(found: Found, asked: StoreQuery) -> Judged:
    """What was found, as asked for; a reranker that failed has left more of it."""
    results = [result for result in found.results if result.score >= asked.score_threshold][: asked.limit]
    kept = {(result.file.key, result.ord) for result in results}
    return results, [JudgedCandidate(_with_fate(candidate, kept, asked)) for candidate in found.candidates]


def _best(candidates: list[JudgedCandidate], most: int | None) -> list[JudgedCandidate]:
    """So many, and what became a result: more have been read for a reranker to choose from."""
    if most is None:
        return candidates
    return [one for i, one in enumerate(candidates) if i < most or one.candidate.fate == "kept"]


def _text(result: Result) -> str:
    return result.passage.lead + result.passage.text


def _reranked(found: Found, scores: Sequence[float], asked: StoreQuery) -> Judged:
    """The results in the order of these scores, which are theirs now."""
    order = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    ranked = [replace(found.results[i], score=scores[i]) for i in order]
    results = [result for result in ranked if result.score >= asked.score_threshold][: asked.limit]
    kept = {(result.file.key, result.ord) for result in results}
    score_of = {(result.file.key, result.ord): result.score for result in ranked}
    places = {place: i for i, place in enumerate(score_of)}
    judged: list[JudgedCandidate] = []
    # Those that it looked at come first, in its order; the others stay behind them in theirs.
    for candidate in sorted(found.candidates, key=lambda c: places.get((c.file.key, c.ord), len(places) + c.rank)):
        score = score_of.get((candidate.file.key, candidate.ord))
        seen = candidate if score is None else replace(candidate, score=score)
        judged.append(JudgedCandidate(replace(_with_fate(seen, kept, asked), rank=len(judged) + 1), score))
    return results, judged


def _with_fate(candidate: Candidate, kept: set[tuple[int, int]], asked: StoreQuery) -> Candidate:
    if candidate.fate != "kept" or (candidate.file.key, candidate.ord) in kept:
        return candidate
    return replace(candidate, fate="below_threshold" if candidate.score < asked.score_threshold else "beyond_limit")
