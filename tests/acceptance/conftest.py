from __future__ import annotations

from typing import Any, TypeAlias

import pytest

from agentrt.config.schema import SandboxSpec
from agentrt.sandbox.choose import make_driver
from agentrt.sandbox.driver import Unavailable
from tests.compat.fixtures import api, deploy, servers, service, stage, told, url, witnessed
from tests.compat.performance import leave_out
from tests.docker_engine import DockerEngine

__all__ = ["api", "deploy", "servers", "service", "stage", "told", "url", "witnessed"]

Place: TypeAlias = tuple[str, dict[str, Any]]
"""A driver, and what a deployment needs for it."""


@pytest.fixture(params=["docker", "bubblewrap", "monty"])
async def place(request: pytest.FixtureRequest) -> Place:
    """Each driver of sandboxes. Skips with the reason where it does not work."""
    return await _place(request.param, request)


@pytest.fixture(params=["docker", "bubblewrap"])
async def real_python(request: pytest.FixtureRequest) -> Place:
    """Each driver whose sandboxes have all of Python."""
    return await _place(request.param, request)


async def _place(name: str, request: pytest.FixtureRequest) -> Place:
    if name == "docker":
        engine: DockerEngine = request.getfixturevalue("docker_engine")
        image = request.getfixturevalue("docker_image")
        return name, {
            "sandbox": f'driver = "docker"\nimage = "{image}"',
            "environment": {"DOCKER_HOST": engine.url},
        }
    probe = await make_driver(name, SandboxSpec(name="python")).probe()
    if isinstance(probe, Unavailable):
        leave_out(f"{name}: {probe.why}: {probe.remedy}")
    return name, {"sandbox": f'driver = "{name}"'}
