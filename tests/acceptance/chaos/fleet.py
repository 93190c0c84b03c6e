"""The processes of a chaos test: nodes that can be killed, frozen, thawed and stopped, and the model they ask."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx
import msgspec

from tests.acceptance.chaos import effects
from tests.acceptance.chaos.clock import set_offset
from tests.acceptance.chaos.database import Database
from tests.acceptance.chaos.node import Farewell, NodeSpec, free_port
from tests.acceptance.chaos.nursery import Nursery, StartModel, StartNode

_READY_WITHIN_S = 60
_STOPPED_WITHIN_S = 40
_TEND_EVERY_S = 0.2
_PROJECT = """
version = 1
[runtime]
data_dir = "data"
database = "{database}"
run_expiry = "1h"
lease = "{lease_s}s"
limits = {{ max_concurrent_runs = 64 }}
[models.clerk]
provider = "compatible"
base_url = "{models_url}"
model = "clerk"
retries = 0
context_window = 1_000_000
"""
_TOOL = '[tools.{name}]\npython = "{file}:{name}"\noptions = {{ folder = "{folder}" }}\n'


@dataclass(slots=True)
class Frozen:
    """A time in which a process stood still, on the machine's monotonic clock."""

    pid: int
    begin: float
    end: float = float("inf")


@dataclass(slots=True)
class Node:
    """One process of the service, again and again: its name, port and clock stay, its pid does not.

    is_in_trouble: a fault is being done to it, which is nobody else's business meanwhile.
    """

    spec: NodeSpec
    nursery: Nursery
    pid: int = 0
    is_in_trouble: bool = False
    n_starts: int = 0
    n_faults: int = 0
    frozen: list[Frozen] = field(default_factory=list)

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def url(self) -> str:
        """Where it answers HTTP."""
        assert self.spec.port is not None
        return f"http://127.0.0.1:{self.spec.port}"

    def start(self) -> None:
        """Start it; it is not ready yet."""
        self.pid = self.nursery.start(StartNode(self.spec))
        self.n_starts += 1

    async def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        os.kill(self.pid, signal.SIGKILL)
        await self._gone()

    def freeze(self) -> None:
        """SIGSTOP."""
        os.kill(self.pid, signal.SIGSTOP)
        self.frozen.append(Frozen(self.pid, time.monotonic()))

    def thaw(self) -> None:
        """SIGCONT."""
        self.frozen[-1].end = time.monotonic()
        os.kill(self.pid, signal.SIGCONT)

    async def wait_until_ready(self) -> None:
        """Wait until it serves; one that could not start is started again."""
        async with asyncio.timeout(_READY_WITHIN_S):
            while not self.spec.is_ready(self.pid):
                if self.nursery.exit_code(self.pid) is not None:
                    self.start()
                await asyncio.sleep(0.01)

    async def stop(self) -> int:
        """SIGTERM, and the exit code."""
        os.kill(self.pid, signal.SIGTERM)
        return await self._gone()

    def farewell(self) -> Farewell:
        """What it held when it was last asked to stop."""
        return msgspec.json.decode(self.spec.farewell_file.read_bytes(), type=Farewell)

    def jump(self, seconds: float) -> None:
        """Set its clock wrong by so much."""
        set_offset(self.spec.clock_file, seconds)

    async def _gone(self) -> int:
        async with asyncio.timeout(_STOPPED_WITHIN_S):
            while (code := self.nursery.exit_code(self.pid)) is None:
                await asyncio.sleep(0.01)
        return code


@dataclass(slots=True)
class Fleet:
    """All nodes of one test. Every node keeps its log, and the tools theirs, in one folder."""

    folder: Path
    database: Database
    nodes: list[Node]
    nursery: Nursery
    lease_s: float
    models_port: int = field(default_factory=free_port)

    @property
    def api_nodes(self) -> list[Node]:
        return [node for node in self.nodes if node.spec.port is not None]

    @property
    def working_nodes(self) -> list[Node]:
        """Those that drive runs."""
        return [node for node in self.nodes if node.spec.role != "api"]

    async def start(self) -> None:
        """Start the model and all nodes; returns when every API node answers."""
        (self.folder / effects.EFFECTS).mkdir()
        self._write_project()
        self.nursery.start(StartModel(self.folder, self.models_port))
        for node in self.nodes:
            node.jump(0.0)
            node.start()
        async with asyncio.timeout(_READY_WITHIN_S), httpx.AsyncClient(trust_env=False) as http:
            for node in self.api_nodes:
                while not await self._answers(node, http):
                    await asyncio.sleep(0.05)

    async def tend(self) -> None:
        """Start what has ended by itself, as a supervisor does; for ever, the owner cancels it."""
        while True:
            for node in self.nodes:
                if not node.is_in_trouble and self.nursery.exit_code(node.pid) is not None:
                    node.start()
            await asyncio.sleep(_TEND_EVERY_S)

    async def stop(self) -> list[int]:
        """SIGTERM to everybody; the exit codes."""
        for node in self.nodes:
            await node.wait_until_ready()
        return await asyncio.gather(*(node.stop() for node in self.nodes))

    async def _answers(self, node: Node, http: httpx.AsyncClient) -> bool:
        if (code := self.nursery.exit_code(node.pid)) is not None:
            raise AssertionError(f"{node.name} ended with {code}:\n{node.spec.log_file.read_text()}")
        try:
            return (await http.get(f"{node.url}/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    def _write_project(self) -> None:
        models_url = f"http://127.0.0.1:{self.models_port}/v1"
        project = _PROJECT.format(database=self.database.url, models_url=models_url, lease_s=self.lease_s)
        file = effects.__file__
        tools = (_TOOL.format(name=name, file=file, folder=self.folder) for name in ("pay", "ship", "put"))
        (self.folder / "agents.toml").write_text(project + "".join(tools))


def make_fleet(
    nursery: Nursery, folder: Path, database: Database, *, n_api: int, n_workers: int, lease_s: float
) -> Fleet:
    """A fleet that is not started yet. Without workers there is one API node, which drives the runs itself."""

    def node(name: str, role: Literal["all", "api", "worker"]) -> Node:
        port = None if role == "worker" else free_port()
        return Node(NodeSpec(name, role, folder / "agents.toml", folder, port), nursery)

    if not n_workers:
        return Fleet(folder, database, [node("node", "all")], nursery, lease_s)
    nodes = [node(f"api{n}", "api") for n in range(n_api)] + [node(f"worker{n}", "worker") for n in range(n_workers)]
    return Fleet(folder, database, nodes, nursery, lease_s)
