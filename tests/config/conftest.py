"""A project folder that tests fill with files and load."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from textwrap import dedent

import pytest

from agentrt.config.load import load_config
from agentrt.config.schema import Config
from agentrt.errors import ConfigError


class ProjectFolder:
    """A folder to work in; what is written to agents.toml is loaded from there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return path

    def load(self, text: str | None = None, **environ: str) -> Config:
        path = self.folder / "agents.toml"
        if text is not None:
            self.write("agents.toml", text)
        return load_config(path, environ=environ)

    def problems(self, text: str, environ: Mapping[str, str] | None = None) -> list[str]:
        """The problems of a file that must not load."""
        with pytest.raises(ConfigError) as caught:
            self.load(text, **(environ or {}))
        return list(caught.value.problems)

    def problem(self, text: str, environ: Mapping[str, str] | None = None) -> str:
        """The only problem of a file."""
        [problem] = self.problems(text, environ)
        return problem


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ProjectFolder:
    monkeypatch.chdir(tmp_path)
    return ProjectFolder(tmp_path)
