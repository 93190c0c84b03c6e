"""[search], and `embedding` and `rerank` of [models.*], as they are written (see document.py)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agentrt.config.fields import Duration, Int, Table, Text
from agentrt.config.search_schema import RerankApi, RerankScores


class EmbeddingTable(Table):
    """Makes this an embedding model: it turns texts into vectors for search and does not answer. `{}` will do."""

    dimensions: Annotated[
        Int | None,
        Field(ge=1, le=4000, description="Asked of the server. Default: the model's own.", examples=[512]),
    ] = None
    window_tokens: Annotated[
        Int | None,
        Field(
            ge=16,
            description="How much it reads at once; longer passages are embedded in parts of this size. Default: "
            "passages are embedded whole; `minilm`: 200.",
            examples=[400],
        ),
    ] = None
    query_prefix: Annotated[
        str, Field(description="What the model wants to read before a question.", examples=["query: "])
    ] = ""
    document_prefix: Annotated[
        str, Field(description="What the model wants to read before a passage.", examples=["passage: "])
    ] = ""
    batch: Annotated[Int, Field(ge=1, le=2048, description="Texts in one request, at most.", examples=[32])] = 32


class RerankTable(Table):
    """Makes this a reranker: it judges how well passages answer a question, and does nothing else. `{}` will do."""

    candidates: Annotated[
        Int,
        Field(
            ge=1,
            le=200,
            description="How many of the best passages of a search it looks at; all that are asked for in any case.",
            examples=[30],
        ),
    ] = 50
    within: Annotated[
        Duration,
        Field(
            description="How long a search waits for it before it does without.",
            examples=["3s"],
            json_schema_extra={"default": "10s"},
        ),
    ] = 10.0
    window_tokens: Annotated[
        Int | None,
        Field(
            ge=16,
            description="About how much it reads at once, the question included; of longer passages it reads parts of "
            "this size, and the best one counts. Default: passages are sent whole.",
            examples=[400],
        ),
    ] = None
    api: Annotated[
        RerankApi,
        Field(
            description="`cohere`: what most servers speak, Jina, Voyage, vLLM, llama.cpp, LocalAI and Infinity among "
            "them; `tei`: text-embeddings-inference.",
            examples=["tei"],
        ),
    ] = "cohere"
    scores: Annotated[
        RerankScores,
        Field(
            description="What it sends: `probabilities` from 0 to 1, or `logits`, which are made that. `auto`: logits "
            "once a score was not between 0 and 1.",
            examples=["logits"],
        ),
    ] = "auto"
    batch: Annotated[
        Int | None,
        Field(ge=1, le=1000, description="Passages in one request, at most. Default: 100; `tei`: 32.", examples=[16]),
    ] = None


class SearchTable(Table):
    """How files are searched."""

    embedding: Annotated[
        Text | None,
        Field(
            description="The model whose vectors are used beside keywords: a `[models.*]` with `embedding`, or "
            "`minilm`, which works on this machine. Default: keywords alone. After a change everything is indexed "
            "anew in the background.",
            examples=["small"],
        ),
    ] = None
    rerank: Annotated[
        Text | None,
        Field(
            description="The model that looks at the best passages of a search once more: a `[models.*]` with "
            "`rerank`. Default: none.",
            examples=["judge"],
        ),
    ] = None
