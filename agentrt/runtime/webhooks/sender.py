"""Sender: one signed POST, and what came of it. Whether it is tried again is decided elsewhere (retries.py)."""

from __future__ import annotations

import asyncio
import base64
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit, urlunsplit

import msgspec

from agentrt.clock import Clock
from agentrt.config.schema import WebhookSpec
from agentrt.http import network_errors, open_client
from agentrt.models.retry import retry_after_s
from agentrt.runtime.turn import storable
from agentrt.runtime.webhooks.signature import signed_headers
from agentrt.secret import MASK, redact
from agentrt.store.webhook_deliveries import Attempt
from agentrt.version import __version__

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

_KEPT_BYTES: Final = 1024
"""How much of an answer is read and kept. Nobody needs more to see what went wrong."""


class Outcome(msgspec.Struct, frozen=True):
    """An attempt, and how long the receiver wants to be left alone (`Retry-After`), None when it did not say."""

    attempt: Attempt
    wish_s: float | None = None


class Sender:
    """Sends to endpoints, over one client that is opened when it is first needed. Redirects are not followed."""

    def __init__(self, *, clock: Clock) -> None:
        self._clock = clock
        self._client: httpx.AsyncClient | None = None

    async def send(self, spec: WebhookSpec, *, event_id: str, payload: str) -> Outcome:
        """Post an event to an endpoint that is available. Never raises for what the network or the receiver does."""
        at, began = self._clock.now(), self._clock.monotonic()
        answer = _Answer()
        error: str | None = None
        try:
            async with asyncio.timeout(spec.timeout_s):
                await self._post(spec, event_id, payload.encode(), at, answer)
        except network_errors() as problem:  # a timeout is one of them
            # A receiver that has said its status has answered, whatever becomes of the rest.
            error = None if answer.status is not None else _why(problem, spec.timeout_s)
        attempt = Attempt(
            at=at,
            duration_ms=round((self._clock.monotonic() - began) * 1000),
            http_status=answer.status,
            body=_hidden(spec, answer.body.decode("utf-8", "replace")),
            error=error and _hidden(spec, error),
        )
        return Outcome(attempt, answer.wish_s)

    async def close(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _post(self, spec: WebhookSpec, event_id: str, body: bytes, at: float, answer: _Answer) -> None:
        if self._client is None:
            self._client = open_client()
        headers = {
            "content-type": "application/json",
            "user-agent": f"agentrt/{__version__}",
            "accept-encoding": "identity",  # a compressed answer may be far larger than it looks
            **signed_headers(spec.secrets, event_id=event_id, at=at, body=body),
        }
        url, login = _without_login(spec.url.reveal())
        if login:
            headers["authorization"] = f"Basic {base64.b64encode(unquote(login).encode()).decode()}"
        request = self._client.build_request("POST", url, content=body, headers=headers, timeout=spec.timeout_s)
        response = await self._client.send(request, stream=True)
        try:
            answer.status = response.status_code
            answer.wish_s = retry_after_s(response.headers, now=at)
            async with aclosing(_raw(response)) as pieces:
                async for piece in pieces:
                    answer.body += piece[: _KEPT_BYTES - len(answer.body)]
                    if len(answer.body) >= _KEPT_BYTES:
                        break
        finally:
            await response.aclose()


def _without_login(url: str) -> tuple[str, str]:
    """The URL and the `user:password` in it: httpx-aiohttp would send that twice, and aiohttp refuses to."""
    parts = urlsplit(url)
    login, _, host = parts.netloc.rpartition("@")
    return urlunsplit(parts._replace(netloc=host)), login


class _Answer:
    """What has come back so far."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.wish_s: float | None = None
        self.body = b""


async def _raw(response: httpx.Response) -> AsyncGenerator[bytes, None]:
    async for piece in response.aiter_raw():
        yield piece


def _why(error: Exception, timeout_s: float) -> str:
    """In words for whoever looks after the receiver."""
    import aiohttp

    # httpx-aiohttp maps several of aiohttp's classes to one of httpx's: what really happened is the cause.
    cause = error if isinstance(error, TimeoutError) else error.__cause__ or error
    match cause:
        case aiohttp.ClientConnectorCertificateError():
            return f"the certificate is not trusted: {_detail(cause)}"
        case aiohttp.ClientConnectorDNSError():
            return "the host's name cannot be resolved"
        case aiohttp.ClientConnectorError():
            return f"cannot connect: {_detail(cause)}"
        case TimeoutError():
            return f"no answer within {timeout_s:g} s"
        case aiohttp.ServerDisconnectedError() | ConnectionError():
            return "the connection was closed before an answer came"
    return f"{type(cause).__name__}: {_detail(cause)}".removesuffix(": ")


def _detail(error: BaseException) -> str:
    reason = getattr(error, "os_error", None) or getattr(error, "certificate_error", None) or error
    # asyncio's own text is `Connect call failed ('127.0.0.1', 80)`; the system's says why.
    if isinstance(reason, ConnectionError) and reason.errno:
        return os.strerror(reason.errno).lower()
    return str(getattr(reason, "strerror", None) or reason)


def _hidden(spec: WebhookSpec, text: str) -> str:
    """The text without what only the endpoint's owner should know, and fit for every database."""
    parts = urlsplit(spec.url.reveal())
    password = parts.password or ""
    for secret in (*(secret.reveal() for secret in spec.secrets), password, unquote(password), parts.query):
        if secret:
            text = text.replace(secret, MASK)
    return storable(redact(text))
