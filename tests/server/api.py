"""A runtime with its HTTP face, for tests: over ASGI or on a loopback port. Answers are held against the contract."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import httpx
from fastapi import FastAPI

from agentrt.clock import SystemClock
from agentrt.runtime.assembly import Runtime
from agentrt.server.app import create_app
from agentrt.server.serving import Server
from agentrt.store.open import open_store
from agentrt.testing.scripts import ScriptedModel
from tests.compat.contract import DOCUMENT, is_own, template_of, validate_event, validate_response

Json: TypeAlias = dict[str, Any]

BETA = {"OpenAI-Beta": "assistants=v2"}
WEATHER: Json = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "Weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a stream. place is its id; data is the decoded JSON, or the text of `done`."""

    name: str
    data: Any
    place: str | None = None


@dataclass(slots=True)
class Api:
    """A client of the API, and what stands behind it."""

    client: httpx.AsyncClient
    runtime: Runtime
    model: ScriptedModel
    app: FastAPI

    async def call(self, method: str, path: str, body: object = None, *, status: int = 200, **given: Any) -> Json:
        """The JSON of an answer with the expected status."""
        if body is not None:
            given["json"] = body
        response = await self.client.request(method, path, **given)
        assert response.status_code == status, response.text
        decoded: Json = response.json()
        return decoded

    async def refused(self, method: str, path: str, body: object = None, *, status: int = 400, **given: Any) -> Json:
        """The inner object of an error."""
        error: Json = (await self.call(method, path, body, status=status, **given))["error"]
        assert error.keys() == {"message", "type", "param", "code"}
        return error

    async def stream(self, method: str, path: str, body: object = None, **given: Any) -> list[Event]:
        """All events of a stream."""
        if body is not None:
            given["json"] = body
        response = await self.client.request(method, path, **given)
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        return read_events(response.text)

    async def assistant(self, **fields: Any) -> Json:
        return await self.call("POST", "/assistants", {"model": "scripted", **fields})

    async def thread(self, *texts: str) -> str:
        """A new thread with messages of the user."""
        messages = [{"role": "user", "content": text} for text in texts]
        thread_id: str = (await self.call("POST", "/threads", {"messages": messages}))["id"]
        return thread_id

    async def settled(self, thread_id: str, run_id: str) -> Json:
        """The run once it has ended or waits for its caller."""
        async with asyncio.timeout(10):
            while True:
                run = await self.call("GET", f"/threads/{thread_id}/runs/{run_id}")
                if run["status"] not in ("queued", "in_progress", "cancelling"):
                    return run
                await asyncio.sleep(0.005)

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something has come about."""
        async with asyncio.timeout(10):
            while not is_so():
                await asyncio.sleep(0.005)


def read_events(text: str) -> list[Event]:
    """The events of a stream, each held against the contract."""
    events = []
    for block in text.split("\n\n"):
        lines = [line for line in block.split("\n") if line and not line.startswith(":")]
        if not lines:
            continue
        fields = dict(line.split(": ", 1) for line in lines)
        data = fields["data"] if fields["event"] == "done" else json.loads(fields["data"])
        if DOCUMENT.is_file():
            validate_event(fields["event"], data, closed=True)
        events.append(Event(fields["event"], data, fields.get("id")))
    return events


def names(events: list[Event]) -> list[str]:
    """Their names, without the prefix `thread.` and with repetitions of deltas left out."""
    found: list[str] = []
    for event in events:
        name = event.name.removeprefix("thread.")
        if not (name.endswith(".delta") and found and found[-1] == name):
            found.append(name)
    return found


def text_of(events: list[Event]) -> str:
    """What the message deltas say together."""
    return "".join(
        part["text"]["value"]
        for event in events
        if event.name == "thread.message.delta"
        for part in event.data["delta"]["content"]
        if part["type"] == "text"
    )


async def hold_against_contract(response: httpx.Response) -> None:
    """An event hook: JSON answers of the API are what the document says."""
    await response.aread()
    path = response.request.url.path
    kind = response.headers.get("content-type", "")
    is_json = kind == "application/json" and response.status_code < 400
    if DOCUMENT.is_file() and path.startswith("/v1/") and not is_own(path) and is_json:
        validate_response(
            response.request.method, template_of(path), response.status_code, response.json(), closed=True
        )


def write_config(folder: Path, more: str = "", *, database: str | None = None) -> Path:
    """An agents.toml with its state in the folder, but for the database if one is given; more: what else is in it."""
    path = folder / "agents.toml"
    url = database or f"sqlite:///{folder}/agentrt.db"
    path.write_text(
        f'version = 1\n[runtime]\ndatabase = "{url}"\ndata_dir = "{folder}/data"\n'
        f'[models.demo]\nprovider = "demo"\n{more}'
    )
    return path


_empty_databases: list[bytes] = []


async def copy_empty_database(folder: Path) -> None:
    """An empty database with its tables: made once, because every table costs a disk sync."""
    path = folder / "agentrt.db"
    if not _empty_databases:
        store = await open_store(f"sqlite:///{path}", clock=SystemClock())
        await store.close()
        _empty_databases.append(path.read_bytes())
    path.write_bytes(_empty_databases[0])


@asynccontextmanager
async def open_api(folder: Path, more: str = "", **given: Any) -> AsyncGenerator[Api, None]:
    """The API over ASGI, in process. given: of Runtime."""
    model = ScriptedModel()
    path = write_config(folder, more)
    await copy_empty_database(folder)
    async with Runtime(path, models={"scripted": model}, **given) as runtime:
        app = create_app(runtime)
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://test/v1",
            headers=BETA,
            event_hooks={"response": [hold_against_contract]},
        ) as client:
            yield Api(client, runtime, model, app)


@asynccontextmanager
async def on_port(app: FastAPI) -> AsyncGenerator[tuple[Server, str], None]:
    """The app on a loopback port, and its address."""
    server = Server(app, host="127.0.0.1", port=0)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve())
        try:
            while not server.started:
                await asyncio.sleep(0.005)
            port = server.servers[0].sockets[0].getsockname()[1]
            yield server, f"http://127.0.0.1:{port}"
        finally:
            server.should_exit = True
