"""One delivery over a real socket: signed as the official SDK wants it, and bounded whatever the receiver does."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
from msgspec.structs import replace
from openai import InvalidWebhookSignatureError, OpenAI

from agentrt.clock import SystemClock
from agentrt.config.schema import WebhookSpec
from agentrt.runtime.webhooks.events import EndpointFacts, EventBody, encode_body
from agentrt.runtime.webhooks.lanes import Lanes
from agentrt.runtime.webhooks.retries import delay_s
from agentrt.runtime.webhooks.sender import Outcome, Sender
from agentrt.secret import Secret
from tests.runtime.webhooks.receiver import KEY, SECRET, Receiver, Reply

PAYLOAD = encode_body(EventBody(id="evt_1", created_at=1, type="run.completed", data=EndpointFacts(id="ü")))


@pytest.fixture
async def sender() -> AsyncIterator[Sender]:
    opened = Sender(clock=SystemClock())
    yield opened
    await opened.close()


async def send(sender: Sender, spec: WebhookSpec) -> Outcome:
    return await sender.send(spec, event_id="evt_1", payload=PAYLOAD)


async def test_the_official_sdk_accepts_what_is_sent_and_refuses_it_with_another_secret(sender: Sender) -> None:
    async with Receiver() as receiver:
        outcome = await send(sender, receiver.spec())
    assert (outcome.attempt.http_status, outcome.attempt.body, outcome.attempt.error) == (200, "ok", None)
    assert outcome.attempt.is_success
    [received] = receiver.received
    assert received.event == msgspec.json.decode(PAYLOAD)
    assert received.headers["content-type"] == "application/json"
    with pytest.raises(InvalidWebhookSignatureError):
        OpenAI(api_key="x", webhook_secret="another").webhooks.unwrap(received.body, received.headers)


async def test_the_signature_is_that_of_the_standard(sender: Sender) -> None:
    async with Receiver() as receiver:
        await send(sender, receiver.spec(secrets=(Secret(SECRET), Secret("an older one"))))
    headers, body = receiver.received[0].headers, receiver.received[0].body
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 60  # noqa: TID251 - as a receiver would
    content = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = [
        f"v1,{base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()}"
        for key in (KEY, b"an older one")
    ]
    assert headers["webhook-signature"].split(" ") == expected
    for secret in (SECRET, "an older one"):
        OpenAI(api_key="x", webhook_secret=secret).webhooks.verify_signature(body, headers)


async def test_a_redirect_is_a_failure_and_not_followed(sender: Sender) -> None:
    async with Receiver() as receiver:
        receiver.replies = [Reply(307, headers=(("location", receiver.url),))]
        outcome = await send(sender, receiver.spec())
        assert (outcome.attempt.http_status, outcome.attempt.is_success) == (307, False)
        assert len(receiver.received) == 1


async def test_only_the_beginning_of_a_body_is_read_and_kept(sender: Sender) -> None:
    async with Receiver([Reply(500, b"broken ", never_ends=True), Reply(500, b"\x00\xff" * 5000)]) as receiver:
        endless = await send(sender, receiver.spec())
        assert endless.attempt.body.startswith("broken xxx")
        assert len(endless.attempt.body) == 1024
        binary = await send(sender, receiver.spec())
        assert set(binary.attempt.body) == {"\ufffd"}


async def test_a_receiver_that_hangs_is_left_when_its_time_is_over(sender: Sender) -> None:
    async with Receiver([Reply(before=asyncio.Event())]) as receiver:
        outcome = await send(sender, receiver.spec(timeout_s=0.1))
    assert (outcome.attempt.http_status, outcome.attempt.error) == (None, "no answer within 0.1 s")
    assert outcome.attempt.duration_ms >= 100


async def test_an_answer_whose_body_does_not_come_counts_by_its_status(sender: Sender) -> None:
    async with Receiver([Reply(202, b"tak", length=100)]) as receiver:
        outcome = await send(sender, receiver.spec(timeout_s=1.0))
    assert (outcome.attempt.http_status, outcome.attempt.body, outcome.attempt.error) == (202, "tak", None)


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("http://127.0.0.1:9/x", "cannot connect: connection refused"),
        ("http://nothing.invalid/x", "the host's name cannot be resolved"),
    ],
)
async def test_what_kept_it_from_being_sent_is_said_in_plain_words(sender: Sender, url: str, why: str) -> None:
    outcome = await send(sender, replace(Receiver().spec(), url=Secret(url)))
    assert (outcome.attempt.http_status, outcome.attempt.error) == (None, why)


async def test_a_connection_that_is_closed_without_an_answer_says_so(sender: Sender) -> None:
    async with Receiver([Reply(hangs_up=True)]) as receiver:
        outcome = await send(sender, receiver.spec())
    assert outcome.attempt.error == "the connection was closed before an answer came"


async def test_a_receiver_that_repeats_secrets_does_not_get_them_into_the_records(sender: Sender) -> None:
    echo = f"{SECRET} pa55word token=t0k3n sk-0123456789abcdefghij".encode()
    async with Receiver([Reply(400, echo)]) as receiver:
        url = receiver.url.replace("://", "://app:pa55word@") + "?token=t0k3n"
        outcome = await send(sender, receiver.spec(url=Secret(url)))
    assert outcome.attempt.body == "*** *** *** ***"
    assert receiver.received[0].path == "/hook?token=t0k3n"
    assert receiver.received[0].headers["authorization"].startswith("Basic ")


async def test_a_wish_to_be_left_alone_is_heard(sender: Sender) -> None:
    async with Receiver([Reply(503, headers=(("retry-after", "120"),))]) as receiver:
        assert (await send(sender, receiver.spec())).wish_s == 120


def test_tries_are_spread_over_three_days_and_then_given_up() -> None:
    delays = [delay_s(n, jitter=0.0) for n in range(1, 10)]
    assert delays == [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]
    assert 3 * 86_400 < sum(delay for delay in delays if delay) < 3.5 * 86_400
    assert delay_s(10, jitter=0.0) is None
    assert delay_s(2, jitter=1.0) == pytest.approx(330)


@pytest.mark.parametrize(("wish_s", "waits"), [(2.0, 5.0), (60.0, 60.0), (1e9, 86_400.0)])
def test_a_wish_makes_a_wait_longer_up_to_a_day_and_never_shorter(wish_s: float, waits: float) -> None:
    assert delay_s(1, jitter=0.0, wish_s=wish_s) == waits


def test_one_endpoint_gets_eight_places_and_leaves_some_for_the_others() -> None:
    lanes = Lanes(width=10)
    assert [lanes.enter("slow", now=0.0) for _ in range(8)] == [None] * 8
    waits = [lanes.enter("slow", now=0.0) for _ in range(100_000)]
    assert waits[0] == 0.05
    assert waits[-1] == 300.0
    assert sorted(wait or 0.0 for wait in waits) == waits
    assert [lanes.enter("other", now=0.0) for _ in range(2)] == [None] * 2
    assert lanes.enter("third", now=0.0) is not None
    lanes.leave("slow", took_s=15.0)
    assert lanes.enter("slow", now=0.0) is None


def test_what_has_to_wait_waits_as_long_as_deliveries_take() -> None:
    lanes = Lanes(width=1)
    for _ in range(30):
        assert lanes.enter("slow", now=0.0) is None
        lanes.leave("slow", took_s=15.0)
    lanes.enter("slow", now=0.0)
    assert lanes.enter("slow", now=0.0) == pytest.approx(15.0, rel=0.01)
    assert lanes.enter("slow", now=0.0) == pytest.approx(30.0, rel=0.01)
