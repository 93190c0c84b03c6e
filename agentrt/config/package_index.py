"""Which hosts pip asks for packages, for the sandbox preset `network`. No index is named here: pip knows its own."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

_WEB_PORTS: Final = (None, 80, 443)


def index_hosts(variables: Mapping[str, str]) -> list[str]:
    """The hosts that pip asks where these variables are set, as entries of `network`. Empty: not known.

    PIP_INDEX_URL is instead of pip's own index, PIP_EXTRA_INDEX_URL (any number, with spaces between) beside it.
    """
    own = variables.get("PIP_INDEX_URL", "")
    hosts = [_host(own)] if own else _built_in_hosts()
    hosts += [_host(url) for url in variables.get("PIP_EXTRA_INDEX_URL", "").split()]
    return list(dict.fromkeys(host for host in hosts if host))


def _built_in_hosts() -> list[str]:
    """Where the pip beside us looks if nobody tells it otherwise. To say so is none of its promises."""
    try:
        built_in = importlib.import_module("pip._internal.models.index").PyPI
        return [built_in.netloc, built_in.file_storage_domain]
    except (ImportError, AttributeError):
        return []


def _host(url: str) -> str:
    """`example.com`, or with a port that is not the web's; "" for what is not on the network."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    name = parts.hostname if parts.scheme in ("http", "https") else None
    return f"{name}:{port}" if name and port not in _WEB_PORTS else name or ""
