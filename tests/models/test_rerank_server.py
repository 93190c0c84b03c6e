"""Rerankers of any server: each passage judged once, from 0 to 1, in its order, again after failures."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from agentrt.errors import ModelError
from agentrt.models.limits import ModelLimits
from agentrt.models.rerank_server import RerankServer, RerankSettings
from agentrt.models.retry import RetryPolicy
from agentrt.models.upstream import Upstream
from agentrt.testing.fake_model_server import FakeModelServer
from agentrt.testing.model_answers import Answer, body_reply, error, no_answer
from agentrt.testing.rerank_answers import RerankForm, passages_of, rerank_reply, rerank_script, shared_words
from tests.models.talk import NotingClock

QUERY = "cats in Oslo"
PASSAGES = ["A dog ran.", "Cats in Oslo sleep.", "Rain in Oslo."]
EXPECTED = [shared_words(QUERY, passage) for passage in PASSAGES]


def served(
    server: FakeModelServer,
    http: httpx.AsyncClient,
    *,
    clock: NotingClock | None = None,
    limits: ModelLimits = ModelLimits(),  # noqa: B008 - frozen
    **settings: Any,
) -> RerankServer:
    own_clock = clock or NotingClock()
    upstream = Upstream(
        http,
        "/rerank",
        model="puppet",
        base_url=server.url,
        api_key="sk-secret-key",
        table="judge",
        given="A passage",
        clock=own_clock,
    )
    return RerankServer(
        upstream,
        name="judge",
        settings=RerankSettings(**settings),
        retry=RetryPolicy(),
        limits=limits,
        clock=own_clock,
        jitter=lambda: 0.0,
    )


async def failure_of(http: httpx.AsyncClient, answer: Answer, **given: Any) -> str:
    """What is said when the server answers so."""
    async with FakeModelServer(lambda _: answer) as server:
        with pytest.raises(ModelError) as caught:
            await served(server, http, **given).rerank(QUERY, PASSAGES)
        return caught.value.message


async def test_the_common_request_is_sent_and_scores_come_in_the_order_of_the_passages(http: httpx.AsyncClient) -> None:
    async with FakeModelServer(rerank_script()) as server:
        scores = await served(server, http).rerank(QUERY, PASSAGES)

    assert scores == pytest.approx(EXPECTED)
    (request,) = server.requests
    assert (request.method, request.path) == ("POST", "/v1/rerank")
    assert request.headers["authorization"] == "Bearer sk-secret-key"
    assert request.body == {"model": "puppet", "query": QUERY, "documents": PASSAGES, "top_n": 3}


@pytest.mark.parametrize("form", ["cohere", "voyage", "tei", "logits"])
async def test_every_kind_of_server_gives_the_same_scores(http: httpx.AsyncClient, form: RerankForm) -> None:
    async with FakeModelServer(rerank_script(form)) as server:
        judge = served(server, http, api="tei" if form == "tei" else "cohere")
        assert await judge.rerank(QUERY, PASSAGES) == pytest.approx(EXPECTED)
        assert await judge.rerank(QUERY, PASSAGES) == pytest.approx(EXPECTED)

    if form == "tei":
        assert server.requests[0].body == {"query": QUERY, "texts": PASSAGES, "truncate": True, "raw_scores": False}
    assert ["top_n" in request.body for request in server.requests] == {
        "voyage": [True, False, False],
        "tei": [False, False],
    }.get(form, [True, True])


async def test_a_server_that_has_sent_logits_sends_nothing_else(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([rerank_reply([7.7, -2.3, 0.0]), rerank_reply([0.5, 0.0, 0.7])]) as server:
        judge = served(server, http)
        first = await judge.rerank(QUERY, PASSAGES)
        second = await judge.rerank(QUERY, PASSAGES)

    assert first == pytest.approx([0.99955, 0.09112, 0.5], abs=1e-4)
    assert second == pytest.approx([0.62246, 0.5, 0.66819], abs=1e-4)


async def test_what_is_said_of_the_scores_in_the_settings_counts(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([rerank_reply([0.5, 0.0, 0.7])]) as server:
        told = await served(server, http, scores="logits").rerank(QUERY, PASSAGES)

    assert told == pytest.approx([0.62246, 0.5, 0.66819], abs=1e-4)
    message = await failure_of(http, rerank_reply([7.7, 0.0, 0.7]), scores="probabilities")
    assert message.endswith("sent a score of 7.7, which is no probability. Take out rerank.scores of [models.judge].")


async def test_numbers_far_from_zero_are_scores_all_the_same(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([rerank_reply([1e300, -1e300, 1.0])]) as server:
        assert (await served(server, http).rerank(QUERY, PASSAGES))[:2] == [1.0, 0.0]


async def test_one_that_half_precision_has_made_a_little_more_is_one(http: httpx.AsyncClient) -> None:
    async with FakeModelServer([rerank_reply([1.0004, 0.5, 0.0])]) as server:
        assert await served(server, http).rerank(QUERY, PASSAGES) == [1.0, 0.5, 0.0]


async def test_many_passages_go_in_batches_as_the_server_takes_them(http: httpx.AsyncClient) -> None:
    passages = [f"cats number {n}" for n in range(70)]
    async with FakeModelServer(rerank_script()) as server:
        await served(server, http).rerank(QUERY, passages)
    async with FakeModelServer(rerank_script("tei")) as small:
        scores = await served(small, http, api="tei").rerank("number 33", passages)

    assert [len(passages_of(request.body)) for request in server.requests] == [70]
    assert sorted(len(passages_of(request.body)) for request in small.requests) == [6, 32, 32]
    assert scores.index(max(scores)) == 33


async def test_nothing_is_asked_for_no_passages(http: httpx.AsyncClient) -> None:
    async with FakeModelServer() as server:
        assert await served(server, http).rerank(QUERY, []) == []
        assert server.requests == []


async def test_failures_that_pass_are_tried_again_and_others_are_told_without_the_key(
    http: httpx.AsyncClient, clock: NotingClock
) -> None:
    answers = [error(429, "slow down", headers={"retry-after": "7"}), no_answer("hang_up"), rerank_reply([0.1] * 3)]
    async with FakeModelServer(answers) as server:
        assert await served(server, http, clock=clock).rerank(QUERY, PASSAGES) == [0.1] * 3

    assert clock.slept == [7.0, 1.0]
    message = await failure_of(http, error(401, "Incorrect key sk-secret-key"))
    assert "refused the key (401): Incorrect key ***" in message
    assert "api_key of [models.judge]" in message


async def test_the_tokens_a_minute_are_kept_and_corrected_by_what_was_used(
    http: httpx.AsyncClient, clock: NotingClock
) -> None:
    reply = msgspec.json.encode({"data": [{"index": 0, "relevance_score": 0.5}], "usage": {"total_tokens": 100}})
    async with FakeModelServer(lambda _: body_reply(reply)) as server:
        judge = served(server, http, clock=clock, limits=ModelLimits(tpm=600))
        await judge.rerank("word", ["word"])
        await judge.rerank("word", ["word"])

    assert clock.slept == [pytest.approx(0.4)]


async def test_a_server_that_wants_a_longer_rest_than_a_search_has_is_not_waited_for(
    http: httpx.AsyncClient, clock: NotingClock
) -> None:
    message = await failure_of(http, error(429, "slow down", headers={"retry-after": "30"}), clock=clock, within_s=10.0)

    assert "is limiting requests (429): slow down." in message
    assert clock.slept == []


async def test_a_limit_that_lets_nothing_through_in_time_is_told_at_once(http: httpx.AsyncClient) -> None:
    async with FakeModelServer(rerank_script()) as server:
        judge = served(server, http, limits=ModelLimits(rpm=1), within_s=3.0)
        await judge.rerank(QUERY, PASSAGES)
        with pytest.raises(ModelError) as caught:
            await judge.rerank(QUERY, PASSAGES)

    assert caught.value.message == r"The limit of [models.judge] (limits.rpm) is used up for 3 s."
    assert not caught.value.is_retryable


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (rerank_reply([0.5, 0.5]), "2 scores for 3 passages"),
        (rerank_reply([]), "0 scores for 3 passages"),
        (body_reply(b'{"results": [{"index": 0, "relevance_score": 1}, {"index": 0, "relevance_score": 1}, '
                    b'{"index": 1, "relevance_score": 1}]}'), "numbered in no order"),
        (body_reply(b'[{"index": 1, "score": 1}, {"index": 2, "score": 1}, {"index": 3, "score": 1}]'),
         "numbered in no order"),
        (rerank_reply([0.5, None, 0.5]), "a list with scores that are none"),
        (body_reply(b'[{"index": 1, "score": NaN}]'), "not a list of scores"),
        (body_reply(b'[{"index": "a", "score": 1}]'), "not a list of scores"),
        (body_reply(b'{"results": [{"relevance_score": 1}]}'), "not a list of scores"),
        (body_reply(b'{"object": "list"}'), "without results"),
        (body_reply(b"<html><title>Sign in</title></html>"), "not a list of scores: Sign in"),
        (error(400, "maximum context length is 512 tokens"),
         "Set rerank.window_tokens of [models.judge] to what it reads at once."),
        (error(500, "input (900 tokens) is too large to process. increase the physical batch size"),
         "Set rerank.window_tokens of [models.judge] to what it reads at once."),
        (body_reply(b"missing field `texts` at line 1", status=422, content_type="text/plain"),
         'It seems to be text-embeddings-inference: set rerank.api of [models.judge] to "tei".'),
    ],
)  # fmt: skip
async def test_an_answer_that_cannot_be_right_is_refused(http: httpx.AsyncClient, answer: Answer, said: str) -> None:
    assert said in await failure_of(http, answer)


async def test_a_server_with_the_common_api_is_not_asked_as_the_other_one(http: httpx.AsyncClient) -> None:
    refusal = error(422, "Field required: documents")
    message = await failure_of(http, refusal, api="tei")
    assert message.endswith("It is no text-embeddings-inference: take out rerank.api of [models.judge].")
