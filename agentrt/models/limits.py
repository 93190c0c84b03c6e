"""Staying inside a model's limits: calls at once, requests and tokens a minute; `limits` of [models.*].

These are ours, kept in this process; what the server itself refuses is retry.py's.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing, asynccontextmanager

import msgspec

from agentrt.clock import Clock, SystemClock
from agentrt.engine.tokens import estimate_tokens
from agentrt.errors import ModelError
from agentrt.models.client import Chunk, EndChunk, ModelClient, ModelRequest

_BURST_S = 10.0


class ModelLimits(msgspec.Struct, frozen=True, kw_only=True):
    """None = no limit. concurrent: answers streaming at once. max_wait_s: how long a call may wait for each of them."""

    concurrent: int | None = None
    rpm: int | None = None
    tpm: int | None = None
    max_wait_s: float = 60.0


class Limited:
    """A client that waits for its turn and fails with `rate_limit_exceeded` when that would take too long.

    table: the model's [models.X] name, for messages.
    """

    def __init__(
        self, client: ModelClient, limits: ModelLimits, *, clock: Clock | None = None, table: str = ""
    ) -> None:
        self._client = client
        self._counts_tokens = limits.tpm is not None
        self._allowance = Allowance(limits, clock=clock, table=table)

    @property
    def context_window(self) -> int | None:
        return self._client.context_window

    @property
    def takes_images(self) -> bool:
        return self._client.takes_images

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        estimate = sum(map(estimate_tokens, request.messages)) if self._counts_tokens else 0
        async with self._allowance.take(estimate), aclosing(self._client.stream(request)) as chunks:
            async for chunk in chunks:
                if isinstance(chunk, EndChunk) and chunk.usage is not None:
                    self._allowance.correct(estimate, chunk.usage.total_tokens)
                yield chunk


class Allowance:
    """What calls of one model may take, all together. table: as in Limited."""

    def __init__(self, limits: ModelLimits, *, clock: Clock | None = None, table: str = "") -> None:
        clock = clock or SystemClock()
        self._limits = limits
        self._clock = clock
        self._owner = f"[models.{table}]" if table else "this model"
        self._places = asyncio.Semaphore(limits.concurrent) if limits.concurrent is not None else None
        self._requests = _Bucket(limits.rpm, clock) if limits.rpm is not None else None
        self._tokens = _Bucket(limits.tpm, clock) if limits.tpm is not None else None

    @asynccontextmanager
    async def take(self, n_tokens: int) -> AsyncGenerator[None, None]:
        """Wait until a call of about so many tokens may begin, and hold its place until it has ended.

        Raises ModelError (`rate_limit_exceeded`).
        """
        async with self._place():
            await self._take(self._requests, 1, "rpm")
            await self._take(self._tokens, n_tokens, "tpm")
            yield

    def correct(self, estimated: int, used: int) -> None:
        """Say how many tokens a call that was let in for `estimated` has used."""
        if self._tokens:
            self._tokens.give_back(estimated - used)

    @asynccontextmanager
    async def _place(self) -> AsyncGenerator[None, None]:
        """Hold one of the places for as long as the answer streams."""
        if self._places is None:
            yield
            return
        try:
            async with asyncio.timeout(self._limits.max_wait_s):
                await self._places.acquire()
        except TimeoutError:
            text = f"All {self._limits.concurrent} places of {self._owner} (limits.concurrent) stayed taken"
            raise self._too_long(text, None) from None
        try:
            yield
        finally:
            self._places.release()

    async def _take(self, bucket: _Bucket | None, amount: int, limit: str) -> None:
        if bucket is None:
            return
        wait_s = bucket.reserve(amount, max_wait_s=self._limits.max_wait_s)
        if wait_s is None:
            text = f"The limit of {self._owner} (limits.{limit}) is used up"
            raise self._too_long(text, bucket.wait_s(amount))
        if wait_s:
            try:
                await self._clock.sleep(wait_s)
            except asyncio.CancelledError:
                bucket.give_back(amount)
                raise

    def _too_long(self, text: str, retry_after_s: float | None) -> ModelError:
        text = f"{text} for {self._limits.max_wait_s:g} s."
        return ModelError(text, reason="rate_limit_exceeded", retry_after_s=retry_after_s)


class _Bucket:
    """Tokens that flow in steadily; who takes more than there is leaves a debt and waits until it is paid.

    The bucket holds 10 seconds' worth: a full minute's would let two minutes' worth out in the first one.
    """

    def __init__(self, per_minute: int, clock: Clock) -> None:
        self._per_second = per_minute / 60
        self._size = max(1.0, self._per_second * _BURST_S)
        self._level = self._size
        self._clock = clock
        self._filled_at = clock.monotonic()

    def wait_s(self, amount: int) -> float:
        """Seconds until `amount` could be taken. More than the bucket holds needs a full one."""
        now = self._clock.monotonic()
        self._level = min(self._size, self._level + (now - self._filled_at) * self._per_second)
        self._filled_at = now
        return max(0.0, (min(amount, self._size) - self._level) / self._per_second)

    def reserve(self, amount: int, *, max_wait_s: float) -> float | None:
        """Take `amount` and say how long to wait before using it; None, and nothing taken, when that is too long."""
        wait_s = self.wait_s(amount)
        if wait_s > max_wait_s:
            return None
        self._level -= amount
        return wait_s

    def give_back(self, amount: int) -> None:
        """Correct a reservation: what was not used after all, or (negative) what was used beyond it."""
        self._level = min(self._size, self._level + amount)
