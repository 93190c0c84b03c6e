"""An event stream as an answer: bursts go out as they come, comments keep the line open, leaving ends it.

What the events are is render/'s; where they come from is the runtime's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import aclosing

import msgspec
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from agentrt.clock import Clock
from agentrt.errors import AgentrtError, UnavailableError
from agentrt.server.errors import error_object, internal_error
from agentrt.server.exchange import exchange_of
from agentrt.wire.stream_events import DONE

log = logging.getLogger(__name__)

PING_EVERY_S = 15.0

_encode = msgspec.json.Encoder().encode
_PING = b": ping\n\n"
_HEADERS = [
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),  # nginx holds answers back unless told otherwise
]


def frame(name: str, data: bytes, *, place: tuple[int, int]) -> bytes:
    """One event of a stream. data is JSON without line breaks; place is its id."""
    return b"id: %d.%d\nevent: %b\ndata: %b\n\n" % (*place, name.encode(), data)


class EventStream(Response):
    """Sends each burst of frames as one piece, then `done`.

    When the client leaves, `bursts` is closed and nothing else happens. When they break off, an `error` event says
    why, and there is no `done`. The head goes out at once, before the first burst.
    """

    def __init__(self, bursts: AsyncGenerator[bytes, None], *, clock: Clock) -> None:
        self.status_code = 200
        self.background = None
        self._bursts = bursts
        self._clock = clock
        self._sent_at = clock.monotonic()
        self._is_pumping = False
        self._is_over = False
        self._is_interrupted = False
        self._pump_task: asyncio.Task[None] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        exchange = exchange_of(scope)
        await send({"type": "http.response.start", "status": 200, "headers": list(_HEADERS)})
        async with asyncio.TaskGroup() as group:
            pump = self._pump_task = group.create_task(self._pump(send, exchange.request_id))
            exchange.streams.add(self._interrupt)
            others = (group.create_task(self._watch(receive)), group.create_task(self._ping(send)))
            try:
                await asyncio.wait([pump])
            finally:
                exchange.streams.remove(self._interrupt)
                for task in others:
                    task.cancel()

    async def _pump(self, send: Send, request_id: str) -> None:
        self._is_pumping = True
        try:
            if self._is_interrupted:
                raise _shutting_down()
            async with aclosing(self._bursts) as bursts:
                async for burst in bursts:
                    if burst:
                        await send({"type": "http.response.body", "body": burst, "more_body": True})
                        self._sent_at = self._clock.monotonic()
            last = _frame_without_id("done", DONE.encode())
        except asyncio.CancelledError:
            if not self._is_interrupted:
                raise
            last = _broken(_shutting_down())
        except AgentrtError as error:
            last = _broken(error)
        except Exception:
            log.exception("stream.failed", extra={"request": request_id})
            last = _broken(internal_error(request_id))
        self._is_over = True
        await send({"type": "http.response.body", "body": last, "more_body": False})

    async def _watch(self, receive: Receive) -> None:
        """Wait for the client to leave."""
        while (await receive())["type"] != "http.disconnect":
            continue
        if self._pump_task is not None and not self._is_over:
            self._pump_task.cancel()

    async def _ping(self, send: Send) -> None:
        while True:
            left_s = self._sent_at + PING_EVERY_S - self._clock.monotonic()
            if left_s > 0:
                await self._clock.sleep(left_s)
            elif self._is_over:
                return
            else:
                self._sent_at = self._clock.monotonic()
                await send({"type": "http.response.body", "body": _PING, "more_body": True})

    def _interrupt(self) -> None:
        """The server stops."""
        self._is_interrupted = True
        # A task that is cancelled before it has begun says nothing at all: that one looks at the flag.
        if self._pump_task is not None and self._is_pumping and not self._is_over:
            self._pump_task.cancel()


def _shutting_down() -> UnavailableError:
    return UnavailableError("The server is shutting down. Resume the stream with Last-Event-ID.")


def _broken(error: AgentrtError) -> bytes:
    return _frame_without_id("error", _encode(error_object(error)))


def _frame_without_id(name: str, data: bytes) -> bytes:
    # Its place is not in the log: a client that resumes asks for what follows the last event that has one.
    return b"event: %b\ndata: %b\n\n" % (name.encode(), data)
