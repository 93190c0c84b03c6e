"""Projects on disk for tests of the command line, and ways to call it there."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AGENTS_TOML = """
[server]
port = 0

[models.demo]
provider = "demo"

[models.slow]
provider = "demo"
delay = "150ms"

[models.fast]
provider = "openai"
model = "gpt-4o-mini"
api_key = "${A_KEY_THAT_IS_NOT_SET}"

[models.broken]
provider = "compatible"
model = "none"
base_url = "http://127.0.0.1:9/v1"
retries = 0

[tools]
get_weather = { python = "tools/weather.py:get_weather" }
wait_for = { python = "tools/weather.py:wait_for" }

[agents.helper]
name = "Helper"
model = "demo"
tools = ["get_weather", "wait_for"]

[agents.keyless]
model = "fast"
"""

WEATHER_PY = '''
"""Tools for tests."""

import asyncio

from agentrt import tool


@tool
def get_weather(city: str) -> str:
    """Get the weather in a city.

    city: the city's name.
    """
    return f"4 degrees in {city}"


@tool
async def wait_for(seconds: int) -> str:
    """Wait for some seconds.

    seconds: how many seconds to wait.
    """
    await asyncio.sleep(seconds)
    return f"waited {seconds} seconds"


@tool
def not_switched_on(word: str) -> str:
    """Say a word.

    word: the word.
    """
    return word
'''

LOOKUP: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "lookup_order",
        "description": "Look up an order",
        "parameters": {
            "type": "object",
            "properties": {"order_id": {"type": "string", "description": "the order's id such as A-17"}},
            "required": ["order_id"],
        },
    },
}
"""A function that only an app could answer."""

ROOT = Path(__file__).resolve().parents[2]


def write_project(folder: Path, extra: str = "") -> Path:
    """A project with the demo model and a few tools."""
    (folder / "tools").mkdir(parents=True, exist_ok=True)
    (folder / "agents.toml").write_text(AGENTS_TOML + extra, encoding="utf-8")
    (folder / "tools" / "weather.py").write_text(WEATHER_PY, encoding="utf-8")
    return folder


def environment(**variables: str) -> dict[str, str]:
    """The environment of a subprocess: no colours, no keys of the machine, this checkout's package."""
    inherited = os.environ.items()  # noqa: TID251 - for processes that are not this one
    kept = {name: value for name, value in inherited if not name.startswith(("OPENAI_", "AGENTRT", "OLLAMA"))}
    dropped = ("NO_COLOR", "FORCE_COLOR")
    path = os.pathsep.join([str(ROOT), *filter(None, [kept.get("PYTHONPATH")])])
    return {name: value for name, value in kept.items() if name not in dropped} | {"PYTHONPATH": path} | variables


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "agentrt", *words]


def agentrt(folder: Path, *words: str, stdin: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        command(*words),
        cwd=folder,
        env=environment(**variables),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@dataclass
class Service:
    """A running `agentrt serve`. lines: what it has said on standard output so far."""

    process: subprocess.Popen[str]
    url: str
    lines: list[str]

    def call(self, method: str, path: str, body: Any = None, key: str = "any") -> Any:
        """A request of the API, its JSON answer."""
        request = urllib.request.Request(
            f"{self.url}/v1{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={
                "authorization": f"Bearer {key}",
                "content-type": "application/json",
                "openai-beta": "assistants=v2",
            },
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end. Returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


@contextmanager
def serving(folder: Path, *words: str, **variables: str) -> Iterator[Service]:
    """A service on a free port, ready."""
    log = (folder / "serve.log").open("w", encoding="utf-8")
    process = subprocess.Popen(
        command("serve", "--port", "0", *words),
        cwd=folder,
        env=environment(**variables),
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    try:
        yield _ready(process, folder)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(timeout=30)
        assert process.stdout is not None
        process.stdout.close()
        log.close()


def _ready(process: subprocess.Popen[str], folder: Path) -> Service:
    assert process.stdout is not None
    lines: list[str] = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if "Ctrl-C stops it" in line:
            return Service(process, lines[0].rpartition(" ")[2], lines)
    raise AssertionError(f"not ready: {lines}\n{(folder / 'serve.log').read_text()}")
