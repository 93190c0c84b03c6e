from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest

from agentrt.toolkit.discover import scan_tools
from agentrt.toolkit.tool import Tool
from tests.tools.conftest import ROOT

TOOLS = {name: tool for file in scan_tools(ROOT / "tools") for name, tool in file.tools.items()}


def test_every_bundled_file_loads_and_holds_tools() -> None:
    files = scan_tools(ROOT / "tools")
    assert [file.error for file in files if file.error] == []
    assert all(file.tools for file in files)
    assert len(TOOLS) == sum(len(file.tools) for file in files)


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS.keys())
def test_a_model_can_read_what_a_bundled_tool_is_for(tool: Tool) -> None:
    assert len(tool.description) > 30
    properties: Any = tool.parameters["properties"]
    for name, schema in properties.items():
        assert len(schema.get("description", "")) > 10, name


@pytest.mark.parametrize("tool", TOOLS.values(), ids=TOOLS.keys())
def test_a_bundled_tool_ends_soon(tool: Tool) -> None:
    assert tool.timeout_s is not None
    assert tool.timeout_s <= 20


def test_bundled_tools_use_the_public_package_and_the_standard_library_only() -> None:
    for path in (ROOT / "tools").glob("*.py"):
        for module in re.findall(r"^(?:from|import) ([\w.]+)", path.read_text(), re.M):
            top = module.partition(".")[0]
            assert module == "agentrt" or top in sys.stdlib_module_names, f"{path.name}: {module}"


def test_a_bundled_file_is_self_contained_python() -> None:
    script = "import runpy, sys; [runpy.run_path(path) for path in sys.argv[1:]]"
    paths = [str(path) for path in (ROOT / "tools").glob("*.py")]
    subprocess.run([sys.executable, "-W", "error", "-c", script, *paths], cwd=ROOT, check=True, timeout=60)
