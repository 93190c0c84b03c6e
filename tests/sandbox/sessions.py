"""Sandboxes for the abuse suite: opened by a driver's name, spoken to as the runtime does, watched from outside."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from agentrt.config.schema import SandboxLimits, SandboxSpec
from agentrt.sandbox.driver import Box, Driver
from agentrt.sandbox.events import Display, FileWritten, Finished, Output
from agentrt.sandbox.kernel import Kernel, KernelSettings

LIMITS = SandboxLimits()
SPEC = SandboxSpec(name="python", limits=LIMITS)
# What no sandbox may ever say: it is in a file, a variable, a process and behind sockets of this machine.
_numbers = itertools.count(1)
SECRET = "canary-2b41c7f09e5d"
KEPT = "kept_from_the_start"


@dataclass
class Ran:
    """All that came of one call."""

    stdout: str = ""
    stderr: str = ""
    finished: Finished | None = None
    files: list[FileWritten] = field(default_factory=list)
    n_displays: int = 0
    wall_s: float = 0.0

    @property
    def end(self) -> Finished:
        assert self.finished is not None
        return self.finished

    @property
    def said(self) -> str:
        """Everything in it that the code could have chosen."""
        error = self.end.error
        parts = [self.stdout, self.stderr, self.end.result or ""]
        return "\n".join([*parts, *((error.name, error.value, error.traceback) if error else ())])


class Session:
    """One sandbox with variables."""

    def __init__(self, driver: Driver, box: Box, kernel: Kernel) -> None:
        self.driver = driver
        self.box = box
        self.kernel = kernel

    @classmethod
    async def start(cls, driver: Driver) -> Session:
        box = await driver.open(f"abuse-{next(_numbers)}")
        watch_bytes = 0 if driver.capabilities.memory else LIMITS.memory_bytes
        kernel = await Kernel.attach(box.channel, KernelSettings(watch_bytes=watch_bytes, grace_s=0.4))
        session = cls(driver, box, kernel)
        await session.run(f"{KEPT} = 42")
        return session

    async def be_alive(self) -> None:
        """Begin anew if an earlier test has ended it: only that one shall fail."""
        if not self.kernel.is_alive:
            await self.box.kill()
            fresh = await Session.start(self.driver)
            self.box, self.kernel = fresh.box, fresh.kernel

    async def run(self, code: str, *, timeout_s: float = 10.0) -> Ran:
        ran = Ran()
        started = time.monotonic()
        async for event in self.kernel.execute(code, timeout_s=timeout_s):
            match event:
                case Output(stream="stdout"):
                    ran.stdout += event.text
                case Output():
                    ran.stderr += event.text
                case FileWritten():
                    ran.files.append(event)
                case Display():
                    ran.n_displays += 1
                case Finished():
                    ran.finished = event
        ran.wall_s = time.monotonic() - started
        return ran

    async def value(self, expression: str) -> str:
        """The repr of an expression; it has to have one."""
        ran = await self.run(expression)
        assert ran.end.status == "ok", ran.said
        assert ran.end.result is not None
        return ran.end.result

    async def read(self, path: str) -> bytes:
        return b"".join([piece async for piece in self.kernel.get(path)])


@asynccontextmanager
async def open_session(driver: Driver) -> AsyncIterator[Session]:
    session = await Session.start(driver)
    try:
        yield session
    finally:
        await session.box.kill()


def resident_bytes() -> int:
    """Of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
