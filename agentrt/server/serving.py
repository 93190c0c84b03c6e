"""Server: uvicorn, taught to end event streams when it stops."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import uvicorn
from fastapi import FastAPI

from agentrt.runtime.assembly import DRAIN_GRACE_S, Runtime
from agentrt.server.streams import OpenStreams

_REST_S = 5
"""For answers and streams to go out when the grace is over."""
_TELL_EVERY_S = 0.2


class Server(uvicorn.Server):
    """Serves an app of create_app. As uvicorn itself it would wait for streams of runs that wait for their callers."""

    def __init__(self, app: FastAPI, *, host: str, port: int) -> None:
        config = uvicorn.Config(
            app,
            host=host,
            port=port,
            # The app logs what it answers, with the request's id; root paths and proxies are its own business too.
            access_log=False,
            log_config=None,
            server_header=False,
            ws="none",
            timeout_graceful_shutdown=int(DRAIN_GRACE_S) + _REST_S,
            # Longer than clients keep idle connections (httpx: 5 s): the side that closes first must not be this one.
            timeout_keep_alive=75,
        )
        super().__init__(config)
        self._runtime: Runtime = app.state.runtime
        self._streams: OpenStreams = app.state.streams

    async def main_loop(self) -> None:
        """Until the first signal to stop. The second one may come before its end."""
        async with self._ending_when_cancelled():
            await super().main_loop()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Wait for the connections as uvicorn does. Runs in flight get a grace, so that most streams end by
        themselves; the others are ended then, and say how to go on."""
        async with self._ending_when_cancelled(), asyncio.TaskGroup() as group:
            group.create_task(self._end_streams())
            telling = group.create_task(self._tell_latecomers())
            await super().shutdown(sockets)
            telling.cancel()

    @asynccontextmanager
    async def _ending_when_cancelled(self) -> AsyncGenerator[None, None]:
        """Left alone, the lifespan's task would end with the loop, and uvicorn would log that as an error."""
        try:
            yield
        except asyncio.CancelledError:
            await self.lifespan.shutdown()
            raise

    async def _tell_latecomers(self) -> None:
        """uvicorn tells the connections that it has when it stops listening. Those that were accepted at that moment
        do not hear it, and would be served, and waited for, until the grace is over."""
        while True:
            await asyncio.sleep(_TELL_EVERY_S)
            for connection in list(self.server_state.connections):
                connection.shutdown()

    async def _end_streams(self) -> None:
        if self._runtime.is_open:
            await self._runtime.drain()
        self._streams.close()
