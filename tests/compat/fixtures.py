"""The service, the scripted model and the witness, as fixtures; tests/acceptance takes them too."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agentrt.testing.fake_model_server import FakeModelServer
from agentrt.testing.model_answers import ReceivedRequest
from tests.compat.api import Api
from tests.compat.background import LoopThread
from tests.compat.deployment import Deployment
from tests.compat.plays import play
from tests.compat.wire_rules import complaints
from tests.compat.witness import Witness


@pytest.fixture(scope="session")
def servers() -> Iterator[LoopThread]:
    """The loop that the scripted model and the witnesses run on."""
    with LoopThread() as loop:
        yield loop


@pytest.fixture(scope="session")
def stage(servers: LoopThread) -> Iterator[FakeModelServer]:
    """The model server behind the models `puppet`, `stubborn`, `blind` and `narrow`."""
    server = FakeModelServer(play)
    servers.run(server.__aenter__())
    yield server
    servers.run(server.__aexit__(None, None, None))


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory, stage: FakeModelServer) -> Iterator[Deployment]:
    """One service for all tests that do not harm it. Its log must stay free of errors."""
    deployment = Deployment(tmp_path_factory.mktemp("service") / "project", models_url=stage.url)
    deployment.start()
    try:
        yield deployment
        assert deployment.stop() in (0, -15), deployment.log
        check_log(deployment)
    finally:
        deployment.close()


@pytest.fixture
def deploy(tmp_path: Path, stage: FakeModelServer) -> Iterator[Callable[..., Deployment]]:
    """Makes services of the test's own, not started yet: `deploy(run_expiry="2s")`, `deploy(beside=the_first)`."""
    made: list[Deployment] = []

    def make(*, beside: Deployment | None = None, **given: Any) -> Deployment:
        folder = tmp_path / f"project{len(made)}"
        made.append(beside.twin() if beside else Deployment(folder, models_url=stage.url, **given))
        return made[-1]

    yield make
    for deployment in made:
        deployment.close()
        check_log(deployment)


@pytest.fixture
def witnessed(servers: LoopThread) -> Iterator[Callable[[Deployment], str]]:
    """The URL of a proxy to a deployment that writes down all that passes; it is judged when the test is over."""
    witnesses: list[Witness] = []

    def watch(deployment: Deployment) -> str:
        witness = Witness(deployment.port)
        servers.run(witness.start())
        witnesses.append(witness)
        return witness.url

    yield watch
    found = []
    for witness in witnesses:
        servers.run(witness.stop())
        found += complaints(witness.exchanges)
    assert not found, "\n".join(found)


@pytest.fixture
def url(service: Deployment, witnessed: Callable[[Deployment], str]) -> str:
    """Where the shared service is, through the witness."""
    return witnessed(service)


class Told:
    """What the scripted model was told since the test began."""

    def __init__(self, stage: FakeModelServer) -> None:
        self._stage = stage
        self._begin = len(stage.requests)

    def bodies(self) -> list[dict[str, Any]]:
        """The bodies of all requests."""
        requests: list[ReceivedRequest] = list(self._stage.requests)[self._begin :]
        return [request.body for request in requests]

    def talks(self) -> list[list[tuple[str, str]]]:
        """Of each request, role and text of its messages."""
        return [[(m["role"], str(m.get("content") or "")) for m in body["messages"]] for body in self.bodies()]

    def last(self) -> list[tuple[str, str]]:
        """The last of talks()."""
        return self.talks()[-1]


@pytest.fixture
def told(stage: FakeModelServer) -> Told:
    """What the model is told during the test."""
    return Told(stage)


@pytest.fixture
def api(url: str) -> Iterator[Api]:
    """The shared service's API."""
    with Api(url) as api:
        yield api


def check_log(deployment: Deployment) -> None:
    """Nothing in the log is an error: what the server did wrong and nobody saw shows here."""
    lines = [line for line in deployment.log.split("\n") if line.strip()]
    wrong = [line for line in lines if not line.startswith("{") or json.loads(line)["level"] in ("error", "critical")]
    assert not wrong, "\n".join(wrong)
