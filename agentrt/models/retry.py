"""Trying again: which failures, when, for how long; and the client that does it.

An answer is never begun twice: after the first chunk a failure is the caller's to see.
"""

from __future__ import annotations

import logging
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import TypeVar

import msgspec

from agentrt.clock import Clock, SystemClock
from agentrt.errors import ModelError
from agentrt.models.client import Chunk, ModelClient, ModelRequest

log = logging.getLogger(__name__)

ResultT = TypeVar("ResultT")


class RetryPolicy(msgspec.Struct, frozen=True):
    """retries counts the attempts after the first; the waits between them never add up to more than max_wait_s."""

    retries: int = 3
    first_delay_s: float = 0.5
    max_delay_s: float = 8.0
    max_wait_s: float = 60.0

    def delay_s(self, error: ModelError, *, attempt: int, waited_s: float, jitter: float) -> float | None:
        """How long to wait after the failure of `attempt` (0 = the first); None = give up.

        jitter in 0..1 takes up to a quarter off, so that clients that failed together do not return together.
        A server that asks for a longer wait than is left is not asked again: it would only refuse once more.
        """
        if attempt >= self.retries or not error.is_retryable:
            return None
        delay = min(self.first_delay_s * 2**attempt, self.max_delay_s) * (1 - jitter / 4)
        if error.retry_after_s is not None:
            delay = max(delay, error.retry_after_s)
        return delay if waited_s + delay <= self.max_wait_s else None


class Retrying:
    """A client that tries again what failed before the first chunk."""

    def __init__(
        self,
        client: ModelClient,
        policy: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        *,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._client = client
        self._policy = policy
        self._clock = clock or SystemClock()
        self._jitter = jitter

    @property
    def context_window(self) -> int | None:
        return self._client.context_window

    @property
    def takes_images(self) -> bool:
        return self._client.takes_images

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        attempts = Attempts(self._policy, model=request.model, clock=self._clock, jitter=self._jitter)
        while True:
            has_begun = False
            try:
                async with aclosing(self._client.stream(request)) as chunks:
                    async for chunk in chunks:
                        has_begun = True
                        yield chunk
                return
            except ModelError as error:
                if has_begun:
                    raise
                delay_s = attempts.delay_s(error)
                if delay_s is None:
                    raise
            await self._clock.sleep(delay_s)


class Attempts:
    """The attempts of one call. model: for the log."""

    def __init__(
        self,
        policy: RetryPolicy,
        *,
        model: str,
        clock: Clock,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._policy = policy
        self._model = model
        self._clock = clock
        self._jitter = jitter
        self._n_failed = 0
        self._waited_s = 0.0

    async def make(self, attempt: Callable[[], Awaitable[ResultT]]) -> ResultT:
        """What an attempt returns: the first one or, after failures that pass, a later one. Raises ModelError."""
        while True:
            try:
                return await attempt()
            except ModelError as error:
                delay_s = self.delay_s(error)
                if delay_s is None:
                    raise
            await self._clock.sleep(delay_s)

    def delay_s(self, error: ModelError) -> float | None:
        """How long to wait after an attempt has failed so; None = give up."""
        delay_s = self._policy.delay_s(error, attempt=self._n_failed, waited_s=self._waited_s, jitter=self._jitter())
        if delay_s is None:
            return None
        self._n_failed += 1
        self._waited_s += delay_s
        log.info(
            "model.retry",
            extra={"model": self._model, "attempt": self._n_failed, "reason": error.reason}
            | {"status": error.http_status, "wait_ms": round(delay_s * 1000)},
        )
        return delay_s


def retry_after_s(headers: Mapping[str, str], *, now: float) -> float | None:
    """Seconds that `retry-after-ms` or `Retry-After` (seconds or an HTTP date) ask for; None when absent or nonsense.

    now: Unix time, for the date. Source: RFC 9110, 10.2.3; `retry-after-ms` is OpenAI's and Azure's.
    """
    ms = _number(headers.get("retry-after-ms"))
    if ms is not None:
        return ms / 1000
    asked = headers.get("retry-after")
    seconds = _number(asked)
    if seconds is not None or asked is None:
        return seconds
    from email.utils import parsedate_to_datetime  # 15 ms that few processes ever need

    try:
        return max(0.0, parsedate_to_datetime(asked).timestamp() - now)
    except ValueError:
        return None


def server_wish(headers: Mapping[str, str]) -> bool | None:
    """`x-should-retry`: the server's own opinion, which goes before the status. None when it has none."""
    return {"true": True, "false": False}.get(headers.get("x-should-retry", "").lower())


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
