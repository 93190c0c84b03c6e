"""Which agents.toml is meant: the flag, AGENTRT_CONFIG, the working folder, or the one that agentrt comes with."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

import msgspec

from agentrt.config.environment import process_environment
from agentrt.errors import ConfigError

CONFIG_VARIABLE: Final = "AGENTRT_CONFIG"
# agentrt.toml comes first: who has both needs agents.toml for another program (Sentry's dotagents).
FILE_NAMES: Final = ("agentrt.toml", "agents.toml")

_PACKAGE: Final = Path(__file__).resolve().parents[1]


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """Where the configuration is; give both to `load_config`.

    path: the file, None if there is none at all. state_folder: where data goes when its path is relative: beside the
    file, but for the bundled one, whose folder may be read-only, the working folder.
    """

    path: Path | None
    found_by: Literal["flag", "variable", "folder", "bundled"]
    state_folder: Path


def find_project(
    config: Path | None = None, environ: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Project:
    """Find the project. config: what `--config` says. Raises ConfigError if a file that was named is not there."""
    environ = process_environment() if environ is None else environ
    cwd = cwd or Path.cwd()
    if config is not None:
        return _named(cwd / config, "flag", str(config))  # a program may have said it, and not a flag
    if environ.get(CONFIG_VARIABLE):
        return _named(cwd / environ[CONFIG_VARIABLE], "variable", f"{CONFIG_VARIABLE}={environ[CONFIG_VARIABLE]}")
    for name in FILE_NAMES:
        if (cwd / name).is_file():
            return Project(path=cwd / name, found_by="folder", state_folder=cwd)
    return Project(path=bundled_file(), found_by="bundled", state_folder=cwd)


def bundled_file() -> Path | None:
    """The agents.toml of the installed package or of the checkout that it runs from."""
    candidates = (_PACKAGE / "_project" / "agents.toml", _PACKAGE.parent / "agents.toml")
    return next((path for path in candidates if path.is_file()), None)


def bundled_folder(name: str) -> Path | None:
    """A folder of the project that agentrt comes with, such as `sandboxes/python`."""
    candidates = (_PACKAGE / "_project" / name, _PACKAGE.parent / name)
    return next((path for path in candidates if path.is_dir()), None)


def _named(path: Path, found_by: Literal["flag", "variable"], said: str) -> Project:
    if path.is_file():
        return Project(path=path, found_by=found_by, state_folder=path.parent)
    what = "this is a folder" if path.is_dir() else "there is no such file"
    fix = f"name a file, such as {path / 'agents.toml'}" if path.is_dir() else "check the path, or run agentrt init"
    raise ConfigError([f"{said}: {what}\n  fix: {fix}"])
