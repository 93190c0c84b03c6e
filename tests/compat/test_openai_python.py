"""The official openai-python SDK, 1.x, 2.x and 3.x, over real HTTP. What is played stands in sdk/."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache

import pytest

from tests.compat.background import LoopThread
from tests.compat.deployment import REPOSITORY, Deployment
from tests.compat.performance import Performance, leave_out, perform
from tests.compat.sdk.scenario import all_scenarios

MAJORS = (1, 2, 3)
INSTALLED = 3
SDKS = REPOSITORY / ".venv" / "sdks"


@pytest.fixture(scope="session")
def performed(service: Deployment, servers: LoopThread) -> Callable[[int], Performance]:
    """Plays all scenarios with an SDK, once."""

    @cache
    def with_sdk(major: int) -> Performance:
        return perform(
            lambda url: [sys.executable, "-m", "tests.compat.sdk", url],
            folder=REPOSITORY,
            environment={} if major == INSTALLED else {"PYTHONPATH": str(SDKS / f"openai-{major}")},
            service=service,
            servers=servers,
        )

    return with_sdk


@pytest.mark.parametrize("major", MAJORS)
@pytest.mark.parametrize("name", all_scenarios())
def test_openai_python(performed: Callable[[int], Performance], name: str, major: int) -> None:
    if major != INSTALLED and not (SDKS / f"openai-{major}" / "openai").is_dir():
        leave_out(f"openai-python {major} is not there: `make sdks` installs it")
    performance = performed(major)

    assert performance.version.startswith(f"{major}.")
    performance.check(name)
