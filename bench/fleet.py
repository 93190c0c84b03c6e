"""agentrt under measurement: one process on SQLite, or several that share a PostgreSQL database."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from agentrt.runtime.leases import Role
from bench.processes import Process, cpu_of_family_s, free_port, python
from tests.postgres import PostgresServer

_CONFIG = """
version = 1
[runtime]
data_dir = "data"
lease = "{lease_s:g}s"
limits = {{ max_concurrent_runs = 256 }}
{database}
[models.fake]
provider = "compatible"
base_url = "{model_url}"
model = "fake"
context_window = 8_000
[agents.bench]
model = "fake"
instructions = "You answer briefly."
"""


@dataclass(frozen=True)
class Bench:
    """What every part of a benchmark needs. folder: where processes keep what they have to."""

    folder: Path
    server: PostgresServer
    model_url: str


@dataclass(frozen=True)
class Shape:
    """A fleet to measure. n_workers 0: one process does everything."""

    name: str
    is_on_sqlite: bool = False
    n_workers: int = 0

    @contextmanager
    def open(self, bench: Bench, *, lease_s: float = 15) -> Iterator[Fleet]:
        """Start it, with a database of its own."""
        with tempfile.TemporaryDirectory(dir=bench.folder) as name:
            server = None if self.is_on_sqlite else bench.server
            with open_fleet(
                Path(name), bench.model_url, server=server, n_workers=self.n_workers, lease_s=lease_s
            ) as fleet:
                yield fleet


SQLITE = Shape("SQLite, 1 process", is_on_sqlite=True)
ALONE = Shape("PostgreSQL, 1 process")
WITH_WORKERS = {n: Shape(f"PostgreSQL, API + {n}", n_workers=n) for n in (1, 2, 4)}


class Cpu(NamedTuple):
    """User and system time in seconds: of the process that answers HTTP, of the workers, of the database's server."""

    api: float
    workers: float
    database: float

    def since(self, before: Cpu) -> Cpu:
        return Cpu(*(now - then for now, then in zip(self, before, strict=True)))

    def ms_each(self, n: int) -> Cpu:
        """In milliseconds for each of n."""
        return Cpu(*(seconds / n * 1000 for seconds in self))


@dataclass
class Fleet:
    """Processes on one agents.toml. server: where their database is, None for a SQLite file."""

    folder: Path
    server: PostgresServer | None = None
    nodes: list[Process] = field(default_factory=list)
    url: str = ""

    def start(self, role: Role = "all") -> Process:
        """One more process; returns when it is ready. `url` is that of the last one that answers HTTP."""
        url = f"http://127.0.0.1:{free_port()}"
        command = python("-m", "agentrt", "-q", "serve", "--config", str(self.folder / "agents.toml"), "--role", role)
        log = self.folder / f"node{len(self.nodes)}.log"
        node = Process([*command, "--port", url.rpartition(":")[2]], log=log, ready=f"{url}/healthz")
        self.nodes.append(node)
        if role != "worker":
            self.url = url
        return node

    def kill(self, node: Process) -> None:
        """`kill -9`."""
        node.kill()
        self.nodes.remove(node)

    def cpu(self) -> Cpu:
        """CPU so far. The first process is the one that answers HTTP."""
        first, *others = (node.cpu_s() for node in self.nodes)
        return Cpu(first, sum(others), 0.0 if self.server is None else _server_cpu_s(self.server))


@contextmanager
def open_fleet(
    folder: Path, model_url: str, *, server: PostgresServer | None = None, n_workers: int = 0, lease_s: float = 15
) -> Iterator[Fleet]:
    """A folder with an agents.toml, and processes: one that does everything, or one for HTTP and so many workers."""
    write_config(folder, model_url, server=server, lease_s=lease_s)
    fleet = Fleet(folder, server)
    try:
        fleet.start("api" if n_workers else "all")
        for _ in range(n_workers):
            fleet.start("worker")
        yield fleet
    finally:
        for node in reversed(fleet.nodes):
            node.stop()


def write_config(folder: Path, model_url: str, *, server: PostgresServer | None, lease_s: float) -> Path:
    """An agents.toml with an agent `bench` on a database of its own."""
    database = "" if server is None else f'database = "{_new_database(server)}"'
    config = folder / "agents.toml"
    config.write_text(_CONFIG.format(model_url=model_url, database=database, lease_s=lease_s))
    return config


def _new_database(server: PostgresServer) -> str:
    """The URL of a database without tables."""
    name = server.new_name()
    server.run_sql(f"CREATE DATABASE {name}")
    return server.url(name)


def _server_cpu_s(server: PostgresServer) -> float:
    """CPU so far of a PostgreSQL server with all its backends."""
    return cpu_of_family_s(int((server.folder / "postmaster.pid").read_text().split()[0]))
