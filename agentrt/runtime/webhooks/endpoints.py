"""Endpoints: what agents.toml says of them together with what the database knows. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

import msgspec

from agentrt.config.schema import DEFAULT_PROJECT, WebhookSpec
from agentrt.errors import NotFoundError, PermissionDeniedError
from agentrt.store.disabled_webhooks import DisabledWebhook

EndpointState: TypeAlias = Literal["on", "off", "unavailable", "disabled"]


class Endpoint(msgspec.Struct, frozen=True):
    """An endpoint now. disabled_at: Unix seconds since which its receiver wants nothing more, None when it does."""

    spec: WebhookSpec
    disabled_at: int | None = None

    @property
    def state(self) -> EndpointState:
        """`off`: agents.toml says so. `unavailable`: a variable is missing. `disabled`: it answered 410 Gone."""
        if not self.spec.enabled:
            return "off"
        if self.spec.unavailable is not None:
            return "unavailable"
        return "on" if self.disabled_at is None else "disabled"

    @property
    def why(self) -> str | None:
        """Why nothing is sent to it; None when it is on."""
        if self.state == "disabled":
            return "it answered 410 Gone"
        return self.spec.why_off


def endpoints_of(specs: Iterable[WebhookSpec], disabled: Sequence[DisabledWebhook], project: str) -> list[Endpoint]:
    """The endpoints that the project may see: its own, and those of all; the home project sees every one."""
    seen = (spec for spec in specs if project in (spec.project, DEFAULT_PROJECT) or spec.project is None)
    return [Endpoint(spec, disabled_since(spec, disabled)) for spec in seen]


def own_endpoint(endpoints: Iterable[Endpoint], name: str, project: str) -> Endpoint:
    """The endpoint of that name, for who may act on it. Raises NotFoundError, PermissionDeniedError."""
    for endpoint in endpoints:
        if endpoint.spec.name == name:
            if project in (endpoint.spec.project, DEFAULT_PROJECT):
                return endpoint
            raise PermissionDeniedError(
                f"The webhook {name} is every project's and can be tested and enabled only in the project "
                f"'{DEFAULT_PROJECT}'."
            )
    raise NotFoundError("webhook", name)


def disabled_since(spec: WebhookSpec, disabled: Iterable[DisabledWebhook]) -> int | None:
    """Since when the endpoint is disabled. One that got another address in agents.toml is not."""
    for row in disabled:
        if row.name == spec.name and row.url_hash == url_hash(spec):
            return row.disabled_at
    return None


def url_hash(spec: WebhookSpec) -> str:
    """Names the address without telling it."""
    return hashlib.sha256(spec.url.reveal().encode(errors="surrogatepass")).hexdigest()
