from __future__ import annotations

import os
from pathlib import Path

import pytest

from agentrt.errors import ToolDefinitionError
from agentrt.toolkit.discover import load_tool, scan_tools

WEATHER = '''
from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from agentrt import Option, tool

@dataclass
class Place:
    city: str

@tool
def get_weather(place: Place, *, data: Option[Path] = Path("here")) -> str:
    """Forecast for a place."""
    return f"{place.city} {data}"

def plain(city: str) -> str:
    """Plain."""
    return city

NUMBER = 3
'''


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "weather.py").write_text(WEATHER)
    return tmp_path


def test_a_tool_is_found_by_path_and_by_package(project: Path) -> None:
    tool = load_tool("tools/weather.py:get_weather", base=project)
    assert (tool.name, tool.description) == ("get_weather", "Forecast for a place.")
    assert tool.origin.endswith("tools/weather.py:13")
    assert load_tool("agentrt.suggest:closest", base=project).name == "closest"
    assert load_tool("tools/weather.py:plain", base=project)("Oslo") == "Oslo"


def test_what_the_configuration_says_goes_before_the_decorator(project: Path) -> None:
    tool = load_tool(
        "tools/weather.py:get_weather",
        base=project,
        name="weather",
        description="Made up.",
        timeout_s=5,
        retry="idempotent",
        options={"data": "data"},
    )
    assert (tool.name, tool.description, tool.timeout_s, tool.retry) == ("weather", "Made up.", 5, "idempotent")
    assert tool.options == {"data": project / "data"}
    assert load_tool("tools/weather.py:get_weather", base=project).timeout_s == 60


@pytest.mark.parametrize(
    ("target", "texts"),
    [
        ("tools/weather.py", ["names no function", "tools/file.py:function"]),
        ("tools/wether.py:get_weather", ["wether.py", "Did you mean 'weather.py'?"]),
        ("nowhere/weather.py:get_weather", ["No such file", "Files there: none"]),
        ("tools/weather.py:get_wether", ["Did you mean 'get_weather'?", "It has: get_weather."]),
        ("tools/weather.py:NUMBER", ["is not a function"]),
        ("no.such.package:function", ["does not load", "No module named 'no'"]),
        ("agentrt.suggest:nothing", ["no @tool functions"]),
    ],
)
def test_a_target_that_leads_nowhere_is_refused_saying_what_would_be_right(
    project: Path, target: str, texts: list[str]
) -> None:
    with pytest.raises(ToolDefinitionError) as caught:
        load_tool(target, base=project)
    assert all(text in caught.value.message for text in texts), caught.value.message


@pytest.mark.parametrize(
    ("source", "texts"),
    [
        ("def f(:\n", ["SyntaxError", "line 1"]),
        ("\nimport no_such_module\n", [":2 does not load", "ModuleNotFoundError"]),
        ("raise SystemExit(3)", ["SystemExit"]),
        ("from agentrt import tool\n\n@tool\ndef f(a: int): ...\n", ["f (", "broken.py:3)", "no docstring"]),
    ],
)
def test_a_file_that_does_not_load_says_why_and_where(project: Path, source: str, texts: list[str]) -> None:
    (project / "broken.py").write_text(source)
    with pytest.raises(ToolDefinitionError) as caught:
        load_tool("broken.py:f", base=project)
    assert all(text in caught.value.message for text in texts), caught.value.message


def test_an_edited_file_is_read_again(project: Path) -> None:
    path = project / "tools" / "weather.py"
    old = load_tool("tools/weather.py:plain", base=project)
    path.write_text(WEATHER.replace("return city", "return city.upper()"))
    os.utime(path, ns=(1, 1))
    assert load_tool("tools/weather.py:plain", base=project)("Oslo") == "OSLO"
    assert old("Oslo") == "Oslo"


def test_two_tools_of_one_file_share_its_module(project: Path) -> None:
    one = load_tool("tools/weather.py:get_weather", base=project)
    assert load_tool("tools/weather.py:get_weather", base=project) is not one
    assert load_tool("tools/weather.py:get_weather", base=project).function is one.function


def test_a_folder_is_scanned_with_the_errors_of_files_that_do_not_load(project: Path) -> None:
    folder = project / "tools"
    (folder / "broken.py").write_text("import no_such_module")
    (folder / "_private.py").write_text("raise RuntimeError")
    (folder / "notes.txt").write_text("not Python")
    (folder / "other.py").write_text(
        "from agentrt import tool\nfrom tests.toolkit.test_tool import weather\n"
        '@tool\ndef b() -> None:\n    "B."\n@tool\ndef a() -> None:\n    "A."\n'
    )
    broken, other, weather = scan_tools(folder)
    assert (broken.path.name, list(broken.tools)) == ("broken.py", [])
    assert broken.error is not None
    assert "no_such_module" in broken.error.message
    assert (list(other.tools), other.error) == (["b", "a"], None)
    assert list(weather.tools) == ["get_weather"]
    assert scan_tools(project / "nothing") == []
