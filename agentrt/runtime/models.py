"""The models of a Config as clients: built when first asked for, one for each [models.*] table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypedDict

import msgspec

from agentrt.clock import Clock
from agentrt.config.resolve import available_fallbacks, resolve_embedding_model, resolve_model, resolve_reranker
from agentrt.config.schema import Config, ModelSpec
from agentrt.config.search_schema import EmbeddingSpec
from agentrt.engine.spec import Price
from agentrt.errors import ModelError
from agentrt.models.client import ModelClient
from agentrt.models.embeddings import EmbeddingModel
from agentrt.models.reranking import Reranker

if TYPE_CHECKING:
    import httpx

    from agentrt.models.dialects import Dialect
    from agentrt.models.embedding_server import EmbeddingSettings
    from agentrt.models.limits import ModelLimits
    from agentrt.models.retry import RetryPolicy
    from agentrt.models.upstream import Upstream


class Models:
    """Finds the client for a model name. in_code: the embedding program's clients by name; they come first.

    http: a client to use and leave open; without one, one is opened when needed and closed by `close`.
    """

    def __init__(
        self,
        config: Config,
        *,
        clock: Clock,
        in_code: Mapping[str, ModelClient] | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self._config = config
        self._clock = clock
        self._in_code = dict(in_code or {})
        self._clients: dict[str, ModelClient] = {}
        self._single: dict[str, ModelClient] = {}
        self._embedding: dict[str, EmbeddingModel] = {}
        self._rerankers: dict[str, Reranker] = {}
        self._http = http
        self._owns_http = http is None

    def add(self, name: str, client: ModelClient) -> None:
        """A client of the embedding program."""
        self._in_code[name] = client

    def check(self, name: str) -> None:
        """Raises ModelNotFoundError unless an available model answers to the name."""
        if name not in self._in_code:
            resolve_model(self._config, name)

    def price(self, name: str) -> Price | None:
        """What the model's tokens cost, if its table says so."""
        if name in self._in_code:
            return None
        price = resolve_model(self._config, name).price
        return None if price is None else msgspec.convert(msgspec.to_builtins(price), Price)

    async def find(self, name: str) -> ModelClient:
        """The client for a name, with its limits, retries and fallbacks. Raises ModelNotFoundError."""
        if (given := self._in_code.get(name)) is not None:
            return given
        spec = resolve_model(self._config, name)
        if spec.name not in self._clients:
            self._clients[spec.name] = self._with_fallbacks(spec)
        return self._clients[spec.name]

    def find_embedding(self, name: str) -> EmbeddingModel:
        """The model for embeddings that a name means, with its limits and retries. Raises ModelNotFoundError."""
        spec = resolve_embedding_model(self._config, name)
        if spec.name not in self._embedding:
            self._embedding[spec.name] = self._build_embedding(spec)
        return self._embedding[spec.name]

    def search_embedding(self) -> EmbeddingModel | None:
        """The model whose vectors search uses; None when there is none, or it is not available."""
        name = self._config.search.embedding
        if name is None or self._config.models[name].unavailable:
            return None
        return self.find_embedding(name)

    def embedding_named(self, stored: str) -> EmbeddingModel | None:
        """The model whose vectors are stored under this name, if it is available."""
        for name, spec in self._config.models.items():
            if not spec.unavailable and stored_embedding_name(spec) == stored:
                return self.find_embedding(name)
        return None

    def find_reranker(self, name: str) -> Reranker:
        """The reranker of that table, with its limits and retries. Raises ModelNotFoundError."""
        spec = resolve_reranker(self._config, name)
        if spec.name not in self._rerankers:
            self._rerankers[spec.name] = self._build_reranker(spec)
        return self._rerankers[spec.name]

    def search_reranker(self) -> Reranker | None:
        """What judges the passages of a search; None when there is none, or it is not available."""
        name = self._config.search.rerank
        if name is None or self._config.models[name].unavailable:
            return None
        return self.find_reranker(name)

    def names(self) -> tuple[str, ...]:
        """Every name that can be asked for by itself: globs of answers_to are no names, and rerankers are not asked."""
        models = self._config.models.values()
        configured = (spec.name for spec in models if not spec.unavailable and spec.rerank is None)
        return tuple(dict.fromkeys((*self._in_code, *configured)))

    def first(self) -> str | None:
        """The first name that is no stand-in's: for what any model can do that somebody has chosen."""
        models = self._config.models
        names = (name for name in self.names() if name in self._in_code or models[name].answers)
        real = (name for name in names if name in self._in_code or models[name].provider != "demo")
        return next(real, None)

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None and self._owns_http:
            await self._http.aclose()
            self._http = None

    def _with_fallbacks(self, spec: ModelSpec) -> ModelClient:
        others = available_fallbacks(self._config, spec)
        primary = self._one(spec)
        if not others:
            return primary
        from agentrt.models.fallback import Fallback

        names = [spec.name, *(other.name for other in others)]
        return Fallback(primary, *(self._one(other) for other in others), names=names)

    def _one(self, spec: ModelSpec) -> ModelClient:
        # One client a table, also where it is another's fallback: its limits hold for both uses together.
        if spec.name not in self._single:
            self._single[spec.name] = self._build(spec)
        return self._single[spec.name]

    def _build(self, spec: ModelSpec) -> ModelClient:
        from agentrt.models.limits import Limited, ModelLimits
        from agentrt.models.retry import Retrying, RetryPolicy

        client = self._plain(spec)
        limits = spec.limits
        if limits.rpm or limits.tpm or limits.concurrent:
            own = ModelLimits(rpm=limits.rpm, tpm=limits.tpm, concurrent=limits.concurrent)
            client = Limited(client, own, clock=self._clock, table=spec.name)
        return Retrying(client, RetryPolicy(retries=spec.retries), clock=self._clock)

    def _plain(self, spec: ModelSpec) -> ModelClient:
        if spec.provider == "demo":
            from agentrt.models.demo import Demo

            return Demo(delay_s=spec.delay_s, clock=self._clock)
        from agentrt.models.chat_completions import ChatCompletions

        return ChatCompletions(
            self._open_http(),
            **_place(spec),
            timeout_s=spec.timeout_s,
            context_window=spec.context_window,
            takes_images=spec.takes_images,
            clock=self._clock,
        )

    def _build_embedding(self, spec: ModelSpec) -> EmbeddingModel:
        assert spec.embedding is not None
        if spec.provider == "minilm":
            from agentrt.models.minilm import WINDOW_TOKENS, MiniLM

            assert spec.model_dir is not None
            return MiniLM(spec.model_dir, window_tokens=spec.embedding.window_tokens or WINDOW_TOKENS)
        from agentrt.models.embedding_server import EmbeddingServer

        return EmbeddingServer(
            self._upstream(spec, "/embeddings", given="A text"),
            name=spec.model,
            settings=_settings(spec.embedding),
            **_manners(spec),
            clock=self._clock,
        )

    def _build_reranker(self, spec: ModelSpec) -> Reranker:
        from agentrt.models.rerank_server import RerankServer, RerankSettings

        return RerankServer(
            self._upstream(spec, "/rerank", given="A passage"),
            name=spec.name,
            settings=msgspec.convert(msgspec.to_builtins(spec.rerank), RerankSettings),
            **_manners(spec),
            clock=self._clock,
        )

    def _upstream(self, spec: ModelSpec, path: str, *, given: str) -> Upstream:
        from agentrt.models.upstream import Upstream

        http = self._open_http()
        return Upstream(http, path, **_place(spec), timeout_s=spec.timeout_s, given=given, clock=self._clock)

    def _open_http(self) -> httpx.AsyncClient:
        if self._http is None:
            from agentrt.http import open_client

            self._http = open_client()
        return self._http


def stored_embedding_name(spec: ModelSpec) -> str | None:
    """The name that vectors of the model are stored under; None when it makes none, or cannot be read."""
    if spec.embedding is None or spec.unavailable:
        return None
    if spec.provider == "minilm":
        from agentrt.models.minilm import WINDOW_TOKENS, MiniLM

        assert spec.model_dir is not None
        try:
            return MiniLM(spec.model_dir, window_tokens=spec.embedding.window_tokens or WINDOW_TOKENS).model
        except ModelError:
            return None
    from agentrt.models.embedding_server import stored_name

    return stored_name(spec.model, _settings(spec.embedding))


def _settings(spec: EmbeddingSpec) -> EmbeddingSettings:
    from agentrt.models.embedding_server import EmbeddingSettings

    return msgspec.convert(msgspec.to_builtins(spec), EmbeddingSettings)


class _Manners(TypedDict):
    retry: RetryPolicy
    limits: ModelLimits


def _manners(spec: ModelSpec) -> _Manners:
    """How a model wants to be asked."""
    from agentrt.models.limits import ModelLimits
    from agentrt.models.retry import RetryPolicy

    limits = spec.limits
    return {
        "retry": RetryPolicy(retries=spec.retries),
        "limits": ModelLimits(rpm=limits.rpm, tpm=limits.tpm, concurrent=limits.concurrent),
    }


class _Place(TypedDict):
    model: str
    dialect: Dialect
    base_url: str | None
    api_key: str | None
    api_version: str | None
    headers: dict[str, str]
    table: str


def _place(spec: ModelSpec) -> _Place:
    """Where a model is, as clients want to know it."""
    assert spec.provider != "demo" and spec.provider != "minilm"  # noqa: PT018
    return {
        "model": spec.model,
        "dialect": spec.provider,
        "base_url": spec.base_url,
        "api_key": spec.api_key.reveal() if spec.api_key is not None else None,
        "api_version": spec.api_version,
        "headers": {name: value.reveal() for name, value in spec.headers.items()},
        "table": spec.name,
    }
