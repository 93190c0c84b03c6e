"""Embeddings from any server: in order, in batches, again after failures, and never a vector that is none."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import httpx
import msgspec
import pytest

from agentrt.errors import ModelError
from agentrt.models.embedding_server import EmbeddingServer, EmbeddingSettings, stored_name
from agentrt.models.limits import ModelLimits
from agentrt.models.retry import RetryPolicy
from agentrt.models.upstream import Upstream
from agentrt.testing.embedding_answers import embedding_script, embeddings, input_texts, word_vector
from agentrt.testing.fake_model_server import FakeModelServer
from agentrt.testing.model_answers import Answer, ReceivedRequest, Script, body_reply, error, no_answer
from tests.models.talk import NotingClock

TEXTS = ["the cat sat", "a dog ran", "rain in Oslo"]


def served(
    server: FakeModelServer,
    http: httpx.AsyncClient,
    *,
    clock: NotingClock | None = None,
    retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
    limits: ModelLimits = ModelLimits(),  # noqa: B008 - frozen
    **settings: Any,
) -> EmbeddingServer:
    own_clock = clock or NotingClock()
    upstream = Upstream(
        http,
        "/embeddings",
        model="puppet",
        base_url=server.url,
        api_key="sk-secret-key",
        table="small",
        given="A text",
        clock=own_clock,
    )
    return EmbeddingServer(
        upstream,
        name="puppet",
        settings=EmbeddingSettings(**settings),
        retry=retry,
        limits=limits,
        clock=own_clock,
        jitter=lambda: 0.0,
    )


async def failure_of(http: httpx.AsyncClient, answer: Answer, *, texts: Iterable[str] = TEXTS, **given: Any) -> str:
    """What is said when the server answers so."""
    async with FakeModelServer(lambda _: answer) as server:
        with pytest.raises(ModelError) as caught:
            await served(server, http, **given).embed(list(texts), as_="document")
        return caught.value.message


def near(vector: Iterable[float], other: Iterable[float]) -> bool:
    return list(vector) == pytest.approx(list(other), abs=1e-6)


@pytest.mark.parametrize("form", ["as_asked", "floats"])
async def test_vectors_come_in_the_order_of_the_texts_packed_or_not(http: httpx.AsyncClient, form: Any) -> None:
    async with FakeModelServer(embedding_script(form=form)) as server:
        vectors = await served(server, http).embed(TEXTS, as_="document")

    assert all(near(vector, word_vector(text)) for vector, text in zip(vectors, TEXTS, strict=True))
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/embeddings")
    assert request.headers["authorization"] == "Bearer sk-secret-key"
    assert request.body == {"model": "puppet", "input": TEXTS, "encoding_format": "base64"}


async def test_their_numbers_say_which_vector_is_whose(http: httpx.AsyncClient) -> None:
    items = [{"index": 2, "embedding": [2.0]}, {"index": 0, "embedding": [0.5]}, {"index": 1, "embedding": [1.0]}]
    reply = body_reply(msgspec.json.encode({"data": items}))
    async with FakeModelServer([reply]) as server:
        vectors = await served(server, http).embed(TEXTS, as_="document")

    assert [list(vector) for vector in vectors] == [[0.5], [1.0], [2.0]]


async def test_a_server_that_numbers_nothing_is_taken_at_its_order(http: httpx.AsyncClient) -> None:
    reply = body_reply(msgspec.json.encode({"data": [{"embedding": [1.0], "index": 0}] * 3}))
    async with FakeModelServer([reply]) as server:
        assert len(await served(server, http).embed(TEXTS, as_="document")) == 3


async def test_many_texts_go_in_batches_of_so_many_texts(http: httpx.AsyncClient) -> None:
    texts = [f"text {n}" for n in range(70)]
    async with FakeModelServer(embedding_script()) as server:
        vectors = await served(server, http, batch=32).embed(texts, as_="document")

    assert sorted(len(input_texts(request.body)) for request in server.requests) == [6, 32, 32]
    assert all(near(vector, word_vector(text)) for vector, text in zip(vectors, texts, strict=True))


async def test_long_texts_go_in_batches_of_so_many_tokens(http: httpx.AsyncClient) -> None:
    async with FakeModelServer(embedding_script()) as server:
        await served(server, http).embed(["word " * 20_000] * 5, as_="document")

    assert sorted(len(input_texts(request.body)) for request in server.requests) == [1, 2, 2]


async def test_nothing_is_asked_for_no_texts(http: httpx.AsyncClient) -> None:
    async with FakeModelServer() as server:
        assert list(await served(server, http).embed([], as_="document")) == []
        assert server.requests == []


async def test_a_few_requests_run_at_once_and_one_place_is_left_to_questions(http: httpx.AsyncClient) -> None:
    good = embedding_script()

    def answer(request: ReceivedRequest) -> Answer:
        return good(request) if input_texts(request.body) == ["question"] else no_answer("silence")

    async with FakeModelServer(answer) as server:
        embedder = served(server, http, batch=1, limits=ModelLimits(concurrent=3))
        async with asyncio.TaskGroup() as group:
            documents = group.create_task(embedder.embed([f"text {n}" for n in range(9)], as_="document"))
            while len(server.requests) < 2:
                await asyncio.sleep(0.001)
            await embedder.embed(["question"], as_="query")
            assert len(server.requests) == 3
            documents.cancel()


async def test_dimensions_are_asked_for_and_checked(http: httpx.AsyncClient) -> None:
    async with FakeModelServer(embedding_script()) as server:
        (vector,) = await served(server, http, dimensions=16).embed(["a cat"], as_="query")

    assert len(vector) == 16
    assert server.requests[0].body["dimensions"] == 16
    message = await failure_of(http, embeddings([[1.0]] * 3), dimensions=2)
    assert "was asked for 2 dimensions and sent 1" in message
    assert "embedding.dimensions of [models.small]" in message


async def test_texts_and_questions_get_the_prefix_that_the_model_wants(http: httpx.AsyncClient) -> None:
    async with FakeModelServer(embedding_script()) as server:
        embedder = served(server, http, query_prefix="query: ", document_prefix="passage: ")
        await embedder.embed(["cats"], as_="query")
        await embedder.embed(["cats"], as_="document")
        await embedder.create(["cats"])

    assert [request.body["input"] for request in server.requests] == [["query: cats"], ["passage: cats"], ["cats"]]


async def test_failures_that_pass_are_tried_again_after_the_time_that_the_server_asks_for(
    http: httpx.AsyncClient, clock: NotingClock
) -> None:
    answers = [
        error(429, "slow down", headers={"retry-after": "7"}),
        error(503, "busy"),
        no_answer("hang_up"),
        embeddings([[1.0, 2.0]]),
    ]
    async with FakeModelServer(answers) as server:
        (vector,) = await served(server, http, clock=clock).embed(["a cat"], as_="document")

    assert list(vector) == [1.0, 2.0]
    assert clock.slept == [7.0, 1.0, 2.0]


async def test_a_failure_that_stays_is_told_in_the_servers_words_without_the_key(http: httpx.AsyncClient) -> None:
    message = await failure_of(http, error(401, "Incorrect key sk-secret-key"), texts=["x"] * 100, batch=1)

    assert "refused the key (401): Incorrect key ***" in message
    assert "api_key of [models.small]" in message


async def test_a_text_that_is_too_long_is_told_with_the_setting_that_helps(http: httpx.AsyncClient) -> None:
    message = await failure_of(http, error(400, "maximum context length is 512 tokens"))

    assert message.startswith('A text is too long for the model "puppet": maximum context length is 512 tokens.')
    assert message.endswith("Set embedding.window_tokens of [models.small] to what it reads at once.")


async def test_a_server_that_knows_no_base64_is_asked_again_without_and_ever_after(http: httpx.AsyncClient) -> None:
    good = embedding_script()

    def picky(request: ReceivedRequest) -> Answer:
        if "encoding_format" in request.body:
            return error(422, "Extra inputs are not permitted: encoding_format")
        return good(request)

    async with FakeModelServer(picky) as server:
        embedder = served(server, http)
        await embedder.embed(["a cat"], as_="document")
        await embedder.embed(["a dog"], as_="document")

    assert ["encoding_format" in request.body for request in server.requests] == [True, False, False]


async def test_a_server_that_knows_no_base64_may_be_asked_several_times_at_once(http: httpx.AsyncClient) -> None:
    good = embedding_script()

    def picky(request: ReceivedRequest) -> Answer:
        if "encoding_format" not in request.body:
            return good(request)
        return msgspec.structs.replace(error(422, "Extra inputs are not permitted: encoding_format"), delay_s=0.02)

    async with FakeModelServer(picky) as server:
        assert len(await served(server, http, batch=1).embed(["a cat", "a dog"], as_="document")) == 2


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (embeddings([[1.0], [2.0]]), "2 vectors for 3 texts"),
        (embeddings([[1.0], [], [2.0]]), "is empty"),
        (embeddings([[1.0], [1e300], [2.0]]), "has numbers that are none"),
        (embeddings(["AADAfw==", "AACAPw==", "AACAPw=="]), "has numbers that are none"),
        (embeddings(["AADA", "AACAPw==", "AACAPw=="]), "vectors that are not base64"),
        (embeddings(["???", "AACAPw==", "AACAPw=="]), "vectors that are not base64"),
        (embeddings([[1.0, 2.0], [2.0], [2.0]]), "a vector of 1 dimensions after others of 2"),
        (embeddings([[None], [2.0], [2.0]]), "not a list of embeddings"),
        (body_reply(b'{"data": [{"embedding": [NaN]}]}'), "not a list of embeddings"),
        (body_reply(b"<html><title>Sign in</title></html>"), "not a list of embeddings: Sign in"),
        (body_reply(b'{"data": [{"index": 0, "embedding": [1]}, {"index": 0, "embedding": [1]}, {"index": 7, '
                    b'"embedding": [1]}]}'), "numbered in no order"),
    ],
)  # fmt: skip
async def test_an_answer_that_cannot_be_right_is_refused(http: httpx.AsyncClient, answer: Answer, said: str) -> None:
    assert said in await failure_of(http, answer)


async def test_a_model_that_is_exchanged_under_way_is_noticed(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([embeddings([[1.0, 2.0]]), embeddings([[1.0]])]) as server:
        embedder = served(server, http)
        await embedder.embed(["one"], as_="document")
        with pytest.raises(ModelError, match="a vector of 1 dimensions after others of 2"):
            await embedder.embed(["two"], as_="query")


async def test_the_tokens_a_minute_are_kept_and_corrected_by_what_was_used(
    http: httpx.AsyncClient, clock: NotingClock
) -> None:
    script: Script = lambda request: embeddings([[1.0]] * len(input_texts(request.body)), usage=(100, 100))  # noqa: E731
    async with FakeModelServer(script) as server:
        embedder = served(server, http, clock=clock, limits=ModelLimits(tpm=600), batch=1)
        await embedder.embed(["word"], as_="document")
        await embedder.embed(["word"], as_="document")

    assert clock.slept == [pytest.approx(0.2)]


async def test_the_tokens_of_a_caller_are_passed_on_and_their_cost_is_told(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([embeddings([[1.0]], usage=(3, 3)), embeddings([[1.0]], usage=None)]) as server:
        embedder = served(server, http)
        assert (await embedder.create([(5, 6, 7)], dimensions=1)).n_tokens == 3
        assert (await embedder.create(["eight characters"])).n_tokens == 5

    assert server.requests[0].body["input"] == [[5, 6, 7]]
    assert server.requests[0].body["dimensions"] == 1


def test_vectors_are_called_after_everything_that_makes_them_what_they_are() -> None:
    names = [
        stored_name("m", EmbeddingSettings(**settings))
        for settings in (
            {},
            {"dimensions": 256},
            {"window_tokens": 300},
            {"document_prefix": "passage: "},
            {"document_prefix": "passage: ", "window_tokens": 300},
        )
    ]

    assert names[:2] == ["m", "m/256"]
    assert len(set(names)) == 5
    assert stored_name("m", EmbeddingSettings(query_prefix="query: ", batch=7)) == "m"
