"""Trying again: which failures, when, for how long; and the client that does it.

An answer is never begun twice: after the first chunk a failure is the caller's to see.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing

import msgspec

from agentrt.clock import Clock, SystemClock
from agentrt.errors import ModelError
from agentrt.models.client import Chunk, ModelClient, ModelRequest

log = logging.getLogger(__name__)


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
        waited_s = 0.0
        for attempt in itertools.count():
            has_begun = False
            try:
                async with aclosing(self._client.stream(request)) as chunks:
                    async for chunk in chunks:
                        has_begun = True
                        yield chunk
                return
            except ModelError as error:
                jitter = self._jitter()
                delay_s = self._policy.delay_s(error, attempt=attempt, waited_s=waited_s, jitter=jitter)
                if has_begun or delay_s is None:
                    raise
                log.info(
                    "model.retry",
                    extra={"model": request.model, "attempt": attempt + 1, "reason": error.reason}
                    | {"status": error.http_status, "wait_ms": round(delay_s * 1000)},
                )
            await self._clock.sleep(delay_s)
            waited_s += delay_s


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
