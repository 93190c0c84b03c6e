"""A host of one kernel that runs as a plain process of this machine, and what there is to see of it from outside."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agentrt.sandbox.boot import BOOT_COMMAND, boot_bytes

SETTINGS = {
    "lease_s": 60.0,
    "grace_s": 0.2,
    "output_bytes": 1000,
    "checkpoint_bytes": 1 << 30,
    "watch_bytes": 0,
    "network": False,
}

FIND_CONTROL = """\
import gc, socket, time
sockets = [o for o in gc.get_objects() if isinstance(o, socket.socket) and o.fileno() >= 0]
[control], [births] = ([s for s in sockets if s.type == t] for t in (socket.SOCK_STREAM, socket.SOCK_DGRAM))
"""


class Host:
    """What a host says and hears, frame by frame."""

    def __init__(
        self, folder: Path, *, python: str = sys.executable, settings: dict[str, object] | None = None
    ) -> None:
        self.data = folder
        self.settings = {**SETTINGS, "data": str(folder), **(settings or {})}
        ours, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [python, *BOOT_COMMAND[1:]],
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                env={"PATH": os.defpath, "HOME": "/tmp"},
            )
        self._socket = ours
        self._frames = ours.makefile("rb")
        self._n = 0
        self._socket.settimeout(30)
        self._socket.sendall(boot_bytes())

    def say(self, kind: str, raw: bytes | None = None, /, **fields: object) -> None:
        frame = {"t": kind, **fields, **({} if raw is None else {"raw": len(raw)})}
        self._socket.sendall(json.dumps(frame).encode() + b"\n" + (raw or b""))

    def hear(self) -> dict[str, Any]:
        frame: dict[str, Any] = json.loads(self._frames.readline())
        frame["bytes"] = self._frames.read(frame.get("raw", 0))
        return frame

    def attach(self) -> dict[str, Any]:
        self.say("attach", nonce="n", **self.settings)
        return self.hear()

    def ask(self, kind: str, raw: bytes | None = None, /, **fields: object) -> dict[str, Any]:
        self.say(kind, raw, id="r", **fields)
        return self.hear()

    def start(self, code: str, timeout: float | None = 20.0) -> str:
        self._n += 1
        self.say("exec", id=f"call{self._n}", code=code, timeout=timeout)
        return f"call{self._n}"

    def run(self, code: str, timeout: float | None = 20.0) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """(done, the frames before it)"""
        call = self.start(code, timeout)
        frames: list[dict[str, Any]] = []
        while True:
            frame = self.hear()
            assert frame["id"] == call
            if frame["t"] == "done":
                return frame, frames
            frames.append(frame)

    def value(self, code: str) -> object:
        done, _ = self.run(code)
        assert done["status"] == "ok", done
        return done.get("result")

    def printed(self, code: str) -> str:
        _, frames = self.run(code)
        return "".join(frame["d"] for frame in frames if frame["t"] == "out")

    def close(self) -> None:
        self._frames.close()
        self._socket.close()
        try:
            self.process.wait(10)
        finally:
            self.process.kill()
            self.process.communicate()


@contextmanager
def attached(folder: Path) -> Iterator[Host]:
    """A host whose kernel is ready."""
    host = Host(folder)
    host.attach()
    try:
        yield host
    finally:
        host.close()


def processes_in(folder: Path) -> list[int]:
    """Who has the folder as his working folder: the kernel's workers."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder:
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def wait_until_there_are(n: int, folder: Path) -> None:
    """A copy that is not needed any more takes a moment to end, and a new one a moment to begin."""
    deadline = time.monotonic() + 10
    while len(found := processes_in(folder)) != n:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
