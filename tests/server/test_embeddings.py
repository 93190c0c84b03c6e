"""POST /embeddings, as the SDKs ask it."""

from __future__ import annotations

from base64 import b64decode
from pathlib import Path
from struct import unpack
from typing import Any

import pytest
from openai import AsyncOpenAI

from agentrt.testing.embedding_answers import embedding_script, input_texts, word_vector
from agentrt.testing.fake_model_server import FakeModelServer
from agentrt.testing.model_answers import error
from tests.models.tiny_bert import write_tiny_bert
from tests.server.api import Api, on_port, open_api


def small(url: str) -> str:
    return (
        f'[models.small]\nprovider = "compatible"\nmodel = "puppet"\nbase_url = "{url}"\nretries = 0\n'
        'embedding = { query_prefix = "query: " }\nanswers_to = ["text-embedding-*"]\n'
    )


async def test_texts_become_vectors_in_their_order(tmp_path: Path) -> None:
    async with FakeModelServer(embedding_script()) as server, open_api(tmp_path, small(server.url)) as api:
        found = await api.call("POST", "/embeddings", {"model": "text-embedding-3-small", "input": ["a cat", "a dog"]})

    assert found["object"] == "list"
    assert found["model"] == "text-embedding-3-small"
    assert found["usage"] == {"prompt_tokens": 8, "total_tokens": 8}
    assert [item["index"] for item in found["data"]] == [0, 1]
    assert found["data"][1]["embedding"] == pytest.approx(word_vector("a dog"), abs=1e-6)
    assert input_texts(server.requests[0].body) == ["a cat", "a dog"]


async def test_base64_is_what_sdks_ask_for(tmp_path: Path) -> None:
    body = {"model": "small", "input": "a cat", "encoding_format": "base64", "dimensions": 16, "user": "u1"}
    async with FakeModelServer(embedding_script()) as server, open_api(tmp_path, small(server.url)) as api:
        found = await api.call("POST", "/embeddings", body)

    vector = unpack("<16f", b64decode(found["data"][0]["embedding"]))
    assert vector == pytest.approx(word_vector("a cat", width=16), abs=1e-6)


async def test_the_official_sdk_asks_and_reads_as_ever(tmp_path: Path) -> None:
    async with (
        FakeModelServer(embedding_script()) as server,
        open_api(tmp_path, small(server.url)) as api,
        on_port(api.app) as (_, url),
        AsyncOpenAI(base_url=f"{url}/v1", api_key="any") as client,
    ):
        found = await client.embeddings.create(model="small", input=["a cat", "a dog"])
        plain = await client.embeddings.create(model="small", input="a cat", encoding_format="float")

    assert [item.embedding for item in found.data][1] == pytest.approx(word_vector("a dog"), abs=1e-6)
    assert plain.data[0].embedding == pytest.approx(found.data[0].embedding, abs=1e-6)
    assert found.usage.total_tokens == 8


async def test_tokens_go_to_the_server_whose_model_made_them(tmp_path: Path) -> None:
    async with FakeModelServer(embedding_script()) as server, open_api(tmp_path, small(server.url)) as api:
        assert len((await api.call("POST", "/embeddings", {"model": "small", "input": [1, 2]}))["data"]) == 1
        assert len((await api.call("POST", "/embeddings", {"model": "small", "input": [[1, 2], [3]]}))["data"]) == 2

    assert [request.body["input"] for request in server.requests] == [[[1, 2]], [[1, 2], [3]]]


async def test_the_model_of_this_machine_takes_texts_only(tmp_path: Path) -> None:
    write_tiny_bert(tmp_path / "tiny")
    async with open_api(tmp_path, '[models.near]\nprovider = "minilm"\nmodel_dir = "tiny"\n') as api:
        found = await api.call("POST", "/embeddings", {"model": "near", "input": "the cats"})
        assert len(found["data"][0]["embedding"]) == 8
        assert found["usage"]["total_tokens"] == 5
        refused = await api.refused("POST", "/embeddings", {"model": "near", "input": [[1]]})
        assert "check_embedding_ctx_length=False" in refused["message"]
        refused = await api.refused("POST", "/embeddings", {"model": "near", "input": "x", "dimensions": 4})
        assert refused["param"] == "dimensions"
        listed = {model["id"] for model in (await api.call("GET", "/models"))["data"]}
        assert "near" in listed
        assert (await api.call("GET", "/models/near"))["owned_by"] == "minilm"


async def test_a_model_that_answers_makes_no_vectors_and_the_other_way_round(tmp_path: Path) -> None:
    async with open_api(tmp_path, small("http://127.0.0.1:9/v1")) as api:
        refused = await api.refused("POST", "/embeddings", {"model": "demo", "input": "x"}, status=404)
        assert refused["code"] == "model_not_found"
        refused = await api.refused("POST", "/assistants", {"model": "small"}, status=404)
        assert "cannot answer" in refused["message"]


@pytest.mark.parametrize("given", ["", [], [""], [[]], ["a", 1], [True], [-1], [[1], "a"], {"a": 1}, None, 1.5])
async def test_an_input_that_is_none_is_refused(api: Api, given: Any) -> None:
    refused = await api.refused("POST", "/embeddings", {"model": "small", "input": given})

    assert refused["param"] == "input"
    assert "expected a text" in refused["message"]


async def test_a_server_that_fails_is_told_of_in_its_words(tmp_path: Path) -> None:
    failing = FakeModelServer(lambda _: error(500, "out of memory"))
    async with failing as server, open_api(tmp_path, small(server.url)) as api:
        refused = await api.refused("POST", "/embeddings", {"model": "small", "input": "x"}, status=502)

    assert "out of memory" in refused["message"]
