"""The HTTP API as a careful customer uses it: any API node will do, and a connection that breaks says nothing about
what became of the request."""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeAlias

from agentrt.http import network_errors, open_client
from tests.compat.story import StreamEvent, read_stream

Json: TypeAlias = dict[str, Any]

_HEADERS = {"openai-beta": "assistants=v2", "authorization": "Bearer customer"}
_PATIENCE_S = 120.0
"""Longer than any node is frozen: a request to one is answered when it is thawed."""


class BrokenError(Exception):
    """The connection broke, or the server could not say (5xx): the request was carried out, or not."""


class RefusedError(Exception):
    """The server refused a stream (400)."""


class GoneError(Exception):
    """What the server has made is not there (404)."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: 200, or a refusal."""

    status: int
    body: Json

    @property
    def is_refusal(self) -> bool:
        return self.status != 200


class Api:
    """Talks to a node picked by dice, every time anew."""

    def __init__(self, urls: Sequence[str], dice: random.Random) -> None:
        self._urls = urls
        self._dice = dice
        self._http = open_client(read_timeout_s=_PATIENCE_S, max_connections=1024, trust_env=False)
        self._errors = network_errors()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def ask(self, method: str, path: str, body: Json | None = None) -> Answer:
        """One request. Raises BrokenError, GoneError."""
        try:
            answer = await self._http.request(method, self._url(path), json=body, headers=_HEADERS)
        except self._errors as error:
            raise BrokenError from error
        if answer.status_code >= 500:
            raise BrokenError(answer.text)
        if answer.status_code == 404:
            raise GoneError(path)
        return Answer(answer.status_code, answer.json())

    async def stream(
        self, method: str, path: str, body: Json | None = None, *, after: str | None = None, url: str | None = None
    ) -> AsyncGenerator[StreamEvent, None]:
        """The events of a stream up to `done`, which is left out. after: the id of the last event that was heard.

        Raises BrokenError when it breaks off, RefusedError, GoneError.
        """
        headers = _HEADERS if after is None else _HEADERS | {"last-event-id": after}
        try:
            async with self._http.stream(method, self._url(path, url), json=body, headers=headers) as answer:
                if answer.status_code >= 400:
                    text = (await answer.aread()).decode()
                    if answer.status_code == 404:
                        raise GoneError(path)
                    raise BrokenError(text) if answer.status_code >= 500 else RefusedError(text)
                async with aclosing(_events(answer.aiter_bytes())) as events:
                    async for event in events:
                        if event.name == "done":
                            return
                        yield event
        except self._errors as error:
            raise BrokenError from error
        raise BrokenError("the stream ended without done")

    def _url(self, path: str, url: str | None = None) -> str:
        return f"{url or self._dice.choice(self._urls)}/v1{path}"


async def _events(pieces: AsyncIterator[bytes]) -> AsyncGenerator[StreamEvent, None]:
    block = b""
    async for piece in pieces:
        block += piece
        end = block.rfind(b"\n\n")
        if end >= 0:
            for event in read_stream(block[: end + 2]):
                if event.name == "error":
                    raise BrokenError(str(event.data))
                yield event
            block = block[end + 2 :]
