"""Scenarios that a client plays as a process of its own, through a witness: what it said of each, and what was said on
the wire. The process prints a line of JSON with its `version`, then one for each `scenario`, with its `error`."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.compat.background import LoopThread
from tests.compat.deployment import KEY, Deployment
from tests.compat.wire_rules import complaints
from tests.compat.witness import Exchange, Witness

SKIP_NOTHING = bool(os.environ.get("AGENTRT_TESTS_SKIP_NOTHING"))  # noqa: TID251 - set where CI must not skip
_MOST_S = 400  # it takes 20 where nobody else works


@dataclass
class Performance:
    """errors: of each scenario the traceback, None where all was well. exchanges: by scenario, as the wire saw them."""

    version: str
    errors: dict[str, str | None] = field(default_factory=dict)
    exchanges: dict[str, list[Exchange]] = field(default_factory=dict)

    def check(self, scenario: str) -> None:
        """The client is content, and so is the contract."""
        assert scenario in self.errors, f"the client gave up before {scenario}"
        error = self.errors[scenario]
        assert error is None, error
        found = complaints(self.exchanges.get(scenario, []))
        assert not found, "\n".join(found)


def perform(
    command: Callable[[str], Sequence[str]],
    *,
    folder: Path,
    environment: Mapping[str, str],
    service: Deployment,
    servers: LoopThread,
) -> Performance:
    """Play everything. command: of the API's URL. Each request names its scenario in the header `x-scenario`."""
    witness = Witness(service.port)
    servers.run(witness.start())
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}  # noqa: TID251
    try:
        played = subprocess.run(
            [*command(f"{witness.url}/v1"), KEY],
            cwd=folder,
            env={**kept, **environment},
            capture_output=True,
            text=True,
            timeout=_MOST_S,
            check=False,
        )
    finally:
        servers.run(witness.stop())
    lines = [json.loads(line) for line in played.stdout.splitlines()]
    assert lines, played.stderr
    performance = Performance(lines[0]["version"])
    performance.errors = {line["scenario"]: line["error"] for line in lines[1:]}
    for exchange in witness.exchanges:
        performance.exchanges.setdefault(exchange.request_headers.get("x-scenario", ""), []).append(exchange)
    return performance


def leave_out(reason: str) -> None:
    """Skip the test, unless nothing may be skipped here."""
    if SKIP_NOTHING:
        pytest.fail(reason)
    pytest.skip(reason)
