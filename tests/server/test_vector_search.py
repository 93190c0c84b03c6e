"""Search by vectors, end to end: an embeddings server on a socket, files, searches, another model after a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from agentrt.clock import SystemClock
from agentrt.runtime.assembly import Runtime
from agentrt.server.app import create_app
from agentrt.testing.embedding_answers import embedding_script, input_texts
from agentrt.testing.fake_model_server import FakeModelServer
from agentrt.testing.model_answers import Answer, ReceivedRequest, error
from agentrt.testing.scripts import ScriptedModel
from tests.models.tiny_bert import write_tiny_bert
from tests.server.api import Api, Json, open_api, write_config
from tests.server.test_vector_stores import a_store, names, search

MODELS = """
[models.one]
provider = "compatible"
model = "one"
base_url = "{url}"
retries = 0
embedding = {{}}
[models.two]
provider = "compatible"
model = "two"
base_url = "{url}"
embedding = {{ dimensions = 32 }}
[search]
embedding = "{name}"
"""
TEXTS = {"pets.txt": "feline companions purr", "bank.txt": "interest rates rise"}


class Server:
    """Embeds texts as if `cat` and `feline` were one word; fails while it is told to."""

    def __init__(self) -> None:
        self.is_down = False
        self.n_texts = 0
        self._good = embedding_script()

    def __call__(self, request: ReceivedRequest) -> Answer:
        if self.is_down:
            return error(500, "out of memory")
        texts = input_texts(request.body)
        self.n_texts += len(texts)
        meant = [text.replace("feline", "cat") for text in texts]
        return self._good(ReceivedRequest("POST", "", {}, {**request.body, "input": [*meant]}))


@pytest.fixture
async def embedder() -> AsyncIterator[tuple[Server, str]]:
    script = Server()
    async with FakeModelServer(script) as server:
        yield script, server.url


class Hurried(SystemClock):
    """A clock by which pauses are a fiftieth as long."""

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds / 50)


@asynccontextmanager
async def project(folder: Path, url: str, name: str = "one", *, database: str | None = None) -> AsyncIterator[Api]:
    """The service with that model for search; on the same database when it is opened again."""
    config = write_config(folder, MODELS.format(url=url, name=name), database=database)
    async with Runtime(config, clock=Hurried()) as runtime:
        app = create_app(runtime)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test/v1") as client:
            yield Api(client, runtime, ScriptedModel(), app)


async def until_found(api: Api, store: Json, query: str) -> None:
    async with asyncio.timeout(90):  # a job that found the server down on a slow machine rests for a minute
        while await names(api, store, query, max_num_results=1) != ["pets.txt"]:
            await asyncio.sleep(0.02)


async def health(api: Api) -> Json:
    await asyncio.sleep(1.05)  # what it says may be a second old
    found: Json = (await api.client.get("http://test/healthz")).json()
    return found


async def test_what_has_none_of_the_words_is_found_by_its_meaning(tmp_path: Path, embedder: tuple[Server, str]) -> None:
    script, url = embedder
    async with project(tmp_path, url) as api:
        store = await a_store(api, TEXTS)
        found = await search(api, store, "my cat", explain=True)
        again = await a_store(api, TEXTS)

        assert found["data"][0]["filename"] == "pets.txt"
        assert found["explain"]["vector_model"] == "one"
        assert found["explain"]["candidates"][0]["keyword_score"] is None
        assert found["explain"]["candidates"][0]["vector_score"] > 0.4
        assert store["usage_bytes"] == sum(map(len, TEXTS.values())) + 2 * 64 * 2
        assert await names(api, again, "my cat", max_num_results=1) == ["pets.txt"]
        assert script.n_texts == 3, "two files and a question, each once"
        assert (await health(api))["search"] == {"on": True, "why": "by words and by the vectors of one"}
        assert (await health(api))["vectors"] == {"waiting": 0, "files": 4}


async def test_a_server_that_is_down_costs_vectors_and_nothing_else(
    tmp_path: Path, embedder: tuple[Server, str]
) -> None:
    script, url = embedder
    async with project(tmp_path, url) as api:
        script.is_down = True
        store = await a_store(api, TEXTS)
        assert store["file_counts"]["completed"] == 2
        assert await names(api, store, "feline") == ["pets.txt"]
        script.is_down = False
        await until_found(api, store, "my cat")
        script.is_down = True
        found = await search(api, store, "another feline", explain=True)

        assert [item["filename"] for item in found["data"]] == ["pets.txt"]
        assert found["explain"]["vector_model"] is None
        assert "out of memory" in found["explain"]["why_no_vectors"]


async def test_another_model_after_a_restart_takes_over_in_one_stroke(
    tmp_path: Path, embedder: tuple[Server, str]
) -> None:
    script, url = embedder
    async with project(tmp_path, url) as api:
        store = await a_store(api, TEXTS)
    async with project(tmp_path, url, name="two") as api:
        async with asyncio.timeout(20):
            while (answer := await search(api, store, "my cat", explain=True))["explain"]["vector_model"] == "one":
                assert answer["data"][0]["filename"] == "pets.txt"
                await asyncio.sleep(0.02)

        assert answer["explain"]["vector_model"] == "two/32"
        assert answer["data"][0]["filename"] == "pets.txt"
    assert script.n_texts == 2 + 1 + 2 + 1, "files and question, by each model"


async def test_the_model_of_this_machine_works_without_a_server(tmp_path: Path) -> None:
    write_tiny_bert(tmp_path / "tiny")
    more = '[models.near]\nprovider = "minilm"\nmodel_dir = "tiny"\n[search]\nembedding = "near"\n'
    async with open_api(tmp_path, more) as api:
        store = await a_store(api, {"cat.txt": "the cats sat on the mat", "other.txt": "unable"})
        found = await search(api, store, "cats", explain=True)

    assert found["explain"]["vector_model"].startswith("minilm/8/")
    assert all(candidate["vector_score"] is not None for candidate in found["explain"]["candidates"])


async def test_of_two_processes_with_two_models_the_newer_one_has_its_way(
    tmp_path: Path, embedder: tuple[Server, str], postgres_url: str
) -> None:
    """A rolling restart with another model: the old process still runs."""
    _, url = embedder
    async with project(tmp_path, url, "one", database=postgres_url) as old:
        store = await a_store(old, TEXTS)
        before = await vector_model(old, store)
        async with project(tmp_path, url, "two", database=postgres_url) as new:
            async with asyncio.timeout(60):
                while (after := await vector_model(new, store)) == before:
                    await asyncio.sleep(0.02)
            for _ in range(60):  # both sweep a few times meanwhile
                assert await vector_model(old, store) == after
                await asyncio.sleep(0.03)
            assert (await health(new))["vectors"] == {"waiting": 0, "files": 2}
        async with asyncio.timeout(60):  # the new one is taken back
            while await vector_model(old, store) != before:
                await asyncio.sleep(0.02)


async def vector_model(api: Api, store: Json) -> str | None:
    """By whose vectors the store is searched."""
    found = await search(api, store, "cat", explain=True)
    model: str | None = found["explain"]["vector_model"]
    return model
