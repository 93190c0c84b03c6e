"""Searching stores with everything around it: rewriting, vectors, a reranker; what fails is done without."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec
import pytest

from agentrt.errors import InvalidRequestError, ModelError, NotFoundError
from agentrt.models.embeddings import Purpose
from agentrt.retrieval.tokens import estimate_tokens
from agentrt.retrieval.vectors import pack
from agentrt.runtime.vector_stores.resting import REST_S
from agentrt.runtime.vector_stores.rewriting import rewrite_queries
from agentrt.runtime.vector_stores.search import Rewrite, StoreAnswer, StoreQuery, StoreSearch
from agentrt.runtime.vector_stores.vectors.questions import QuestionVectors
from agentrt.store.database import Store, Tx
from agentrt.store.embedded_files import mark_embedded, serve_if_complete
from agentrt.store.search_index import find_file_key, open_index
from agentrt.store.search_vectors import StoredVector, insert_vectors
from agentrt.store.segment_ids import ids_of_file
from agentrt.store.vector_stores import find_vector_store, update_vector_store
from agentrt.testing.clocks import FakeClock
from agentrt.testing.scripts import ScriptedModel, failure, text
from tests.contracts.rows import HOME
from tests.contracts.search_rows import put_file, put_store

TEXTS = {
    "liver.txt": "The liver makes bile. Cells of the liver store sugar.",
    "heart.txt": "The heart pumps blood, and the liver cleans it.",
    "house.txt": "A house has walls and a roof.",
}
DAY = 86_400


class Embedding:
    """An embedder for three words. error: what it raises instead."""

    model = "toy"
    window_tokens = None

    def __init__(self, error: ModelError | None = None) -> None:
        self.error = error
        self.hangs = False
        self.asked: list[str] = []

    async def embed(self, texts: Sequence[str], *, as_: Purpose) -> list[list[float]]:
        """See Embedder.embed."""
        if self.error is not None:
            raise self.error
        if self.hangs:
            await asyncio.Event().wait()
        self.asked += texts
        return [meaning(text) for text in texts]


class Reranking:
    """A reranker that likes what has a word. error: what it raises instead. asked: the passages of each question.

    waits_for: so many questions have to be there before it answers the first.
    """

    name = "judge"

    def __init__(
        self,
        liked: str,
        error: ModelError | None = None,
        *,
        candidates: int = 50,
        within_s: float = 10.0,
        window_tokens: int | None = None,
        waits_for: int = 0,
    ) -> None:
        self.liked = liked
        self.error = error
        self.candidates = candidates
        self.within_s = within_s
        self.window_tokens = window_tokens
        self.asked: dict[str, list[str]] = {}
        self._waits_for = waits_for
        self._has_all = asyncio.Event()

    async def rerank(self, query: str, passages: Sequence[str]) -> list[float]:
        """See Reranker.rerank."""
        self.asked[query] = list(passages)
        if len(self.asked) >= self._waits_for:
            self._has_all.set()
        await self._has_all.wait()
        if self.error is not None:
            raise self.error
        return [0.9 if self.liked in passage else 0.2 for passage in passages]


def meaning(text: str) -> list[float]:
    return [float(any(word in text.lower() for word in words)) for words in (("liver",), ("heart", "pulse"), ("roof",))]


async def unchanged(queries: Sequence[str]) -> Sequence[str]:
    return queries


def by(embedder: Embedding) -> QuestionVectors:
    return QuestionVectors({embedder.model: embedder}.get, clock=FakeClock())


def searching(
    store: Store, clock: FakeClock | None = None, rewrite: Rewrite = unchanged, **given: object
) -> StoreSearch:
    return StoreSearch(store=store, clock=clock or FakeClock(), rewrite=rewrite, **given)  # type: ignore[arg-type]


async def a_store(store: Store, *, embedded: bool = False) -> str:
    store_id = await put_store(store)
    for name, passage in TEXTS.items():
        file = await put_file(store, store_id, passage, name=name)
        if embedded:
            await store.write(lambda tx, file=file, passage=passage: embed(tx, store_id, file.id, passage))  # type: ignore[misc]
    return store_id


def embed(tx: Tx, store_id: str, file_id: str, passage: str) -> None:
    key = find_file_key(tx, store_id, file_id)
    assert key is not None
    first, after = ids_of_file(key)
    sql = f"SELECT id FROM segment WHERE id >= {first} AND id < {after}"
    ids = [row[0] for row in tx.conn.exec_driver_sql(sql).all()]
    vectors = [StoredVector(segment, 0, pack(meaning(passage))) for segment in ids]
    index_key = open_index(tx, store_id)
    insert_vectors(tx, index_key, "toy", vectors)
    mark_embedded(tx, index_key, key, "toy")
    serve_if_complete(tx, index_key, "toy")


def names(answer: StoreAnswer) -> list[str]:
    return [result.file.filename for result in answer.results]


async def test_vectors_find_what_has_none_of_the_words(store: Store) -> None:
    store_id = await a_store(store, embedded=True)
    asked = StoreQuery(queries=("pulse",), explains=True)
    plain = await searching(store).search(HOME, [store_id], asked)
    assert (names(plain), plain.vector_model) == ([], None)
    embedder = Embedding()
    found = await searching(store, vectors=by(embedder)).search(HOME, [store_id], asked)
    assert (names(found)[0], found.vector_model, embedder.asked) == ("heart.txt", "toy", ["pulse"])
    first = found.candidates[0].candidate
    assert first.vector_score == pytest.approx(0.707, abs=0.01)
    assert first.keyword_score is None


async def test_a_store_whose_first_vectors_are_being_made_says_so(store: Store) -> None:
    waits, ready, empty = await a_store(store), await a_store(store, embedded=True), await put_store(store)
    search = searching(store, vectors=by(Embedding()), embedding="toy")
    why = {
        name: (await search.search(HOME, [store_id], StoreQuery(queries=("roof",)))).why_no_vectors
        for name, store_id in {"waits": waits, "ready": ready, "empty": empty}.items()
    }
    assert why == {"waits": why["waits"], "ready": None, "empty": None}
    assert "no vectors yet" in (why["waits"] or "")


async def test_an_embedder_that_fails_leaves_the_words(store: Store) -> None:
    store_id = await a_store(store, embedded=True)
    search = searching(store, vectors=by(Embedding(ModelError("away"))))
    found = await search.search(HOME, [store_id], StoreQuery(queries=("roof",)))
    assert (names(found), found.vector_model, found.why_no_vectors) == (["house.txt"], None, "away")


async def test_an_embedder_that_does_not_answer_in_time_is_left_alone_for_a_while(
    store: Store,
) -> None:
    store_id, embedder = await a_store(store, embedded=True), Embedding()
    embedder.hangs = True
    clock = FakeClock()
    vectors = QuestionVectors({"toy": embedder}.get, clock=clock, within_s=0.01)
    search, asked = searching(store, vectors=vectors), StoreQuery(queries=("roof",))
    found = await search.search(HOME, [store_id], asked)
    assert (names(found), found.vector_model) == (["house.txt"], None)
    assert found.why_no_vectors == "The embedding model toy did not answer within 0.01 s."
    embedder.hangs = False
    again = await search.search(HOME, [store_id], asked)
    assert again.why_no_vectors == f"{found.why_no_vectors} It is asked again in 30 s."
    clock.set(clock.now() + REST_S)
    assert (await search.search(HOME, [store_id], asked)).vector_model == "toy"


async def test_a_question_is_embedded_once_and_not_for_a_store_without_vectors(store: Store) -> None:
    embedder = Embedding()
    search = searching(store, vectors=by(embedder))
    await search.search(HOME, [await a_store(store)], StoreQuery(queries=("roof",)))
    assert embedder.asked == []
    store_id = await a_store(store, embedded=True)
    for _ in range(2):
        await search.search(HOME, [store_id], StoreQuery(queries=("roof", "liver", "roof")))
    assert embedder.asked == ["roof", "liver"]


async def test_questions_in_a_crowd_are_all_answered() -> None:
    """Others push out what is remembered while the model is asked."""
    embedder = Embedding()
    vectors = QuestionVectors({"toy": embedder}.get, clock=FakeClock(), remembers=1)
    await vectors.embed(["roof"], ["toy"])
    embed = embedder.embed

    async def embed_for_others_too(texts: Sequence[str], *, as_: Purpose) -> list[list[float]]:
        embedder.embed = embed  # type: ignore[method-assign]
        await vectors.embed(["heart"], ["toy"])
        return await embed(texts, as_=as_)

    embedder.embed = embed_for_others_too  # type: ignore[method-assign]
    found = await vectors.embed(["roof", "liver"], ["toy"])
    assert [question.vectors["toy"] for question in found.questions] == [meaning("roof"), meaning("liver")]


async def test_vectors_that_came_later_are_seen(store: Store) -> None:
    store_id = await a_store(store, embedded=True)
    search, asked = searching(store, vectors=by(Embedding())), StoreQuery(queries=("roof",), limit=1)
    assert names(await search.search(HOME, [store_id], asked)) == ["house.txt"]
    file = await put_file(store, store_id, "A roof, a roof, a roof.", name="roof.txt")
    await store.write(lambda tx: embed(tx, store_id, file.id, "roof"))
    assert names(await search.search(HOME, [store_id], asked)) == ["roof.txt"]


async def test_queries_are_rewritten_when_asked_for(store: Store) -> None:
    async def rewrite(queries: Sequence[str]) -> Sequence[str]:
        return [query.replace("casa", "house") for query in queries]

    store_id = await a_store(store)
    search = searching(store, rewrite=rewrite)
    assert names(await search.search(HOME, [store_id], StoreQuery(queries=("casa",)))) == []
    found = await search.search(HOME, [store_id], StoreQuery(queries=("casa",), rewrites=True))
    assert (names(found), found.queries) == (["house.txt"], ("house",))
    own = await search.search(HOME, [store_id], StoreQuery(queries=("casa",), rewrites=True), rewrite=unchanged)
    assert own.queries == ("casa",)


async def test_a_model_rewrites_line_by_line_and_its_nonsense_is_left_out() -> None:
    asked = ["How do I\nget leave?", "And sick pay?"]
    good = ScriptedModel(text("leave application\n\n sick pay rules \n"))
    assert await rewrite_queries(good, "m", asked) == ["leave application", "sick pay rules"]
    _, user = good.requests[0].messages
    assert user.text == "How do I get leave?\nAnd sick pay?"
    assert await rewrite_queries(ScriptedModel(text("Sure! Here they are:\na\nb")), "m", asked) == asked
    assert await rewrite_queries(ScriptedModel(failure(ModelError("away"))), "m", asked) == asked


async def test_a_reranker_has_the_last_word(store: Store) -> None:
    store_id = await a_store(store)
    asked = StoreQuery(queries=("liver",), limit=1, score_threshold=0.5, explains=True)
    assert names(await searching(store).search(HOME, [store_id], StoreQuery(queries=("liver",)))) == [
        "liver.txt",
        "heart.txt",
    ]
    search = searching(store, reranker=Reranking("heart"))
    found = await search.search(HOME, [store_id], asked)
    assert (names(found), found.results[0].score) == (["heart.txt"], 0.9)
    told = [(c.candidate.file.filename, c.rerank_score, c.candidate.rank, c.candidate.fate) for c in found.candidates]
    assert told == [("heart.txt", 0.9, 1, "kept"), ("liver.txt", 0.2, 2, "below_threshold")]
    assert [c.candidate.fused_rank for c in found.candidates] == [2, 1]
    without = await search.search(HOME, [store_id], StoreQuery(queries=("liver",), limit=1, reranks=False))
    assert names(without) == ["liver.txt"]


async def test_a_reranker_that_fails_is_done_without(store: Store) -> None:
    store_id = await a_store(store)
    search = searching(store, reranker=Reranking("heart", ModelError("away")))
    found = await search.search(HOME, [store_id], StoreQuery(queries=("liver",), limit=1, explains=True))
    assert names(found) == ["liver.txt"]
    assert [c.candidate.fate for c in found.candidates] == ["kept", "beyond_limit"]
    assert (found.rerank_model, found.why_not_reranked) == (None, "away")
    plain = await searching(store).search(HOME, [store_id], StoreQuery(queries=("liver",), limit=1, explains=True))
    assert msgspec.structs.replace(found, why_not_reranked=None) == plain


async def test_what_a_reranker_puts_first_is_among_the_candidates_however_few(store: Store) -> None:
    store_id = await a_store(store)
    search = searching(store, reranker=Reranking("heart"))
    asked = StoreQuery(queries=("liver",), limit=1, explains=True, max_candidates=1)
    found = await search.search(HOME, [store_id], asked)
    told = [(c.candidate.file.filename, c.candidate.fused_rank, c.candidate.rank) for c in found.candidates]
    assert told == [("heart.txt", 2, 1)]
    assert (found.rerank_model, found.why_not_reranked, found.n_candidates) == ("judge", None, 2)


async def test_every_result_is_among_the_candidates_however_few_are_asked_for(store: Store) -> None:
    store_id = await a_store(store)
    for reranker in (None, Reranking("heart", ModelError("away"))):
        asked = StoreQuery(queries=("liver",), limit=2, explains=True, max_candidates=1)
        found = await searching(store, reranker=reranker).search(HOME, [store_id], asked)
        assert [c.candidate.file.filename for c in found.candidates] == names(found) == ["liver.txt", "heart.txt"]


@pytest.mark.parametrize("said", [[], [0.5], [0.5, 0.4, 0.3], [0.5, float("nan")]])
async def test_a_reranker_of_the_programs_own_that_says_nonsense_is_done_without(
    store: Store, said: list[float]
) -> None:
    class Nonsense(Reranking):
        async def rerank(self, query: str, passages: Sequence[str]) -> list[float]:
            return said

    search = searching(store, reranker=Nonsense("heart"))
    found = await search.search(HOME, [await a_store(store)], StoreQuery(queries=("liver",)))
    assert names(found) == ["liver.txt", "heart.txt"]
    assert found.why_not_reranked is not None


async def test_a_reranker_looks_at_as_many_as_it_is_given_and_at_all_that_are_asked_for(store: Store) -> None:
    store_id = await a_store(store)
    judge = Reranking("heart", candidates=1)
    search = searching(store, reranker=judge)
    found = await search.search(HOME, [store_id], StoreQuery(queries=("liver",), limit=1, explains=True))
    assert (names(found), len(judge.asked["liver"])) == (["liver.txt"], 1)
    told = [(c.rerank_score, c.candidate.rank, c.candidate.fate) for c in found.candidates]
    assert told == [(0.2, 1, "kept"), (None, 2, "beyond_limit")]
    found = await search.search(HOME, [store_id], StoreQuery(queries=("liver",), limit=2))
    assert (names(found), len(judge.asked["liver"])) == (["heart.txt", "liver.txt"], 2)


async def test_a_reranker_gets_several_questions_at_once_and_the_best_word_counts(store: Store) -> None:
    store_id = await a_store(store)
    judge = Reranking("heart", waits_for=2)
    found = await searching(store, reranker=judge).search(HOME, [store_id], StoreQuery(queries=("liver", "roof")))
    assert names(found)[0] == "heart.txt"
    assert set(judge.asked) == {"liver", "roof"}


async def test_a_reranker_that_takes_too_long_is_left_alone_for_a_while(store: Store) -> None:
    store_id, clock = await a_store(store), FakeClock()
    judge = Reranking("heart", within_s=0.01, waits_for=2)
    search, asked = searching(store, clock, reranker=judge), StoreQuery(queries=("liver",), limit=1)
    found = await search.search(HOME, [store_id], asked)
    assert names(found) == ["liver.txt"]
    assert found.why_not_reranked == "The reranker judge did not answer within 0.01 s."
    judge.asked.clear()
    again = await search.search(HOME, [store_id], asked)
    assert names(again) == ["liver.txt"]
    assert again.why_not_reranked == f"{found.why_not_reranked} It is asked again in 30 s."
    assert judge.asked == {}
    clock.set(clock.now() + REST_S)
    judge.asked["before"] = []
    assert names(await search.search(HOME, [store_id], asked)) == ["heart.txt"]


async def test_a_reranker_that_cannot_read_one_question_is_asked_the_next(store: Store) -> None:
    store_id = await a_store(store)
    judge = Reranking("heart", ModelError("too long", reason="invalid_prompt"))
    search, asked = searching(store, reranker=judge), StoreQuery(queries=("liver",), limit=1)
    assert (await search.search(HOME, [store_id], asked)).why_not_reranked == "too long"
    judge.error = None
    assert names(await search.search(HOME, [store_id], asked)) == ["heart.txt"]


async def test_a_passage_that_is_too_long_for_a_reranker_counts_by_its_best_part(store: Store) -> None:
    store_id = await put_store(store)
    await put_file(store, store_id, "The liver. " * 40 + "The heart beside the liver.", name="long.txt")
    await put_file(store, store_id, "The liver makes bile.", name="short.txt")
    judge = Reranking("heart", window_tokens=34)
    found = await searching(store, reranker=judge).search(HOME, [store_id], StoreQuery(queries=("liver",)))
    assert [(result.file.filename, result.score) for result in found.results] == [("long.txt", 0.9), ("short.txt", 0.2)]
    parts = judge.asked["liver"]
    assert len(parts) > 3
    assert max(map(estimate_tokens, parts)) <= 34


async def test_a_store_counts_as_used_when_it_is_searched(store: Store) -> None:
    store_id, clock = await a_store(store), FakeClock()
    await searching(store, clock).search(HOME, [store_id], StoreQuery(queries=("liver",)))
    found = await store.read(lambda tx: find_vector_store(tx, HOME, store_id))
    assert found.last_active_at == clock.now()


async def test_an_expired_store_is_not_searched_and_stays_so(store: Store) -> None:
    store_id, clock = await a_store(store), FakeClock()
    now = int(clock.now())
    expiry = {"last_active_at": now, "expires_after_days": 2, "expires_at": now + 2 * DAY}
    await store.write(lambda tx: update_vector_store(tx, store_id, expiry))
    search, asked = searching(store, clock), StoreQuery(queries=("liver",))
    clock.set(now + 2 * DAY - 1)
    assert len(names(await search.search(HOME, [store_id], asked))) == 2
    clock.set(now + 4 * DAY)
    for _ in range(2):
        with pytest.raises(InvalidRequestError, match="has expired: it was not used for 2 days"):
            await search.search(HOME, [store_id], asked)


async def test_a_store_of_another_project_is_not_found(store: Store) -> None:
    store_id = await a_store(store)
    with pytest.raises(NotFoundError):
        await searching(store).search("other", [store_id], StoreQuery(queries=("liver",)))
