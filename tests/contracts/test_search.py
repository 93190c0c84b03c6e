"""Search on every database: what is found, in which order, what is not found any more, and what is said about it."""

from __future__ import annotations

import pytest

from agentrt.clock import SystemClock
from agentrt.retrieval.chunk import Chunking
from agentrt.retrieval.filters import parse_filter
from agentrt.retrieval.index import sweep_index
from agentrt.retrieval.search import Found, Question, SearchOptions, search
from agentrt.retrieval.vectors import pack
from agentrt.runtime.vector_stores.vectors.cache import VectorCache
from agentrt.store.database import Store, Tx
from agentrt.store.embedded_files import mark_embedded, serve_if_complete
from agentrt.store.files import delete_file, find_file
from agentrt.store.postings import SegmentTerms, insert_terms, merge_terms
from agentrt.store.search_files import find_indexed_files
from agentrt.store.search_index import (
    STAGED_FOR_S,
    index_attributes,
    open_index,
    purge_index,
    read_stats,
    stage_file,
)
from agentrt.store.search_vectors import StoredVector, insert_vectors
from agentrt.store.segment_ids import FILE_SHIFT
from tests.contracts.rows import HOME
from tests.contracts.search_rows import attach, index, put_file, put_store

TEXTS = {
    "liver.txt": "The liver makes bile. Cells of the liver store sugar.",
    "heart.txt": "The heart pumps blood. A heart beats sixty times in a minute.",
    "blood.txt": "Blood carries oxygen from the lungs. The heart moves it; the liver cleans it.",
    "house.txt": "A house has walls and a roof.",
}
LONG = "".join(
    f"Part {n} tells of {word}. " + "Nothing else happens in these lines, which only fill the page. " * 6 + "\n\n"
    for n, word in enumerate(["apples", "bears", "cherries", "dogs", "eggs", "figs", "goats", "hens"])
)
SMALL = Chunking(100, 50)


async def ask(store: Store, stores: str | list[str], *questions: str, **options: object) -> Found:
    asked = [Question(question) for question in questions]
    wanted = SearchOptions(**options)  # type: ignore[arg-type]
    ids = [stores] if isinstance(stores, str) else stores
    return await store.read(lambda tx: search(tx, ids, asked, wanted))


async def names(store: Store, stores: str | list[str], *questions: str, **options: object) -> list[str]:
    return [result.file.filename for result in (await ask(store, stores, *questions, **options)).results]


async def count_rows(store: Store) -> dict[str, int]:
    """How much of the index is left."""
    tables = ["segment", "indexed_file", "file_attribute", "segment_vector", "store_index"]

    def count(tx: Tx) -> dict[str, int]:
        terms = "segment_terms" if tx.conn.dialect.name == "sqlite" else "posting"
        return {
            table: int(tx.conn.exec_driver_sql(f"SELECT count(*) FROM {table}").scalar_one())
            for table in [*tables, terms]
        }

    return await store.read(count)


# What is found -------------------------------------------------------------------------------------------------------


async def test_the_best_passage_comes_first(store: Store) -> None:
    store_id = await put_store(store, TEXTS)
    assert await names(store, store_id, "What does the liver do?") == ["liver.txt", "blood.txt"]
    assert await names(store, store_id, "roofs of houses") == ["house.txt"]
    assert await names(store, store_id, "submarine") == []
    assert await names(store, store_id, "") == []


async def test_a_result_has_its_text_its_place_and_a_score(store: Store) -> None:
    store_id = await put_store(store, TEXTS)
    (result,) = (await ask(store, store_id, "walls")).results
    assert result.passage.text == TEXTS["house.txt"]
    assert (result.passage.start, result.passage.end, result.ord) == (0, len(TEXTS["house.txt"]), 0)
    assert 0 < result.score <= 1


async def test_a_store_without_files_or_index_has_no_answers(store: Store) -> None:
    assert await names(store, await put_store(store), "liver") == []
    assert await names(store, "vs_none", "liver") == []


async def test_a_store_does_not_see_the_files_of_another(store: Store) -> None:
    ours = await put_store(store, {"liver.txt": TEXTS["liver.txt"]})
    theirs = await put_store(store, {"other.txt": TEXTS["liver.txt"], "heart.txt": TEXTS["heart.txt"]})
    assert await names(store, ours, "liver") == ["liver.txt"]
    assert await names(store, ours, "heart") == []
    assert await names(store, theirs, "liver") == ["other.txt"]


async def test_scores_do_not_depend_on_other_stores(store: Store) -> None:
    ours = await put_store(store, TEXTS)
    before = await ask(store, ours, "liver and heart")
    await put_store(store, {f"{n}.txt": "liver liver liver" for n in range(30)})
    after = await ask(store, ours, "liver and heart")
    assert [result.score for result in after.results] == [result.score for result in before.results]


async def test_several_stores_are_searched_as_one(store: Store) -> None:
    first = await put_store(store, {"liver.txt": TEXTS["liver.txt"], "house.txt": TEXTS["house.txt"]})
    second = await put_store(store, {"blood.txt": TEXTS["blood.txt"], "heart.txt": TEXTS["heart.txt"]})
    assert await names(store, [first, second, first], "liver cells") == ["liver.txt", "blood.txt"]


async def test_several_questions_are_each_answered(store: Store) -> None:
    store_id = await put_store(store, TEXTS)
    assert set(await names(store, store_id, "roof", "sugar")) == {"house.txt", "liver.txt"}


async def test_words_side_by_side_count_for_more(store: Store) -> None:
    texts = {
        "apart.txt": "The stock of apples grew. In the market there was an exchange of news.",
        "together.txt": "In the market there was news. The apples of the stock exchange grew.",
    }
    store_id = await put_store(store, texts)
    assert await names(store, store_id, "stock exchange") == ["together.txt", "apart.txt"]


async def test_documents_of_several_languages_are_found_in_each(store: Store) -> None:
    german = "Die Häuser in dieser Straße wurden alle vor dem Krieg gebaut, und sie sind sehr schön."
    english = "The houses in this street were all built before the war, and they are very beautiful."
    store_id = await put_store(
        store, {"de.txt": german, "en.txt": english, "ja.txt": "この通りの家は戦前に建てられた。"}
    )
    assert await names(store, store_id, "Haus, das schön ist") == ["de.txt"]
    assert await names(store, store_id, "house") == ["en.txt"]
    assert await names(store, store_id, "戦前の家") == ["ja.txt"]


# Chunks --------------------------------------------------------------------------------------------------------------


async def test_a_chunk_is_found_with_its_true_place(store: Store) -> None:
    store_id = await put_store(store)
    await put_file(store, store_id, LONG, chunking=SMALL)
    found = await ask(store, store_id, "goats", limit=1)
    (result,) = found.results
    assert LONG[result.passage.start : result.passage.end] == result.passage.text
    assert "goats" in result.passage.text


async def test_a_neighbour_that_says_the_same_is_left_out(store: Store) -> None:
    store_id = await put_store(store)
    await put_file(store, store_id, LONG, chunking=SMALL)
    found = await ask(store, store_id, "goats", is_explained=True)
    assert [candidate.fate for candidate in found.candidates] == ["kept", "covered"]
    kept, covered = found.candidates
    assert abs(kept.ord - covered.ord) == 1


async def test_a_large_file_is_written_in_pieces_and_found_as_one(store: Store) -> None:
    store_id = await put_store(store)
    text = "".join(f"Line {n} of a very long file about word{n}.\n" for n in range(12_000))
    file = await attach(store, store_id)
    assert len(text) > 400_000
    assert await index(store, store_id, file.id, text)
    for n in (0, 5_000, 11_999):
        (result,) = (await ask(store, store_id, f"word{n}", limit=1)).results
        assert f"word{n}." in result.passage.text
        assert text[result.passage.start : result.passage.end] == result.passage.text


# Choosing ------------------------------------------------------------------------------------------------------------


async def test_no_more_results_than_asked_for(store: Store) -> None:
    store_id = await put_store(store, {f"{n}.txt": "liver " * (n + 1) + "and more " * 9 for n in range(20)})
    assert len(await names(store, store_id, "liver", limit=7)) == 7


async def test_a_threshold_leaves_weak_matches_out(store: Store) -> None:
    store_id = await put_store(store, TEXTS)
    scores = [result.score for result in (await ask(store, store_id, "liver bile")).results]
    assert len(scores) == 2
    assert await names(store, store_id, "liver bile", score_threshold=scores[0]) == ["liver.txt"]
    assert await names(store, store_id, "liver bile", score_threshold=scores[0] + 0.001) == []


async def test_a_filter_lets_only_its_files_in(store: Store) -> None:
    store_id = await put_store(store)
    for year in (2022, 2023, 2024):
        await put_file(
            store, store_id, TEXTS["liver.txt"], name=f"{year}.txt", attributes={"year": year, "draft": year > 2023}
        )
    await put_file(store, store_id, TEXTS["liver.txt"], name="none.txt")

    async def let_in(**raw: object) -> set[str]:
        return set(await names(store, store_id, "liver", filter=parse_filter(raw)))

    assert await let_in(type="eq", key="year", value=2023) == {"2023.txt"}
    assert await let_in(type="ne", key="year", value=2023) == {"2022.txt", "2024.txt"}
    assert await let_in(type="gte", key="year", value=2023) == {"2023.txt", "2024.txt"}
    assert await let_in(type="in", key="year", value=[2022, 2024, "2023"]) == {"2022.txt", "2024.txt"}
    assert await let_in(type="eq", key="draft", value=True) == {"2024.txt"}
    assert await let_in(type="eq", key="draft", value=1) == set()
    both = [{"type": "gt", "key": "year", "value": 2022}, {"type": "eq", "key": "draft", "value": False}]
    assert await let_in(type="and", filters=both) == {"2023.txt"}
    assert await let_in(type="or", filters=both) == {"2022.txt", "2023.txt", "2024.txt"}


async def test_attributes_that_change_count_at_once(store: Store) -> None:
    store_id = await put_store(store)
    file = await put_file(store, store_id, TEXTS["liver.txt"], attributes={"a": "old"})
    await store.write(lambda tx: index_attributes(tx, store_id, file.id, {"b": "new"}))
    assert await names(store, store_id, "liver", filter=parse_filter({"type": "eq", "key": "a", "value": "old"})) == []
    assert await names(store, store_id, "liver", filter=parse_filter({"type": "eq", "key": "b", "value": "new"}))


async def test_every_candidate_is_accounted_for(store: Store) -> None:
    store_id = await put_store(store, TEXTS)
    found = await ask(store, store_id, "Does the heart move blood?", limit=1, score_threshold=0.05, is_explained=True)
    assert [candidate.file.filename for candidate in found.candidates] == ["blood.txt", "heart.txt"]
    first, second = found.candidates
    assert (first.fate, second.fate) == ("kept", "beyond_limit")
    assert first.words == ("heart", "move", "blood")
    assert second.words == ("heart", "blood")
    assert first.score > second.score
    assert (first.keyword_score or 0) > (second.keyword_score or 0) > 0
    assert first.vector_score is None
    assert (first.start, first.end) == (0, len(TEXTS["blood.txt"]))


# Vectors -------------------------------------------------------------------------------------------------------------

MODEL = "by-hand"
VECTORS = {"liver.txt": [1.0, 0.1], "heart.txt": [0.1, 1.0], "blood.txt": [0.7, 0.7], "house.txt": [-1.0, 0.0]}


async def put_vectors(store: Store, store_id: str) -> None:
    """Vectors for the files of TEXTS."""

    def write(tx: Tx) -> None:
        stats = read_stats(tx, store_id)
        assert stats is not None
        segments = tx.conn.exec_driver_sql("SELECT id FROM segment").scalars().all()
        for segment in segments:
            file = find_indexed_files(tx, [segment >> FILE_SHIFT])[segment >> FILE_SHIFT]
            insert_vectors(tx, stats.index_key, MODEL, [StoredVector(segment, 0, pack(VECTORS[file.filename]))])
            mark_embedded(tx, stats.index_key, segment >> FILE_SHIFT, MODEL)
        assert serve_if_complete(tx, stats.index_key, MODEL)

    await store.write(write)


async def test_no_more_candidates_are_told_of_than_asked_for_but_results_and_all_are_counted(store: Store) -> None:
    store_id = await put_store(store, {f"{n}.txt": f"The heart, number {n}." for n in range(9)})
    found = await ask(store, store_id, "heart", limit=2, is_explained=True, max_candidates=4)
    assert [candidate.fate for candidate in found.candidates] == ["kept", "kept", "beyond_limit", "beyond_limit"]
    assert found.n_candidates == 9
    few = await ask(store, store_id, "heart", limit=5, is_explained=True, max_candidates=2)
    assert (len(few.results), len(few.candidates), few.n_candidates) == (5, 5, 9)


async def test_what_is_new_in_a_large_index_does_not_have_all_of_it_written_again(store: Store) -> None:
    async def put(first: int, n: int) -> None:
        ids = range(first, first + n)
        rows = [SegmentTerms(i, " ".join(f"t{(i * 7 + k) % 5000}" for k in range(100))) for i in ids]
        await store.write(lambda tx: insert_terms(tx, 1, rows))

    async def merge() -> int:
        n = 0
        while await store.write(merge_terms):
            n += 1
        return n

    for first in range(0, 6000, 1000):
        await put(first, 1000)
    await merge()
    await put(9000, 20)
    assert await merge() <= 1


async def test_words_that_no_file_has_do_not_hide_an_answer_in_a_small_store(store: Store) -> None:
    store_id = await put_store(store, {"tea.txt": "Oolong: 7.40 for a hundred grams."})
    (result,) = (await ask(store, store_id, "price of oolong")).results
    assert result.score > 0.2


async def test_keywords_and_vectors_decide_together(store: Store) -> None:
    store_id = await put_store(store, TEXTS)
    await put_vectors(store, store_id)
    asked = [Question("sugar", {MODEL: [0.2, 1.0]})]
    nearest = VectorCache().nearest
    found = await store.read(lambda tx: search(tx, [store_id], asked, SearchOptions(is_explained=True), nearest))
    assert [result.file.filename for result in found.results][:3] == ["liver.txt", "heart.txt", "blood.txt"]
    by_name = {candidate.file.filename: candidate for candidate in found.candidates}
    assert by_name["heart.txt"].keyword_score is None
    assert by_name["heart.txt"].vector_score == pytest.approx(0.995, abs=0.01)
    assert by_name["liver.txt"].keyword_score is not None
    only_vectors = SearchOptions(keyword_weight=0.0, limit=1)
    found = await store.read(lambda tx: search(tx, [store_id], asked, only_vectors, nearest))
    assert [result.file.filename for result in found.results] == ["heart.txt"]


async def test_the_vectors_of_a_deleted_file_are_not_found_and_go_with_it(store: Store) -> None:
    store_id = await put_store(store, TEXTS)
    await put_vectors(store, store_id)
    file_id = (await ask(store, store_id, "roof")).results[0].file.file_id
    file = await store.read(lambda tx: find_file(tx, HOME, file_id))
    await store.write(lambda tx: delete_file(tx, file))
    asked, nearest = [Question("", {MODEL: [-1.0, 0.0]})], VectorCache().nearest
    found = await store.read(lambda tx: search(tx, [store_id], asked, SearchOptions(), nearest))
    assert "house.txt" not in [result.file.filename for result in found.results]
    await sweep_index(store, clock=SystemClock())
    assert (await count_rows(store))["segment_vector"] == len(TEXTS) - 1


# Deleting ------------------------------------------------------------------------------------------------------------


async def run_sql(store: Store, sql: str) -> None:
    await store.write(lambda tx: tx.conn.exec_driver_sql(sql))


@pytest.mark.parametrize("way", ["file", "place in the store", "store"])
async def test_what_is_deleted_is_not_found_from_then_on(store: Store, way: str) -> None:
    store_id = await put_store(store, {"house.txt": TEXTS["house.txt"]})
    other_id = await put_store(store, TEXTS)
    file = await put_file(store, store_id, TEXTS["liver.txt"], attributes={"a": 1})
    if way == "file":
        await store.write(lambda tx: delete_file(tx, file))
    elif way == "store":
        await run_sql(store, f"DELETE FROM vector_store WHERE id = '{store_id}'")
    else:
        await run_sql(store, f"DELETE FROM vector_store_file WHERE file_id = '{file.id}'")
    assert await names(store, store_id, "liver") == []
    assert await names(store, other_id, "liver") == ["liver.txt", "blood.txt"]
    assert await names(store, store_id, "house") == ([] if way == "store" else ["house.txt"])


async def test_what_is_deleted_is_swept_up_and_leaves_nothing(store: Store) -> None:
    store_id = await put_store(store)
    await put_file(store, store_id, LONG * 20, chunking=SMALL, attributes={"a": 1, "b": "x", "c": True})
    await put_file(store, store_id, TEXTS["liver.txt"])
    await run_sql(store, f"DELETE FROM vector_store WHERE id = '{store_id}'")
    assert await sweep_index(store, clock=SystemClock()) > 2
    assert set((await count_rows(store)).values()) == {0}
    assert await sweep_index(store, clock=SystemClock()) == 0


async def test_sweeping_leaves_the_others_and_their_counts(store: Store) -> None:
    store_id = await put_store(store, TEXTS)
    before = await store.read(lambda tx: read_stats(tx, store_id))
    file = await put_file(store, store_id, LONG, chunking=SMALL)
    rows = await count_rows(store)
    await store.write(lambda tx: delete_file(tx, file))
    assert await sweep_index(store, clock=SystemClock()) > 0
    after = await store.read(lambda tx: read_stats(tx, store_id))
    assert before is not None
    assert after is not None
    assert (after.n_chunks, after.n_terms, after.hidden) == (before.n_chunks, before.n_terms, frozenset())
    assert after.version > before.version
    assert (await count_rows(store))["segment"] == len(TEXTS) < rows["segment"]
    assert await names(store, store_id, "liver") == ["liver.txt", "blood.txt"]


async def test_sweeping_goes_on_where_it_was_cut_off(store: Store) -> None:
    store_id = await put_store(store)
    file = await put_file(store, store_id, LONG, chunking=SMALL)
    await store.write(lambda tx: delete_file(tx, file))
    now = int(SystemClock().now())
    for _ in range(3):
        assert await store.write(lambda tx: purge_index(tx, now=now, n_segments=2))
    assert await names(store, store_id, "goats") == []
    await sweep_index(store, clock=SystemClock())
    assert (await count_rows(store))["segment"] == 0


# Indexing ------------------------------------------------------------------------------------------------------------


async def test_indexing_anew_replaces_what_was_there(store: Store) -> None:
    store_id = await put_store(store)
    file = await put_file(store, store_id, TEXTS["liver.txt"])
    assert await index(store, store_id, file.id, TEXTS["house.txt"])
    assert await names(store, store_id, "liver") == []
    assert len(await names(store, store_id, "house")) == 1
    await sweep_index(store, clock=SystemClock())
    assert (await count_rows(store))["segment"] == 1
    assert len(await names(store, store_id, "house")) == 1


async def test_a_file_that_was_taken_out_meanwhile_does_not_appear(store: Store) -> None:
    store_id = await put_store(store)
    file = await attach(store, store_id)
    await store.write(lambda tx: delete_file(tx, file))
    assert not await index(store, store_id, file.id, TEXTS["liver.txt"])
    assert await names(store, store_id, "liver") == []


async def test_what_was_never_finished_is_not_found_and_goes_after_some_hours(store: Store) -> None:
    store_id = await put_store(store, TEXTS)
    now = int(SystemClock().now())
    await store.write(lambda tx: stage_file(tx, open_index(tx, store_id), now=now))
    stats = await store.read(lambda tx: read_stats(tx, store_id))
    assert stats is not None
    assert len(stats.hidden) == 1
    assert not await store.write(lambda tx: purge_index(tx, now=now))
    assert await store.write(lambda tx: purge_index(tx, now=now + STAGED_FOR_S + 1))
    assert len((await store.read(lambda tx: read_stats(tx, store_id)) or stats).hidden) == 0


async def test_a_transaction_that_fails_leaves_no_word_of_it(store: Store) -> None:
    store_id = await put_store(store)
    before = await count_rows(store)

    def fail(tx: Tx) -> None:
        key = open_index(tx, store_id)
        insert_terms(tx, key, [SegmentTerms(1 << 40, "liver heart^2")])
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        await store.write(fail)
    assert await count_rows(store) == before
