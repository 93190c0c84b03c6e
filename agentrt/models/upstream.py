"""One POST to a model server, one whole answer: for everything that is not streamed.

Not here: what the JSON means, retries (retry.py) and limits (limits.py).
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import TYPE_CHECKING

from agentrt.clock import Clock, SystemClock
from agentrt.errors import ModelError
from agentrt.http import network_errors
from agentrt.models.dialects import Dialect, endpoint
from agentrt.models.failures import ModelServer, connection_failure, status_failure, unreadable_failure
from agentrt.models.retry import retry_after_s, server_wish

if TYPE_CHECKING:
    import httpx

_MAX_ERROR_BYTES = 64 * 1024
_MAX_ANSWER_BYTES = 64 * 1024 * 1024
_SHORTEST_SECRET = 8


class Upstream:
    """One endpoint of one model server. given: what the model reads, for messages.

    http is shared and stays open; the rest is as in ChatCompletions.
    """

    def __init__(
        self,
        http: httpx.AsyncClient,
        path: str,
        *,
        model: str,
        dialect: Dialect = "compatible",
        base_url: str | None = None,
        api_key: str | None = None,
        api_version: str | None = None,
        headers: Mapping[str, str] | None = None,
        table: str = "",
        timeout_s: float = 60.0,
        given: str = "The request",
        clock: Clock | None = None,
    ) -> None:
        place = endpoint(
            dialect,
            model=model,
            base_url=base_url,
            api_key=api_key,
            api_version=api_version,
            headers=headers,
            path=path,
        )
        self._http = http
        self._url = place.url
        self._headers = {**place.headers, "content-type": "application/json"}
        self._timeouts = {**http.timeout.as_dict(), "write": timeout_s, "read": timeout_s}
        self._timeout_s = timeout_s
        self._clock = clock or SystemClock()
        secrets = known_secrets(api_key, headers)
        self.server = ModelServer(place.shown_url, model, table, bool(api_key), secrets, given)

    async def post(self, body: bytes) -> bytes:
        """The answer's body. Raises ModelError for any status but 2xx."""
        import httpx

        request = httpx.Request(
            "POST", self._url, headers=self._headers, content=body, extensions={"timeout": self._timeouts}
        )
        try:
            response = await self._http.send(request, stream=True)
        except network_errors() as error:
            raise connection_failure(self.server, error, timeout_s=self._timeout_s, n_chunks=None) from error
        if not response.is_success:
            raise await self._refusal(response)
        return await self._read(response)

    async def _read(self, response: httpx.Response) -> bytes:
        body = bytearray()
        try:
            async for data in response.aiter_bytes():
                body += data
                if len(body) > _MAX_ANSWER_BYTES:
                    raise unreadable_failure(self.server, f"longer than {_MAX_ANSWER_BYTES} bytes", b"", n_chunks=0)
        except network_errors() as error:
            raise connection_failure(self.server, error, timeout_s=self._timeout_s, n_chunks=None) from error
        finally:
            await response.aclose()
        return bytes(body)

    async def _refusal(self, response: httpx.Response) -> ModelError:
        return status_failure(
            self.server,
            response.status_code,
            await read_error_body(response),
            retry_after_s=retry_after_s(response.headers, now=self._clock.now()),
            should_retry=server_wish(response.headers),
        )


async def read_error_body(response: httpx.Response) -> bytes:
    """The body of an error, as far as it comes: the status alone says enough. Closes the response."""
    body = b""
    try:
        with contextlib.suppress(*network_errors()):
            async for data in response.aiter_bytes():
                body += data
                if len(body) > _MAX_ERROR_BYTES:
                    break
    finally:
        await response.aclose()
    return body


def known_secrets(api_key: str | None, headers: Mapping[str, str] | None) -> tuple[str, ...]:
    """What must not stand in messages."""
    values = (api_key, *(headers or {}).values())
    return tuple(value for value in values if value and len(value) >= _SHORTEST_SECRET)
