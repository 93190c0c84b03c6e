"""QuestionVectors: the vectors of questions, by whichever models the stores are searched by."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from agentrt.clock import Clock
from agentrt.errors import ModelError
from agentrt.models.embeddings import Embedder, Vector
from agentrt.retrieval.search import Question
from agentrt.runtime.vector_stores.resting import Rest

log = logging.getLogger(__name__)

WITHIN_S: Final = 10.0
"""How long somebody who searches waits for the embedding model; after that, words must do."""

_REMEMBERED: Final = 1000


class Embedded(msgspec.Struct, frozen=True):
    """questions: with a vector by every model that has made one. models: those. why_not: what kept another from it."""

    questions: list[Question]
    models: tuple[str, ...] = ()
    why_not: str | None = None


class QuestionVectors:
    """Embeds questions, and remembers the last ones. find: the embedder whose vectors have that name, if there is.

    One that is away or too slow is left alone for a while.
    """

    def __init__(
        self,
        find: Callable[[str], Embedder | None],
        *,
        clock: Clock,
        within_s: float = WITHIN_S,
        remembers: int = _REMEMBERED,
    ) -> None:
        self._find = find
        self._clock = clock
        self._rests: dict[str, Rest] = {}
        self._within_s = within_s
        self._remembers = remembers
        self._remembered: OrderedDict[tuple[str, str], Vector] = OrderedDict()

    async def embed(self, queries: Sequence[str], models: Sequence[str]) -> Embedded:
        """Embed queries by models. Never fails: without its vectors, a store is searched by words."""
        vectors: list[dict[str, Vector]] = [{} for _ in queries]
        used: list[str] = []
        why_not: str | None = None
        for model in models:
            try:
                found = await self._by_model(model, queries)
            except ModelError as error:
                why_not = error.message
                log.warning("search.not_embedded", extra={"model": model, "reason": error.reason})
                continue
            used.append(model)
            for own, vector in zip(vectors, found, strict=True):
                own[model] = vector
        questions = [Question(query, own) for query, own in zip(queries, vectors, strict=True)]
        return Embedded(questions, tuple(used), why_not)

    async def _by_model(self, model: str, queries: Sequence[str]) -> list[Vector]:
        # Taken out now: while the model is asked, other searches may push them out.
        found = {query: self._remembered.get((model, query)) for query in queries}
        missing = [query for query, vector in found.items() if vector is None]
        if missing:
            found.update(zip(missing, await self._ask(model, missing), strict=True))
        vectors = {query: vector for query, vector in found.items() if vector is not None}
        for query, vector in vectors.items():
            self._remembered[model, query] = vector
            self._remembered.move_to_end((model, query))
        while len(self._remembered) > self._remembers:
            self._remembered.popitem(last=False)
        return [vectors[query] for query in queries]

    async def _ask(self, model: str, queries: Sequence[str]) -> Sequence[Vector]:
        embedder = self._find(model)
        if embedder is None:
            raise ModelError(f"No model in agents.toml makes the vectors of {model}.")
        rest = self._rests.setdefault(model, Rest(self._clock))
        why_not = rest.why_not()
        if why_not is not None:
            raise ModelError(why_not)
        try:
            async with asyncio.timeout(self._within_s):
                return await embedder.embed(queries, as_="query")
        except TimeoutError:
            error = ModelError(f"The embedding model {model} did not answer within {self._within_s:g} s.")
            rest.begin(error)
            raise error from None
        except ModelError as error:
            if error.is_retryable:
                rest.begin(error)
            raise
