"""The official openai-python SDK, 1.x, 2.x and 3.x, over real HTTP. What is played stands in sdk/."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache

import pytest

from agentrt.testing.fake_model_server import FakeModelServer
from tests.compat.background import LoopThread
from tests.compat.deployment import REPOSITORY, Deployment
from tests.compat.fixtures import check_log
from tests.compat.performance import Performance, leave_out, perform
from tests.compat.sdk.scenario import all_scenarios
from tests.postgres import PostgresServer

MAJORS = (1, 2, 3)
INSTALLED = 3
SDKS = REPOSITORY / ".venv" / "sdks"


@pytest.fixture(scope="session")
def performed(service: Deployment, servers: LoopThread) -> Callable[[int], Performance]:
    """Plays all scenarios with an SDK, once."""
    return cache(lambda major: _perform(major, service, servers))


@pytest.fixture(scope="session")
def performed_on_postgres(
    postgres_server: PostgresServer,
    stage: FakeModelServer,
    servers: LoopThread,
    tmp_path_factory: pytest.TempPathFactory,
) -> Performance:
    """All scenarios, played once with a service whose database is PostgreSQL."""
    name = postgres_server.new_name()
    postgres_server.run_sql(f"CREATE DATABASE {name}")
    folder = tmp_path_factory.mktemp("on_postgres") / "project"
    deployment = Deployment(folder, models_url=stage.url, database=postgres_server.url(name))
    try:
        deployment.start()
        performance = _perform(INSTALLED, deployment, servers)
        assert deployment.stop() == 0
    finally:
        deployment.close()
    check_log(deployment)
    return performance


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("name", all_scenarios())
def test_openai_python(performed: Callable[[int], Performance], name: str, major: int) -> None:
    if major != INSTALLED and not (SDKS / f"openai-{major}" / "openai").is_dir():
        leave_out(f"openai-python {major} is not there: `make sdks` installs it")
    performance = performed(major)

    assert performance.version.startswith(f"{major}.")
    performance.check(name)


@pytest.mark.parametrize("name", all_scenarios())
def test_openai_python_with_postgres(performed_on_postgres: Performance, name: str) -> None:
    performed_on_postgres.check(name)


def _perform(major: int, service: Deployment, servers: LoopThread) -> Performance:
    return perform(
        lambda url: [sys.executable, "-m", "tests.compat.sdk", url],
        folder=REPOSITORY,
        environment={} if major == INSTALLED else {"PYTHONPATH": str(SDKS / f"openai-{major}")},
        service=service,
        servers=servers,
    )
