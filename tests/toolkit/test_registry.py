from __future__ import annotations

import pytest

from agentrt import Option, ToolRegistry, tool
from agentrt.errors import ToolDefinitionError


@tool
def first() -> str:
    """The first."""
    return "1"


def second() -> str:
    """The second."""
    return "2"


def test_tools_are_found_by_name_in_the_order_they_came() -> None:
    registry = ToolRegistry([second])
    registry.add(first)
    assert registry.names() == ("second", "first")
    assert [tool.name for tool in registry] == ["second", "first"]
    assert registry.get("first") is first
    assert registry.get("third") is None
    assert "second" in registry
    assert "third" not in registry
    assert len(registry) == 2


def test_a_name_that_is_taken_is_refused_saying_where_both_are() -> None:
    registry = ToolRegistry([first])
    with pytest.raises(ToolDefinitionError) as caught:
        registry.add(tool(second, name="first"))
    lines = [first.function.__code__.co_firstlineno, second.__code__.co_firstlineno]
    assert all(f"tests/toolkit/test_registry.py:{line}" in caught.value.message for line in lines)
    assert registry.get("first") is first


def test_a_tool_whose_options_are_not_set_is_refused() -> None:
    @tool
    def find(text: str, *, folder: Option[str]) -> str:
        """Finds it."""
        return folder + text

    registry = ToolRegistry()
    with pytest.raises(ToolDefinitionError, match=r"\[tools.find\]"):
        registry.add(find)
    assert registry.add(find.with_options(folder="docs")).name == "find"
