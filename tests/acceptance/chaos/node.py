"""One process of the service under test: a Runtime and, where the role says so, the HTTP app. What `agentrt serve` and
`agentrt worker` do, but on a clock that the test can set.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Literal

import msgspec

from agentrt.config.load import load_config
from agentrt.errors import StoreError
from agentrt.observability.logs import set_up_logging
from agentrt.runtime.assembly import Runtime
from agentrt.server.app import create_app
from agentrt.server.serving import Server
from tests.acceptance.chaos.clock import JumpingClock

log = logging.getLogger(__name__)

NOT_STARTED = 3
"""The exit code of a node that could not open its database."""


class NodeSpec(msgspec.Struct, frozen=True):
    """How to start a node. port: None for a node without HTTP."""

    name: str
    role: Literal["all", "api", "worker"]
    project: Path
    folder: Path
    port: int | None

    @property
    def clock_file(self) -> Path:
        return self.folder / f"{self.name}.clock"

    @property
    def log_file(self) -> Path:
        return self.folder / f"{self.name}.log"

    @property
    def ready_file(self) -> Path:
        return self.folder / f"{self.name}.ready"

    def is_ready(self, pid: int) -> bool:
        """Whether this very process has begun to serve."""
        return self.ready_file.exists() and self.ready_file.read_text() == str(pid)

    @property
    def farewell_file(self) -> Path:
        return self.folder / f"{self.name}.farewell"


class NotStartedError(Exception):
    """The database is away."""


class Farewell(msgspec.Struct, frozen=True):
    """What a node held when it was asked to stop. The test stops it when there is nothing left to do."""

    tasks: tuple[str, ...]
    n_files: int


def run_node(spec: NodeSpec) -> None:
    """Serve until SIGTERM. Exits when the database is away at the start, as `agentrt serve` does."""
    set_up_logging(form="json")
    try:
        asyncio.run(_run(spec))
    except NotStartedError as error:
        log.error("node.not_started", extra={"error": str(error)})
        sys.exit(NOT_STARTED)


async def _run(spec: NodeSpec) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    config = load_config(spec.project, environ={})
    url = None if spec.port is None else f"http://127.0.0.1:{spec.port}"
    runtime = Runtime(config, clock=JumpingClock(spec.clock_file), role=spec.role, server_url=url)
    async with AsyncExitStack() as exits:
        try:
            await exits.enter_async_context(runtime)
        except StoreError as error:
            raise NotStartedError(str(error)) from error
        spec.ready_file.write_text(str(os.getpid()))
        if spec.port is None:
            await stop.wait()
            _say_farewell(spec)
            return
        server = _Server(create_app(runtime), host="127.0.0.1", port=spec.port)
        async with asyncio.TaskGroup() as group:
            group.create_task(server.serve(), name="server")
            await stop.wait()
            _say_farewell(spec)
            server.should_exit = True


class _Server(Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield  # the node has its own


def _say_farewell(spec: NodeSpec) -> None:
    gc.collect()  # a stream that nobody follows any more is closed by then
    tasks = tuple(sorted(task.get_name() for task in asyncio.all_tasks()))
    n_files = len(list(Path("/proc/self/fd").iterdir()))
    spec.farewell_file.write_bytes(msgspec.json.encode(Farewell(tasks, n_files)))


def free_port() -> int:
    """A port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
