"""pydantic is imported when a file is read, and not before: `agentrt --help` must not pay for it."""

from __future__ import annotations

import subprocess
import sys


def modules_after(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_configuration_imports_nothing_heavy() -> None:
    names = "agentrt.config.load, agentrt.config.project, agentrt.config.resolve, agentrt.config.editor_schema"
    loaded = modules_after(f"import {names}, agentrt.access.keys, agentrt.observability.logs")
    assert not loaded & {"pydantic", "pydantic_core", "tomllib", "difflib", "shutil"}


def test_reading_a_file_imports_pydantic() -> None:
    assert "pydantic" in modules_after("from agentrt.config.load import load_config\nload_config(None)")
