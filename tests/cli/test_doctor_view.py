"""How `agentrt doctor` prints what it has found."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

from agentrt.cli.checks import Diagnosis, show_checks
from agentrt.cli.health_check import Check
from agentrt.cli.options import Invocation
from tests.cli.terminals import Terminal


def test_a_long_finding_goes_on_below_its_beginning_on_a_terminal() -> None:
    terminal = Terminal(columns=60)
    invocation = SimpleNamespace(out=terminal.screen(), is_json=False)
    text = "5 files from folders · 2 not indexed as they are · agentrt stores show handbook says which and why"
    found = [Check("python", "ok", "3.11.7"), Check("store handbook", "warn", text)]
    assert show_checks(cast("Invocation", invocation), Diagnosis(found, None))
    first, *lines = terminal.shown().splitlines()
    assert first == "  ok    python          3.11.7"
    assert all(len(line) <= 60 for line in lines)
    assert {line[:24].strip() for line in lines[1:]} == {""}
    assert " ".join(line[24:] for line in lines) == text
