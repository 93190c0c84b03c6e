"""BM25: how well chunks match the words of a question. Pure; the lists of words come from the store.

A term's count in a chunk is the sum over the chunk's segments. The statistics are those of one vector store.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence, Set
from itertools import pairwise
from operator import itemgetter
from typing import Final

import msgspec

from agentrt.retrieval.analyser import QueryTerm
from agentrt.store.postings import Postings
from agentrt.store.search_index import IndexStats
from agentrt.store.segment_ids import KEY_FILE_SHIFT, MAX_CODE, add_chunk_counts, chunk_of_key, lengths

K1: Final = 1.2
B: Final = 0.75

# Up to so many times n, sorting all is faster than a heap of n.
_FEW: Final = 8


class KeywordHits(msgspec.Struct, frozen=True):
    """The best chunks (by their ids) and their scores. ceiling: what no chunk reaches, with every word without end.

    counts: for each word of the question, the chunks that have it. keys, found: the keys of the best chunks, and for
    each word those of them that have it (see add_chunk_counts).
    """

    scores: dict[int, float]
    ceiling: float
    counts: list[tuple[str, Set[int]]]
    keys: dict[int, int]
    found: list[Set[int]]

    def words_in(self, chunk: int) -> tuple[str, ...]:
        """The words of the question that a chunk has."""
        return tuple(word for word, chunks in self.counts if chunk in chunks)

    def may_have_pairs(self, chunk: int) -> bool:
        """False: it lacks one of every two words that are neighbours in the question, or is none of the best."""
        key = self.keys.get(chunk)
        return key is not None and any(key in first and key in second for first, second in pairwise(self.found))


def find_by_keywords(
    terms: Sequence[QueryTerm],
    stats: IndexStats,
    find: Callable[[Sequence[str]], Mapping[str, Postings]],
    *,
    n: int,
    files: Set[int] | None = None,
    is_explained: bool = False,
) -> KeywordHits:
    """The n chunks that match best. find: where terms are. files: the keys of those to look in, None for all.

    is_explained: whether to note which chunk has which word.
    """
    scores: dict[int, float] = {}
    get = scores.get
    norms = _norms(stats)
    ceiling = 0.0
    matches: list[tuple[str, Set[int]]] = []
    found: list[Mapping[int, int]] = []
    postings = find(list({variant: None for term in terms for variant in term.variants}))
    for term in terms:
        counts: dict[int, int] = {}
        for variant in term.variants:
            for tf, segments in postings.get(variant, ()):
                add_chunk_counts(counts, tf, segments)
        weight = (K1 + 1) * _idf(len(counts), stats.n_chunks) * term.n
        # In a store of few chunks a word that is in none would weigh many times what those do that are in one.
        ceiling += (K1 + 1) * _idf(max(1, len(counts)), stats.n_chunks) * term.n
        for key, tf in counts.items():
            scores[key] = get(key, 0.0) + weight * tf / (tf + norms[key & MAX_CODE])
        found.append(counts)
        if is_explained:
            matches.append((term.word, {chunk_of_key(key) for key in counts}))
    best = {chunk_of_key(key): (key, score) for key, score in _best(_visible(scores, stats.hidden, files), n)}
    keys = {chunk: key for chunk, (key, _) in best.items()}
    return KeywordHits(
        scores={chunk: score for chunk, (_, score) in best.items()},
        ceiling=ceiling,
        counts=matches,
        keys=keys,
        # All others may be a million, and would stay until the last question is answered.
        found=[counts.keys() & keys.values() for counts in found],
    )


def _best(scores: Sequence[tuple[int, float]], n: int) -> Sequence[tuple[int, float]]:
    if len(scores) <= _FEW * n:
        return sorted(scores, key=itemgetter(1), reverse=True)[:n]
    return heapq.nlargest(n, scores, key=itemgetter(1))


def _idf(n_with: int, n_chunks: int) -> float:
    # What is staged or hidden is in the lists, too, and not in the count.
    return math.log(1 + (max(n_chunks, n_with) - n_with + 0.5) / (n_with + 0.5))


def _norms(stats: IndexStats) -> list[float]:
    """For each length code, what a long chunk's counts have to make up for."""
    mean = max(1.0, stats.n_terms / max(1, stats.n_chunks))
    return [K1 * (1 - B + B * length / mean) for length in lengths()]


def _visible(scores: dict[int, float], hidden: Set[int], files: Set[int] | None) -> Sequence[tuple[int, float]]:
    items = scores.items()
    if files is not None:
        shown = files - hidden
        return [item for item in items if item[0] >> KEY_FILE_SHIFT in shown]
    if hidden:
        return [item for item in items if item[0] >> KEY_FILE_SHIFT not in hidden]
    return list(items)
