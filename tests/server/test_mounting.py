from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.types import Message

from agentrt.runtime.assembly import Runtime
from agentrt.server.app import create_app
from agentrt.server.mounting import mount
from agentrt.testing.scripts import ScriptedModel, text
from tests.server.api import BETA, names, read_events, write_config

Ready = Callable[[], Awaitable[None]]


@asynccontextmanager
async def lifespan_of(app: Starlette) -> AsyncGenerator[None, None]:
    """Start and stop an app as a server does."""
    incoming: asyncio.Queue[Message] = asyncio.Queue()
    outgoing: asyncio.Queue[Message] = asyncio.Queue()
    async with asyncio.TaskGroup() as group:
        group.create_task(app({"type": "lifespan", "state": {}}, incoming.get, outgoing.put))
        await incoming.put({"type": "lifespan.startup"})
        assert (await outgoing.get())["type"] == "lifespan.startup.complete"
        yield
        await incoming.put({"type": "lifespan.shutdown"})
        assert (await outgoing.get())["type"] == "lifespan.shutdown.complete"


def client_of(app: Starlette) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test", headers=BETA)


@pytest.mark.parametrize("make", [FastAPI, Starlette])
async def test_the_api_lives_and_dies_with_the_app_it_is_mounted_in(make: type[Starlette], tmp_path: Path) -> None:
    seen: list[bool] = []

    @asynccontextmanager
    async def own(app: Starlette) -> AsyncGenerator[None, None]:
        seen.append(runtime.is_open)
        yield
        seen.append(runtime.is_open)

    model = ScriptedModel(text("Hello."))
    runtime = Runtime(write_config(tmp_path), models={"scripted": model})
    app = make(lifespan=own)
    mount(app, "/ai", runtime)
    async with lifespan_of(app), client_of(app) as client:
        assistant = (await client.post("/ai/v1/assistants", json={"model": "scripted"})).json()
        body = {"assistant_id": assistant["id"], "stream": True}
        events = read_events((await client.post("/ai/v1/threads/runs", json=body)).text)
        assert names(events)[-2:] == ["run.completed", "done"]
        lost = await client.get("/ai/v1/nowhere")
        assert lost.json()["error"]["message"] == "Invalid URL (GET /v1/nowhere)"
        assert (await client.get("/ai/")).json()["api"] == "/ai/v1"
        assert (await client.put("/ai/v1/threads")).headers["allow"] == "GET, POST"
        assert (await client.get("/elsewhere")).status_code == 404
    assert seen == [True, True]
    assert not runtime.is_open


async def test_a_runtime_that_is_open_stays_its_owners(tmp_path: Path) -> None:
    async with Runtime(write_config(tmp_path)) as runtime:
        app = FastAPI()
        mount(app, "/ai", runtime)
        async with lifespan_of(app), client_of(app) as client:
            assert (await client.get("/ai/healthz")).status_code == 200
        assert runtime.is_open


async def test_an_app_of_its_own_opens_its_runtime(tmp_path: Path) -> None:
    runtime = Runtime(write_config(tmp_path))
    app = create_app(runtime)
    async with lifespan_of(app), client_of(app) as client:
        assert (await client.get("/healthz")).status_code == 200
    assert not runtime.is_open
