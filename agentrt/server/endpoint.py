"""Call, what an endpoint is given; ApiRoute, which gives it; answer, what it gives back.

FastAPI's own reading and checking of parameters and answers does not run: bodies are read once, by
`wire.base.parse_body`, which words refusals as the API does, and answers are encoded once, by msgspec. That is 60 µs
a request where FastAPI's way is 180 before any validation. What an endpoint takes and gives is said with
`speaks`, for the OpenAPI document alone.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from fastapi.routing import APIRoute
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Receive, Scope, Send

from agentrt.errors import RequestTooLargeError
from agentrt.runtime.assembly import Runtime
from agentrt.server.exchange import Exchange, exchange_of
from agentrt.wire.base import Body, parse_body
from agentrt.wire.errors import nul_character

MAX_BODY_BYTES = 32 * 1024 * 1024

_POLL_STEPS = ((2, 50), (10, 100), (60, 250))  # up to which age in seconds, how many ms to wait
_POLL_OLD_MS = 500

E = TypeVar("E", bound=Callable[..., Coroutine[Any, Any, Response]])
BodyT = TypeVar("BodyT", bound=Body)

_encode = msgspec.json.Encoder().encode


class Call(Request):
    """One request, as endpoints see it."""

    @property
    def exchange(self) -> Exchange:
        return exchange_of(self.scope)

    @property
    def runtime(self) -> Runtime:
        return exchange_of(self.scope).runtime

    @property
    def project(self) -> str:
        """Whose objects the caller may see."""
        principal = exchange_of(self.scope).principal
        assert principal is not None, "the gate lets nobody in without a principal"
        return principal.project

    @property
    def query(self) -> list[tuple[str, str]]:
        """The query's pairs, in order."""
        text: bytes = self.scope["query_string"]
        return parse_qsl(text.decode("latin-1"), keep_blank_values=True) if text else []

    @property
    def announced_bytes(self) -> int:
        """How long the body says it is, 0 when it does not."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isdecimal() and len(text) < 19 else 0

    async def read(self, model: type[BodyT]) -> BodyT:
        """The JSON body. Raises InvalidRequestError, RequestTooLargeError."""
        raw = await self._read_bytes()
        return parse_body(model, raw, unknown_fields=self.runtime.config.server.unknown_fields)

    async def _read_bytes(self) -> bytes:
        if self.announced_bytes > MAX_BODY_BYTES:
            raise _too_large()
        chunks: list[bytes] = []
        n_bytes = 0
        is_more = True
        while is_more:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            chunks.append(message.get("body", b""))
            n_bytes += len(chunks[-1])
            if n_bytes > MAX_BODY_BYTES:
                raise _too_large()
            is_more = message.get("more_body", False)
        return b"".join(chunks)


class ApiRoute(APIRoute):
    """A route whose endpoint is called with a Call and the path's parameters, and nothing else."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        endpoint = self.endpoint

        async def handle(request: Request) -> Response:
            for name, value in request.path_params.items():
                if "\0" in value:
                    raise nul_character(name)
            response: Response = await endpoint(Call(request.scope, request.receive), **request.path_params)
            return response

        return handle

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """As in Starlette: what FastAPI adds is for routers within routers, which there are none of."""
        return Route.matches(self, scope)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As in Starlette."""
        await Route.handle(self, scope, receive, send)


@dataclass(frozen=True, slots=True)
class Speech:
    """What an endpoint takes and gives. query: parameters as OpenAPI describes them.

    form: the JSON Schema of a multipart body. answer: the type of its JSON, or the media type of what is not JSON.
    streams: it can also answer with events.
    """

    answer: object
    body: type[Body] | None = None
    form: Mapping[str, Any] | None = None
    query: tuple[Mapping[str, Any], ...] = ()
    streams: bool = False


_speeches: dict[Callable[..., object], Speech] = {}


def speaks(speech: Speech) -> Callable[[E], E]:
    """Say what an endpoint takes and gives, for the OpenAPI document."""

    def note(endpoint: E) -> E:
        _speeches[endpoint] = speech
        return endpoint

    return note


def speech_of(endpoint: Callable[..., object]) -> Speech | None:
    """What was said of an endpoint."""
    return _speeches.get(endpoint)


def answer(value: object, *, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON answer. value: dicts and lists, or a msgspec struct."""
    return Response(_encode(value), headers=headers, media_type="application/json")


def answer_polled(call: Call, value: object, *, created_at: int) -> Response:
    """A JSON answer that callers ask for until it is done, and when to ask again: SDKs wait a second otherwise."""
    age_s = call.runtime.clock.now() - created_at
    wait_ms = next((ms for up_to_s, ms in _POLL_STEPS if age_s < up_to_s), _POLL_OLD_MS)
    return answer(value, headers={"openai-poll-after-ms": str(wait_ms)})


def _too_large() -> RequestTooLargeError:
    return RequestTooLargeError(f"The request body is too large: at most {MAX_BODY_BYTES} bytes.")
