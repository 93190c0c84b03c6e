"""mount: the whole API inside another app, opened and closed with it."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from starlette.applications import Starlette

from agentrt.runtime.assembly import Runtime
from agentrt.server.app import create_app

log = logging.getLogger(__name__)


def mount(app: Starlette, path: str, runtime: Runtime) -> None:
    """Serve the API under a path of a FastAPI or Starlette app: `mount(app, "/ai", runtime)` gives `/ai/v1/…`.

    The runtime opens before the app's own lifespan begins and closes after it has ended, so that both can use it; one
    that is open already stays its owner's. Call it before the app starts. Without [[server.keys]] everybody who reaches
    the path may come in; the log says so.
    """
    if not runtime.config.server.keys:
        log.warning("mount.without_keys", extra={"path": path})
    child = create_app(runtime)
    app.mount(path, child)
    outer = app.router.lifespan_context

    @asynccontextmanager
    async def lifespan(parent: Any) -> AsyncGenerator[Any, None]:
        # Servers tell the outermost app alone that they start and stop.
        async with child.router.lifespan_context(child), outer(parent) as state:
            yield state

    app.router.lifespan_context = lifespan
