"""Which configured model a name means: pure functions over the models of a Config.

Models that answer and models that make embeddings are looked up apart: a glob of one kind does not mean the other.
Rerankers are for search alone, which names their table; nobody else can ask for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from fnmatch import fnmatchcase

from agentrt.config.schema import Config, ModelSpec
from agentrt.errors import ModelNotFoundError
from agentrt.suggest import closest, listed


def find_model(models: Mapping[str, ModelSpec], name: str) -> ModelSpec | None:
    """The answering model that a name means, available or not: the table of that name, else the first model that is
    called so by its provider, else the first with a matching glob in `answers_to`; first as in the file."""
    # A glob such as `*` does not mean a table that stands there.
    return None if name in models and not models[name].answers else _find(answering(models), name)


def find_embedding_model(models: Mapping[str, ModelSpec], name: str) -> ModelSpec | None:
    """Likewise, of the models that make embeddings."""
    return _find({key: spec for key, spec in models.items() if spec.embedding is not None}, name)


def answering(models: Mapping[str, ModelSpec]) -> dict[str, ModelSpec]:
    """The models that answer."""
    return {name: spec for name, spec in models.items() if spec.answers}


def resolve_model(config: Config, name: str) -> ModelSpec:
    """The available answering model that a name means.

    Raises ModelNotFoundError: its text has close names, or says why the model cannot be called. No other model steps
    in for an unavailable one: an answer from the wrong model is worse than none.
    """
    spec = find_model(config.models, name)
    if spec is None and find_embedding_model(config.models, name) is not None:
        raise ModelNotFoundError(name, why="It makes embeddings; it cannot answer.")
    if spec is None and name in config.models:
        raise ModelNotFoundError(name, why=f"It {config.models[name].does}; it cannot answer.")
    return _available(name, spec, answering(config.models))


def resolve_embedding_model(config: Config, name: str) -> ModelSpec:
    """The available model for embeddings that a name means. Raises ModelNotFoundError."""
    models = {key: spec for key, spec in config.models.items() if spec.embedding is not None}
    if not models:
        raise ModelNotFoundError(name, why="No model for embeddings is configured.")
    return _available(name, find_embedding_model(models, name), models)


def resolve_reranker(config: Config, name: str) -> ModelSpec:
    """The available reranker of that table. Raises ModelNotFoundError."""
    models = {key: spec for key, spec in config.models.items() if spec.rerank is not None}
    return _available(name, models.get(name), models)


def available_fallbacks(config: Config, spec: ModelSpec) -> tuple[ModelSpec, ...]:
    """The models to try after spec, in order, theirs included, each once; unavailable ones are left out."""
    found: dict[str, ModelSpec] = {}

    def add(names: tuple[str, ...]) -> None:
        for name in names:
            fallback = config.models[name]
            if name != spec.name and name not in found:
                found[name] = fallback
                add(fallback.fallbacks)

    add(spec.fallbacks)
    return tuple(fallback for fallback in found.values() if not fallback.unavailable)


def _find(models: Mapping[str, ModelSpec], name: str) -> ModelSpec | None:
    if name in models:
        return models[name]
    for spec in models.values():
        if spec.model == name:
            return spec
    for spec in models.values():
        if any(fnmatchcase(name, glob) for glob in spec.answers_to):
            return spec
    return None


def _available(name: str, spec: ModelSpec | None, models: Mapping[str, ModelSpec]) -> ModelSpec:
    if spec is None:
        raise ModelNotFoundError(name, why=_why_unknown(models, name))
    if spec.unavailable:
        raise ModelNotFoundError(name, why=f"Model {spec.name} is not available: {spec.unavailable}.")
    return spec


def _why_unknown(models: Mapping[str, ModelSpec], name: str) -> str:
    names = {spec.name: spec for spec in models.values()} | {spec.model: spec for spec in models.values()}
    guess = closest(name, names)
    sentences = [f"Did you mean {guess}?"] if guess else []
    available = [spec.name for spec in models.values() if not spec.unavailable]
    sentences.append(f"Configured: {listed(available, last='and') or 'none that is available'}.")
    sentences += [f"Not available: {spec.name}, {spec.unavailable}." for spec in models.values() if spec.unavailable]
    return " ".join(sentences)
