"""A reranker of any server with `/rerank`: in batches, several at once, with limits and retries.

Cohere's shape is what most speak (Jina, Voyage, vLLM, llama.cpp, LocalAI, Infinity); text-embeddings-inference has its
own. What a server sends is not trusted: an answer that does not judge every passage once, or with numbers that are
none, is an error.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from agentrt.clock import Clock, SystemClock
from agentrt.config.search_schema import RerankApi, RerankScores
from agentrt.errors import ModelError
from agentrt.models.batches import AT_ONCE, OptionalField, about_tokens, at_once, batches
from agentrt.models.failures import unreadable_failure
from agentrt.models.limits import Allowance, ModelLimits
from agentrt.models.retry import Attempts, RetryPolicy
from agentrt.models.upstream import Upstream

_BATCH: Final[dict[RerankApi, int]] = {"cohere": 100, "tei": 32}  # Cohere bills by the hundred; TEI takes 32 by itself
_ABOVE_ONE: Final = 1e-3  # what half precision makes of a 1
_MAX_SHOWN_BYTES: Final = 2_000


class RerankSettings(msgspec.Struct, frozen=True, kw_only=True):
    """candidates, window_tokens, within_s: as in Reranker. api: whose requests the server reads.

    scores: what it sends. `auto`: logits from the first time that one is not between 0 and 1; other answers are taken
    as they are. batch: passages
    in one request, at most; None = as the api's servers take them.
    """

    candidates: int = 50
    window_tokens: int | None = None
    within_s: float = 10.0
    api: RerankApi = "cohere"
    scores: RerankScores = "auto"
    batch: int | None = None


class _Item(msgspec.Struct):
    index: int
    relevance_score: float | None = None
    score: float | None = None

    @property
    def said(self) -> float | None:
        return self.score if self.relevance_score is None else self.relevance_score


class _Usage(msgspec.Struct):
    total_tokens: int | None = None


class _Answer(msgspec.Struct):
    """Cohere's name for the list, or Voyage's."""

    results: list[_Item] | None = None
    data: list[_Item] | None = None
    usage: _Usage | None = None


_decode: Callable[[bytes], _Answer | list[_Item]] = msgspec.json.Decoder(_Answer | list[_Item]).decode


class RerankServer:
    """One reranker of one server; a Reranker. name: as agents.toml has it; the server's name is the upstream's."""

    def __init__(
        self,
        upstream: Upstream,
        *,
        name: str,
        settings: RerankSettings = RerankSettings(),  # noqa: B008 - frozen
        retry: RetryPolicy = RetryPolicy(),  # noqa: B008 - frozen
        limits: ModelLimits = ModelLimits(),  # noqa: B008 - frozen
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self.candidates = settings.candidates
        self.window_tokens = settings.window_tokens
        self.within_s = settings.within_s
        self._upstream = upstream
        self._model = upstream.server.model
        self._settings = settings
        self._batch = settings.batch or _BATCH[settings.api]
        # What would come too late for the search that asks need not be waited for.
        self._retry = msgspec.structs.replace(retry, max_wait_s=min(retry.max_wait_s, settings.within_s))
        self._clock = clock or SystemClock()
        self._jitter = jitter
        own = msgspec.structs.replace(limits, concurrent=limits.concurrent or AT_ONCE, max_wait_s=settings.within_s)
        self._allowance = Allowance(own, clock=self._clock, table=upstream.server.table)
        # Some servers want to be told how many to send back, Voyage refuses to be.
        self._top_n = OptionalField(upstream, "top_n")
        self._are_logits = settings.scores == "logits"

    async def rerank(self, query: str, passages: Sequence[str]) -> list[float]:
        """As Reranker.rerank."""
        asked = list(batches(passages, self._batch))
        found = await at_once(lambda batch: self._judge(query, batch), asked)
        scores = [score for batch in found for score in batch]
        odd = next((score for score in scores if not 0 <= score <= 1 + _ABOVE_ONE), None)
        if odd is not None and self._settings.scores == "probabilities":
            setting = self._upstream.server.setting("rerank.scores")
            raise ModelError(
                f"The model server {self._upstream.server.url} sent a score of {odd:g}, which is no probability. "
                f"Take out {setting}."
            )
        self._are_logits = self._are_logits or odd is not None
        return [_sigmoid(score) if self._are_logits else min(1.0, max(0.0, score)) for score in scores]

    async def _judge(self, query: str, passages: Sequence[str]) -> list[float]:
        attempts = Attempts(self._retry, model=self._model, clock=self._clock, jitter=self._jitter)
        return await attempts.make(lambda: self._ask(query, passages))

    async def _ask(self, query: str, passages: Sequence[str]) -> list[float]:
        estimate = len(passages) * about_tokens(query) + sum(map(about_tokens, passages))
        async with self._allowance.take(estimate):
            data = await self._post(query, passages)
        answer = self._read(data)
        scores = self._in_order(answer.results or answer.data or [], len(passages), data)
        used = None if answer.usage is None else answer.usage.total_tokens
        self._allowance.correct(estimate, used or estimate)
        return scores

    async def _post(self, query: str, passages: Sequence[str]) -> bytes:
        def body(says_top_n: bool) -> bytes:
            if self._settings.api == "tei":
                return msgspec.json.encode({"query": query, "texts": passages, "truncate": True, "raw_scores": False})
            fields: dict[str, object] = {"model": self._model, "query": query, "documents": passages}
            if says_top_n:
                fields["top_n"] = len(passages)
            return msgspec.json.encode(fields)

        try:
            return await self._top_n.post(body)
        except ModelError as error:
            raise self._with_advice(error)  # noqa: B904 - it is the error, in more words

    def _with_advice(self, error: ModelError) -> ModelError:
        """Which setting helps, where the server's words tell."""
        setting = self._upstream.server.setting
        if error.code == "context_length_exceeded":
            advice = f"Set {setting('rerank.window_tokens')} to what it reads at once."
        elif self._settings.api == "cohere" and "`texts`" in error.message:
            advice = f'It seems to be text-embeddings-inference: set {setting("rerank.api")} to "tei".'
        elif self._settings.api == "tei" and "documents" in error.message:
            advice = f"It is no text-embeddings-inference: take out {setting('rerank.api')}."
        else:
            return error
        return ModelError(
            f"{error.message} {advice}",
            reason=error.reason,
            http_status=error.http_status,
            code=error.code,
            is_retryable=error.is_retryable,
        )

    def _read(self, data: bytes) -> _Answer:
        try:
            found = _decode(data)
        except msgspec.DecodeError:
            raise self._unreadable("not a list of scores", data) from None
        answer = found if isinstance(found, _Answer) else _Answer(results=found)
        if answer.results is None and answer.data is None:
            raise self._unreadable("without results", data)
        return answer

    def _in_order(self, items: Sequence[_Item], n: int, data: bytes) -> list[float]:
        """The scores by the numbers of their passages; the server sends the best first."""
        if len(items) != n:
            raise self._unreadable(f"{len(items)} scores for {n} passages", data)
        scores = {item.index: item.said for item in items}
        if scores.keys() != set(range(n)):
            raise self._unreadable("numbered in no order", data)
        found = [score for _, score in sorted(scores.items()) if score is not None and math.isfinite(score)]
        if len(found) != n:
            raise self._unreadable("a list with scores that are none", data)
        return found

    def _unreadable(self, why: str, data: bytes) -> ModelError:
        return unreadable_failure(self._upstream.server, why, data[:_MAX_SHOWN_BYTES], n_chunks=0)


def _sigmoid(logit: float) -> float:
    """0..1 in the same order; written so that no large number overflows."""
    if logit >= 0:
        return 1 / (1 + math.exp(-logit))
    shrunk = math.exp(logit)
    return shrunk / (1 + shrunk)
