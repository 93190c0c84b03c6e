"""A wheel carries the bundled project, and nothing beside the package."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli.projects import ROOT, environment

pytest.importorskip("hatchling", reason="hatchling builds the wheel; it comes with the development tools")


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What an installation of the wheel puts into site-packages."""
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def agentrt(site: Path, folder: Path, *words: str) -> str:
    variables = environment() | {"PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-m", "agentrt", *words],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_holds_the_package_and_the_bundled_project(unpacked: Path) -> None:
    assert sorted(path.name.partition("-")[0] for path in unpacked.iterdir()) == ["agentrt", "agentrt"]
    project = unpacked / "agentrt" / "_project"
    assert {path.name for path in (ROOT / "tools").glob("*.py")} == {
        path.name for path in (project / "tools").iterdir()
    }
    assert (project / "agents.toml").read_bytes() == (ROOT / "agents.toml").read_bytes()


def test_it_works_in_an_empty_folder(unpacked: Path, tmp_path: Path) -> None:
    assert "chat" in agentrt(unpacked, tmp_path, "--help")
    assert "calculate" in agentrt(unpacked, tmp_path, "tools")
    assert str(unpacked) in agentrt(unpacked, tmp_path, "config", "check")
    assert "84" in agentrt(unpacked, tmp_path, "run", "helper", "what is 12*7?")
    assert "created agents.toml" in agentrt(unpacked, tmp_path, "init", "new")
    assert "84" in agentrt(unpacked, tmp_path, "run", "helper", "what is 12*7?", "-c", "new/agents.toml")
