from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agentrt.cli.main import cli
from tests.cli.projects import write_project


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OLLAMA_HOST", "AGENTRT_CONFIG", "NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in the working folder."""
    monkeypatch.chdir(tmp_path)
    return write_project(tmp_path)


@pytest.fixture
def call() -> Callable[..., Result]:
    """The program in this process: `call("threads", "list")` gives output, stderr and exit_code."""

    def run(*words: str, stdin: str = "") -> Result:
        return CliRunner().invoke(cli, words, input=stdin, prog_name="agentrt")

    return run
