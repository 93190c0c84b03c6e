"""create_app: a Runtime as an ASGI app."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import msgspec
from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from agentrt.access.keys import KeyRing
from agentrt.errors import AgentrtError
from agentrt.runtime.assembly import Runtime
from agentrt.server.errors import answer_agentrt_error, answer_http_exception
from agentrt.server.middleware import Envelope, Gate
from agentrt.server.openapi import build_document
from agentrt.server.routes import (
    assistants,
    embeddings,
    files,
    health,
    messages,
    models,
    project_runs,
    run_steps,
    run_streams,
    runs,
    schedules,
    threads,
    uploads,
    vector_store_files,
    vector_stores,
    webhooks,
)
from agentrt.server.streams import OpenStreams

# The router tries one after the other: what is asked for most often comes first.
_ROUTERS = (
    runs.router,
    messages.router,
    threads.router,
    run_streams.router,
    run_steps.router,
    assistants.router,
    files.router,
    vector_stores.router,
    vector_store_files.router,
    uploads.router,
    webhooks.router,
    schedules.router,
    models.router,
    embeddings.router,
    project_runs.router,
    health.router,
)
_EXPOSED = [
    *("x-request-id", "openai-processing-ms", "openai-poll-after-ms", "openai-version", "retry-after"),
    *("accept-ranges", "content-disposition", "content-range", "etag"),
]


def create_app(runtime: Runtime) -> FastAPI:
    """The HTTP API of a runtime.

    Of a worker it is /healthz alone. A runtime that is not open yet is opened by the app's lifespan and closed with
    it; one that is open stays its owner's. `app.state.streams.close()` ends the open event streams: servers call it
    before they wait for their connections (see serving.Server).
    """
    from agentrt.version import __version__

    config = runtime.config.server
    streams = OpenStreams()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None, None]:
        if runtime.is_open:
            yield
            return
        async with runtime:
            yield

    app = FastAPI(
        title="agentrt",
        version=__version__,
        lifespan=lifespan,
        # The document is our own (openapi.py), and the pages that show it would load from a CDN.
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"auto_configure": False},
    )
    app.state.runtime = runtime
    app.state.streams = streams
    for router in _ROUTERS if runtime.role != "worker" else (health.router,):
        # Their routes, not the routers: a router inside a router costs every request twice as much.
        app.router.routes.extend(router.routes)
    _add_document(app, needs_key=bool(config.keys))
    app.add_exception_handler(AgentrtError, answer_agentrt_error)
    app.add_exception_handler(HTTPException, answer_http_exception)
    app.add_middleware(Gate, keys=KeyRing(config.keys), root_path=config.root_path)
    if config.cors:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=config.cors,
            allow_methods=["GET", "POST", "DELETE"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        )
    app.add_middleware(Envelope, runtime=runtime, streams=streams)
    return app


def _add_document(app: FastAPI, *, needs_key: bool) -> None:
    document: list[bytes] = []

    async def get_document(request: Request) -> Response:
        if not document:
            document.append(msgspec.json.encode(build_document(app.routes, version=app.version, needs_key=needs_key)))
        return Response(document[0], media_type="application/json")

    app.add_route("/openapi.json", get_document, methods=["GET"], include_in_schema=False)
