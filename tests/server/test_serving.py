"""The server that stops, seen from its connections."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from agentrt.config.load import load_config
from agentrt.runtime.assembly import Runtime
from agentrt.server.app import create_app
from agentrt.server.serving import Server

PROJECT = 'version = 1\n[models.demo]\nprovider = "demo"\n'
REQUEST = b"GET /healthz HTTP/1.1\r\nhost: test\r\n\r\n"


async def test_who_connects_while_the_server_stops_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "agents.toml").write_text(PROJECT)
    listener = socket.create_server(("127.0.0.1", 0))
    async with Runtime(load_config(tmp_path / "agents.toml", environ={})) as runtime:
        server = Server(create_app(runtime), host="127.0.0.1", port=0)
        server.config.load()
        server.lifespan = server.config.lifespan_class(server.config)
        await server.startup([listener])
        latecomers = [socket.create_connection(listener.getsockname()) for _ in range(8)]
        for _ in range(2):  # turns of the loop: they are accepted, and the server does not know them yet
            await asyncio.sleep(0)
        try:
            async with asyncio.timeout(10):  # uvicorn gives up after 15
                stopping = asyncio.ensure_future(server.shutdown([listener]))
                await asyncio.sleep(0)
                for latecomer in latecomers:
                    latecomer.send(REQUEST)
                await stopping
        finally:
            for latecomer in latecomers:
                latecomer.close()
