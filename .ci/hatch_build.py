"""What a wheel carries beside the package: the bundled project, as `agentrt/_project/`.

The project is what an operator edits (agents.toml, tools/, sandboxes/) and lies at the top of a checkout. An
editable install uses it from there; a wheel has no top of a checkout, so it takes a copy along, with the documents
that its search tool looks into.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROJECT = "agentrt/_project"
FILES = ("agents.toml", "tools/**/*.py", "sandboxes/**/*", "docs/**/*.md")


class ProjectHook(BuildHookInterface[Any]):
    """Adds the bundled project to standard wheels."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version != "standard":
            return
        root = Path(self.root)
        for path in _project_files(root):
            build_data["force_include"][str(path)] = f"{PROJECT}/{path.relative_to(root).as_posix()}"


def _project_files(root: Path) -> Iterator[Path]:
    for pattern in FILES:
        for path in sorted(root.glob(pattern)):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path
