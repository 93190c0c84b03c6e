"""Where each provider's endpoints are and how it wants its key: provider and base_url → an address. Pure."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Literal, TypeAlias
from urllib.parse import SplitResult, quote, unquote, urlsplit, urlunsplit

import msgspec

from agentrt.models.completion_request import LimitField

Dialect: TypeAlias = Literal["openai", "compatible", "ollama", "azure"]

OPENAI_URL = "https://api.openai.com/v1"
OLLAMA_URL = "http://127.0.0.1:11434"
AZURE_API_VERSION = "2024-10-21"

_ALL_INTERFACES = "0.0.0.0"  # noqa: S104 - recognised, never bound


class Endpoint(msgspec.Struct, frozen=True):
    """One model's address. shown_url is fit for messages: no query, no password. headers are in lower case."""

    url: str
    shown_url: str
    headers: dict[str, str]
    limit_field: LimitField = "max_completion_tokens"


def endpoint(
    dialect: Dialect,
    *,
    model: str,
    base_url: str | None = None,
    api_key: str | None = None,
    api_version: str | None = None,
    headers: Mapping[str, str] | None = None,
    path: str = "/chat/completions",
) -> Endpoint:
    """The endpoint of a dialect. path: what of its API, behind `/v1`.

    base_url: `openai` and `ollama` have one of their own; `compatible` needs it up to and including `/v1`; `azure`
    needs the resource's (`https://NAME.openai.azure.com`), and its deployment is `model`. api_version: azure only,
    None takes a stable one. A login in base_url (`http://user:password@host`) is sent unless there is a key.
    Raises ValueError when a needed base_url is missing.
    """
    sent = {name.lower(): value for name, value in (headers or {}).items()}
    limit_field: LimitField = "max_completion_tokens"
    query = ""
    match dialect:
        case "openai":
            base = _split(base_url or OPENAI_URL)
        case "compatible":
            base = _split(_needed(base_url, dialect))
        case "ollama":
            base = _ollama_base(base_url or OLLAMA_URL)
            # It takes max_completion_tokens and ignores it (ollama issue 7125).
            limit_field = "max_tokens"
        case "azure":
            base = _azure_base(_needed(base_url, dialect), model)
            query = f"api-version={quote(api_version or AZURE_API_VERSION)}"
    if api_key and dialect == "azure":
        sent.setdefault("api-key", api_key)
    elif api_key:
        sent.setdefault("authorization", f"Bearer {api_key}")
    login, _, host = base.netloc.rpartition("@")
    if login:
        sent.setdefault("authorization", f"Basic {b64encode(unquote(login).encode()).decode()}")
    whole_path = base.path.rstrip("/") + path
    url = urlunsplit((base.scheme, host, whole_path, query or base.query, ""))
    shown = urlunsplit((base.scheme, host, whole_path, "", ""))
    return Endpoint(url, shown, sent, limit_field)


def _needed(base_url: str | None, dialect: Dialect) -> str:
    if not base_url:
        raise ValueError(f"a model of provider {dialect!r} needs base_url")
    return base_url


def _split(url: str) -> SplitResult:
    """A URL's parts; `host:port` alone means http, as in OLLAMA_HOST."""
    return urlsplit(url if "://" in url else f"http://{url}")


def _ollama_base(url: str) -> SplitResult:
    """OLLAMA_HOST is a server's address without a path, and may be the one it listens on."""
    base = _split(url)
    if base.hostname == _ALL_INTERFACES:
        base = base._replace(netloc=base.netloc.replace(_ALL_INTERFACES, "127.0.0.1"))
    if base.port is None and base.scheme == "http":
        base = base._replace(netloc=f"{base.netloc}:11434")
    return base if base.path.strip("/") else base._replace(path="/v1")


def _azure_base(url: str, deployment: str) -> SplitResult:
    base = _split(url)
    if "/deployments/" in base.path:
        return base
    path = base.path.rstrip("/").removesuffix("/openai")
    return base._replace(path=f"{path}/openai/deployments/{quote(deployment, safe='')}")
