"""AgentrtError → JSON, and the same envelope for everything else that goes wrong on the way. Nowhere else."""

from __future__ import annotations

import math
from collections.abc import Mapping

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agentrt.errors import AgentrtError, InvalidRequestError, RateLimitError, RequestTooLargeError
from agentrt.server.exchange import exchange_of
from agentrt.wire.errors import ErrorObject, error_envelope

_encode = msgspec.json.Encoder().encode


def error_object(error: AgentrtError) -> ErrorObject:
    """The inner object of the envelope; also the data of a stream's `error` event."""
    return error_envelope(error.message, kind=error.type, param=error.param, code=error.code)["error"]


def internal_error(request_id: str) -> AgentrtError:
    """What a caller learns of a bug: that there is one, and by what name the log knows it."""
    return AgentrtError(
        f"The server had an error while processing your request. Its log says more under the request ID {request_id}."
    )


def error_response(error: AgentrtError, *, headers: Mapping[str, str] | None = None) -> Response:
    """The whole answer to a request that failed."""
    own = dict(headers or {})
    if isinstance(error, RateLimitError):
        own["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
        own["retry-after-ms"] = str(math.ceil(error.retry_after_s * 1000))
    if isinstance(error, RequestTooLargeError):
        own["connection"] = "close"  # the rest of the body is not read
    body = _encode({"error": error_object(error)})
    return Response(body, status_code=error.status, headers=own, media_type="application/json")


async def answer_agentrt_error(request: Request, error: Exception) -> Response:
    """For FastAPI's table of handlers."""
    assert isinstance(error, AgentrtError)
    return error_response(error)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    """The router's own refusals: no such URL, or not with this method."""
    assert isinstance(error, HTTPException)
    url = exchange_of(request.scope).url
    if error.status_code == 405:
        refusal = _RefusalError(
            405,
            f"Not allowed to {request.method} on {url} (HINT: Perhaps you meant to use a different HTTP method?)",
        )
        return error_response(refusal, headers={"allow": ", ".join(_methods(request))})
    if error.status_code == 404:
        return error_response(_RefusalError(404, f"Invalid URL ({request.method} {url})", code="unknown_url"))
    return error_response(_RefusalError(error.status_code, str(error.detail)), headers=error.headers)


class _RefusalError(InvalidRequestError):
    """A refusal of the router, with its status."""

    def __init__(self, status: int, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.status = status  # type: ignore[misc]  # the one error whose status is not its class's


def _methods(request: Request) -> list[str]:
    """Every method that the URL takes; the router itself names only those of the first route that fits."""
    path = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    routes = [route for route in request.app.routes if isinstance(route, Route)]
    return sorted({method for route in routes if route.path_regex.match(path) for method in route.methods or ()})
