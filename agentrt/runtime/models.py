"""The models of a Config as clients: built when first asked for, one for each [models.*] table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from agentrt.clock import Clock
from agentrt.config.resolve import available_fallbacks, resolve_model
from agentrt.config.schema import Config, ModelSpec
from agentrt.engine.spec import Price
from agentrt.models.client import ModelClient

if TYPE_CHECKING:
    import httpx


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

    def names(self) -> tuple[str, ...]:
        """Every name that can be asked for by itself (globs of answers_to are not names)."""
        configured = (spec.name for spec in self._config.models.values() if not spec.unavailable)
        return tuple(dict.fromkeys((*self._in_code, *configured)))

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
        from agentrt.http import open_client
        from agentrt.models.chat_completions import ChatCompletions

        if self._http is None:
            self._http = open_client()
        return ChatCompletions(
            self._http,
            model=spec.model,
            dialect=spec.provider,
            base_url=spec.base_url,
            api_key=spec.api_key.reveal() if spec.api_key is not None else None,
            api_version=spec.api_version,
            headers={name: value.reveal() for name, value in spec.headers.items()},
            table=spec.name,
            timeout_s=spec.timeout_s,
            context_window=spec.context_window,
            takes_images=spec.takes_images,
            clock=self._clock,
        )
