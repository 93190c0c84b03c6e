"""Scores: BM25 as the books have it, two lists made one, pairs of words, and vectors with and without short cuts."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.files.extracted import Extracted
from agentrt.retrieval.analyser import Analyser, QueryTerm, query_terms
from agentrt.retrieval.bm25 import K1, B, find_by_keywords
from agentrt.retrieval.chunk import Chunking
from agentrt.retrieval.fusion import fuse
from agentrt.retrieval.pairs import share_of_pairs
from agentrt.retrieval.prepare import Prepared, prepare
from agentrt.retrieval.vectors import VectorIndex, pack
from agentrt.store.postings import Postings
from agentrt.store.search_index import IndexStats
from agentrt.store.search_vectors import StoredVector
from agentrt.store.segment_ids import FILE_SHIFT, chunk_id, segment_id
from agentrt.store.written_terms import read_terms

# Keywords ------------------------------------------------------------------------------------------------------------

WORDS = ["apple", "bear", "cherry", "dog", "egg", "fig", "goat", "hen", "ink", "jar", *(f"w{n}" for n in range(200))]
FILES = {
    key: " the ".join(random.Random(key).choices(WORDS, weights=[9] * 10 + [2] * 200, k=size)) + "."
    for key, size in enumerate([30, 60, 5, 400, 90, 12, 700, 45], start=1)
}


class Library:
    """Prepared files, and the lists that a store would keep of them."""

    def __init__(self, chunking: Chunking) -> None:
        self.files = {key: prepare(Extracted(text, "text"), chunking) for key, text in FILES.items()}
        self.stats = IndexStats(
            index_key=1,
            version=1,
            n_chunks=sum(file.n_chunks for file in self.files.values()),
            n_terms=sum(file.n_terms for file in self.files.values()),
            languages=("english",),
            hidden=frozenset(),
        )

    def find(self, terms: Sequence[str]) -> dict[str, Postings]:
        return {term: self._find(term) for term in terms}

    def _find(self, term: str) -> Postings:
        found: dict[int, list[int]] = {}
        for key, file in self.files.items():
            for number, segment in enumerate(file.segments):
                count = dict(read_terms(segment.terms)).get(term)
                if count:
                    found.setdefault(count, []).append(segment_id(key, number, segment.lengths))
        return list(found.items())

    def chunks(self) -> dict[int, Counter[str]]:
        """The terms of every chunk, by its id, counted in its text."""
        terms_of = Analyser("english").terms
        return {
            chunk_id(key, ord_): Counter(terms_of(text_of(file, ord_)))
            for key, file in self.files.items()
            for ord_ in range(file.n_chunks)
        }


def text_of(file: Prepared, ord_: int) -> str:
    return "".join(segment.text for segment in file.segments[max(0, 2 * ord_ - 1) : 2 * ord_ + 2])


def by_the_book(library: Library, terms: list[QueryTerm]) -> dict[int, float]:
    chunks = library.chunks()
    mean = library.stats.n_terms / len(chunks)
    scores: dict[int, float] = {}
    for chunk, counts in chunks.items():
        score = 0.0
        for term in terms:
            n_with = sum(term.variants[0] in other for other in chunks.values())
            tf = counts[term.variants[0]]
            idf = math.log(1 + (len(chunks) - n_with + 0.5) / (n_with + 0.5))
            score += term.n * idf * tf * (K1 + 1) / (tf + K1 * (1 - B + B * counts.total() / mean))
        if score:
            scores[chunk] = score
    return scores


@pytest.mark.parametrize("chunking", [Chunking(4096, 0), Chunking(100, 50), Chunking(100, 20), Chunking(150, 0)])
@pytest.mark.parametrize("question", ["apple", "bears and cherries", "apple apple dog", "jar ink hen goat fig"])
def test_keywords_are_scored_as_the_books_have_it(chunking: Chunking, question: str) -> None:
    library = Library(chunking)
    terms = query_terms(question, ["english"])
    hits = find_by_keywords(terms, library.stats, library.find, n=1000)
    expected = by_the_book(library, terms)
    assert set(hits.scores) == set(expected)
    for chunk, score in hits.scores.items():
        # Lengths are kept to 3 in 100, and of counts those levels that make a difference (written_terms.py).
        assert score == pytest.approx(expected[chunk], rel=0.1)
    assert max(hits.scores.values()) < hits.ceiling


def test_only_the_best_are_told_and_only_of_files_that_may_be_found() -> None:
    library = Library(Chunking())
    terms = query_terms("jar", ["english"])
    every = find_by_keywords(terms, library.stats, library.find, n=100).scores
    assert list(find_by_keywords(terms, library.stats, library.find, n=2).scores) == list(every)[:2]
    some = find_by_keywords(terms, library.stats, library.find, n=100, files={1, 2}).scores
    assert some == {chunk: score for chunk, score in every.items() if chunk in (chunk_id(1, 0), chunk_id(2, 0))}


def test_a_word_counts_by_all_its_forms() -> None:
    found = {
        "haus": [(1, [segment_id(1, 0, (10, 0))])],
        "house": [(2, [segment_id(1, 0, (10, 0)), segment_id(2, 0, (10, 0))])],
    }
    stats = IndexStats(1, 1, 10, 100, ("english", "german"), frozenset())
    hits = find_by_keywords(
        [QueryTerm("houses", ("house", "haus"))], stats, lambda terms: found, n=10, is_explained=True
    )
    assert list(hits.scores) == [chunk_id(1, 0), chunk_id(2, 0)]
    assert hits.words_in(chunk_id(2, 0)) == ("houses",)


def test_only_chunks_that_have_neighbours_of_the_question_may_have_pairs() -> None:
    own = {name: [(1, [segment_id(file, 0, (10, 0)) for file in files])] for name, files in _FILES_WITH.items()}
    terms = [QueryTerm(name, (name,)) for name in ("stock", "exchange", "london")]
    stats = IndexStats(1, 1, 10, 100, ("english",), frozenset())
    hits = find_by_keywords(terms, stats, lambda names: own, n=10)
    assert {chunk: hits.may_have_pairs(chunk) for chunk in hits.scores} == {
        chunk_id(1, 0): True,
        chunk_id(2, 0): False,
        chunk_id(3, 0): True,
    }
    assert not hits.may_have_pairs(chunk_id(4, 0)), "keywords have not found it"


_FILES_WITH = {"stock": (1, 2), "exchange": (1, 3), "london": (2, 3)}

# Fusion --------------------------------------------------------------------------------------------------------------

scores = st.dictionaries(st.integers(0, 30), st.floats(0, 20), max_size=12)
cosines = st.dictionaries(st.integers(0, 30), st.floats(-1, 1), max_size=12)


@given(scores, st.one_of(st.none(), cosines), st.floats(0, 1))
def test_fused_scores_lie_between_zero_and_one_and_are_in_order(
    keywords: dict[int, float], vectors: dict[int, float] | None, weight: float
) -> None:
    fused = fuse(keywords, vectors, ceiling=25.0, keyword_weight=weight)
    assert set(fused) <= set(keywords) | set(vectors or {})
    assert list(fused.values()) == sorted(fused.values(), reverse=True)
    assert all(0 <= score <= 1.000001 for score in fused.values())


def test_without_vectors_the_score_is_the_share_of_what_could_be_reached() -> None:
    assert fuse({1: 8.0, 2: 4.0}, None, ceiling=20.0) == {1: pytest.approx(0.4), 2: pytest.approx(0.2)}


def test_what_is_good_in_both_lists_is_best() -> None:
    fused = fuse({1: 10.0, 2: 9.0}, {2: 0.9, 3: 1.0}, ceiling=20.0)
    assert list(fused) == [2, 1, 3]


def test_cosines_of_a_model_that_finds_everything_alike_say_as_much_as_others() -> None:
    keywords = {0: 10.0, 1: 2.0}
    for low, high in ((0.1, 0.6), (0.8, 0.9)):
        vectors = {i: high - (high - low) * i / 200 for i in range(1, 201)}
        assert next(iter(fuse(keywords, {**vectors, 0: low}, ceiling=20.0))) == 1


def test_two_that_are_equally_near_have_about_one_score() -> None:
    fused = fuse({}, {1: 0.80, 2: 0.79}, ceiling=0.0)
    assert fused[2] > 0.95 * fused[1]


def test_nothing_found_is_nothing() -> None:
    assert fuse({}, None, ceiling=0.0) == fuse({}, {}, ceiling=5.0) == {}


# Pairs ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("the stock exchange of london", 1.0),
        ("the stock of exchange was london", 1.0),
        ("the exchange stock of london", 0.0),
        ("a stock exchange far away from old london", 0.5),
        ("stock and more and more exchange", 0.0),
        ("", 0.0),
    ],
)
def test_words_are_looked_for_side_by_side(text: str, share: float) -> None:
    terms = [QueryTerm(word, (word,)) for word in ("stock", "exchange", "london")]
    places = Analyser("").places(text, {"stock", "exchange", "london"})
    assert share_of_pairs(terms, places) == share
    assert share_of_pairs(terms[:1], places) == 0.0


def test_the_places_of_terms_are_those_among_all_terms() -> None:
    text = "Élan, elan vital: the fooBar of Boxes and boxing 東京都"
    for language in ("english", "french", ""):
        analyser = Analyser(language)
        every = analyser.terms(text)
        for wanted in ({"elan"}, {"box", "foobar", "bar"}, {"東京", "京都"}, set(every)):
            assert analyser.places(text, wanted) == [(i, term) for i, term in enumerate(every) if term in wanted]


# Vectors -------------------------------------------------------------------------------------------------------------


def stored(n: int, *, dimension: int = 64, seed: int = 1) -> list[StoredVector]:
    matrix = like_texts(n, dimension, seed)
    return [StoredVector(segment_id(1 + i // 10, 2 * (i % 10), (9, 0)), 0, pack(row)) for i, row in enumerate(matrix)]


def like_texts(n: int, dimension: int, seed: int) -> Any:
    """Vectors that lie together in some directions, as those of texts do."""
    topics = np.random.default_rng(0).standard_normal((24, dimension))
    random_ = np.random.default_rng(seed)
    return random_.standard_normal((n, 24)) @ topics + random_.standard_normal((n, dimension))


def never(_: object) -> list[StoredVector]:
    raise AssertionError("nothing has to be fetched")


def test_the_nearest_vectors_are_found() -> None:
    vectors = stored(500)
    query = np.frombuffer(vectors[137].vector, "<f2").astype(float)
    found = VectorIndex(vectors).search(query.tolist(), n=5, fetch=never)
    assert next(iter(found)) == chunk_id(14, 7)
    assert found[chunk_id(14, 7)] == pytest.approx(1.0, abs=1e-3)
    assert list(found.values()) == sorted(found.values(), reverse=True)
    assert len(found) == 5


def test_short_cuts_find_nearly_the_same() -> None:
    vectors = stored(3000, dimension=256)
    by_id = {vector.segment_id: vector for vector in vectors}
    exact, short = VectorIndex(vectors), VectorIndex(vectors, exact_up_to=0)
    n_same = 0
    for seed in range(20):
        query = like_texts(1, 256, 100 + seed)[0].tolist()
        expected = exact.search(query, n=10, fetch=never)
        found = short.search(query, n=10, fetch=lambda ids: [by_id[i] for i in ids])
        n_same += len(set(expected) & set(found))
        for chunk in set(expected) & set(found):
            assert found[chunk] == pytest.approx(expected[chunk], abs=1e-5)
    assert n_same >= 0.9 * 200


def test_in_a_larger_store_more_is_looked_at_closely() -> None:
    n = 400_000
    data = np.random.default_rng(1).standard_normal((n, 4)).astype("<f2").tobytes()
    every = (StoredVector(segment_id(1 + i // 10, 2 * (i % 10), (9, 0)), 0, data[8 * i : 8 * i + 8]) for i in range(n))
    index = VectorIndex(every, exact_up_to=0)
    looked_at: list[int] = []

    def fetch(ids: Sequence[int]) -> list[StoredVector]:
        looked_at.append(len(ids))
        return []

    index.search([1.0, 0.5, 0.2, 0.1], n=10, fetch=fetch)
    index.search([1.0, 0.5, 0.2, 0.1], n=10, fetch=fetch, files=set(range(1, 6_001)))
    assert looked_at == [800, 400]


@pytest.mark.parametrize("exact_up_to", [0, 5000, 1_000_000])
def test_vectors_that_come_in_many_lots_are_all_there(exact_up_to: int) -> None:
    vectors = stored(6500, dimension=8)
    by_id = {vector.segment_id: vector for vector in vectors}
    index = VectorIndex((vector for vector in vectors), exact_up_to=exact_up_to)
    assert len(index) == len(vectors)
    assert index.n_bytes == len(vectors) * (8 + (8 * 4 if exact_up_to > len(vectors) else 8))
    for place in (0, 2500, 6499):
        query = np.frombuffer(vectors[place].vector, "<f2").astype(float).tolist()
        found = index.search(query, n=1, fetch=lambda ids: [by_id[i] for i in ids], files={1 + place // 10})
        assert list(found) == [chunk_id(1 + place // 10, place % 10)]


@pytest.mark.parametrize("exact_up_to", [0, 1000])
def test_hidden_files_and_those_that_a_filter_keeps_out_are_not_found(exact_up_to: int) -> None:
    vectors = stored(100)
    by_id = {vector.segment_id: vector for vector in vectors}
    index = VectorIndex(vectors, exact_up_to=exact_up_to)
    query = np.frombuffer(vectors[5].vector, "<f2").astype(float).tolist()

    def files(**options: object) -> set[int]:
        found = index.search(query, n=100, fetch=lambda ids: [by_id[i] for i in ids], **options)  # type: ignore[arg-type]
        return {chunk >> 17 for chunk in found}

    assert files() == set(range(1, 11))
    assert files(hidden={1}) == set(range(2, 11))
    assert files(files={1, 2, 3}, hidden={1}) == {2, 3}
    assert files(files=set()) == set()


def test_a_chunk_counts_by_its_nearest_window_and_a_shared_segment_for_both() -> None:
    query = [1.0, 0.0]
    vectors = [
        StoredVector(segment_id(1, 0, (9, 0)), 0, pack([0.0, 1.0])),
        StoredVector(segment_id(1, 1, (9, 9)), 0, pack([0.6, 0.8])),
        StoredVector(segment_id(1, 1, (9, 9)), 1, pack([2.0, 0.0])),
    ]
    found = VectorIndex(vectors).search(query, n=5, fetch=never)
    assert found == {chunk_id(1, 0): pytest.approx(1.0), chunk_id(1, 1): pytest.approx(1.0)}


@pytest.mark.parametrize("exact_up_to", [0, 1000])
def test_an_index_that_was_changed_is_like_one_made_anew(exact_up_to: int) -> None:
    vectors = stored(300)
    by_id = {vector.segment_id: vector for vector in vectors}

    def fetch(ids: Sequence[int]) -> list[StoredVector]:
        return [by_id[i] for i in ids]

    query = np.frombuffer(vectors[205].vector, "<f2").astype(float).tolist()
    first = VectorIndex(vectors[:200], exact_up_to=exact_up_to)
    gone = {vector.segment_id >> FILE_SHIFT for vector in vectors[:50]}
    changed = first.changed(without=gone, added=vectors[200:])
    anew = VectorIndex(vectors[50:], exact_up_to=exact_up_to)

    assert len(changed) == len(anew) == 250
    assert changed.search(query, n=20, fetch=fetch) == anew.search(query, n=20, fetch=fetch)
    assert VectorIndex([]).changed(without=set(), added=vectors).n_bytes == VectorIndex(vectors).n_bytes
    assert len(first.changed(without=set(range(1000)), added=[])) == 0


def test_vectors_of_another_dimension_than_most_are_left_out() -> None:
    vectors = [*stored(10), *stored(3, dimension=32)]

    assert len(VectorIndex(vectors)) == 10
    assert len(VectorIndex(vectors[:5]).changed(without=set(), added=vectors[5:])) == 10


def test_an_index_without_vectors_finds_nothing_and_a_wrong_dimension_is_said_to_be() -> None:
    assert VectorIndex([]).search([1.0], n=5, fetch=never) == {}
    with pytest.raises(ValueError, match=r"."):
        VectorIndex(stored(10)).search([1.0, 2.0], n=5, fetch=never)


def test_a_vector_of_nothing_is_no_trouble() -> None:
    assert np.frombuffer(pack([0.0, 0.0]), "<f2").tolist() == [0.0, 0.0]
