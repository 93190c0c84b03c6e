"""The server of the first run: `agentrt serve` as a process that can be killed and started again."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SHOP = Path(__file__).parent / "shop"
READY_WITHIN_S = 60.0
STOPS_WITHIN_S = 20.0


class FirstRunError(Exception):
    """Something went another way than it should; the text is for the person who watches."""


class Server:
    """`agentrt serve` in a process of its own, on a copy of the shop; both are gone at the end."""

    def __init__(self, folder: Path) -> None:
        shutil.copytree(SHOP, folder, ignore=shutil.ignore_patterns("__pycache__"))
        self._folder = folder
        self._log = folder / "server.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.port = _free_port()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> tuple[float, dict[str, Any]]:
        """Start it. Returns after how many seconds it was ready, and what /healthz says."""
        started = time.monotonic()
        command = [sys.executable, "-m", "agentrt", "serve", "--config", "agents.toml", "--port", str(self.port)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(command, cwd=self._folder, stdout=log, stderr=log, start_new_session=True)
        while (took_s := time.monotonic() - started) < READY_WITHIN_S:
            if self._process.poll() is not None:
                raise FirstRunError(f"the server ended at once, with exit code {self._process.returncode}")
            if (health := self._health()) is not None:
                return took_s, health
            time.sleep(0.02)
        raise FirstRunError(f"the server was not ready within {READY_WITHIN_S:.0f} s")

    def sandbox(self) -> dict[str, Any]:
        """What isolates code here, or why nothing does, once the server has found out."""
        deadline = time.monotonic() + READY_WITHIN_S
        while (health := self._health()) is not None and time.monotonic() < deadline:
            found: dict[str, Any] = health["tools"]["code_interpreter"]
            if found["why"] != "being made ready":
                return found
            time.sleep(0.1)
        raise FirstRunError("the server does not say what isolates code")

    def kill(self) -> int:
        """Kill it as hard as can be, if it runs. Returns its process id, 0 if there was none."""
        process, self._process = self._process, None
        if process is None:
            return 0
        process.kill()
        process.wait()
        return process.pid

    def stop(self) -> None:
        """Ask it to stop, as Ctrl-C would, and wait. Raises FirstRunError when it does not stop cleanly."""
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(STOPS_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            raise FirstRunError(f"the server did not stop within {STOPS_WITHIN_S:.0f} s") from None
        if code != 0:
            raise FirstRunError(f"the server stopped with exit code {code}")

    def last_words(self) -> list[str]:
        """The end of its log."""
        return self._log.read_text(errors="replace").splitlines()[-12:] if self._log.exists() else []

    def _health(self) -> dict[str, Any] | None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/healthz")
            answer = connection.getresponse()
            found: dict[str, Any] | None = json.load(answer) if answer.status == 200 else None
        except OSError:
            return None
        finally:
            connection.close()
        return found


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
