"""The service against a minimal endpoint that makes the same model call, in one run: CPU, latency, memory, as ratios.

minimal = FastAPI + sqlite3 (one row in, one row out) + httpx, one process; it streams or answers whole.
ours = `agentrt serve` on SQLite, create-thread-and-run, streamed to the end or polled until it is done.
CPU is user + system time of the server's process. The fake model answers at once with 20 tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

from bench.clients import follow, in_lanes, new_run, open_client
from bench.fake_model import SAY
from bench.fleet import Fleet, open_fleet
from bench.processes import Process, fake_model, free_port, python

THREAD_SIZES = (400, 2_000, 10_000)


def serve_minimal(url: str, *, model_url: str, database: str) -> None:
    import sqlite3

    import uvicorn
    from fastapi import FastAPI
    from starlette.responses import StreamingResponse

    app = FastAPI()
    db = sqlite3.connect(database, isolation_level=None)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE message (id INTEGER PRIMARY KEY, role TEXT, text TEXT)")
    client = httpx.AsyncClient(timeout=60)

    @app.get("/healthz")
    async def health() -> dict[str, str]:
        return {"status": "ok"}

    @app.post("/run")
    async def run(body: dict[str, Any]) -> Any:
        db.execute("INSERT INTO message (role, text) VALUES ('user', ?)", (body["text"],))
        sent = {"model": "fake", "messages": [{"role": "user", "content": body["text"]}], "stream": body["stream"]}
        if not body["stream"]:
            found = (await client.post(f"{model_url}/chat/completions", json=sent)).json()
            text = found["choices"][0]["message"]["content"]
            db.execute("INSERT INTO message (role, text) VALUES ('assistant', ?)", (text,))
            return {"text": text}

        async def pieces() -> Any:
            whole = ""
            async with client.stream("POST", f"{model_url}/chat/completions", json=sent) as response:
                async for line in response.aiter_lines():
                    if line.startswith("data: {"):
                        for choice in json.loads(line[6:])["choices"]:
                            piece = choice["delta"].get("content") or ""
                            whole += piece
                            yield f"data: {json.dumps({'text': piece})}\n\n"
            db.execute("INSERT INTO message (role, text) VALUES ('assistant', ?)", (whole,))

        return StreamingResponse(pieces(), media_type="text/event-stream")

    port = int(url.rpartition(":")[2])
    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False, timeout_keep_alive=60)


async def minimal_job(client: httpx.AsyncClient, is_streamed: bool) -> float | None:
    body = {"text": SAY, "stream": is_streamed}
    if not is_streamed:
        (await client.post("/run", json=body)).raise_for_status()
        return None
    lag: float | None = None
    async with client.stream("POST", "/run", json=body) as response:
        async for line in response.aiter_lines():
            if lag is None and line.startswith("data: "):
                text = json.loads(line[6:])["text"]
                lag = time.monotonic() - float(text) if text.strip() else None
    return lag


async def our_job(client: httpx.AsyncClient, is_streamed: bool) -> float | None:
    body = new_run(streamed=is_streamed)
    if is_streamed:
        return (await follow(client, "/v1/threads/runs", body)).lag_s
    run = (await client.post("/v1/threads/runs", json=body)).raise_for_status().json()
    path = f"/v1/threads/{run['thread_id']}/runs/{run['id']}"
    while run["status"] in ("queued", "in_progress"):
        await asyncio.sleep(0.05)  # what the SDK's poll helpers sleep at least
        run = (await client.get(path)).raise_for_status().json()
    assert run["status"] == "completed", run
    return None


async def load(
    server: Process, url: str, job: Callable[[httpx.AsyncClient, bool], Awaitable[float | None]], *, streamed: bool,
    n: int, at_once: int,
) -> tuple[float, list[float]]:  # fmt: skip
    """(CPU ms a job of the server, lags of the first delta in ms)."""
    async with open_client(url, at_once=at_once) as client:
        await in_lanes(lambda: job(client, streamed), n=5, at_once=1)
        before = server.cpu_s()
        lags = await in_lanes(lambda: job(client, streamed), n=n, at_once=at_once)
    return (server.cpu_s() - before) / len(lags) * 1000, [lag * 1000 for lag in lags if lag is not None]


async def turns_on_long_threads(server: Process, url: str, n_turns: int) -> None:
    """CPU a turn on threads of 400, 2,000 and 10,000 messages; the model's window is full with a part of the first."""
    async with open_client(url) as client:
        figures = []
        filler = "An earlier message of the conversation, about a hundred and fifty characters long, " * 2
        for n_messages in THREAD_SIZES:
            first = [{"role": "user", "content": filler} for _ in range(32)]
            thread = (await client.post("/v1/threads", json={"messages": first})).raise_for_status().json()["id"]
            for _ in range(n_messages - 32):
                body = {"role": "user", "content": filler}
                (await client.post(f"/v1/threads/{thread}/messages", json=body)).raise_for_status()
            run = {"assistant_id": "asst_bench", "stream": True}
            await follow(client, f"/v1/threads/{thread}/runs", run)
            before = server.cpu_s()
            for _ in range(n_turns):
                await follow(client, f"/v1/threads/{thread}/runs", run)
            figures.append((server.cpu_s() - before) / n_turns * 1000)
    base = figures[0]
    text = " · ".join(f"{n:,}: {ms:.1f} ms ({ms / base:.2f} ×)" for n, ms in zip(THREAD_SIZES, figures, strict=True))
    print(f"CPU a turn by messages in the thread  {text}")


async def compare(options: argparse.Namespace) -> None:
    with tempfile.TemporaryDirectory(prefix="agentrt-bench-") as name, fake_model() as model_url:
        folder = Path(name)
        minimal_url = f"http://127.0.0.1:{free_port()}"
        command = python("-m", "bench.service", "--minimal", minimal_url, "--model-url", model_url)
        command += ["--database", str(folder / "minimal.db")]
        minimal = Process(command, log=folder / "minimal.log", ready=f"{minimal_url}/healthz")
        try:
            with open_fleet(folder, model_url) as fleet:
                await _compare(options, minimal, minimal_url, fleet)
        finally:
            minimal.stop()


async def _compare(options: argparse.Namespace, minimal: Process, minimal_url: str, fleet: Fleet) -> None:
    [ours] = fleet.nodes
    print(
        f"ready: {ours.cpu_s():.2f} s CPU (target 2), {ours.ready_wall_s:.2f} s wall · "
        f"idle {ours.rss_mb():.0f} MB (target 90), minimal {minimal.rss_mb():.0f} MB"
    )
    await _compare_loads(options, minimal, minimal_url, ours, fleet.url)
    print(f"loaded {ours.rss_mb():.0f} MB")
    await turns_on_long_threads(ours, fleet.url, options.turns)


async def _compare_loads(
    options: argparse.Namespace, minimal: Process, minimal_url: str, ours: Process, our_url: str
) -> None:
    print(f"{'':22}{'minimal CPU ms':>15}{'agentrt':>9}{'ratio':>7}{'first delta ms: minimal':>25}{'agentrt':>9}")
    for streamed in (True, False):
        for at_once in (1, 200):
            n = options.jobs if at_once == 1 else max(options.jobs, 400)
            base_ms, base_lags = await load(minimal, minimal_url, minimal_job, streamed=streamed, n=n, at_once=at_once)
            our_ms, our_lags = await load(ours, our_url, our_job, streamed=streamed, n=n, at_once=at_once)
            name = f"{'streamed' if streamed else 'polled'}, {at_once} at once"
            lags = "".join(
                f"{statistics.median(x):{w}.2f}" if x else f"{'–':>{w}}" for x, w in ((base_lags, 25), (our_lags, 9))
            )
            print(f"{name:22}{base_ms:15.2f}{our_ms:9.2f}{our_ms / base_ms:7.2f}{lags}", flush=True)
    print("targets: agentrt ≤ 10 ms CPU a run, first delta ≤ 3 ms after the model's (median, one at a time), no error")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--jobs", type=int, default=200)
    parser.add_argument("--turns", type=int, default=20)
    parser.add_argument("--minimal", help=argparse.SUPPRESS)
    parser.add_argument("--model-url", help=argparse.SUPPRESS)
    parser.add_argument("--database", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.minimal:
        serve_minimal(options.minimal, model_url=options.model_url, database=options.database)
    else:
        asyncio.run(compare(options))


if __name__ == "__main__":
    main()
