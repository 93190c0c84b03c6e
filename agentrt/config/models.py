"""[models.*] → ModelSpec: what each provider needs and does not know, fallbacks, and what makes it unavailable."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, get_args

from agentrt.config.merge import Entry, Merged, why_missing
from agentrt.config.model_folder import INSTALL, MINILM, installed_minilm, lacking
from agentrt.config.model_table import ModelTable
from agentrt.config.report import Report
from agentrt.config.schema import ModelLimits, ModelSpec, Price, Provider
from agentrt.config.search_schema import EmbeddingSpec, RerankSpec
from agentrt.secret import Secret
from agentrt.suggest import did_you_mean, listed, quoted

DEMO: Final = "demo"

_NOT_INSTALLED: Final = f"its weights are not installed: {INSTALL}"

_CALLED: Final[tuple[Provider, ...]] = ("openai", "azure", "ollama", "compatible")
_ONLY_FOR: Final[Mapping[str, tuple[Provider, ...]]] = {
    "base_url": _CALLED,
    "api_key": _CALLED,
    "headers": _CALLED,
    "timeout": _CALLED,
    "retries": _CALLED,
    "organization": ("openai",),
    "api_version": ("azure",),
    "embedding": (*_CALLED, "minilm"),
    "rerank": ("compatible",),
    "limits": (*_CALLED, "demo"),
    "model_dir": ("minilm",),
    "delay": ("demo",),
}
_JUDGES: Final = "judges passages"
_ONLY_ANSWERING: Final = ("fallbacks", "context_window", "images", "price")
_NEEDS_URL: Final[Mapping[Provider, str]] = {
    "azure": "https://NAME.openai.azure.com",
    "compatible": "http://127.0.0.1:8000/v1",
}


def model_specs(merged: Merged, report: Report) -> dict[str, ModelSpec]:
    """All models in the file's order; `demo` stands last if the file does not have it."""
    found = {name: _spec(entry, merged, report) for name, entry in merged.models.items()}
    specs = {name: spec for name, spec in found.items() if spec}
    _check_cycles(specs, merged, report)
    if DEMO not in merged.names["models"]:
        others = {name for name, spec in specs.items() if not spec.answers}
        specs[DEMO] = demo_spec(is_alone=merged.names["models"] <= others)
    if MINILM not in merged.names["models"] and merged.search.embedding == MINILM:
        specs[MINILM] = _minilm_spec()
    return specs


def demo_spec(*, is_alone: bool) -> ModelSpec:
    """The built-in stand-in. Alone it answers to every name, so that apps that name a real model can be tried."""
    return ModelSpec(name=DEMO, provider="demo", model=DEMO, answers_to=("*",) if is_alone else ())


def _minilm_spec() -> ModelSpec:
    """The model of this machine where no table says more of it."""
    folder = installed_minilm()
    return ModelSpec(
        name=MINILM,
        provider="minilm",
        model=MINILM,
        embedding=EmbeddingSpec(),
        model_dir=folder,
        unavailable=None if folder else _NOT_INSTALLED,
    )


def _spec(entry: Entry[ModelTable], merged: Merged, report: Report) -> ModelSpec | None:
    table = entry.table
    _check_fallbacks(entry, merged, report)
    if table.provider is None:
        fix = f"add provider = {quoted(get_args(Provider))}"
        report.missing(entry.source, (*entry.path, "provider"), fix=fix)
        return None
    _check_provider(entry, table.provider, report)
    _check_purpose(entry, table.provider, report)
    _check_secrets(entry, report)
    headers = {name: Secret(value) for name, value in table.headers.items()}
    if table.organization:
        headers.setdefault("OpenAI-Organization", Secret(table.organization, shown=table.organization))
    return ModelSpec(
        name=entry.name,
        provider=table.provider,
        model=table.model or table.provider,
        base_url=table.base_url,
        api_key=Secret(table.api_key) if table.api_key else None,
        api_version=table.api_version,
        headers=headers,
        timeout_s=table.timeout,
        retries=table.retries,
        fallbacks=tuple(table.fallbacks),
        context_window=table.context_window,
        takes_images=table.images,
        price=_price(table),
        limits=ModelLimits(rpm=table.limits.rpm, tpm=table.limits.tpm, concurrent=table.limits.concurrent),
        answers_to=tuple(table.answers_to),
        delay_s=table.delay or 0.0,
        embedding=_embedding(table),
        rerank=_rerank(table),
        model_dir=_model_dir(entry),
        unavailable=_why_unavailable(entry),
    )


def _embedding(table: ModelTable) -> EmbeddingSpec | None:
    own = table.embedding
    if own is None:
        return EmbeddingSpec() if table.provider == "minilm" else None
    return EmbeddingSpec(
        dimensions=own.dimensions,
        window_tokens=own.window_tokens,
        query_prefix=own.query_prefix,
        document_prefix=own.document_prefix,
        batch=own.batch,
    )


def _rerank(table: ModelTable) -> RerankSpec | None:
    own = table.rerank
    if own is None:
        return None
    return RerankSpec(
        candidates=own.candidates,
        within_s=own.within,
        window_tokens=own.window_tokens,
        api=own.api,
        scores=own.scores,
        batch=own.batch,
    )


def _model_dir(entry: Entry[ModelTable]) -> Path | None:
    if entry.table.provider != "minilm":
        return None
    own = entry.table.model_dir
    return installed_minilm() if own is None else (entry.folder / own).absolute()


def _price(table: ModelTable) -> Price | None:
    price = table.price
    if price is None:
        return None
    cached = price.input if price.cached_input is None else price.cached_input
    return Price(input=price.input, cached_input=cached, output=price.output)


def _why_unavailable(entry: Entry[ModelTable]) -> str | None:
    if (missing := why_missing(entry)) is not None:
        return missing
    table = entry.table
    if table.provider == "minilm":
        return _why_no_minilm(entry)
    is_vendors = table.provider == "azure" or (table.provider == "openai" and table.base_url is None)
    if is_vendors and not table.api_key and not table.headers:
        return f"it has no api_key ({entry.source.where((*entry.path, 'api_key'))})"
    return None


def _why_no_minilm(entry: Entry[ModelTable]) -> str | None:
    folder = _model_dir(entry)
    if folder is None:
        return _NOT_INSTALLED
    names = lacking(folder)
    where = entry.source.where((*entry.path, "model_dir"))
    return f"{folder} has no {listed(names)} ({where})" if names else None


def _other_purpose(table: ModelTable) -> str | None:
    """What a model does that does not answer."""
    if _embedding(table) is not None:
        return "makes embeddings"
    return None if table.rerank is None else _JUDGES


def _check_purpose(entry: Entry[ModelTable], provider: Provider, report: Report) -> None:
    table = entry.table
    if provider == "minilm" and table.embedding is not None:
        for key in sorted(table.embedding.model_fields_set - {"window_tokens"}):
            what = "minilm has no use for it"
            report.problem(entry.source, (*entry.path, "embedding", key), what, fix="take it out", at="key")
    purpose = _other_purpose(table)
    if purpose is None:
        return
    useless = (*_ONLY_ANSWERING, "answers_to") if purpose == _JUDGES else _ONLY_ANSWERING
    for key in (key for key in useless if key in table.model_fields_set):
        what = f"a model that {purpose} has no use for it"
        report.problem(entry.source, (*entry.path, key), what, fix="take it out", at="key")
    if table.embedding is not None and table.rerank is not None:
        what = "a model makes embeddings or judges passages, not both"
        report.problem(entry.source, (*entry.path, "rerank"), what, fix="give each its own [models.*]", at="key")


def _check_provider(entry: Entry[ModelTable], provider: Provider, report: Report) -> None:
    table = entry.table
    for key in sorted(table.model_fields_set & _ONLY_FOR.keys()):
        if provider not in _ONLY_FOR[key]:
            what = f'a model of provider "{provider}" has no use for it'
            fix = f"take it out; it is for {listed(_ONLY_FOR[key], last='and')}"
            report.problem(entry.source, (*entry.path, key), what, fix=fix, at="key")
    if provider in _NEEDS_URL and not table.base_url:
        what = f'provider "{provider}" needs a base_url'
        fix = f'add base_url = "{_NEEDS_URL[provider]}"'
        report.problem(entry.source, (*entry.path, "base_url"), what, fix=fix, at="key")
    if provider not in ("demo", "minilm") and not table.model:
        fix = 'add model = "…", the provider\'s name for it'
        report.missing(entry.source, (*entry.path, "model"), fix=fix)


def _check_secrets(entry: Entry[ModelTable], report: Report) -> None:
    """Keys travel in HTTP headers: a placeholder such as `…` cannot, nor can a line break."""
    values: list[tuple[tuple[str, ...], str]] = [(("api_key",), entry.table.api_key or "")]
    values += [(("headers", name), value) for name, value in entry.table.headers.items()]
    for path, value in values:
        if not (value.isascii() and (value.isprintable() or not value)):
            what = "it has characters that an HTTP header cannot carry"
            report.problem(entry.source, (*entry.path, *path), what, fix="take the key as its provider shows it")


def _check_fallbacks(entry: Entry[ModelTable], merged: Merged, report: Report) -> None:
    names = merged.names["models"] | {DEMO}
    for index, name in enumerate(entry.table.fallbacks):
        if name not in names:
            fix = did_you_mean(name, names, otherwise=f"there are {listed(sorted(names), last='and')}")
            report.problem(entry.source, (*entry.path, "fallbacks", index), f'there is no model "{name}"', fix=fix)
        elif name in merged.models and (purpose := _other_purpose(merged.models[name].table)) is not None:
            what = f'the model "{name}" {purpose}; it cannot answer'
            report.problem(entry.source, (*entry.path, "fallbacks", index), what, fix="take it out")


def _check_cycles(specs: Mapping[str, ModelSpec], merged: Merged, report: Report) -> None:
    for name in specs:
        way = _way_back(name, name, specs, frozenset())
        if way:
            entry = merged.models[name]
            what = f"the fallbacks go round in a circle: {' → '.join([name, *way])}"
            report.problem(entry.source, (*entry.path, "fallbacks"), what, fix="take one of them out")
            return


def _way_back(start: str, here: str, specs: Mapping[str, ModelSpec], seen: frozenset[str]) -> list[str]:
    """The fallbacks that lead from here to start, empty if none do."""
    for name in specs[here].fallbacks if here in specs else ():
        if name == start:
            return [name]
        further = [] if name in seen else _way_back(start, name, specs, seen | {name})
        if further:
            return [name, *further]
    return []
