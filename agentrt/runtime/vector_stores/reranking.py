"""PassageJudge: what a reranker says of the passages that a search has found, within the time that a search has."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

import msgspec

from agentrt.clock import Clock
from agentrt.errors import ModelError
from agentrt.models.batches import at_once
from agentrt.models.reranking import Reranker
from agentrt.retrieval.tokens import estimate_tokens
from agentrt.retrieval.windows import windows

log = logging.getLogger(__name__)

REST_S: Final = 30.0
"""How long a reranker that is away or too slow is not asked: every search would wait for it in vain."""


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """scores: from 0 to 1, of the passages in their order; None: there are none, and why_not says why."""

    scores: list[float] | None = None
    why_not: str | None = None


class PassageJudge:
    """Asks a reranker; its failures are told, and done without."""

    def __init__(self, reranker: Reranker, clock: Clock) -> None:
        self._reranker = reranker
        self._clock = clock
        self._rests_until = float("-inf")
        self._why_it_rests = ""

    @property
    def name(self) -> str:
        return self._reranker.name

    @property
    def candidates(self) -> int:
        return self._reranker.candidates

    async def judge(self, queries: Sequence[str], passages: Sequence[str]) -> Judgement:
        """A passage counts by the query that it answers best. Never fails."""
        if not passages:
            return Judgement()
        rest_s = self._rests_until - self._clock.monotonic()
        if rest_s > 0:
            return Judgement(why_not=f"{self._why_it_rests} It is asked again in {rest_s:.0f} s.")
        try:
            async with asyncio.timeout(self._reranker.within_s):
                size = self._room(queries)
                parts = [windows(passage, size) for passage in passages]
                of_each = await at_once(lambda query: self._read(query, parts), queries)
        except TimeoutError:
            reader = self._reranker
            error = ModelError(f"The reranker {reader.name} did not answer within {reader.within_s:g} s.")
            return self._failed(error, rests=True)
        except ModelError as error:
            return self._failed(error, rests=error.is_retryable)
        return Judgement(scores=[max(scores) for scores in zip(*of_each, strict=True)])

    def _room(self, queries: Sequence[str]) -> int | None:
        """The tokens that are left to a passage beside the longest query: at least half of what is read at once."""
        size = self._reranker.window_tokens
        return None if size is None else max(size - max(map(estimate_tokens, queries)), size // 2)

    async def _read(self, query: str, parts: Sequence[Sequence[str]]) -> list[float]:
        """What is said of the passages, which are given in parts: of each, what is said of its best one."""
        said = iter(await self._reranker.rerank(query, [part for passage in parts for part in passage]))
        return [max(next(said) for _ in passage) for passage in parts]

    def _failed(self, error: ModelError, *, rests: bool) -> Judgement:
        log.warning(
            "search.not_reranked",
            extra={"model": self._reranker.name, "reason": error.reason, "status": error.http_status},
        )
        if rests:
            self._rests_until = self._clock.monotonic() + REST_S
            self._why_it_rests = error.message
        return Judgement(why_not=error.message)
