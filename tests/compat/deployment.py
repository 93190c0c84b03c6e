"""The real service as a process of its own, on a free port and in a folder of its own."""

from __future__ import annotations

import copy
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

REPOSITORY = Path(__file__).resolve().parents[2]
KEY = "sk-first-project"
OTHER_KEY = "sk-other-project"

_READY_WITHIN_S = 60
_TOOLS = '''
"""Tools of the tests."""

import time
from agentrt import tool


@tool
def add(a: int, b: int) -> int:
    """Add two numbers.

    Args:
        a: The first.
        b: The second.
    """
    return a + b


@tool
def explode() -> str:
    """Fail."""
    raise ValueError("boom")


@tool
def take_time(seconds: float) -> str:
    """Wait.

    Args:
        seconds: How long.
    """
    for _ in range(int(seconds * 20)):
        time.sleep(0.05)
    return "done"


@tool
def note(text: str) -> str:
    """Write a line into a file, slowly.

    Args:
        text: The line.
    """
    with open("notes.txt", "a") as file:
        file.write(text + "\\n")
    time.sleep(30)
    return "noted"
'''
_PROJECT = """
version = 1
[runtime]
data_dir = "data"
run_expiry = "{run_expiry}"
{database}
[server]
[[server.keys]]
name = "first"
key = "{key}"
[[server.keys]]
name = "other"
key = "{other_key}"
project = "other"
[models.demo]
provider = "demo"
[models.puppet]
provider = "compatible"
base_url = "{models_url}"
model = "puppet"
api_key = "sk-puppet"
retries = 0
answers_to = ["gpt-4o*"]
[models.stubborn]
provider = "compatible"
base_url = "{models_url}"
model = "puppet"
retries = 2
[models.blind]
provider = "compatible"
base_url = "{models_url}"
model = "puppet"
images = false
[models.narrow]
provider = "compatible"
base_url = "{models_url}"
model = "puppet"
context_window = 512
[models.gone]
provider = "compatible"
base_url = "http://127.0.0.1:9/v1"
model = "gone"
retries = 0
[models.keyless]
provider = "openai"
model = "gpt-none"
api_key = "${{AGENTRT_TEST_NO_SUCH_VARIABLE}}"
[tools]
add = {{ python = "tools/tools.py:add" }}
explode = {{ python = "tools/tools.py:explode" }}
take_time = {{ python = "tools/tools.py:take_time" }}
note = {{ python = "tools/tools.py:note" }}
[sandboxes.python]
{sandbox}
[agents.declared]
id = "asst_declared"
name = "Declared"
model = "demo"
instructions = "You help."
tools = ["add"]
"""


class Deployment:
    """`agentrt serve` in a folder. start, kill, stop, and start again: the folder stays.

    database: a URL, of PostgreSQL; else SQLite in the folder. sandbox: the keys of [sandboxes.python]. more: further
    tables of agents.toml.
    """

    def __init__(
        self,
        folder: Path,
        *,
        models_url: str,
        run_expiry: str = "10m",
        database: str = "",
        sandbox: str = 'driver = "unsafe-local"',
        more: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._environment = _environment() | dict(environment or {})
        self.folder = folder
        self.port = _free_port()
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "tools").mkdir(parents=True)
        (folder / "tools" / "tools.py").write_text(_TOOLS)
        (folder / "agents.toml").write_text(
            _PROJECT.format(
                models_url=models_url,
                run_expiry=run_expiry,
                sandbox=sandbox,
                database=f'database = "{database}"' if database else "",
                key=KEY,
                other_key=OTHER_KEY,
            )
            + more
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def peak_bytes(self) -> int:
        """The most memory that the process has had (Linux)."""
        assert self._process is not None
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024

    def children(self) -> list[int]:
        """The processes that it has started and that still run (Linux)."""
        assert self._process is not None
        lists = Path(f"/proc/{self._process.pid}/task").glob("*/children")
        return [int(pid) for children in lists for pid in children.read_text().split()]

    @property
    def log(self) -> str:
        """All that the service has written so far."""
        return (self.folder / "log.txt").read_text(errors="replace")

    def twin(self) -> Deployment:
        """Another process on the same folder and database, not started yet."""
        found = copy.copy(self)
        found.port, found._process = _free_port(), None
        return found

    def start(self) -> None:
        """Start; returns when /healthz answers 200."""
        command = [sys.executable, "-m", "agentrt", "serve", "--log-format", "json"]
        command += ["--config", str(self.folder / "agents.toml"), "--port", str(self.port)]
        with (self.folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self.folder, env=self._environment, stdout=log, stderr=log)
        deadline = time.monotonic() + _READY_WITHIN_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"the service does not start:\n{self.log}")
            time.sleep(0.02)

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        self._wait()

    def ask_to_stop(self) -> None:
        """SIGTERM."""
        self._signal(signal.SIGTERM)

    def stacks(self) -> str:
        """Where every task and thread of the service stands: for a test that it leaves without an answer."""
        known = len(self.log)
        self._signal(signal.SIGUSR1)
        deadline = time.monotonic() + 5
        while "stacks.task" not in self.log[known:] and time.monotonic() < deadline:
            time.sleep(0.02)
        time.sleep(0.2)  # the others are written at once
        return self.log[known:]

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.ask_to_stop()
        return self._wait()

    def close(self) -> None:
        """Leave nothing running, whatever the test did."""
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def _is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def _signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self) -> int:
        """Wait for its end; the exit code."""
        return self._wait()

    def _wait(self) -> int:
        assert self._process is not None
        return self._process.wait(timeout=30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


def _environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "TMPDIR")
    found = {name: os.environ[name] for name in kept if name in os.environ}  # noqa: TID251 - what a process needs
    return found | {"PYTHONPATH": str(REPOSITORY), "PYTHONUNBUFFERED": "1"}
