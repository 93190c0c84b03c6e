"""Which agents.toml is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from agentrt.config.project import bundled_file, find_project
from agentrt.errors import ConfigError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("agents.toml", "other/agents.toml", "flag.toml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


def test_the_flag_goes_before_the_variable_and_that_before_the_folder(folder: Path) -> None:
    environ = {"AGENTRT_CONFIG": "other/agents.toml"}
    by_flag = find_project(Path("flag.toml"), environ, folder)
    by_variable = find_project(None, environ, folder)
    by_folder = find_project(None, {"AGENTRT_CONFIG": ""}, folder)
    assert (by_flag.path, by_flag.found_by) == (folder / "flag.toml", "flag")
    assert (by_variable.path, by_variable.found_by) == (folder / "other/agents.toml", "variable")
    assert (by_folder.path, by_folder.found_by) == (folder / "agents.toml", "folder")
    assert by_variable.state_folder == folder / "other"


def test_agentrt_toml_goes_before_agents_toml_which_may_be_another_programs(folder: Path) -> None:
    (folder / "agentrt.toml").touch()
    assert find_project(None, {}, folder).path == folder / "agentrt.toml"


def test_an_empty_folder_gets_the_bundled_project_and_keeps_its_own_data(tmp_path: Path) -> None:
    project = find_project(None, {}, tmp_path)
    assert project.found_by == "bundled"
    assert project.path is not None
    assert project.path == bundled_file()
    assert project.path.name == "agents.toml"
    assert project.state_folder == tmp_path


@pytest.mark.parametrize(("named", "what"), [("none.toml", "there is no such file"), ("other", "this is a folder")])
def test_a_file_that_was_named_must_be_there(folder: Path, named: str, what: str) -> None:
    with pytest.raises(ConfigError, match=f"^{named}: {what}\n  fix: "):
        find_project(Path(named), {}, folder)
    with pytest.raises(ConfigError, match=f"AGENTRT_CONFIG={named}: {what}"):
        find_project(None, {"AGENTRT_CONFIG": named}, folder)
