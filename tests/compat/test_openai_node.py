"""The official openai-node SDK over real HTTP. What is played stands in node/scenarios.mjs."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from tests.compat.background import LoopThread
from tests.compat.deployment import Deployment
from tests.compat.performance import Performance, leave_out, perform

FOLDER = Path(__file__).parent / "node"
NAMES = re.findall(r"^  async (\w+)\(client\)", (FOLDER / "scenarios.mjs").read_text(), re.MULTILINE)


@pytest.fixture(scope="session")
def performed(service: Deployment, servers: LoopThread) -> Performance:
    """All scenarios, played once."""
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules" / "openai").is_dir():
        leave_out("openai-node is not there: `make sdks` installs it, with npm")
    return perform(
        lambda url: [str(node), "scenarios.mjs", url],
        folder=FOLDER,
        environment={},
        service=service,
        servers=servers,
    )


@pytest.mark.parametrize("name", NAMES)
def test_openai_node(performed: Performance, name: str) -> None:
    assert performed.version.startswith("7.")
    performed.check(name)


def test_every_scenario_is_played(performed: Performance) -> None:
    assert list(performed.errors) == NAMES
