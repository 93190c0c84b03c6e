"""Search in the index of one or several vector stores: keywords and vectors, fused, with an account of each candidate.

Nothing is waited for here: the vectors of the questions come from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from functools import partial
from itertools import islice
from typing import Final, Literal, Protocol, TypeAlias

import msgspec

from agentrt.retrieval.analyser import query_terms
from agentrt.retrieval.bm25 import KeywordHits, find_by_keywords
from agentrt.retrieval.filters import Filter, select_files
from agentrt.retrieval.fusion import KEYWORD_WEIGHT, fuse, ranked
from agentrt.retrieval.pairs import BONUS, LOOKED_AT, share_of_pairs
from agentrt.retrieval.passages import Passages
from agentrt.store.database import Tx
from agentrt.store.postings import find_postings
from agentrt.store.search_files import GONE, FoundFile, Passage, files_where, files_with
from agentrt.store.search_index import IndexStats, read_stats
from agentrt.store.segment_ids import ord_of

Fate: TypeAlias = Literal["kept", "covered", "below_threshold", "beyond_limit"]
"""`covered`: a better chunk of the same file has most of its text."""

# Of each list. With one list there is nothing that its end could add.
_CANDIDATES: Final = 200
_CANDIDATES_PER_RESULT: Final = 4
# So many more than are missing are read together with them: some that are found have been covered, or are gone.
_AHEAD: Final = 5
# Of a chunk's text. With the default overlap two neighbours share a half, more or less: that is enough.
_COVERED: Final = 0.45


class Question(msgspec.Struct, frozen=True):
    """vectors: of the text, by the names of the models that made them; a store without one is searched by keywords."""

    text: str
    vectors: Mapping[str, Sequence[float]] = {}


class SearchOptions(msgspec.Struct, frozen=True, kw_only=True):
    """limit: how many results at most. rewards_pairs: whether words count for more that stand side by side in the
    passage as in the question. is_explained: whether candidates are told of: max_candidates (None: all), for the
    place of each has to be read, and every result."""

    limit: int = 10
    score_threshold: float = 0.0
    filter: Filter | None = None
    keyword_weight: float = KEYWORD_WEIGHT
    rewards_pairs: bool = True
    is_explained: bool = False
    max_candidates: int | None = None


class NearestChunks(Protocol):
    """Finds the n chunks of a store (by their ids) with the nearest vectors, by the model that it is searched by."""

    def __call__(
        self, tx: Tx, stats: IndexStats, vector: Sequence[float], *, n: int, files: Set[int] | None
    ) -> dict[int, float]:
        """Their cosines. files: the keys of those to look in, None for all; hidden ones are never looked in."""
        ...


class Result(msgspec.Struct, frozen=True):
    """A passage that was found. ord: the number of the chunk in its file. score: from 0 to 1."""

    file: FoundFile
    ord: int
    score: float
    passage: Passage


class Candidate(msgspec.Struct, frozen=True):
    """What became of a chunk and why. keyword_score: BM25; vector_score: a cosine; None: not among that list's best.

    fused_score, fused_rank: of both lists together; score, rank: with what pairs of words add. Ranks begin at 1.
    words: those of the questions that it has. start, end, page: its place in the file's text, page 0 when there are
    none.
    """

    file: FoundFile
    ord: int
    start: int
    end: int
    page: int
    keyword_score: float | None
    vector_score: float | None
    fused_score: float
    fused_rank: int
    score: float
    rank: int
    words: tuple[str, ...]
    fate: Fate


class Found(msgspec.Struct, frozen=True):
    """results: the best first. candidates: the best of all that were considered, n_candidates, and in their order the
    results among the others; when asked for."""

    results: list[Result]
    candidates: list[Candidate]
    n_candidates: int = 0


class _Answers(msgspec.Struct, frozen=True):
    """What one question found, in all stores. fused: the two lists; scores: with the bonus for pairs of words."""

    keywords: dict[int, float]
    vectors: dict[int, float] | None
    fused: dict[int, float]
    scores: dict[int, float]
    hits: list[KeywordHits]


def search(
    tx: Tx,
    store_ids: Sequence[str],
    questions: Sequence[Question],
    options: SearchOptions,
    nearest: NearestChunks | None = None,
) -> Found:
    """The passages that answer the questions best; a passage counts by the question that it answers best."""
    stores = [stats for store_id in dict.fromkeys(store_ids) if (stats := read_stats(tx, store_id)) is not None]
    asking = _Asking(tx, stores, options, nearest)
    answers = [asking.ask(question) for question in questions]
    return _Choice(asking.passages, options, answers).choose(_ranking(found.scores for found in answers))


class _Asking:
    """Asks one question after the other."""

    def __init__(
        self, tx: Tx, stores: Sequence[IndexStats], options: SearchOptions, nearest: NearestChunks | None
    ) -> None:
        self._tx = tx
        self._stores = [(stats, self._let_in(stats, options.filter)) for stats in stores]
        self._options = options
        self._nearest = nearest
        is_brief = nearest is None and not options.is_explained
        self._n_keywords = min(_CANDIDATES, options.limit * _CANDIDATES_PER_RESULT) if is_brief else _CANDIDATES
        self.passages = Passages(tx)

    def ask(self, question: Question) -> _Answers:
        keywords: dict[int, float] = {}
        vectors: dict[int, float] = {}
        hits: list[KeywordHits] = []
        has_vectors = False
        for stats, files in self._stores:
            hits.append(self._find_keywords(question.text, stats, files))
            keywords.update(hits[-1].scores)
            vector = question.vectors.get(stats.vector_model or "")
            if self._nearest is not None and vector is not None:
                has_vectors = True
                vectors.update(self._nearest(self._tx, stats, vector, n=_CANDIDATES, files=files))
        ceiling = max((found.ceiling for found in hits), default=0.0)
        found_vectors = vectors if has_vectors else None
        fused = fuse(keywords, found_vectors, ceiling=ceiling, keyword_weight=self._options.keyword_weight)
        # Words side by side say something about words: where those count for half, so do they.
        weight = 1.0 if found_vectors is None else self._options.keyword_weight
        scores = (
            self._reward_pairs(question.text, fused, hits, weight * BONUS) if self._options.rewards_pairs else fused
        )
        return _Answers(keywords, found_vectors, fused, scores, hits)

    def _let_in(self, stats: IndexStats, filter_: Filter | None) -> Set[int] | None:
        """The keys of the files that the filter lets in; None for all."""
        if filter_ is None:
            return None
        return select_files(
            filter_,
            having=partial(files_with, self._tx, stats.index_key),
            where=partial(files_where, self._tx, stats.index_key),
        )

    def _find_keywords(self, text: str, stats: IndexStats, files: Set[int] | None) -> KeywordHits:
        return find_by_keywords(
            query_terms(text, stats.languages),
            stats,
            partial(find_postings, self._tx, stats.index_key),
            n=self._n_keywords,
            files=files,
            is_explained=self._options.is_explained,
        )

    def _reward_pairs(
        self, text: str, scores: dict[int, float], hits: Sequence[KeywordHits], share: float
    ) -> dict[int, float]:
        """The scores (the best first), with a bonus for the best that have words side by side as the question has.

        share: the bonus for all of its pairs, of the best score.
        """
        languages = tuple(dict.fromkeys(language for stats, _ in self._stores for language in stats.languages))
        terms = query_terms(text, languages)
        if len(terms) < 2 or not scores:
            return scores
        bonus = share * next(iter(scores.values()))
        wanted = {variant for term in terms for variant in term.variants}
        rewarded = {chunk: score / (1 + share) for chunk, score in scores.items()}
        looked_at = [chunk for chunk in islice(scores, LOOKED_AT) if any(found.may_have_pairs(chunk) for found in hits)]
        if looked_at:  # most of the best will be results
            self.passages.expect([*looked_at, *islice(scores, self._options.limit + _AHEAD)])
        for chunk in looked_at:
            rewarded[chunk] += bonus * share_of_pairs(terms, self.passages.places_of(chunk, wanted)) / (1 + share)
        return rewarded


class _Choice:
    """Goes down the ranking and says of each chunk what becomes of it."""

    def __init__(self, passages: Passages, options: SearchOptions, answers: Sequence[_Answers]) -> None:
        self._passages = passages
        self._options = options
        self._answers = answers
        self._kept: set[int] = set()
        fused = _ranking(found.fused for found in answers) if options.is_explained else []
        self._fused = {chunk: (rank, score) for rank, (chunk, score) in enumerate(fused, 1)}

    def choose(self, ranking: Sequence[tuple[int, float]]) -> Found:
        results: list[Result] = []
        candidates: list[Candidate] = []
        most = self._n_explained(len(ranking))
        rank = 0
        for at, (chunk, score) in enumerate(ranking):
            n_missing = max(self._options.limit - len(results), most - len(candidates))
            if n_missing <= 0 or (score < self._options.score_threshold and len(candidates) >= most):
                break
            if not self._passages.knows(chunk):
                self._passages.expect([other for other, _ in ranking[at : at + n_missing + _AHEAD]])
            file, passage = self._passages.file_of(chunk), None
            if file is None:
                continue
            fate = self._fate(chunk, score, n_results=len(results))
            if fate == "kept":
                passage = self._passages.passage(chunk)
                if passage is None:
                    continue
                self._kept.add(chunk)
                results.append(Result(file, ord_of(chunk), score, passage))
            rank += 1
            if len(candidates) < most or (most and fate == "kept"):
                candidates.append(self._candidate(chunk, score, file, fate, rank=rank))
        return Found(results, candidates, len(ranking) if self._options.is_explained else 0)

    def _n_explained(self, n_considered: int) -> int:
        if not self._options.is_explained:
            return 0
        most = self._options.max_candidates
        return n_considered if most is None else min(most, n_considered)

    def _fate(self, chunk: int, score: float, *, n_results: int) -> Fate:
        if score < self._options.score_threshold:
            return "below_threshold"
        if self._is_covered(chunk):
            return "covered"
        return "kept" if n_results < self._options.limit else "beyond_limit"

    def _is_covered(self, chunk: int) -> bool:
        """Whether its neighbours among the results have most of its text. (Only neighbours share any.)"""
        before = chunk - 1 if ord_of(chunk) and chunk - 1 in self._kept else None
        after = chunk + 1 if chunk + 1 in self._kept else None
        if before is None and after is None:
            return False
        start, end = self._passages.place(chunk)
        n_shared = 0
        if before is not None:
            n_shared += max(0, self._passages.place(before)[1] - start)
        if after is not None:
            n_shared += max(0, end - self._passages.place(after)[0])
        return n_shared >= _COVERED * (end - start)

    def _candidate(self, chunk: int, score: float, file: FoundFile, fate: Fate, *, rank: int) -> Candidate:
        passage = self._passages.passage(chunk) or GONE
        fused_rank, fused_score = self._fused[chunk]
        words = (word for found in self._answers for hits in found.hits for word in hits.words_in(chunk))
        return Candidate(
            file=file,
            ord=ord_of(chunk),
            start=passage.start,
            end=passage.end,
            page=passage.page,
            keyword_score=_best(chunk, (found.keywords for found in self._answers)),
            vector_score=_best(chunk, (found.vectors or {} for found in self._answers)),
            fused_score=fused_score,
            fused_rank=fused_rank,
            score=score,
            rank=rank,
            words=tuple(dict.fromkeys(words)),
            fate=fate,
        )


def _ranking(lists: Iterable[Mapping[int, float]]) -> list[tuple[int, float]]:
    """Chunks and their best scores, the best first."""
    scores: dict[int, float] = {}
    for found in lists:
        if not scores:
            scores.update(found)
            continue
        for chunk, score in found.items():
            scores[chunk] = max(score, scores.get(chunk, 0.0))
    return ranked(scores)


def _best(chunk: int, lists: Iterable[Mapping[int, float]]) -> float | None:
    return max((found[chunk] for found in lists if chunk in found), default=None)
