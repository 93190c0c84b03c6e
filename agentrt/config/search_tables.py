"""[search] and `embedding` of [models.*] as they are written (see document.py), and [search] → SearchSpec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from agentrt.config.fields import Int, Table, Text
from agentrt.config.model_folder import MINILM
from agentrt.config.report import Report
from agentrt.config.schema import ModelSpec, SearchSpec
from agentrt.suggest import did_you_mean, listed

if TYPE_CHECKING:
    from agentrt.config.merge import Merged


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


def search_spec(merged: Merged, models: Mapping[str, ModelSpec], report: Report) -> SearchSpec:
    """[search], with the names in it checked."""
    name = merged.search.embedding
    if name is None or (name not in models and name in merged.names["models"]):
        return SearchSpec()  # none, or one whose table is wrong, which is reported already
    path = ("search", "embedding")
    there = sorted({MINILM, *(spec.name for spec in models.values() if spec.embedding is not None)})
    if name not in models:
        fix = did_you_mean(
            name, there, otherwise=f"there {'are' if len(there) > 1 else 'is'} {listed(there, last='and')}"
        )
        report.problem(merged.source_of(path), path, f'there is no model "{name}"', fix=fix)
    elif models[name].embedding is None:
        fix = f"if it makes embeddings, add embedding = {{}} to [models.{name}]"
        report.problem(merged.source_of(path), path, f'the model "{name}" answers; it makes no embeddings', fix=fix)
    return SearchSpec(embedding=name)
