"""Calls wait for their turn, not for ever, and give back what they did not use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

from agentrt.engine.message import Usage, user
from agentrt.models.client import Chunk, EndChunk, ModelRequest, TextChunk
from agentrt.models.limits import Limited, ModelLimits
from tests.models.talk import HELLO, NotingClock, StandIn, answer, failure


class Gated(StandIn):
    """Answers when the gate is opened; counts how many calls are inside at once."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.n_inside = 0
        self.n_most = 0

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        self.n_inside += 1
        self.n_most = max(self.n_most, self.n_inside)
        try:
            yield TextChunk("Hi")
            await self.gate.wait()
            yield EndChunk("stop")
        finally:
            self.n_inside -= 1


def always(usage: Usage | None = None, n: int = 50) -> StandIn:
    return StandIn(*([EndChunk("stop", usage)] for _ in range(n)))


def asking(n_tokens: int) -> ModelRequest:
    return ModelRequest(model="any", messages=(user("x" * (n_tokens * 4 - 4)),))


async def test_a_place_is_held_until_the_answer_ends() -> None:
    client = Gated()
    limited = Limited(client, ModelLimits(concurrent=2))
    async with asyncio.TaskGroup() as group:
        for _ in range(6):
            group.create_task(answer(limited))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert client.n_inside == 2
        client.gate.set()
    assert client.n_most == 2


async def test_a_place_is_free_again_when_the_answer_is_left() -> None:
    limited = Limited(Gated(), ModelLimits(concurrent=1))
    for _ in range(3):
        async with aclosing(limited.stream(HELLO)) as chunks:
            await anext(chunks)


async def test_waiting_for_a_place_ends_with_a_rate_limit() -> None:
    limited = Limited(Gated(), ModelLimits(concurrent=1, max_wait_s=0.01), table="fast")
    async with aclosing(limited.stream(HELLO)) as chunks:
        await anext(chunks)
        wrong = await failure(limited)
    assert wrong.message == "All 1 places of [models.fast] (limits.concurrent) stayed taken for 0.01 s."
    assert (wrong.reason, wrong.is_retryable) == ("rate_limit_exceeded", False)


async def test_who_stops_waiting_for_a_place_leaves_it_to_the_others() -> None:
    client = Gated()
    limited = Limited(client, ModelLimits(concurrent=1))
    async with asyncio.TaskGroup() as group:
        first = group.create_task(answer(limited))
        await asyncio.sleep(0)
        second = group.create_task(answer(limited))
        third = group.create_task(answer(limited))
        await asyncio.sleep(0)
        second.cancel()
        client.gate.set()
    assert len(first.result()) == len(third.result()) == 2


async def test_requests_beyond_the_burst_come_at_their_rate(clock: NotingClock) -> None:
    limited = Limited(always(), ModelLimits(rpm=60), clock=clock)
    for _ in range(13):
        await answer(limited)
    assert clock.slept == [1.0, 1.0, 1.0]  # ten at once, then one a second


async def test_a_pause_fills_the_burst_again(clock: NotingClock) -> None:
    limited = Limited(always(), ModelLimits(rpm=60), clock=clock)
    for _ in range(10):
        await answer(limited)
    clock.pass_time(3600)
    for _ in range(11):
        await answer(limited)
    assert clock.slept == [1.0]


async def test_a_rate_that_needs_too_long_a_wait_says_when_to_come_back(clock: NotingClock) -> None:
    limited = Limited(always(), ModelLimits(rpm=1, max_wait_s=30.0), clock=clock, table="slow")
    await answer(limited)
    wrong = await failure(limited)
    assert wrong.message == "The limit of [models.slow] (limits.rpm) is used up for 30 s."
    assert (wrong.reason, wrong.retry_after_s) == ("rate_limit_exceeded", 60.0)
    clock.pass_time(60)
    await answer(limited)


async def test_tokens_are_estimated_and_then_corrected_by_the_usage(clock: NotingClock) -> None:
    limited = Limited(always(Usage(150, 50)), ModelLimits(tpm=600), clock=clock)
    await answer(limited, asking(100))  # the burst holds 100; it really was 200, so 100 are owed
    await answer(limited, asking(100))
    assert clock.slept == [20.0]  # 200 tokens at 10 a second


async def test_an_estimate_stands_when_the_server_tells_no_usage(clock: NotingClock) -> None:
    limited = Limited(always(), ModelLimits(tpm=600), clock=clock)
    await answer(limited, asking(100))
    await answer(limited, asking(50))
    assert clock.slept == [5.6]  # 104 + 52 tokens against 10 a second, 100 of them at once


async def test_a_request_larger_than_the_burst_is_let_through_and_paid_for_later(clock: NotingClock) -> None:
    limited = Limited(always(), ModelLimits(tpm=600), clock=clock)
    await answer(limited, asking(400))
    await answer(limited, asking(10))
    assert clock.slept == [31.6]


async def test_who_stops_waiting_gives_its_tokens_back() -> None:
    class Stuck(NotingClock):
        async def sleep(self, seconds: float) -> None:
            self.slept.append(seconds)
            await asyncio.Event().wait()

    clock = Stuck()
    limited = Limited(always(), ModelLimits(rpm=6), clock=clock)
    await answer(limited)
    async with asyncio.TaskGroup() as group:
        for _ in range(2):
            waiting = group.create_task(answer(limited))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.sleep(0)
    assert clock.slept == [10.0, 10.0]


async def test_no_limits_mean_no_waiting(clock: NotingClock) -> None:
    client = always()
    limited = Limited(client, ModelLimits(), clock=clock)
    for _ in range(50):
        await answer(limited)
    assert clock.slept == []
    assert (limited.takes_images, limited.context_window) == (True, None)
