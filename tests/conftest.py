"""What several tests need outside of themselves: a database on SQLite or a real PostgreSQL, a container engine."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from agentrt.dispatch.postgres_tables import NAMES, install_queue
from agentrt.store.migrate import migrate
from tests.postgres import PostgresServer, running_postgres
from tests.s3 import Bucket, make_bucket, running_s3

if TYPE_CHECKING:
    from tests.docker_engine import DockerEngine

_SHARED = "agentrt"
_FULL = (
    *("thread", "job", "assistant", "vector_store", "file", "upload", "blob", "schedule", "webhook_delivery"),
    *("disabled_webhook", "worker", "store_index", "segment", "segment_vector", "cached_embedding", "posting"),
    "vector_graph",
    NAMES.queue_table,
)
_EMPTY = "; ".join(f"DELETE FROM {table}" for table in _FULL)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for all tests that do it no harm, with a database that has our tables."""
    with running_postgres() as server:
        server.run_sql(f"CREATE DATABASE {_SHARED}")
        migrate(server.url(_SHARED), backup=False)
        with ThreadPoolExecutor(1) as pool:  # some callers are in the middle of an event loop
            pool.submit(asyncio.run, install_queue(server.url(_SHARED))).result()
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database with our tables and no rows. (Emptied after each test: a new one would cost fifty times as much.)"""
    yield postgres_server.url(_SHARED)
    postgres_server.run_sql(_EMPTY, database=_SHARED)


@pytest.fixture
def empty_postgres_url(postgres_server: PostgresServer) -> Iterator[str]:
    """A database without tables."""
    name = postgres_server.new_name()
    postgres_server.run_sql(f"CREATE DATABASE {name}")
    yield postgres_server.url(name)
    postgres_server.run_sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with our tables and no rows, to be copied."""
    path = tmp_path_factory.mktemp("sqlite") / "agentrt.db"
    migrate(f"sqlite:///{path}", backup=False)
    return path


@pytest.fixture
def sqlite_path(sqlite_template: Path, tmp_path: Path) -> Path:
    """A SQLite file with our tables."""
    return Path(shutil.copy(sqlite_template, tmp_path / "agentrt.db"))


@pytest.fixture(scope="session")
def docker_engine() -> Iterator[DockerEngine]:
    """One engine for all tests; each names what it starts by an owner of its own."""
    from tests.docker_engine import running_engine  # the SDK costs 0.3 s, which most tests need not pay

    with running_engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def docker_image(docker_engine: DockerEngine) -> str:
    """The tag of sandboxes/python, built in that engine."""
    from tests.docker_engine import sandbox_image

    return sandbox_image(docker_engine)


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """The address of one S3 server for all tests."""
    with running_s3() as url:
        yield url


@pytest.fixture
def bucket(s3_url: str) -> Bucket:
    """An empty bucket."""
    return make_bucket(s3_url)
