"""PassageJudge: what a reranker says of the passages that a search has found, within the time that a search has."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Sequence

import msgspec

from agentrt.clock import Clock
from agentrt.errors import ModelError
from agentrt.models.batches import at_once
from agentrt.models.reranking import Reranker
from agentrt.retrieval.tokens import estimate_tokens
from agentrt.retrieval.windows import windows
from agentrt.runtime.vector_stores.resting import Rest

log = logging.getLogger(__name__)


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """scores: from 0 to 1, of the passages in their order; None: there are none, and why_not says why."""

    scores: list[float] | None = None
    why_not: str | None = None


class PassageJudge:
    """Asks a reranker; its failures are told, and done without."""

    def __init__(self, reranker: Reranker, clock: Clock) -> None:
        self._reranker = reranker
        self._rest = Rest(clock)

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
        why_not = self._rest.why_not()
        if why_not is not None:
            return Judgement(why_not=why_not)
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
        asked = [part for passage in parts for part in passage]
        scores = await self._reranker.rerank(query, asked)
        # It may be the program's own.
        if len(scores) != len(asked) or not all(map(math.isfinite, scores)):
            name = self._reranker.name
            raise ModelError(f"The reranker {name} gave no score for each passage: {len(scores)} for {len(asked)}.")
        said = iter(scores)
        return [max(next(said) for _ in passage) for passage in parts]

    def _failed(self, error: ModelError, *, rests: bool) -> Judgement:
        log.warning(
            "search.not_reranked",
            extra={"model": self._reranker.name, "reason": error.reason, "status": error.http_status},
        )
        if rests:
            self._rest.begin(error)
        return Judgement(why_not=error.message)
