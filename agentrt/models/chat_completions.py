"""The chat-completions client: one POST, one streamed answer, from any OpenAI-compatible server.

Whatever it asked for, it reads what comes: a stream, a whole completion, an error page. Not here: retries (retry.py),
other models (fallback.py), limits (limits.py): they wrap a client. What chunks mean stands in completion_answer.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
from collections.abc import AsyncGenerator, AsyncIterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, cast

import msgspec

from agentrt.clock import Clock, SystemClock
from agentrt.errors import ModelError
from agentrt.http import network_errors
from agentrt.models.client import Chunk, ModelRequest
from agentrt.models.completion_body import AnswerBody
from agentrt.models.completion_request import LimitField, RequestShape, encode_request
from agentrt.models.dialects import Dialect, endpoint
from agentrt.models.failures import (
    ModelServer,
    connection_failure,
    read_words,
    status_failure,
)
from agentrt.models.retry import retry_after_s, server_wish
from agentrt.models.upstream import known_secrets, read_error_body

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

_DRAIN_S = 0.25
_WHOLE_ANSWER_S = 600.0
_REFUSED_STATUSES = frozenset({400, 422})
_MAX_CONCESSIONS = 3


class ChatCompletions:
    """One model of one server.

    http is shared and stays open (`agentrt.http.open_client`). model is the server's own name for the model, for azure
    the deployment; base_url, api_key, api_version as in `dialects.endpoint`. table is the [models.X] it comes from, for
    messages. timeout_s is the longest silence of the server; an answer that is not sent in pieces may take 10 minutes.
    limit_field None takes the dialect's.

    A server that refuses stream_options, parallel_tool_calls or the name of the token limit is asked again without;
    what it then accepted is kept for the life of this client.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        *,
        model: str,
        dialect: Dialect = "compatible",
        base_url: str | None = None,
        api_key: str | None = None,
        api_version: str | None = None,
        headers: Mapping[str, str] | None = None,
        table: str = "",
        timeout_s: float = 60.0,
        context_window: int | None = None,
        takes_images: bool = True,
        limit_field: LimitField | None = None,
        clock: Clock | None = None,
    ) -> None:
        import httpx as httpx_module

        place = endpoint(
            dialect, model=model, base_url=base_url, api_key=api_key, api_version=api_version, headers=headers
        )
        secrets = known_secrets(api_key, headers)
        self._http = http
        self._model = model
        self._context_window = context_window
        self._takes_images = takes_images
        self._clock = clock or SystemClock()
        self._silence_s = timeout_s
        self._server = ModelServer(place.shown_url, model, table, bool(api_key), secrets)
        self._shape = RequestShape(limit_field or place.limit_field)
        # Made once: parsing a URL and merging headers cost as much as sending the request.
        self._url = httpx_module.URL(place.url)
        # Compressed, a stream arrives in lumps.
        fixed = {"accept-encoding": "identity", "content-type": "application/json", "host": self._url.netloc.decode()}
        self._headers = httpx_module.Headers(fixed | place.headers)
        self._timeouts = {**http.timeout.as_dict(), "write": timeout_s}

    @property
    def context_window(self) -> int | None:
        return self._context_window

    @property
    def takes_images(self) -> bool:
        return self._takes_images

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        body = AnswerBody(self._server)
        # A whole answer comes after a silence as long as it takes to make it.
        timeout_s = self._silence_s if request.in_pieces else max(self._silence_s, _WHOLE_ANSWER_S)
        response = await self._open(request, timeout_s)
        try:
            async with aclosing(self._reads(response, body, timeout_s)) as reads:
                async for data in reads:
                    for chunk in body.feed(data):
                        yield chunk
                    if body.is_done:
                        await _drain(reads)
        finally:
            # First of all after a cancellation: this is what makes the server stop generating.
            await response.aclose()
        for chunk in body.end(is_delimited=_is_delimited(response)):
            yield chunk

    async def _open(self, request: ModelRequest, timeout_s: float) -> httpx.Response:
        """The head of the answer to the request; the caller closes it. Raises ModelError for any status but 2xx."""
        shape = self._shape
        for attempt in itertools.count():
            response = await self._send(encode_request(request, model=self._model, shape=shape), timeout_s)
            if response.is_success:
                if attempt:
                    self._shape = shape
                return response
            body = await read_error_body(response)
            words = read_words(body)
            next_shape = None
            if response.status_code in _REFUSED_STATUSES and attempt < _MAX_CONCESSIONS and not words.says_too_long:
                next_shape = shape.after_refusal(body.decode("utf-8", "replace"), request)
            if next_shape is None:
                raise self._refusal(response, body)
            log.info("model.concession", extra={"model": self._model, "shape": msgspec.structs.asdict(next_shape)})
            shape = next_shape
        raise AssertionError("unreachable: the loop ends by return or raise")

    async def _send(self, body: bytes, timeout_s: float) -> httpx.Response:
        import httpx

        timeouts = {"timeout": {**self._timeouts, "read": timeout_s}}
        # As a stream and not as content, for which httpx would work out headers that are known, for 60 µs.
        content = httpx.ByteStream(body)
        request = httpx.Request("POST", self._url, headers=self._headers, stream=content, extensions=timeouts)
        request.headers["content-length"] = str(len(body))
        request.read()  # a body that is at hand goes out with the head, in one packet
        try:
            return await self._http.send(request, stream=True)
        except network_errors() as error:
            raise connection_failure(self._server, error, timeout_s=timeout_s, n_chunks=None) from error

    async def _reads(self, response: httpx.Response, body: AnswerBody, timeout_s: float) -> AsyncGenerator[bytes, None]:
        """The body as it comes from the network. A connection that breaks after the finish reason is a normal end."""
        # httpx decodes in two more layers, which cost as much as the transport's; nothing is encoded that we asked for.
        is_encoded = "content-encoding" in response.headers
        data_stream = response.aiter_bytes() if is_encoded else cast("AsyncIterable[bytes]", response.stream)
        try:
            async for data in data_stream:
                yield data
        except network_errors() as error:
            if not body.is_complete:
                raise connection_failure(self._server, error, timeout_s=timeout_s, n_chunks=body.n_chunks) from error

    def _refusal(self, response: httpx.Response, body: bytes) -> ModelError:
        headers = response.headers
        return status_failure(
            self._server,
            response.status_code,
            body,
            retry_after_s=retry_after_s(headers, now=self._clock.now()),
            should_retry=server_wish(headers),
        )


async def _drain(reads: AsyncGenerator[bytes, None]) -> None:
    """Read to the end of the body, which lets the connection be used again; a server that never ends it loses it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_DRAIN_S):
            async for _ in reads:
                continue


def _is_delimited(response: httpx.Response) -> bool:
    headers = response.headers
    return "content-length" in headers or "chunked" in headers.get("transfer-encoding", "").lower()
