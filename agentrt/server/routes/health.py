"""/healthz and the pointer at /; neither asks for a key."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from agentrt.errors import UnavailableError
from agentrt.server.endpoint import ApiRoute, Call, Speech, answer, speaks

router = APIRouter(tags=["Service"], route_class=ApiRoute)


@router.api_route("/healthz", methods=["GET", "HEAD"])
@speaks(Speech(answer=dict[str, Any]))
async def get_health(call: Call) -> Response:
    """200 when the service is ready: what is on, what is off and why."""
    if not call.runtime.is_open:
        raise UnavailableError("The service is starting or shutting down.")
    return answer(await call.runtime.health(), headers={"cache-control": "no-store"})


@router.get("/")
@speaks(Speech(answer=dict[str, str]))
async def get_pointer(call: Call) -> Response:
    """Where to go from here."""
    root = call.scope.get("root_path", "")
    return answer(
        {"service": "agentrt", "api": f"{root}/v1", "health": f"{root}/healthz", "openapi": f"{root}/openapi.json"}
    )
