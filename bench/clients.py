"""Clients of a service under measurement: runs that are created and followed, as many at once as wanted."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx

from bench.fake_model import SAY

T = TypeVar("T")

DELTA = "thread.message.delta"
HEADERS = {"OpenAI-Beta": "assistants=v2", "Authorization": "Bearer bench"}


@dataclass
class Followed:
    """A stream that came to its end. lag_s: how long after the model had sent it the first word came.

    after_s: how long after the request the first event of each name came.
    """

    lag_s: float | None = None
    after_s: dict[str, float] = field(default_factory=dict)


@asynccontextmanager
async def open_client(url: str, *, at_once: int = 1) -> AsyncGenerator[httpx.AsyncClient, None]:
    """A client that keeps as many connections open as it has requests at once."""
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=120, limits=limits) as client:
        yield client


def new_run(said: str = SAY, *, streamed: bool) -> dict[str, Any]:
    """The body of a create-thread-and-run."""
    thread = {"messages": [{"role": "user", "content": said}]}
    return {"assistant_id": "asst_bench", "thread": thread, "stream": streamed}


async def events(response: httpx.Response) -> AsyncGenerator[tuple[str, str], None]:
    """(name, data) of each event of a stream."""
    response.raise_for_status()
    name = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            name = line[7:]
        elif line.startswith("data: "):
            yield name, line[6:]


async def follow(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> Followed:
    """Stream a run from its creation to its completion."""
    found = Followed()
    began = time.monotonic()
    event = last = ""
    async with client.stream("POST", path, json=body) as response:
        async for name, data in events(response):
            last, event = event, name
            found.after_s.setdefault(name, time.monotonic() - began)
            if found.lag_s is None and name == DELTA:
                delta = json.loads(data)["delta"]["content"][0]["text"]["value"]
                found.lag_s = time.monotonic() - float(delta.split()[0])
    assert (last, event) == ("thread.run.completed", "done"), (last, event)
    return found


async def stream_until(client: httpx.AsyncClient, run_path: str, *names: str) -> str:
    """Follow a run until an event of one of these names; which it was."""
    async with client.stream("GET", f"{run_path}/stream") as response, aclosing(events(response)) as found:
        async for name, _ in found:
            if name in names:
                return name
    raise AssertionError(f"the stream of {run_path} ended without {names}")


async def create_run(client: httpx.AsyncClient, said: str) -> str:
    """A run on a new thread. Returns the path of the run."""
    run = (await client.post("/v1/threads/runs", json=new_run(said, streamed=False))).raise_for_status().json()
    return f"/v1/threads/{run['thread_id']}/runs/{run['id']}"


async def cancel_run(client: httpx.AsyncClient, said: str) -> float:
    """Cancel a run that is being driven. How many seconds from the request to the event that says so."""
    path = await create_run(client, said)
    await stream_until(client, path, "thread.run.in_progress")
    async with asyncio.TaskGroup() as group:
        group.create_task(stream_until(client, path, "thread.run.cancelled"))
        await asyncio.sleep(0.05)  # until the stream is read, and the model asked
        began = time.monotonic()
        (await client.post(f"{path}/cancel")).raise_for_status()
    return time.monotonic() - began


async def in_lanes(job: Callable[[], Awaitable[T]], *, n: int, at_once: int) -> list[T]:
    """Do the job n times, so many at once (n is rounded down to a multiple of that)."""

    async def lane() -> list[T]:
        return [await job() for _ in range(n // at_once)]

    async with asyncio.TaskGroup() as group:
        lanes = [group.create_task(lane()) for _ in range(at_once)]
    return [result for done in lanes for result in done.result()]
