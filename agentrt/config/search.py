"""[search] → SearchSpec."""

from __future__ import annotations

from collections.abc import Mapping

from agentrt.config.merge import Merged
from agentrt.config.model_folder import MINILM
from agentrt.config.report import Report
from agentrt.config.schema import ModelSpec, SearchSpec
from agentrt.suggest import did_you_mean, listed


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
