"""A reranker, end to end: a server with /rerank on a socket, searches over HTTP and in a run; questions rewritten."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentrt.runtime.assembly import Runtime
from agentrt.server.app import create_app
from agentrt.testing.fake_model_server import FakeModelServer
from agentrt.testing.model_answers import Answer, ReceivedRequest, error, no_answer
from agentrt.testing.model_answers import text as completion
from agentrt.testing.rerank_answers import passages_of, rerank_script
from agentrt.testing.scripts import Answer as ScriptedAnswer
from agentrt.testing.scripts import ScriptedModel, call, raw_call, text
from tests.server.api import Api, Json, open_api, write_config
from tests.server.test_vector_stores import a_store, names, search

CONFIG = """
[models.judge]
provider = "compatible"
model = "bge-reranker"
base_url = "{url}"
api_key = "sk-secret-key"
retries = 0
rerank = {{ within = "{within}" }}
[models.words]
provider = "compatible"
model = "words"
base_url = "{url}"
[search]
rerank = "judge"
"""
# By words, the first is the better one; the judge counts how many different words of the question a text has.
TEXTS = {
    "liver.txt": "Sugar, sugar, sugar and sugar: of sugar the text says nothing else than sugar.",
    "heart.txt": "The organ makes sugar, and this is written in a much longer sentence about many other things beside.",
    "house.txt": "A house has walls and a roof.",
}
QUESTION = "organ makes sugar sugar sugar sugar sugar"


class Server:
    """Judges by shared words and answers questions with `rewritten`; fails as it is told to."""

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.rewritten = "sugar"
        self.judged: list[list[str]] = []
        self._good = rerank_script()

    def __call__(self, request: ReceivedRequest) -> Answer:
        if request.path != "/v1/rerank":
            return completion(self.rewritten)
        self.judged.append(passages_of(request.body))
        return self.answer or self._good(request)


@pytest.fixture
async def judge() -> AsyncIterator[tuple[Server, str]]:
    script = Server()
    async with FakeModelServer(script) as server:
        yield script, server.url


@asynccontextmanager
async def project(folder: Path, url: str, within: str = "10s") -> AsyncIterator[Api]:
    async with open_api(folder, CONFIG.format(url=url, within=within)) as api:
        yield api


async def explained(api: Api, store: Json, query: Any, **fields: Any) -> Json:
    found: Json = await search(api, store, query, explain=True, **fields)
    return found


async def searched_in_a_run(api: Api, asked: ScriptedAnswer) -> Json:
    """The call of a step whose model asked so."""
    store = await a_store(api, TEXTS)
    resources = {"file_search": {"vector_store_ids": [store["id"]]}}
    tool = {"type": "file_search", "file_search": {"max_num_results": 1}}
    assistant = await api.assistant(tools=[tool], tool_resources=resources)
    api.model.add(asked, text("Found it."))
    thread_id = await api.thread("What makes sugar?")
    run = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant["id"]})
    assert (await api.settled(thread_id, run["id"]))["status"] == "completed"
    steps = await api.call("GET", f"/threads/{thread_id}/runs/{run['id']}/steps")
    (shown,) = [step["step_details"] for step in steps["data"] if step["type"] == "tool_calls"]
    made: Json
    (made,) = shown["tool_calls"]
    return made


async def test_a_search_shows_the_rank_before_and_after_reranking(tmp_path: Path, judge: tuple[Server, str]) -> None:
    script, url = judge
    async with project(tmp_path, url) as api:
        store = await a_store(api, TEXTS)
        plain = await names(api, store, QUESTION, ranking_options={"ranker": "none"})
        assert script.judged == []
        found = await explained(api, store, QUESTION, max_num_results=1)
        default = await names(api, store, QUESTION, ranking_options={"ranker": "default-2024-11-15"})
        strict = await names(api, store, QUESTION, ranking_options={"score_threshold": 0.995})

    assert plain[:2] == ["liver.txt", "heart.txt"]
    assert default[:2] == ["heart.txt", "liver.txt"]
    assert strict == []
    assert sorted(script.judged[0]) == sorted([TEXTS["heart.txt"], TEXTS["liver.txt"]])
    assert [(item["filename"], item["score"]) for item in found["data"]] == [("heart.txt", pytest.approx(0.99))]
    told = found["explain"]
    assert (told["rerank_model"], told["why_not_reranked"]) == ("judge", None)
    shown = [(c["filename"], c["fused_rank"], c["rank"], c["outcome"]) for c in told["candidates"]]
    assert shown == [("heart.txt", 2, 1, "kept"), ("liver.txt", 1, 2, "beyond_limit")]
    assert [c["rerank_score"] for c in told["candidates"]] == pytest.approx([0.99, 0.01 + 0.98 / 3])
    assert all(c["keyword_score"] > 0 and c["score"] == c["rerank_score"] for c in told["candidates"])


async def test_a_run_shows_it_too(tmp_path: Path, judge: tuple[Server, str]) -> None:
    script, url = judge
    async with project(tmp_path, url) as api:
        made = await searched_in_a_run(api, call("file_search", queries=[QUESTION]))

    (result,) = made["file_search"]["results"]
    assert (result["file_name"], result["score"]) == ("heart.txt", pytest.approx(0.99))
    told = made["agentrt"]
    assert (told["rerank_model"], told["why_not_reranked"], told["why_no_vectors"]) == ("judge", None, None)
    assert [(c["filename"], c["fused_rank"], c["rank"], c["outcome"]) for c in told["candidates"]] == [
        ("heart.txt", 2, 1, "kept"),
        ("liver.txt", 1, 2, "beyond_limit"),
    ]
    assert [c["marker"] is not None for c in told["candidates"]] == [True, False]
    assert len(script.judged) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (no_answer("silence"), "The reranker judge did not answer within 0.2 s."),
        (error(401, "wrong key sk-secret-key"), "refused the key (401): wrong key ***"),
        (error(500, "out of memory"), "out of memory"),
        (rerank_script("tei")(ReceivedRequest("POST", "", {}, {})), 'set rerank.api of [models.judge] to "tei"'),
    ],
)
async def test_a_reranker_that_fails_costs_its_opinion_and_nothing_else(
    tmp_path: Path, judge: tuple[Server, str], answer: Answer, said: str
) -> None:
    script, url = judge
    script.answer = answer
    async with project(tmp_path, url, within="200ms") as api:
        store = await a_store(api, TEXTS)
        found = await explained(api, store, QUESTION)

    assert [item["filename"] for item in found["data"]] == ["liver.txt", "heart.txt"]
    assert found["explain"]["rerank_model"] is None
    assert said in found["explain"]["why_not_reranked"]
    assert [c["rerank_score"] for c in found["explain"]["candidates"]] == [None, None]


async def test_half_a_character_in_a_models_query_harms_nobody(tmp_path: Path, judge: tuple[Server, str]) -> None:
    _, url = judge
    async with project(tmp_path, url) as api:
        call_ = raw_call("file_search", '{"queries": ["sugar \\ud83d organ"]}')
        made = await searched_in_a_run(api, call_)

    assert "results" in made["file_search"]


async def test_a_reranker_is_no_model_that_clients_could_ask(tmp_path: Path, judge: tuple[Server, str]) -> None:
    _, url = judge
    async with project(tmp_path, url) as api:
        health: Json = (await api.client.get("http://test/healthz")).json()
        models = await api.call("GET", "/models")
        one = await api.refused("GET", "/models/judge", status=404)
        assistant = await api.refused("POST", "/assistants", {"model": "judge"}, status=404)
        vectors = await api.refused("POST", "/embeddings", {"model": "judge", "input": "a"}, status=404)

    assert health["search"] == {"on": True, "why": "by words; [search] names no embedding model; reranked by judge"}
    assert health["models"]["judge"] == {"on": True, "why": "for reranking"}
    assert "judge" not in [model["id"] for model in models["data"]]
    assert "It judges passages; it cannot answer." in one["message"] + assistant["message"]
    assert "No model for embeddings is configured" in vectors["message"]


async def test_a_question_is_put_into_the_words_of_documents_first(tmp_path: Path, judge: tuple[Server, str]) -> None:
    script, url = judge
    script.rewritten = "sugar organ"
    question = "Which part of me produces that green stuff?"
    async with Runtime(write_config(tmp_path, CONFIG.format(url=url, within="10s"))) as runtime:
        app = create_app(runtime)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test/v1") as client:
            api = Api(client, runtime, ScriptedModel(), app)
            store = await a_store(api, TEXTS)
            plain = await search(api, store, question)
            found = await search(api, store, question, rewrite_query=True)
            script.rewritten = "I cannot help with that.\n\nSorry."
            unhelpful = await search(api, store, question, rewrite_query=True)

    assert (plain["search_query"], plain["data"]) == ([question], [])
    assert unhelpful["search_query"] == [question]
    assert found["search_query"] == ["sugar organ"]
    assert [item["filename"] for item in found["data"]] == ["heart.txt", "liver.txt"]
