"""Large stores on PostgreSQL with pgvector find what all others find, also while their graphs are behind."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg  # type: ignore[import-untyped]
import pytest

from agentrt.clock import SystemClock
from agentrt.files.extracted import Extracted
from agentrt.retrieval.chunk import Chunking
from agentrt.retrieval.filters import Filter, parse_filter
from agentrt.retrieval.index import FileVectors, index_file, sweep_index
from agentrt.retrieval.prepare import prepare
from agentrt.retrieval.search import Question, SearchOptions, search
from agentrt.retrieval.vectors import pack
from agentrt.runtime.vector_stores.vectors.cache import VectorCache
from agentrt.runtime.vector_stores.vectors.graphs import Graphs
from agentrt.store.database import Store, Tx
from agentrt.store.embedded_files import mark_embedded, serve_if_complete, visible_files
from agentrt.store.files import delete_file, find_file
from agentrt.store.postgres import PostgresStore
from agentrt.store.sqlite import SqliteStore
from agentrt.store.vector_graphs import Graph, drop_graph, find_graph, graphed_files
from tests.contracts.rows import HOME
from tests.contracts.search_rows import attach, put_store
from tests.postgres import PostgresServer

WORDS = [f"word{n}" for n in range(60)]
MODEL = "words"


@cache
def word(name: str) -> list[float]:
    chance = random.Random(name)
    return [chance.gauss() for _ in range(64)]


def meaning(text: str) -> list[float]:
    """The sum of its words' vectors, of which no two are alike: there are no ties."""
    return [sum(column) for column in zip(*map(word, text.split()), strict=True)]


class Large:
    """A store with vectors, as one of many is."""

    def __init__(self, store: Store, store_id: str) -> None:
        self.store = store
        self.id = store_id
        self.cache = VectorCache()
        self.graphs = Graphs(store, from_chunks=1)

    async def put(self, text: str, *, name: str, year: int = 0) -> str:
        file = await attach(self.store, self.id, name=name, attributes={"year": year})
        prepared = prepare(Extracted(text, "text"), Chunking())
        vectors = FileVectors(MODEL, {0: [pack(meaning(text))]})
        clock = SystemClock()
        await index_file(self.store, prepared, store_id=self.id, file_id=file.id, clock=clock, vectors=vectors)
        return file.id

    async def fill(self, n: int) -> None:
        chance = random.Random(7)
        for i in range(n):
            await self.put(" ".join(chance.choices(WORDS, k=12)), name=f"{i}.txt", year=i)

    async def nearest(self, query: str, *, filter_: Filter | None = None, limit: int = 10) -> list[str]:
        """By vectors alone."""
        asked = [Question(query, {MODEL: meaning(query)})]
        options = SearchOptions(limit=limit, keyword_weight=0.0, rewards_pairs=False, filter=filter_)
        found = await self.store.read(lambda tx: search(tx, [self.id], asked, options, self.cache.nearest))
        return [result.file.filename for result in found.results]

    async def graph(self) -> Graph | None:
        return await self.store.read(lambda tx: find_graph(tx, open_key(tx, self.id), MODEL))

    async def n_graphed(self) -> int:
        graph = await self.graph()
        assert graph is not None
        return len(await self.store.read(lambda tx: graphed_files(tx, graph.id)))

    async def graph_tables(self) -> int:
        sql = "SELECT count(*) FROM pg_class WHERE relname ~ '^vector_graph_[0-9]+$'"
        return await self.store.read(lambda tx: int(tx.conn.exec_driver_sql(sql).scalar_one()))


def open_key(tx: Tx, store_id: str) -> int:
    found = tx.conn.exec_driver_sql(f"SELECT key FROM store_index WHERE store_id = '{store_id}'").scalar_one()
    return int(found)


@pytest.fixture
async def large(postgres_url: str) -> AsyncIterator[Large]:
    opened = PostgresStore(postgres_url, clock=SystemClock())
    yield Large(opened, await put_store(opened))
    await drop_graphs(opened)
    await opened.close()


async def drop_graphs(store: Store) -> None:
    """Their tables are in no list of ours: the next test's database shall be empty."""

    def drop(tx: Tx) -> None:
        sql = "SELECT relname FROM pg_class WHERE relname ~ '^vector_graph_[0-9]+$'"
        for name in tx.conn.exec_driver_sql(sql).scalars().all():
            tx.conn.exec_driver_sql(f"DROP TABLE {name}")

    await store.write(drop)


async def test_a_graph_finds_what_looking_at_every_vector_finds(large: Large, sqlite_path: Path) -> None:
    small = Large(embedded := SqliteStore(sqlite_path), await put_store(embedded))
    await large.fill(150)
    await small.fill(150)
    await large.graphs.grow()
    chance = random.Random(1)
    queries = [" ".join(chance.choices(WORDS, k=4)) for _ in range(40)]

    n_same = sum([await large.nearest(query) == await small.nearest(query) for query in queries])
    await embedded.close()

    assert await large.n_graphed() == 150
    assert n_same >= 0.95 * len(queries)


async def test_files_that_are_not_in_the_graph_yet_are_found(large: Large) -> None:
    await large.fill(30)
    await large.graphs.grow()
    await large.put("zebra zebra zebra", name="zebra.txt")

    assert (await large.nearest("zebra"))[0] == "zebra.txt"
    await large.graphs.grow()
    assert await large.n_graphed() == 31
    assert (await large.nearest("zebra"))[0] == "zebra.txt"


async def test_a_deleted_file_is_not_found_and_leaves_the_graph(large: Large) -> None:
    await large.fill(30)
    file_id = await large.put("zebra zebra zebra", name="zebra.txt")
    await large.graphs.grow()
    file = await large.store.read(lambda tx: find_file(tx, HOME, file_id))
    await large.store.write(lambda tx: delete_file(tx, file))

    assert "zebra.txt" not in await large.nearest("zebra")
    assert len(await large.nearest("zebra word1")) == 10
    await sweep_index(large.store, clock=SystemClock())
    assert "zebra.txt" not in await large.nearest("zebra")
    await large.graphs.grow()
    assert await large.n_graphed() == 30


@pytest.mark.parametrize("first_year", [97, 30])
async def test_a_filter_leaves_as_many_results_as_there_are(large: Large, first_year: int) -> None:
    await large.fill(100)
    await large.graphs.grow()
    late = parse_filter({"type": "gte", "key": "year", "value": first_year})

    found = await large.nearest("word1 word2", filter_=late, limit=50)

    assert len(found) == min(50, 100 - first_year)
    assert all(int(name.removesuffix(".txt")) >= first_year for name in found)


async def test_a_filter_leaves_them_too_where_a_walk_would_end_before_it_met_them(
    large: Large, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = parse_filter({"type": "gte", "key": "year", "value": 30})
    await large.fill(100)
    there = await large.nearest("word1 word2", filter_=late)
    await large.graphs.grow()
    short = {"hnsw.ef_search": "5", "hnsw.max_scan_tuples": "1", "enable_seqscan": "off", "enable_sort": "off"}
    settings = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in short.items())
    monkeypatch.setattr("agentrt.store.vector_graphs._SETTINGS", f"SELECT {settings}")

    assert await large.nearest("word1 word2", filter_=late) == there


async def test_graphs_of_other_models_and_of_deleted_stores_are_dropped(large: Large) -> None:
    await large.fill(5)
    await large.graphs.grow()
    assert await large.graph_tables() == 1

    def change(tx: Tx) -> None:
        key = open_key(tx, large.id)
        for file_key in visible_files(tx, key):
            mark_embedded(tx, key, file_key, "other")
        assert serve_if_complete(tx, key, "other")

    await large.store.write(change)
    await large.graphs.grow()
    assert await large.graph_tables() == 1  # searches that began before may still need it
    await large.graphs.grow()

    assert await large.graph() is None
    assert await large.graph_tables() == 0


async def test_two_processes_grow_one_graph(large: Large, postgres_url: str) -> None:
    await large.fill(45)
    other = PostgresStore(postgres_url, clock=SystemClock())
    await asyncio.gather(large.graphs.grow(), Graphs(other, from_chunks=1).grow(), large.graphs.grow())
    await large.graphs.grow()
    await other.close()

    assert await large.n_graphed() == 45
    assert await large.graph_tables() == 1


async def test_a_graph_that_another_process_has_dropped_is_not_grown_for_ever(large: Large) -> None:
    await large.fill(3)
    await large.graphs.grow()
    graph = await large.graph()
    assert graph is not None
    await large.put("zebra", name="zebra.txt")

    class Slow(Graphs):
        """Drops the graph of the other process between its look and its work."""

        async def _graph(self, index_key: int, model: str) -> Graph | None:
            found = await super()._graph(index_key, model)
            assert found is not None
            await large.store.write(lambda tx: drop_graph(tx, found))
            return found

    async with asyncio.timeout(20):
        await Slow(large.store, from_chunks=1).grow()
    assert await large.graph() is None


async def test_whoever_finds_a_graph_in_others_hands_leaves_it_to_them(large: Large, postgres_url: str) -> None:
    await large.fill(3)
    await large.graphs.grow()
    graph = await large.graph()
    assert graph is not None
    await large.put("zebra", name="zebra.txt")
    other = await asyncpg.connect(postgres_url)
    transaction = other.transaction()
    await transaction.start()
    await other.execute("SELECT id FROM vector_graph WHERE id = $1 FOR UPDATE", graph.id)

    async with asyncio.timeout(10):
        await large.graphs.grow()

    await transaction.rollback()
    await other.close()
    assert await large.n_graphed() == 3
    await large.graphs.grow()
    assert await large.n_graphed() == 4


async def test_a_user_who_may_not_switch_pgvector_on_searches_without(
    large: Large, postgres_url: str, postgres_server: PostgresServer
) -> None:
    await large.fill(5)
    database = urlsplit(postgres_url).path[1:]
    for sql in ("DROP EXTENSION IF EXISTS vector CASCADE", "CREATE ROLE humble LOGIN"):
        postgres_server.run_sql(sql, database=database)
    postgres_server.run_sql("GRANT ALL ON ALL TABLES IN SCHEMA public TO humble", database=database)
    url = postgres_url.replace("//postgres@", "//humble@")
    humble = Large(store := PostgresStore(url, clock=SystemClock()), large.id)
    try:
        await humble.graphs.grow()
        assert len(await humble.nearest("word1 word2 word3")) == 5
        assert await humble.graph() is None
    finally:
        await store.close()
        for sql in ("DROP OWNED BY humble", "DROP ROLE humble"):
            postgres_server.run_sql(sql, database=database)


async def test_pgvector_where_the_search_path_does_not_lead_is_none(
    large: Large, postgres_url: str, postgres_server: PostgresServer
) -> None:
    await large.fill(5)
    database = urlsplit(postgres_url).path[1:]
    for sql in ("DROP EXTENSION IF EXISTS vector CASCADE", "CREATE SCHEMA ext", "CREATE EXTENSION vector SCHEMA ext"):
        postgres_server.run_sql(sql, database=database)
    try:
        await large.graphs.grow()
        assert len(await large.nearest("word1 word2 word3")) == 5
        assert await large.graph() is None
    finally:
        postgres_server.run_sql("DROP SCHEMA ext CASCADE", database=database)


async def test_a_graph_whose_table_is_lost_is_forgotten_and_made_again(large: Large) -> None:
    await large.fill(5)
    await large.graphs.grow()
    await large.store.write(lambda tx: tx.conn.exec_driver_sql("DROP EXTENSION vector CASCADE"))

    await Graphs(large.store, from_chunks=1).grow()

    assert await large.n_graphed() == 5
    assert len(await large.nearest("word1 word2 word3")) == 5


async def test_vectors_that_no_graph_has_any_more_are_read_once(large: Large, monkeypatch: pytest.MonkeyPatch) -> None:
    await large.fill(5)
    await large.graphs.grow()
    await large.nearest("word1")
    graph = await large.graph()
    assert graph is not None
    await large.store.write(lambda tx: drop_graph(tx, graph))
    looks: list[int] = []

    def look(tx: Tx, index_key: int) -> dict[int, str | None]:
        looks.append(index_key)
        return visible_files(tx, index_key)

    monkeypatch.setattr("agentrt.runtime.vector_stores.vectors.cache.visible_files", look)
    for _ in range(3):
        assert len(await large.nearest("word1 word2 word3")) == 5
    assert len(looks) == 1


async def test_small_stores_have_no_graph(large: Large) -> None:
    await large.fill(5)
    await Graphs(large.store).grow()

    assert await large.graph() is None


async def test_without_pgvector_every_vector_is_looked_at(sqlite_path: Path) -> None:
    store = SqliteStore(sqlite_path)
    small = Large(store, await put_store(store))
    await small.fill(5)
    await small.graphs.grow()

    assert len(await small.nearest("word1 word2 word3")) > 0
    assert await small.graph() is None
    await store.close()
