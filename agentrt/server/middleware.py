"""What every request passes: its id and headers, the key, the beta header, and the net under all errors.

Plain ASGI, because every layer costs every request. CORS stands between the two (app.py), so that browsers can read
refusals too.
"""

from __future__ import annotations

import logging

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from agentrt.access.keys import KeyRing
from agentrt.errors import AgentrtError, InvalidRequestError, UnavailableError
from agentrt.ids import new_id
from agentrt.runtime.assembly import Runtime
from agentrt.server.errors import error_response, internal_error
from agentrt.server.exchange import Exchange, attach, exchange_of
from agentrt.server.streams import OpenStreams

log = logging.getLogger(__name__)

API_PREFIX = "/v1/"
AZURE_PREFIX = "/openai/"
BETA = "assistants=v2"

_VERSION = (b"openai-version", b"2020-10-01")
_BETA_PATHS = ("/v1/assistants", "/v1/threads")


class Envelope:
    """Outermost: a new request id, and the headers that every answer has."""

    def __init__(self, app: ASGIApp, *, runtime: Runtime, streams: OpenStreams) -> None:
        self._app = app
        self._runtime = runtime
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        monotonic = self._runtime.clock.monotonic
        began = monotonic()
        exchange = Exchange(new_id("req"), self._runtime, self._streams)
        attach(scope, exchange)

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                exchange.is_answered = True
                ms = max(1, round((monotonic() - began) * 1000))
                project = "" if exchange.principal is None else exchange.principal.project
                message["headers"] = [
                    *message.get("headers", ()),
                    (b"x-request-id", exchange.request_id.encode()),
                    _VERSION,
                    (b"openai-processing-ms", b"%d" % ms),
                    (b"openai-organization", project.encode("ascii", "replace") or b"agentrt"),
                ]
                _log(scope, exchange, message["status"], ms)
            await send(message)

        await self._app(scope, receive, send_with_headers)


class Gate:
    """Innermost: whose key it is and whether the request may come in; and no error leaves without an envelope.

    root_path: a prefix that a proxy in front may or may not take away.
    """

    def __init__(self, app: ASGIApp, *, keys: KeyRing, root_path: str) -> None:
        self._app = app
        self._keys = keys
        self._root_path = root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = exchange_of(scope)
        try:
            self._admit(scope, exchange)
            await self._app(scope, receive, send)
        except ClientDisconnect:
            log.debug("request.left", extra={"request": exchange.request_id})
        except AgentrtError as error:
            await error_response(error)(scope, receive, send)
        except Exception:
            log.exception("request.failed", extra={"request": exchange.request_id, "method": scope["method"]})
            if exchange.is_answered:
                raise  # the answer is cut off: only the server can close the connection
            await error_response(internal_error(exchange.request_id))(scope, receive, send)

    def _admit(self, scope: Scope, exchange: Exchange) -> None:
        """Raises AuthenticationError, InvalidRequestError for a missing beta header, UnavailableError."""
        path, is_azure = self._set_path(scope, exchange)
        if not path.startswith(API_PREFIX):
            return
        headers = dict(scope["headers"])
        exchange.principal = self._keys.authenticate(
            _text(headers.get(b"authorization")), api_key=_text(headers.get(b"api-key"))
        )
        # Azure has no beta header: the version of its API is in the query, and means nothing here.
        if not is_azure and path.startswith(_BETA_PATHS):
            _check_beta(_text(headers.get(b"openai-beta")) or "")
        if not exchange.runtime.is_open:
            raise UnavailableError("The service is starting or shutting down.")

    def _set_path(self, scope: Scope, exchange: Exchange) -> tuple[str, bool]:
        """Take prefixes off the path: the proxy's, and Azure's. Returns the path and whether it was Azure's."""
        root: str = scope.get("root_path", "")
        path: str = scope["path"].removeprefix(root) or "/"
        prefix = self._root_path
        if prefix and (path == prefix or path.startswith(prefix + "/")):
            root, path = root + prefix, path[len(prefix) :] or "/"
        exchange.url = path
        is_azure = path.startswith(AZURE_PREFIX)
        if is_azure:
            path = path[len(AZURE_PREFIX) - 1 :]
            is_azure = not path.startswith(API_PREFIX)
            if is_azure:
                path = API_PREFIX + path[1:]
        scope["root_path"], scope["path"] = root, root + path
        return path, is_azure


def _check_beta(header: str) -> None:
    tokens = [token.strip() for token in header.split(",")]
    if BETA in tokens:
        return
    if any(token.startswith("assistants=") for token in tokens):
        message = "This server speaks v2 of the Assistants API only."
    else:
        message = "You must provide the 'OpenAI-Beta' header to access the Assistants API."
    raise InvalidRequestError(
        f"{message} Please try again by setting the header 'OpenAI-Beta: {BETA}'.", code="invalid_beta"
    )


def _text(header: bytes | None) -> str | None:
    return None if header is None else header.decode("latin-1")


def _log(scope: Scope, exchange: Exchange, status: int, ms: int) -> None:
    if log.isEnabledFor(logging.INFO):
        fields = {"request": exchange.request_id, "method": scope["method"], "path": exchange.url}
        log.info("request.answered", extra={**fields, "status": status, "ms": ms})
