"""Processes under measurement: started from this checkout, ended, and what CPU and memory they took."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
_READY_WITHIN_S = 60.0
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Process:
    """A process; where `ready` is given, that URL is asked until it answers 200."""

    def __init__(self, command: list[str], *, log: Path, ready: str | None = None) -> None:
        self._log = log.open("w+")
        started = time.monotonic()
        self._process = subprocess.Popen(command, cwd=ROOT, stdout=self._log, stderr=subprocess.STDOUT)
        while ready is not None and not self._answers(ready):
            if time.monotonic() - started > _READY_WITHIN_S:
                self.kill()
                raise RuntimeError(f"{command} does not answer at {ready}")
            time.sleep(0.02)
        self.ready_wall_s = time.monotonic() - started

    def cpu_s(self) -> float:
        """User and system time so far."""
        return cpu_s(self._process.pid)

    def family_cpu_s(self) -> float:
        """The same with its children."""
        return cpu_of_family_s(self._process.pid)

    def rss_mb(self) -> float:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024

    def stop(self) -> None:
        """SIGTERM, and wait for its end."""
        self._process.terminate()
        self._gone()

    def kill(self) -> None:
        """SIGKILL, as `kill -9` does."""
        self._process.kill()
        self._gone()

    def _answers(self, url: str) -> bool:
        import httpx  # here, because a benchmark of the loop measures what is imported

        if self._process.poll() is not None:
            self._log.seek(0)
            raise RuntimeError(f"{self._process.args!r} ended: {self._log.read()}")
        try:
            return httpx.get(url).status_code == 200
        except httpx.TransportError:
            return False

    def _gone(self) -> None:
        self._process.wait()
        self._log.close()


def python(*arguments: str) -> list[str]:
    """A command to be run with cwd=ROOT, so that `-m` and `-c` import this checkout and not what is installed."""
    return [sys.executable, *arguments]


@contextmanager
def fake_model(*arguments: str, module: str = "bench.fake_model") -> Iterator[str]:
    """A model server in a process of its own, which prints its URL and serves until the end. Yields the URL."""
    server = subprocess.Popen(python("-m", module, *arguments), cwd=ROOT, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield server.stdout.readline().split()[-1]
    finally:
        server.terminate()
        server.wait()


def free_port() -> int:
    """A port of 127.0.0.1 on which nobody listens now."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def cpu_s(pid: int) -> float:
    """User and system time of a process so far."""
    return sum(_fields(pid)[11:13]) / _TICKS_PER_S


def cpu_of_family_s(pid: int) -> float:
    """User and system time of a process and its children, those that have ended included."""
    children = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    total = sum(_fields(pid)[11:15])
    for child in children:
        try:
            total += sum(_fields(child)[11:13])
        except FileNotFoundError:  # it has ended since: its time has gone to its parent
            continue
    return total / _TICKS_PER_S


def _fields(pid: int) -> list[int]:
    """The fields of /proc/PID/stat behind the name; of the state, which is no number, 0."""
    found = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return [0, *map(int, found[1:])]
