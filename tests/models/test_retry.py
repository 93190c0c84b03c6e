"""Which failures are tried again, after how long, and that an answer is never begun twice."""

from __future__ import annotations

from contextlib import aclosing

import httpx
import pytest

from agentrt.errors import ModelError
from agentrt.models.chat_completions import ChatCompletions
from agentrt.models.client import Chunk, EndChunk, TextChunk
from agentrt.models.retry import Retrying, RetryPolicy, retry_after_s
from agentrt.testing.fake_model_server import FakeModelServer
from agentrt.testing.model_answers import Answer, delta, error, no_answer, stream, text
from tests.models.talk import HELLO, NotingClock, StandIn, answer, failure, text_of, until_failure

DOWN = ModelError("down", http_status=503, is_retryable=True)
GOOD: list[Chunk] = [TextChunk("Hi"), EndChunk("stop")]


def retrying(client: StandIn | ChatCompletions, clock: NotingClock, **policy: float) -> Retrying:
    return Retrying(client, RetryPolicy(**policy), clock=clock, jitter=lambda: 0.0)  # type: ignore[arg-type]


async def test_it_tries_again_with_growing_waits_until_it_works(clock: NotingClock) -> None:
    client = StandIn([DOWN], [DOWN], [DOWN], GOOD)
    assert await answer(retrying(client, clock)) == GOOD
    assert clock.slept == [0.5, 1.0, 2.0]


async def test_it_gives_up_after_its_retries(clock: NotingClock) -> None:
    client = StandIn([DOWN], [DOWN], [DOWN], GOOD)
    assert await failure(retrying(client, clock, retries=2)) is DOWN
    assert len(client.requests) == 3


async def test_the_wait_stops_growing_at_its_limit(clock: NotingClock) -> None:
    client = StandIn(*([DOWN] for _ in range(7)), GOOD)
    await answer(retrying(client, clock, retries=7, max_delay_s=4.0))
    assert clock.slept == [0.5, 1.0, 2.0, 4.0, 4.0, 4.0, 4.0]


async def test_jitter_shortens_a_wait_by_up_to_a_quarter(clock: NotingClock) -> None:
    client = Retrying(StandIn([DOWN], GOOD), clock=clock, jitter=lambda: 1.0)
    await answer(client)
    assert clock.slept == [0.375]


async def test_the_servers_own_wait_is_obeyed(clock: NotingClock) -> None:
    busy = ModelError("busy", reason="rate_limit_exceeded", http_status=429, retry_after_s=7.0, is_retryable=True)
    await answer(retrying(StandIn([busy], GOOD), clock))
    assert clock.slept == [7.0]


async def test_a_wait_that_is_too_long_is_not_begun(clock: NotingClock) -> None:
    busy = ModelError("busy", retry_after_s=40.0, is_retryable=True)
    client = StandIn([busy], [busy], GOOD)
    assert await failure(retrying(client, clock, max_wait_s=60.0)) is busy
    assert clock.slept == [40.0]


async def test_what_cannot_get_better_is_not_tried_again(clock: NotingClock) -> None:
    wrong = ModelError("wrong", reason="invalid_prompt", http_status=400)
    assert await failure(retrying(StandIn([wrong], GOOD), clock)) is wrong
    assert clock.slept == []


async def test_after_the_first_chunk_nothing_is_tried_again(clock: NotingClock) -> None:
    client = StandIn([TextChunk("H"), DOWN], GOOD)
    chunks, wrong = await until_failure(retrying(client, clock))
    assert chunks == [TextChunk("H")]
    assert wrong is DOWN
    assert len(client.requests) == 1


async def test_leaving_the_answer_closes_the_one_behind_it(clock: NotingClock) -> None:
    client = StandIn(GOOD)
    async with aclosing(retrying(client, clock).stream(HELLO)) as chunks:
        await anext(chunks)
        assert client.n_closed == 0
    assert client.n_closed == 1


def test_window_and_images_are_those_of_the_client(clock: NotingClock) -> None:
    client = retrying(StandIn(takes_images=False, context_window=99), clock)
    assert (client.takes_images, client.context_window) == (False, 99)


@pytest.mark.parametrize(
    "first",
    [
        error(500, "x"),
        error(503, "x"),
        error(429, "x"),
        error(408, "x"),
        no_answer("hang_up"),
        stream(delta(role="assistant", content=""), done=False, ending="hang_up"),
        stream({"error": {"message": "overloaded", "code": 503}}),
    ],
)
async def test_over_the_wire_a_passing_trouble_is_survived(
    http: httpx.AsyncClient, clock: NotingClock, first: Answer
) -> None:
    async with FakeModelServer([first, text("Hello")]) as server:
        client = retrying(ChatCompletions(http, model="m", base_url=server.url), clock)
        assert text_of(await answer(client)) == "Hello"
        assert server.requests[0] == server.requests[1]


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_over_the_wire_a_refusal_is_final(http: httpx.AsyncClient, clock: NotingClock, status: int) -> None:
    async with FakeModelServer([error(status, "no"), text("Hello")]) as server:
        wrong = await failure(retrying(ChatCompletions(http, model="m", base_url=server.url), clock))
        assert wrong.http_status == status
        assert len(server.requests) == 1


async def test_over_the_wire_a_date_says_when_to_come_back(http: httpx.AsyncClient, clock: NotingClock) -> None:
    later = "Thu, 09 Oct 2025 08:53:30 GMT"  # 10 s after the clock's start
    async with FakeModelServer([error(429, "x", headers={"Retry-After": later}), text("Hello")]) as server:
        client = ChatCompletions(http, model="m", base_url=server.url, clock=clock)
        assert text_of(await answer(retrying(client, clock))) == "Hello"
    assert clock.slept == [10.0]


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "3", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after": "Thu, 09 Oct 2025 08:53:30 GMT"}, 10.0),
        ({"retry-after": "Thu, 09 Oct 2025 08:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
    ],
)
def test_the_wish_to_wait_has_many_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, now=1_760_000_000.0) == seconds
