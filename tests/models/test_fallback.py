"""When another model takes over, and when it must not."""

from __future__ import annotations

import logging
from contextlib import aclosing

import httpx
import pytest

from agentrt.engine.message import ImageUrlPart, Message, Role
from agentrt.errors import ModelError
from agentrt.models.chat_completions import ChatCompletions
from agentrt.models.client import Chunk, EndChunk, ModelRequest, TextChunk
from agentrt.models.fallback import Fallback
from agentrt.testing.fake_model_server import FakeModelServer
from agentrt.testing.model_answers import Answer, error, no_answer, text
from tests.models.talk import HELLO, StandIn, answer, failure, text_of, until_failure

DOWN = ModelError("first is down", http_status=503, is_retryable=True)


def saying(word: str) -> list[Chunk | ModelError]:
    return [TextChunk(word), EndChunk("stop")]


async def test_the_first_that_answers_is_heard() -> None:
    first, second, third = StandIn([DOWN]), StandIn([DOWN]), StandIn(saying("third"))
    assert text_of(await answer(Fallback(first, second, third))) == "third"
    assert (len(first.requests), len(second.requests), len(third.requests)) == (1, 1, 1)


async def test_a_model_that_works_is_not_replaced() -> None:
    second = StandIn()
    assert text_of(await answer(Fallback(StandIn(saying("first")), second))) == "first"
    assert not second.requests


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_refusal_is_not_passed_on(status: int) -> None:
    wrong = ModelError("no", http_status=status)
    assert await failure(Fallback(StandIn([wrong]), StandIn(saying("second")))) is wrong


async def test_a_prompt_that_does_not_fit_is_not_passed_on_whatever_its_status() -> None:
    wrong = ModelError("too long", reason="invalid_prompt", http_status=500)
    assert await failure(Fallback(StandIn([wrong]), StandIn(saying("second")))) is wrong


async def test_a_used_up_quota_is_passed_on() -> None:
    wrong = ModelError("quota", reason="rate_limit_exceeded", http_status=429, code="insufficient_quota")
    assert text_of(await answer(Fallback(StandIn([wrong]), StandIn(saying("second"))))) == "second"


async def test_an_answer_that_has_begun_is_not_begun_again_elsewhere() -> None:
    chunks, wrong = await until_failure(Fallback(StandIn([TextChunk("He"), DOWN]), StandIn(saying("second"))))
    assert (text_of(chunks), wrong) == ("He", DOWN)


async def test_when_all_fail_all_are_heard_and_the_last_one_counts() -> None:
    busy = ModelError(
        "second is busy", reason="rate_limit_exceeded", http_status=429, retry_after_s=3.0, is_retryable=True
    )
    wrong = await failure(Fallback(StandIn([DOWN]), StandIn([busy])))
    assert wrong.message == "second is busy; before that: first is down"
    assert (wrong.reason, wrong.http_status, wrong.retry_after_s) == ("rate_limit_exceeded", 429, 3.0)


async def test_the_change_is_logged_with_names_and_no_text(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        await answer(Fallback(StandIn([DOWN]), StandIn(saying("second")), names=["fast", "local"]))
    (record,) = caplog.records
    assert record.message == "model.fallback"
    assert (record.__dict__["failed"], record.__dict__["next"], record.__dict__["status"]) == ("fast", "local", 503)


async def test_a_model_without_eyes_is_passed_over_when_there_are_images() -> None:
    request = ModelRequest(model="any", messages=(Message(Role.USER, (ImageUrlPart("data:image/png;base64,AA=="),)),))
    blind = StandIn(takes_images=False)
    client = Fallback(StandIn([DOWN], [DOWN]), blind, StandIn(saying("third"), saying("third")))
    assert text_of(await answer(client, request)) == "third"
    assert not blind.requests


async def test_window_and_images_are_the_firsts() -> None:
    client = Fallback(StandIn(context_window=9, takes_images=False), StandIn(context_window=5))
    assert (client.context_window, client.takes_images) == (9, False)


async def test_leaving_the_answer_closes_the_one_behind_it() -> None:
    second = StandIn(saying("second"))
    async with aclosing(Fallback(StandIn([DOWN]), second).stream(HELLO)) as chunks:
        await anext(chunks)
    assert second.n_closed == 1


@pytest.mark.parametrize("trouble", [error(429, "x"), error(500, "x"), no_answer("hang_up"), no_answer("silence")])
async def test_over_the_wire_the_other_server_takes_over(http: httpx.AsyncClient, trouble: Answer) -> None:
    async with FakeModelServer([trouble]) as first, FakeModelServer([text("Hello")]) as second:
        client = Fallback(
            ChatCompletions(http, model="big", base_url=first.url, timeout_s=0.05),
            ChatCompletions(http, model="small", base_url=second.url),
        )
        assert text_of(await answer(client)) == "Hello"
        assert [server.requests[0].body["model"] for server in (first, second)] == ["big", "small"]


async def test_over_the_wire_a_server_that_is_not_there_is_replaced(http: httpx.AsyncClient) -> None:
    async with FakeModelServer() as gone:
        url = gone.url
    async with FakeModelServer([text("Hello")]) as second:
        client = Fallback(
            ChatCompletions(http, model="big", base_url=url), ChatCompletions(http, model="small", base_url=second.url)
        )
        assert text_of(await answer(client)) == "Hello"
