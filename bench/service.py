"""The service against a minimal endpoint that makes the same model call, in one run: CPU, latency, memory, as ratios.

minimal = FastAPI + sqlite3 (one row in, one row out) + httpx, one process; it streams or answers whole.
ours = `agentrt serve` on SQLite, create-thread-and-run, streamed to the end or polled until it is done.
CPU is user + system time of the server's process. The fake model answers at once with 20 tokens.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

N_TOKENS = 20
THREAD_SIZES = (400, 2_000, 10_000)
CONFIG = """
version = 1
[runtime]
data_dir = "data"
limits = {{ max_concurrent_runs = 256 }}
[models.fake]
provider = "compatible"
base_url = "{url}"
model = "fake"
context_window = 8_000
[agents.bench]
model = "fake"
instructions = "You answer briefly."
"""
HEADERS = {"OpenAI-Beta": "assistants=v2", "Authorization": "Bearer bench"}


class Process:
    """A server of its own process; `ready` is polled until it answers 200."""

    def __init__(self, command: list[str], *, folder: Path, ready: str) -> None:
        self._log = (folder / "server.log").open("w+")
        started = time.monotonic()
        self._process = subprocess.Popen(command, cwd=folder, stdout=self._log, stderr=subprocess.STDOUT)
        while True:
            if self._process.poll() is not None:
                self._log.seek(0)
                raise RuntimeError(f"{command} ended: {self._log.read()}")
            try:
                if httpx.get(ready).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.02)
        self.ready_wall_s = time.monotonic() - started

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def rss_mb(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._log.close()


async def serve_fake(port: int) -> None:
    """A model whose first token is the moment at which it was sent."""
    from agentrt.testing.fake_model_server import FakeModelServer
    from agentrt.testing.model_answers import Completion, ReceivedRequest

    def answer(request: ReceivedRequest) -> Completion:
        # All of one length: the server cuts the text into equal pieces, and the first must be the whole number.
        words = [f"{time.monotonic():<15.6f} ", *(f"{f'word{n}':<15} " for n in range(N_TOKENS - 1))]
        # An honest count: agentrt learns from it how many tokens a text has.
        n_prompt_tokens = len(json.dumps(request.body["messages"])) // 4
        return Completion(text="".join(words), n_chunks=N_TOKENS, usage=(n_prompt_tokens, N_TOKENS))

    async with FakeModelServer(answer, port=port, keeps_requests=False):
        await asyncio.Event().wait()


def serve_minimal(port: int, model_url: str) -> None:
    import sqlite3

    import uvicorn
    from fastapi import FastAPI
    from starlette.responses import StreamingResponse

    app = FastAPI()
    db = sqlite3.connect("minimal.db", isolation_level=None)
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

    uvicorn.run(app, host="127.0.0.1", port=port, log_level="warning", access_log=False, timeout_keep_alive=60)


async def minimal_job(client: httpx.AsyncClient, is_streamed: bool) -> float | None:
    body = {"text": "Say something.", "stream": is_streamed}
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
    thread = {"messages": [{"role": "user", "content": "Say something."}]}
    body = {"assistant_id": "asst_bench", "thread": thread, "stream": is_streamed}
    if is_streamed:
        return await _follow(client, "/v1/threads/runs", body)
    run = (await client.post("/v1/threads/runs", json=body)).raise_for_status().json()
    path = f"/v1/threads/{run['thread_id']}/runs/{run['id']}"
    while run["status"] in ("queued", "in_progress"):
        await asyncio.sleep(0.05)  # what the SDK's poll helpers sleep at least
        run = (await client.get(path)).raise_for_status().json()
    assert run["status"] == "completed", run
    return None


async def _follow(client: httpx.AsyncClient, path: str, body: dict[str, Any]) -> float | None:
    lag: float | None = None
    event = last = ""
    async with client.stream("POST", path, json=body) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if line.startswith("event: "):
                last, event = event, line[7:]
            elif lag is None and event == "thread.message.delta" and line.startswith("data: "):
                delta = json.loads(line[6:])["delta"]["content"][0]["text"]["value"]
                lag = time.monotonic() - float(delta.split()[0])
    assert (last, event) == ("thread.run.completed", "done"), (last, event)
    return lag


async def load(
    server: Process, url: str, job: Callable[[httpx.AsyncClient, bool], Awaitable[float | None]], *, streamed: bool,
    n: int, at_once: int,
) -> tuple[float, list[float]]:  # fmt: skip
    """(CPU ms a job of the server, lags of the first delta in ms)."""
    limits = httpx.Limits(max_connections=at_once, max_keepalive_connections=at_once)
    lags: list[float] = []
    async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=120, limits=limits) as client:
        for _ in range(5):
            await job(client, streamed)
        before = server.cpu_s()

        async def lane(n_jobs: int) -> None:
            for _ in range(n_jobs):
                lag = await job(client, streamed)
                if lag is not None:
                    lags.append(lag * 1000)

        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(lane(n // at_once))
    return (server.cpu_s() - before) / (n // at_once * at_once) * 1000, lags


async def turns_on_long_threads(server: Process, url: str, n_turns: int) -> None:
    """CPU a turn on threads of 400, 2,000 and 10,000 messages; the model's window is full with a part of the first."""
    async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=120) as client:
        figures = []
        filler = "An earlier message of the conversation, about a hundred and fifty characters long, " * 2
        for n_messages in THREAD_SIZES:
            first = [{"role": "user", "content": filler} for _ in range(32)]
            thread = (await client.post("/v1/threads", json={"messages": first})).raise_for_status().json()["id"]
            for _ in range(n_messages - 32):
                body = {"role": "user", "content": filler}
                (await client.post(f"/v1/threads/{thread}/messages", json=body)).raise_for_status()
            run = {"assistant_id": "asst_bench", "stream": True}
            await _follow(client, f"/v1/threads/{thread}/runs", run)
            before = server.cpu_s()
            for _ in range(n_turns):
                await _follow(client, f"/v1/threads/{thread}/runs", run)
            figures.append((server.cpu_s() - before) / n_turns * 1000)
    base = figures[0]
    text = " · ".join(f"{n:,}: {ms:.1f} ms ({ms / base:.2f} ×)" for n, ms in zip(THREAD_SIZES, figures, strict=True))
    print(f"CPU a turn by messages in the thread  {text}")


async def compare(options: argparse.Namespace) -> None:
    folder = Path(tempfile.mkdtemp(prefix="agentrt-bench-"))
    fake_port, minimal_port, our_port = options.port, options.port + 1, options.port + 2
    model_url = f"http://127.0.0.1:{fake_port}/v1"
    (folder / "agents.toml").write_text(CONFIG.format(url=model_url))
    here = str(Path(__file__).resolve())
    fake = subprocess.Popen([sys.executable, here, "--fake", str(fake_port)])
    minimal_command = [sys.executable, here, "--minimal", str(minimal_port), "--model-url", model_url]
    minimal = Process(minimal_command, folder=folder, ready=f"http://127.0.0.1:{minimal_port}/healthz")
    our_url = f"http://127.0.0.1:{our_port}"
    command = [sys.executable, "-m", "agentrt", "-q", "serve", "--config", "agents.toml", "--port", str(our_port)]
    ours = Process(command, folder=folder, ready=f"{our_url}/healthz")
    print(
        f"ready: {ours.cpu_s():.2f} s CPU (target 2), {ours.ready_wall_s:.2f} s wall · "
        f"idle {ours.rss_mb():.0f} MB (target 90), minimal {minimal.rss_mb():.0f} MB"
    )
    try:
        await _compare_loads(options, minimal, f"http://127.0.0.1:{minimal_port}", ours, our_url)
        print(f"loaded {ours.rss_mb():.0f} MB")
        await turns_on_long_threads(ours, our_url, options.turns)
    finally:
        for server in (ours, minimal):
            server.stop()
        fake.terminate()
        fake.wait()


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
    parser.add_argument("--port", type=int, default=18_700, help="the first of three ports on 127.0.0.1")
    parser.add_argument("--fake", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--minimal", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--model-url", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fake:
        asyncio.run(serve_fake(options.fake))
    elif options.minimal:
        serve_minimal(options.minimal, options.model_url)
    else:
        asyncio.run(compare(options))


if __name__ == "__main__":
    main()
