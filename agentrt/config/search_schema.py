"""What agents.toml means of searching, frozen: the rest of schema.py, as far as models for search are concerned."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

RerankApi: TypeAlias = Literal["cohere", "tei"]
RerankScores: TypeAlias = Literal["auto", "probabilities", "logits"]


class EmbeddingSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What is special about a model that makes vectors. dimensions: to ask for, None = its own. batch: texts at once.

    window_tokens: longer texts are embedded in parts, None = whole (of minilm: its own size).
    """

    dimensions: int | None = None
    window_tokens: int | None = None
    query_prefix: str = ""
    document_prefix: str = ""
    batch: int = 32


class RerankSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What is special about a reranker. candidates: passages that it looks at. window_tokens: of longer passages it
    reads parts, None = whole. within_s: how long a search waits. batch: passages at once, None = as api's servers.
    """

    candidates: int = 50
    within_s: float = 10.0
    window_tokens: int | None = None
    api: RerankApi = "cohere"
    scores: RerankScores = "auto"
    batch: int | None = None


class SearchSpec(msgspec.Struct, frozen=True, kw_only=True):
    """embedding: the name of the model whose vectors are used, available or not; None = keywords alone. rerank: that
    of the model which looks at the best passages once more, likewise; None = none does.
    """

    embedding: str | None = None
    rerank: str | None = None
