from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from typing import cast

import pytest
from starlette.types import Message

from agentrt.errors import UnavailableError
from agentrt.runtime.assembly import Runtime
from agentrt.server.exchange import Exchange, attach
from agentrt.server.sse import PING_EVERY_S, EventStream, frame
from agentrt.server.streams import OpenStreams
from agentrt.testing.clocks import FakeClock


class Line:
    """A connection: what was sent over it, and a client that can leave."""

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.streams = OpenStreams()
        self.sent: list[bytes] = []
        self.is_over = False
        self.has_left = asyncio.Event()

    async def carry(self, bursts: AsyncGenerator[bytes, None]) -> None:
        scope: dict[str, object] = {"type": "http"}
        attach(scope, Exchange("req_1", cast("Runtime", None), self.streams))
        await EventStream(bursts, clock=self.clock)(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        await self.has_left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.body":
            self.sent.append(message["body"])
            self.is_over = not message["more_body"]

    async def settle(self) -> None:
        for _ in range(10):
            await asyncio.sleep(0)


@pytest.fixture
def line() -> Line:
    return Line(FakeClock())


async def test_each_burst_is_one_piece_and_done_is_the_last(line: Line) -> None:
    async def bursts() -> AsyncGenerator[bytes, None]:
        yield frame("a", b"1", place=(0, 1)) + frame("b", b"2", place=(0, 2))
        yield b""
        yield frame("c", b"3", place=(1, 3))

    await line.carry(bursts())
    assert line.sent == [
        b"id: 0.1\nevent: a\ndata: 1\n\nid: 0.2\nevent: b\ndata: 2\n\n",
        b"id: 1.3\nevent: c\ndata: 3\n\n",
        b"event: done\ndata: [DONE]\n\n",
    ]
    assert line.is_over
    assert line.streams.n_open == 0


async def test_silence_is_filled_with_comments(line: Line) -> None:
    word = asyncio.Event()

    async def bursts() -> AsyncGenerator[bytes, None]:
        yield b"one"
        await word.wait()
        word.clear()
        yield b"two"
        await word.wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(line.carry(bursts()))
        await line.settle()
        await line.clock.advance(PING_EVERY_S - 1)
        await line.settle()
        assert line.sent == [b"one"]
        word.set()
        await line.settle()
        await line.clock.advance(2)
        await line.settle()
        assert line.sent == [b"one", b"two"]
        await line.clock.advance(PING_EVERY_S)
        await line.settle()
        assert line.sent == [b"one", b"two", b": ping\n\n"]
        word.set()
    assert line.sent[-1].startswith(b"event: done")


async def test_a_client_that_leaves_closes_its_source(line: Line) -> None:
    closed = asyncio.Event()

    async def bursts() -> AsyncGenerator[bytes, None]:
        try:
            yield b"one"
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(line.carry(bursts()))
        await line.settle()
        line.has_left.set()
    assert closed.is_set()
    assert line.sent == [b"one"]
    assert line.streams.n_open == 0


async def test_a_bug_in_mid_stream_is_an_error_event_without_details(
    line: Line, caplog: pytest.LogCaptureFixture
) -> None:
    async def bursts() -> AsyncGenerator[bytes, None]:
        yield b"one"
        raise ZeroDivisionError("secret")

    await line.carry(bursts())
    assert line.sent[-1].startswith(b'event: error\ndata: {"message":"The server had an error')
    assert b"req_1" in line.sent[-1]
    assert b"secret" not in line.sent[-1]
    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == ["stream.failed"]


async def test_a_source_that_closes_says_why(line: Line) -> None:
    async def bursts() -> AsyncGenerator[bytes, None]:
        yield b"one"
        raise UnavailableError("Gone.")

    await line.carry(bursts())
    assert line.sent[-1] == (
        b'event: error\ndata: {"message":"Gone.","type":"server_error","param":null,"code":null}\n\n'
    )


async def test_streams_end_when_the_server_stops_also_those_that_come_too_late(line: Line) -> None:
    async def bursts() -> AsyncGenerator[bytes, None]:
        yield b"one"
        await asyncio.Event().wait()

    async with asyncio.TaskGroup() as group:
        group.create_task(line.carry(bursts()))
        await line.settle()
        line.streams.close()
    assert b"Last-Event-ID" in line.sent[-1]
    line.sent.clear()
    await line.carry(bursts())
    assert b"Last-Event-ID" in line.sent[-1]
    assert line.is_over


async def test_a_request_that_is_cancelled_leaves_no_task_behind(line: Line) -> None:
    async def bursts() -> AsyncGenerator[bytes, None]:
        yield b"one"
        await asyncio.Event().wait()

    before = asyncio.all_tasks()
    async with asyncio.TaskGroup() as group:
        carrying = group.create_task(line.carry(bursts()))
        await line.settle()
        carrying.cancel()
    assert carrying.cancelled()
    assert asyncio.all_tasks() == before
    assert line.streams.n_open == 0
