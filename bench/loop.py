"""The client-side loop against a bare httpx loop, on the same local fake model, in one run: CPU and wall, as ratios.

job = system prompt, three turns of two typed tool calls, a final answer of 200 tokens (4 model calls).
bare = httpx with its default transport + json + a for loop, no validation, no timeouts, tools called inline.
Each peer runs in a process of its own, the two right after each other, several times; the figures are medians.
With --delay-ms the server waits before each piece of the answer, as a real one does: then no two arrive at once.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import time
from collections.abc import Awaitable, Callable
from typing import Any

from bench.processes import ROOT, fake_model, python

SYSTEM = "You answer briefly and use the tools."
QUESTION = "Compare the weather in Oslo and Rome, then sum it up."
TARGETS = {1: 1.0, 64: 0.5}


def weather(city: str, days: int = 1) -> str:
    """Forecast for a city.

    city: name of the city, in any language.
    days: how many days ahead.
    """
    return f"{city}: sunny for {days} days"


def convert(amount: float, unit: str) -> str:
    """Convert an amount to another unit.

    amount: how much.
    unit: the unit to convert to.
    """
    return f"{amount * 1.8 + 32} {unit}"


TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "Forecast for a city.",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city", "days"],
            },
        },
    },
    {
        "type": "function",
        "function": {
            "name": "convert",
            "description": "Convert an amount to another unit.",
            "parameters": {
                "type": "object",
                "properties": {"amount": {"type": "number"}, "unit": {"type": "string"}},
                "required": ["amount", "unit"],
            },
        },
    },
]
FUNCTIONS: dict[str, Callable[..., str]] = {"weather": weather, "convert": convert}


async def bare_job(client: Any, url: str, is_streamed: bool) -> str:
    messages: list[dict[str, Any]] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]
    while True:
        body = {"model": "fake", "messages": messages, "tools": TOOLS, "stream": is_streamed}
        message = await (bare_stream if is_streamed else bare_call)(client, url, body)
        messages.append(message)
        if not message.get("tool_calls"):
            return str(message["content"])
        for call in message["tool_calls"]:
            result = FUNCTIONS[call["function"]["name"]](**json.loads(call["function"]["arguments"]))
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": result})


async def bare_call(client: Any, url: str, body: dict[str, Any]) -> dict[str, Any]:
    response = await client.post(f"{url}/chat/completions", json=body)
    message: dict[str, Any] = response.json()["choices"][0]["message"]
    return message


async def bare_stream(client: Any, url: str, body: dict[str, Any]) -> dict[str, Any]:
    text = ""
    calls: dict[int, dict[str, Any]] = {}
    async with client.stream("POST", f"{url}/chat/completions", json=body) as response:
        async for line in response.aiter_lines():
            if not line.startswith("data: ") or line == "data: [DONE]":
                continue
            for choice in json.loads(line[6:])["choices"]:
                delta = choice["delta"]
                text += delta.get("content") or ""
                for piece in delta.get("tool_calls") or []:
                    call = calls.setdefault(
                        piece["index"], {"id": "", "type": "function", "function": {"name": "", "arguments": ""}}
                    )
                    call["id"] += piece.get("id") or ""
                    call["function"]["name"] += piece["function"].get("name") or ""
                    call["function"]["arguments"] += piece["function"].get("arguments") or ""
    message: dict[str, Any] = {"role": "assistant", "content": text}
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return message


async def measure(job: Callable[[], Awaitable[str]], *, at_once: int, n_jobs: int) -> dict[str, float]:
    async def lane(n: int) -> None:
        for _ in range(n):
            answer = await job()
            assert answer.startswith("token0 "), answer

    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(lane(2))
    cpu, wall = time.process_time(), time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(lane(n_jobs // at_once))
    n = n_jobs // at_once * at_once
    return {
        "cpu_ms": (time.process_time() - cpu) / n * 1000,
        "wall_ms": (time.perf_counter() - wall) / n * 1000,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


async def run_bare(options: argparse.Namespace) -> dict[str, float]:
    import httpx

    limits = httpx.Limits(max_connections=options.at_once, max_keepalive_connections=options.at_once)
    async with httpx.AsyncClient(limits=limits, timeout=60) as client:
        return await measure(
            lambda: bare_job(client, options.url, options.streamed), at_once=options.at_once, n_jobs=options.jobs
        )


async def run_agentrt(options: argparse.Namespace) -> dict[str, float]:
    from agentrt import Agent
    from agentrt.http import open_client
    from agentrt.models.chat_completions import ChatCompletions

    async with open_client() as http:
        model = ChatCompletions(http, model="fake", base_url=options.url)
        agent = Agent(SYSTEM, model=model, tools=[weather, convert])

        async def job() -> str:
            if not options.streamed:
                return (await agent.run(QUESTION)).text
            async with agent.stream(QUESTION) as run:
                async for _ in run:
                    continue
            return run.result.text

        return await measure(job, at_once=options.at_once, n_jobs=options.jobs)


def peer(name: str, url: str, *, streamed: bool, at_once: int, jobs: int) -> dict[str, float]:
    options = ["--url", url, "--at-once", str(at_once), "--jobs", str(jobs), *(["--streamed"] if streamed else [])]
    command = python("-m", "bench.loop", "--peer", name, *options)
    found: dict[str, float] = json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
    return found


def import_seconds(statement: str) -> float:
    """CPU of the statement in a new process that finds compiled modules, as an installed package has them."""
    script = f"import time; t = time.process_time(); {statement}; print(time.process_time() - t)"
    compiled = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    runs = [float(subprocess.check_output(python("-c", script), cwd=ROOT, env=compiled)) for _ in range(8)]
    return statistics.median(runs[1:])


def compare(url: str, repeats: int, jobs: int) -> None:
    print(f"{'':22}{'bare CPU ms':>12}{'agentrt':>10}{'ratio':>8}{'target':>8}{'wall ratio':>12}{'RSS MB':>8}")
    for streamed in (False, True):
        for at_once in (1, 64):
            n_jobs = jobs if at_once == 1 else jobs * 4
            pairs: list[tuple[dict[str, float], dict[str, float]]] = []
            for _ in range(repeats):
                bare = peer("bare", url, streamed=streamed, at_once=at_once, jobs=n_jobs)
                pairs.append((bare, peer("agentrt", url, streamed=streamed, at_once=at_once, jobs=n_jobs)))
            name = f"{'streamed' if streamed else 'plain'}, {at_once} at once"
            print(
                f"{name:22}{statistics.median(bare['cpu_ms'] for bare, _ in pairs):12.2f}"
                f"{statistics.median(ours['cpu_ms'] for _, ours in pairs):10.2f}"
                f"{statistics.median(ours['cpu_ms'] / bare['cpu_ms'] for bare, ours in pairs):8.2f}"
                f"{TARGETS[at_once]:8.2f}"
                f"{statistics.median(ours['wall_ms'] / bare['wall_ms'] for bare, ours in pairs):12.2f}"
                f"{max(ours['rss_mb'] for _, ours in pairs):8.0f}",
                flush=True,
            )
    print(f"import agentrt: {import_seconds('import agentrt'):.3f} s CPU (target 0.25)")
    print(f"from agentrt import Agent, tool: {import_seconds('from agentrt import Agent, tool'):.3f} s CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--peer", choices=["bare", "agentrt"], help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    parser.add_argument("--streamed", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--at-once", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--jobs", type=int, default=64, help="jobs a measurement, alone (four times as many at 64)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--delay-ms", type=float, default=0.0, help="the server's pause before each token")
    options = parser.parse_args()
    if options.peer:
        run = run_bare if options.peer == "bare" else run_agentrt
        print(json.dumps(asyncio.run(run(options))))
        return
    with fake_model("--delay-ms", str(options.delay_ms), module="agentrt.testing.fake_model_server") as url:
        compare(url, options.repeats, options.jobs)


if __name__ == "__main__":
    main()
