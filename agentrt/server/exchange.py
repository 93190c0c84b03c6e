"""Exchange: what is known of one request from its arrival to its answer; it travels in the ASGI scope."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any

from agentrt.access.keys import Principal
from agentrt.runtime.assembly import Runtime
from agentrt.server.streams import OpenStreams

_KEY = "agentrt"


class Exchange:
    """One request. url: as the client wrote it, without the prefixes of proxies. principal: None before the key is
    known, and on URLs that need none. is_answered: the answer's head is out."""

    __slots__ = ("is_answered", "principal", "request_id", "runtime", "streams", "url")

    def __init__(self, request_id: str, runtime: Runtime, streams: OpenStreams) -> None:
        self.request_id = request_id
        self.runtime = runtime
        self.streams = streams
        self.url = ""
        self.principal: Principal | None = None
        self.is_answered = False


def attach(scope: MutableMapping[str, Any], exchange: Exchange) -> None:
    """Put it into the request's scope."""
    scope[_KEY] = exchange


def exchange_of(scope: MutableMapping[str, Any]) -> Exchange:
    """The request's."""
    exchange: Exchange = scope[_KEY]
    return exchange
