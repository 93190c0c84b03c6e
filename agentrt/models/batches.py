"""What calls that send many texts have in common: batches, several of them at once, and fields that not every server
takes.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Final, TypeVar

from agentrt.engine.tokens import BYTES_PER_TOKEN, size_bytes
from agentrt.errors import ModelError
from agentrt.models.upstream import Upstream

log = logging.getLogger(__name__)

AT_ONCE: Final = 4
"""Requests at once when `limits.concurrent` does not say."""

# OpenAI takes 300,000 tokens in one request, others 120,000. Ours is an estimate.
_BATCH_TOKENS: Final = 60_000
_REFUSED: Final = (400, 422)

InputT = TypeVar("InputT", str, "str | tuple[int, ...]")
BatchT = TypeVar("BatchT")
ResultT = TypeVar("ResultT")


def batches(inputs: Sequence[InputT], most: int) -> Iterator[Sequence[InputT]]:
    """The inputs in order, in as few requests as a server is sure to take, of `most` inputs at most."""
    begin = n_tokens = 0
    for place, one in enumerate(inputs):
        more = about_tokens(one)
        if place > begin and (place - begin >= most or n_tokens + more > _BATCH_TOKENS):
            yield inputs[begin:place]
            begin, n_tokens = place, 0
        n_tokens += more
    if begin < len(inputs):
        yield inputs[begin:]


def about_tokens(one: str | tuple[int, ...]) -> int:
    return int(size_bytes(one) / BYTES_PER_TOKEN) + 1 if isinstance(one, str) else len(one)


async def at_once(ask: Callable[[BatchT], Awaitable[ResultT]], given: Sequence[BatchT]) -> list[ResultT]:
    """What each is answered with, in their order. The first failure ends the others, and is raised as it is."""
    if len(given) == 1:
        return [await ask(given[0])]

    async def one(batch: BatchT) -> ResultT:
        return await ask(batch)

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(batch)) for batch in given]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


class OptionalField:
    """A field of the requests to one server: when it is refused, they go without it from then on."""

    def __init__(self, upstream: Upstream, field: str) -> None:
        self._upstream = upstream
        self._field = field
        self._is_taken = True

    async def post(self, body: Callable[[bool], bytes]) -> bytes:
        """The answer to the body, made with the field or without it. Raises ModelError."""
        had_it = self._is_taken
        try:
            return await self._upstream.post(body(had_it))
        except ModelError as error:
            if not (had_it and error.http_status in _REFUSED and self._field in error.message):
                raise
        if self._is_taken:  # others that were under way at the same time may have found out first
            self._is_taken = False
            log.info("model.concession", extra={"model": self._upstream.server.model, "shape": {self._field: None}})
        return await self._upstream.post(body(False))
