"""Vectors in stores, on every database: made with the files, made up for, made anew when the model changes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import pytest

from agentrt.errors import FencedError, ModelError
from agentrt.files.extracted import Extracted
from agentrt.models.embeddings import Embedder, Purpose, Vector
from agentrt.retrieval.chunk import Chunking
from agentrt.retrieval.prepare import prepare
from agentrt.retrieval.search import Question, SearchOptions, search
from agentrt.runtime.drive import Interrupt
from agentrt.runtime.requests import NewStoreFile
from agentrt.runtime.vector_stores.ingest.driver import IngestDriver
from agentrt.runtime.vector_stores.vectors.cache import VectorCache
from agentrt.runtime.vector_stores.vectors.driver import LEFT_TO_OTHERS_S, RETRY_AFTER_S, VectorDriver
from agentrt.runtime.vector_stores.vectors.inline import FileEmbedding
from agentrt.runtime.vector_stores.vectors.questions import QuestionVectors
from agentrt.runtime.vector_stores.vectors.queue import purge_cache, queue_missing
from agentrt.runtime.vector_stores.vectors.texts import SegmentWords, TextVectors
from agentrt.store.database import Store, Tx
from agentrt.store.embedded_files import EmbeddingProgress, embedding_progress, find_index, serving_models
from agentrt.store.jobs import find_job
from agentrt.store.search_vectors import read_vectors
from agentrt.store.workers import WorkerProcess, beat_worker, forget_worker
from agentrt.testing.clocks import FakeClock
from agentrt.testing.embedding_answers import word_vector
from tests.contracts.rows import HOME
from tests.contracts.test_ingest import House
from tests.contracts.test_search import count_rows

DOWN = ModelError("down", is_retryable=True)
REFUSED = ModelError("too long", reason="invalid_prompt", http_status=400)
LEASE_S = 15.0
CAT, DOG, ROOF = "the cat sleeps", "the dog barks", "the roof leaks"


class Words(Embedder):
    """Vectors of words, with a note of what was embedded, and a failure to raise instead."""

    def __init__(self, model: str = "words", *, window_tokens: int | None = None) -> None:
        self._model = model
        self._window_tokens = window_tokens
        self.seen: list[str] = []
        self.fails: ModelError | None = None
        self.meanwhile: Callable[[], Awaitable[None]] | None = None

    @property
    def model(self) -> str:
        return self._model

    @property
    def window_tokens(self) -> int | None:
        return self._window_tokens

    async def embed(self, texts: Sequence[str], *, as_: Purpose) -> Sequence[Vector]:
        if self.fails is not None:
            raise self.fails
        if as_ == "document":
            self.seen += texts
            if self.meanwhile is not None:
                happens, self.meanwhile = self.meanwhile, None
                await happens()
        return [word_vector(f"{text} {self.model}") for text in texts]


class Library(House):
    """A House whose files get vectors."""

    def __init__(self, store: Store, folder: Path) -> None:
        super().__init__(store, folder)
        self.known: dict[str, Words] = {}
        self.cache = VectorCache()
        self.use(Words())

    def use(self, words: Words | None) -> Words:
        """Let this be the model that search uses: what a restart with another agents.toml does."""
        vectors = None if words is None else TextVectors(words, store=self.store, clock=self.clock)
        if words is not None:
            self.known[words.model] = words
        self.model = "" if words is None else words.model
        self.driver = IngestDriver(
            store=self.store,
            dispatcher=self.dispatcher,
            clock=self.clock,
            files=self.files,
            preparer=self.reading,
            most_places=2,
            embedding=None if vectors is None else FileEmbedding(vectors, clock=self.clock),
        )
        self.vector_driver = VectorDriver(
            store=self.store, dispatcher=self.dispatcher, clock=self.clock, vectors=vectors, lease_s=LEASE_S
        )
        return words or Words()

    async def filled(self, *texts: str) -> str:
        """A store in which the texts are indexed."""
        store_id = await self.a_store(*texts)
        await self.drive_all()
        return store_id

    async def make_vectors(self, *, interrupt: Interrupt | None = None) -> None:
        """Drive what the sweep finds to do."""
        await queue_missing(self.store, self.dispatcher, clock=self.clock, model=self.model, lease_s=LEASE_S)
        for job_id in await self.jobs():
            hold = await self.take(job_id)
            assert hold is not None
            begun = await self.store.write(partial(self.vector_driver.begin, hold=hold))
            if begun is not None:
                await self.vector_driver.drive(begun, interrupt or Interrupt())

    async def begins(self, worker_id: str, embedding: str, *, started_at: int, role: str = "all") -> None:
        """A process has been started whose files get these vectors."""
        worker = WorkerProcess(
            id=worker_id,
            role=role,
            host="h",
            pid=1,
            version="1",
            started_at=started_at,
            seen_at=self.clock.now(),
            embedding=embedding,
        )
        await self.store.write(partial(beat_worker, worker=worker))

    async def serving(self, store_id: str) -> set[str]:
        return await self.store.read(lambda tx: serving_models(tx, [store_id]))

    async def progress(self) -> EmbeddingProgress:
        return await self.store.read(lambda tx: embedding_progress(tx, self.model))

    async def cosines(self, store_id: str, query: str) -> dict[str, float | None]:
        """The vector scores of all candidates, by their files."""
        models = sorted(await self.serving(store_id))
        asked = (await QuestionVectors(self.known.get, clock=FakeClock()).embed([query], models)).questions
        options = SearchOptions(is_explained=True, limit=50)
        found = await self.store.read(lambda tx: search(tx, [store_id], asked, options, self.cache.nearest))
        return {candidate.file.filename: candidate.vector_score for candidate in found.candidates}

    async def nearest(self, store_id: str, query: str) -> str | None:
        found = {name: score for name, score in (await self.cosines(store_id, query)).items() if score is not None}
        return max(found, key=lambda name: found[name], default=None)

    async def n_found_of(self, store_id: str, words: str) -> int:
        """How many passages are found by words alone."""
        asked = [Question(words)]
        return len((await self.store.read(lambda tx: search(tx, [store_id], asked, SearchOptions()))).results)

    async def vectors_by_model(self) -> dict[str, int]:
        def read(tx: Tx) -> dict[str, int]:
            sql = "SELECT model, count(*) FROM segment_vector GROUP BY model"
            return {row[0]: row[1] for row in tx.conn.exec_driver_sql(sql).all()}

        return await self.store.read(read)


@pytest.fixture
async def library(store: Store, tmp_path: Path) -> AsyncIterator[Library]:
    opened = Library(store, tmp_path / "blobs")
    yield opened
    await opened.reading.close()


# With the files ------------------------------------------------------------------------------------------------------


async def test_files_get_their_vectors_before_they_are_called_completed(library: Library) -> None:
    store_id = await library.filled(CAT, DOG, ROOF)

    assert await library.serving(store_id) == {"words"}
    assert await library.nearest(store_id, "cat") == "0.txt"
    assert await library.nearest(store_id, "barks") == "1.txt"
    assert (await library.counts(store_id)).usage_bytes == len(CAT + DOG + ROOF) + 3 * 64 * 2
    assert await library.progress() == EmbeddingProgress(0, 3)
    assert await library.jobs() == []


async def test_the_same_text_is_embedded_once(library: Library) -> None:
    words = library.known["words"]
    first = await library.a_store(CAT, CAT, DOG)
    await library.drive_all()
    second = await library.filled(CAT, DOG)

    assert sorted(words.seen) == [CAT, DOG]
    assert await library.nearest(first, "dog") == "2.txt"
    assert await library.nearest(second, "dog") == "1.txt"


async def test_a_long_file_is_cut_as_it_is_embedded_and_leaves_the_event_loop_to_others(library: Library) -> None:
    words = library.known["words"]
    n_cut, n_turns = 0, 0

    def segments() -> Iterator[SegmentWords]:
        nonlocal n_cut
        for n_cut in range(1, 2001):
            yield SegmentWords(n_cut, f"{CAT} {n_cut % 300}")

    async def embed(texts: Sequence[str], *, as_: Purpose) -> Sequence[Vector]:
        assert n_cut < 2000
        return [word_vector(text) for text in texts]

    async def others() -> None:
        nonlocal n_turns
        while True:
            await asyncio.sleep(0)
            n_turns += 1

    words.embed = embed  # type: ignore[method-assign]
    waiting = asyncio.ensure_future(others())
    made = await TextVectors(words, store=library.store, clock=library.clock).of(segments())
    waiting.cancel()
    assert (len(made.of_segment), n_cut) == (2000, 2000)
    assert n_turns >= 8, "one for each lot, at least, also for what the cache has"


async def test_what_was_embedded_long_ago_is_forgotten(library: Library) -> None:
    words = library.known["words"]
    await library.filled(CAT)
    await library.clock.advance(31 * 86_400)
    await library.filled(DOG)

    await purge_cache(library.store, clock=library.clock)
    await library.filled(CAT, DOG)

    assert words.seen == [CAT, DOG, CAT]


async def test_a_passage_counts_by_its_best_window(library: Library) -> None:
    library.use(Words(window_tokens=20))
    store_id = await library.filled("nothing of note here " * 30 + "zebra " * 10 + "and so on again " * 30, DOG)

    assert len(library.known["words"].seen) > 5
    assert (await library.cosines(store_id, "zebra zebra"))["0.txt"] == pytest.approx(0.95, abs=0.1)


async def test_the_vectors_of_a_store_are_read_in_lots(library: Library) -> None:
    library.use(Words(window_tokens=2))
    store_id = await library.filled(f"{CAT} and {DOG}", ROOF)

    def read(tx: Tx, n: int = 1000) -> list[tuple[int, int]]:
        found = find_index(tx, store_id)
        assert found is not None
        return [(vector.segment_id, vector.window) for vector in read_vectors(tx, found[0], "words", n=n)]

    places = await library.store.read(read)
    assert len({segment for segment, _ in places}) < len(places) == len(set(places))
    for n in (1, 2, 3):
        assert await library.store.read(partial(read, n=n)) == places


async def test_a_file_put_in_later_is_found_at_once_and_a_deleted_one_never_again(library: Library) -> None:
    store_id = await library.filled(CAT)
    assert await library.nearest(store_id, "dog") == "0.txt"
    dog = await library.file(DOG, "dog.txt")
    await library.stores.put_file(HOME, store_id, NewStoreFile(dog))
    await library.drive_all()
    assert await library.nearest(store_id, "dog") == "dog.txt"

    await library.files.delete(HOME, dog)

    assert await library.nearest(store_id, "dog") == "0.txt"
    await library.sweep()
    assert await library.nearest(store_id, "dog") == "0.txt"
    assert (await count_rows(library.store))["segment_vector"] == 1


# When the model fails ------------------------------------------------------------------------------------------------


async def test_a_file_whose_model_is_away_goes_in_by_its_words_and_gets_its_vectors_later(library: Library) -> None:
    words = library.known["words"]
    words.fails = DOWN
    store_id = await library.filled(CAT, DOG)
    by_words = await library.counts(store_id)
    assert (by_words.completed, by_words.usage_bytes) == (2, len(CAT) + len(DOG))
    assert await library.serving(store_id) == set()
    assert await library.n_found_of(store_id, "cat") == 1
    assert await library.progress() == EmbeddingProgress(2, 2)

    await library.make_vectors()
    assert len(await library.jobs()) == 1, "it is put off, and not given up"
    words.fails = None
    await library.make_vectors()

    assert await library.jobs() == []
    await library.clock.advance(61)
    assert await library.counts(await library.filled(CAT, DOG)) == await library.counts(store_id), "vectors count, too"
    assert await library.serving(store_id) == {"words"}
    assert await library.nearest(store_id, "cat") == "0.txt"


async def test_files_do_not_wait_for_a_model_that_is_away(library: Library) -> None:
    words = library.known["words"]
    n_asked = 0

    async def fail(texts: Sequence[str], *, as_: Purpose) -> Sequence[Vector]:
        nonlocal n_asked
        n_asked += 1
        raise DOWN

    words.embed = fail  # type: ignore[method-assign]
    await library.filled(*[CAT + str(n) for n in range(6)])
    assert n_asked == 1
    await library.clock.advance(61)
    await library.filled(DOG, ROOF)
    assert n_asked == 2


async def test_files_that_fail_side_by_side_are_one_failure_of_the_model(library: Library) -> None:
    words, asked = library.known["words"], asyncio.Event()
    n_asked = 0

    async def fail(texts: Sequence[str], *, as_: Purpose) -> Sequence[Vector]:
        nonlocal n_asked
        n_asked += 1
        await asked.wait()
        raise DOWN

    words.embed = fail  # type: ignore[method-assign]
    embedding = FileEmbedding(TextVectors(words, store=library.store, clock=library.clock), clock=library.clock)
    files = [prepare(Extracted(text, "text"), Chunking()) for text in (CAT, DOG, ROOF)]
    async with asyncio.TaskGroup() as group:
        for file in files:
            group.create_task(embedding.of(file))
        while n_asked < len(files):
            await asyncio.sleep(0)
        asked.set()
    await library.clock.advance(61)
    await embedding.of(files[0])
    assert n_asked == len(files) + 1, "a minute after the first failure"


async def test_the_job_rests_for_a_while_when_the_model_does_not_answer(library: Library) -> None:
    library.known["words"].fails = DOWN
    await library.filled(CAT)
    await library.make_vectors()
    (job_id,) = await library.jobs()

    job = await library.store.read(lambda tx: find_job(tx, job_id))

    assert job is not None
    assert (job.ready_at, job.worker) == (library.clock.now() + RETRY_AFTER_S, None)


async def test_a_text_that_the_model_refuses_does_not_keep_the_others_from_theirs(library: Library) -> None:
    words = library.known["words"]
    words.fails = REFUSED
    store_id = await library.filled(CAT)
    words.fails = None
    await library.stores.put_file(HOME, store_id, NewStoreFile(await library.file(DOG, "dog.txt")))
    await library.drive_all()

    assert await library.serving(store_id) == {"words"}
    assert await library.nearest(store_id, "cat dog") == "dog.txt"
    assert await library.n_found_of(store_id, "cat") == 1
    assert await library.progress() == EmbeddingProgress(0, 2)


async def test_a_refusal_while_vectors_are_made_up_for_is_no_reason_to_wait_either(library: Library) -> None:
    words = library.known["words"]
    words.fails = DOWN
    await library.filled(CAT)
    words.fails = REFUSED
    await library.make_vectors()

    assert await library.jobs() == []
    assert await library.progress() == EmbeddingProgress(0, 1)


# Another model -------------------------------------------------------------------------------------------------------


async def test_the_old_model_serves_until_all_files_have_the_new_ones_vectors(library: Library) -> None:
    store_id = await library.filled(CAT, DOG, ROOF)
    other = library.use(Words("other"))
    assert await library.progress() == EmbeddingProgress(3, 3)
    assert await library.nearest(store_id, "dog") == "1.txt"

    interrupt = Interrupt()
    seen_until_rest = 2

    async def rest_soon(texts: Sequence[str], *, as_: Purpose) -> Sequence[Vector]:
        other.seen += texts
        if len(other.seen) == seen_until_rest:
            interrupt.rest()
        return [word_vector(f"{text} other") for text in texts]

    other.embed = rest_soon  # type: ignore[method-assign]
    await library.make_vectors(interrupt=interrupt)
    assert await library.progress() == EmbeddingProgress(1, 3)
    assert await library.serving(store_id) == {"words"}
    assert await library.nearest(store_id, "dog") == "1.txt"
    assert await library.vectors_by_model() == {"words": 3, "other": 2}

    await library.make_vectors()

    assert other.seen == [CAT, DOG, ROOF], "what was done is not done again"
    assert await library.serving(store_id) == {"other"}
    assert await library.nearest(store_id, "dog") == "1.txt"
    assert await library.vectors_by_model() == {"other": 3}
    assert await library.jobs() == []


async def test_files_that_come_meanwhile_are_found_by_words_and_after_it_by_vectors(library: Library) -> None:
    store_id = await library.filled(CAT, DOG)
    library.use(Words("other"))
    await library.stores.put_file(HOME, store_id, NewStoreFile(await library.file(ROOF, "roof.txt")))
    await library.drive_all()

    assert await library.serving(store_id) == {"words"}
    assert (await library.cosines(store_id, "roof"))["roof.txt"] is None
    await library.make_vectors()
    assert await library.nearest(store_id, "roof") == "roof.txt"


async def test_going_back_to_the_first_model_leaves_nothing_of_the_second(library: Library) -> None:
    first = library.known["words"]
    store_id = await library.filled(CAT, DOG)
    library.use(Words("other"))
    interrupt = Interrupt()
    interrupt.rest()
    await library.make_vectors(interrupt=interrupt)
    library.use(first)
    await library.make_vectors()

    assert await library.serving(store_id) == {"words"}
    assert await library.vectors_by_model() == {"words": 2}
    assert first.seen == [CAT, DOG]


async def test_a_store_whose_model_is_gone_is_searched_by_words_meanwhile(library: Library) -> None:
    store_id = await library.filled(CAT, DOG)
    library.use(Words("other"))
    del library.known["words"]

    questions = QuestionVectors(library.known.get, clock=FakeClock())
    embedded = await questions.embed(["cat"], sorted(await library.serving(store_id)))

    assert embedded.models == ()
    assert embedded.why_not == "No model in agents.toml makes the vectors of words."
    assert await library.n_found_of(store_id, "cat") == 1


async def test_two_models_serve_two_stores_in_one_search(library: Library) -> None:
    old = await library.filled(CAT)
    library.use(Words("other"))
    new = await library.filled(DOG)
    questions = QuestionVectors(library.known.get, clock=FakeClock())

    asked = (await questions.embed(["dog"], ["other", "words"])).questions
    options = SearchOptions(is_explained=True)
    found = await library.store.read(lambda tx: search(tx, [old, new], asked, options, library.cache.nearest))

    assert all(candidate.vector_score is not None for candidate in found.candidates)
    assert len(found.candidates) == 2


async def test_without_a_model_nothing_is_embedded_and_the_old_vectors_serve_on(library: Library) -> None:
    store_id = await library.filled(CAT)
    library.use(None)
    await library.stores.put_file(HOME, store_id, NewStoreFile(await library.file(DOG, "dog.txt")))
    await library.drive_all()

    assert await library.nearest(store_id, "cat") == "0.txt"
    assert await library.vectors_by_model() == {"words": 1}


# Crashes and others --------------------------------------------------------------------------------------------------


async def test_a_driver_that_was_replaced_writes_nothing(library: Library) -> None:
    library.known["words"].fails = DOWN
    await library.filled(CAT)
    library.known["words"].fails = None
    await queue_missing(library.store, library.dispatcher, clock=library.clock, model="words", lease_s=LEASE_S)
    (job_id,) = await library.jobs()
    hold = await library.take(job_id)
    assert hold is not None
    begun = await library.store.write(lambda tx: library.vector_driver.begin(tx, hold))
    assert begun is not None
    await library.clock.advance(1)
    assert await library.take(job_id, "bob") is not None

    with pytest.raises(FencedError):
        await library.vector_driver.drive(begun, Interrupt())

    assert await library.vectors_by_model() == {}


async def test_a_file_that_is_deleted_while_it_is_embedded_leaves_no_vectors(library: Library) -> None:
    words = library.known["words"]
    words.fails = DOWN
    store_id = await library.filled(CAT, DOG)
    words.fails = None
    (row, _) = await library.rows(store_id)

    async def delete_first(texts: Sequence[str], *, as_: Purpose) -> Sequence[Vector]:
        if CAT in texts:
            await library.files.delete(HOME, row.file_id)
            await library.sweep()
        return [word_vector(text) for text in texts]

    words.embed = delete_first  # type: ignore[method-assign]
    await library.make_vectors()

    assert await library.vectors_by_model() == {"words": 1}
    assert await library.progress() == EmbeddingProgress(0, 1)
    assert await library.serving(store_id) == {"words"}


async def test_of_two_processes_with_two_models_the_one_that_began_last_has_its_way(library: Library) -> None:
    old = library.known["words"]
    store_id = await library.filled(CAT, DOG)
    await library.begins("b", "words", started_at=1)
    await library.begins("a", "other", started_at=2)
    new = library.use(Words("other"))
    interrupt = Interrupt()
    interrupt.rest()
    await library.make_vectors(interrupt=interrupt)

    library.use(old)  # the old process is still there, and takes the job that the new one has begun
    await library.make_vectors()
    assert await library.vectors_by_model() == {"words": 2}
    library.use(new)
    await library.clock.advance(LEFT_TO_OTHERS_S)
    await library.make_vectors()
    assert await library.serving(store_id) == {"other"}
    for words in (old, new, old, new):
        library.use(words)
        await library.make_vectors()

    assert await library.serving(store_id) == {"other"}
    assert (old.seen, new.seen) == ([CAT, DOG], [CAT, DOG])
    assert await library.jobs() == []


async def test_a_process_stops_at_the_sight_of_one_with_a_newer_model(library: Library) -> None:
    store_id = await library.filled(CAT, DOG)
    old = library.use(Words("other"))
    await library.begins("old", "other", started_at=1)
    old.meanwhile = partial(library.begins, "new", "third", started_at=2)
    await library.make_vectors()

    assert await library.serving(store_id) == {"words"}, "it does not hand over what nobody wants any more"
    assert await library.jobs() == []


async def test_when_the_newest_process_is_gone_the_one_before_it_counts_again(library: Library) -> None:
    store_id = await library.filled(CAT)
    await library.begins("old", "words", started_at=1)
    await library.begins("new", "other", started_at=2)
    await library.begins("answers only", "third", started_at=3, role="api")
    library.use(Words("other"))
    await library.make_vectors()
    assert await library.serving(store_id) == {"other"}

    await library.store.write(partial(forget_worker, worker_id="new"))
    library.use(Words("words"))
    await library.make_vectors()
    assert await library.serving(store_id) == {"words"}


async def test_whoever_looks_there_is_one_job_for_each_store(library: Library) -> None:
    library.known["words"].fails = DOWN
    await library.filled(CAT)
    await library.filled(DOG)
    for _ in range(3):
        await queue_missing(library.store, library.dispatcher, clock=library.clock, model="words", lease_s=LEASE_S)

    assert len(await library.jobs()) == 2


async def test_vectors_of_another_dimension_under_the_same_name_are_not_compared(library: Library) -> None:
    store_id = await library.filled(CAT)

    async def longer(texts: Sequence[str], *, as_: Purpose) -> Sequence[Vector]:
        return [word_vector(text, width=32) for text in texts]

    library.known["words"].embed = longer  # type: ignore[method-assign]

    assert await library.cosines(store_id, "cat") == {"0.txt": None}
