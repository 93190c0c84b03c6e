"""[search] and `embedding` of [models.*] as they are written (see document.py)."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from agentrt.config.fields import Int, Table, Text


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


class SearchTable(Table):
    """How files are searched."""

    LATER = ("rerank",)

    embedding: Annotated[
        Text | None,
        Field(
            description="The model whose vectors are used beside keywords: a `[models.*]` with `embedding`, or "
            "`minilm`, which works on this machine. Default: keywords alone. After a change everything is indexed "
            "anew in the background.",
            examples=["small"],
        ),
    ] = None
