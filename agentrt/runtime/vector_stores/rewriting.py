"""What somebody asks → what is searched for: a model puts questions into the words of documents."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import aclosing
from typing import Final

from agentrt.engine.message import Message, Role, TextPart
from agentrt.errors import ModelError
from agentrt.models.client import ModelClient, ModelRequest, TextChunk
from agentrt.runtime.models import Models

log = logging.getLogger(__name__)

_WITHIN_S: Final = 20.0
_MOST_TOKENS: Final = 1000
_INSTRUCTIONS: Final = (
    "You turn questions into queries for a search engine over documents. Each line of the user's message is a "
    "question. Answer with one line for each, in the same order: the words that a passage with the answer would have. "
    "Keep names, numbers and terms as they are, stay in the question's language, leave out what only talks to "
    "somebody. Nothing else: no numbering, no quotation marks, no remarks."
)


class FirstModel:
    """Rewrites with the first model of the project, where nobody says which; without one, nothing is rewritten."""

    def __init__(self, models: Models) -> None:
        self._models = models

    async def __call__(self, queries: Sequence[str]) -> Sequence[str]:
        """See rewrite_queries."""
        name = self._models.first()
        return queries if name is None else await rewrite_queries(await self._models.find(name), name, queries)


async def rewrite_queries(client: ModelClient, model: str, queries: Sequence[str]) -> list[str]:
    """One query for each, by a model; what it was given when the model fails or answers something else."""
    lines = [" ".join(query.split()) for query in queries]
    request = ModelRequest(
        model=model,
        messages=(
            Message(role=Role.SYSTEM, parts=(TextPart(_INSTRUCTIONS),)),
            Message(role=Role.USER, parts=(TextPart("\n".join(lines)),)),
        ),
        max_completion_tokens=_MOST_TOKENS,
        in_pieces=False,
    )
    try:
        async with asyncio.timeout(_WITHIN_S):
            text = await _answer(client, request)
    except (ModelError, TimeoutError) as error:
        log.warning("search.not_rewritten", extra={"error": type(error).__name__})
        return list(queries)
    rewritten = [line.strip() for line in text.splitlines() if line.strip()]
    return rewritten if len(rewritten) == len(queries) else list(queries)


async def _answer(client: ModelClient, request: ModelRequest) -> str:
    async with aclosing(client.stream(request)) as chunks:
        return "".join([chunk.text async for chunk in chunks if isinstance(chunk, TextChunk)])
