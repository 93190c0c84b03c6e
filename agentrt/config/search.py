"""[search] → SearchSpec."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

from agentrt.config.merge import Merged
from agentrt.config.model_folder import MINILM
from agentrt.config.report import Report
from agentrt.config.schema import ModelSpec
from agentrt.config.search_schema import SearchSpec
from agentrt.suggest import did_you_mean, listed

_Key: TypeAlias = Literal["embedding", "rerank"]

_CANNOT: Final[Mapping[_Key, str]] = {"embedding": "makes no embeddings", "rerank": "judges no passages"}
_IF_IT_DOES: Final[Mapping[_Key, str]] = {"embedding": "makes embeddings", "rerank": "is a reranker"}


def search_spec(merged: Merged, models: Mapping[str, ModelSpec], report: Report) -> SearchSpec:
    """[search], with the names in it checked."""
    search = merged.search
    return SearchSpec(
        embedding=_named("embedding", search.embedding, merged, models, report),
        rerank=_named("rerank", search.rerank, merged, models, report),
    )


def _named(key: _Key, name: str | None, merged: Merged, models: Mapping[str, ModelSpec], report: Report) -> str | None:
    """The model that [search] names, which has to be there and for that."""
    if name is None or (name not in models and name in merged.names["models"]):
        return None  # none, or one whose table is wrong, which is reported already
    path = ("search", key)
    there = {spec.name for spec in models.values() if getattr(spec, key) is not None}
    if key == "embedding":
        there.add(MINILM)
    are = f"there {'are' if len(there) > 1 else 'is'} {listed(sorted(there), last='and')}"
    if name not in models:
        otherwise = are if there else f"a reranker is a [models.{name}] with {key} = {{}}"
        fix = did_you_mean(name, sorted(there), otherwise=otherwise)
        report.problem(merged.source_of(path), path, f'there is no model "{name}"', fix=fix)
    elif name not in there:
        fix = f"if it {_IF_IT_DOES[key]}, add {key} = {{}} to [models.{name}]"
        if not models[name].answers:
            fix = are if there else f"name a model that has {key} = {{}}"
        what = f'the model "{name}" {models[name].does}; it {_CANNOT[key]}'
        report.problem(merged.source_of(path), path, what, fix=fix)
    return name
