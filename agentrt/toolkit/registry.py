"""ToolRegistry: the tools that this process runs itself, by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from agentrt.errors import ToolDefinitionError
from agentrt.toolkit.tool import Tool, as_tool


class ToolRegistry:
    """Tools in the order they were added; no two have the same name."""

    def __init__(self, tools: Iterable[Tool | Callable[..., object]] = ()) -> None:
        self._tools: dict[str, Tool] = {}
        for tool in tools:
            self.add(tool)

    def add(self, tool: Tool | Callable[..., object]) -> Tool:
        """Add a tool, or a plain function as one.

        Raises ToolDefinitionError when the name is taken (saying where both are) and when an option is not set.
        """
        added = as_tool(tool)
        if (other := self._tools.get(added.name)) is not None:
            raise ToolDefinitionError(
                f"Two tools are named '{added.name}': {other.origin} and {added.origin}. "
                'Rename one with @tool(name="…") or its table in agents.toml.'
            )
        if missing := added.missing_options:
            example = ", ".join(f"{name} = …" for name in missing)
            raise ToolDefinitionError(
                f"Tool '{added.name}' ({added.origin}) needs its options set: {', '.join(missing)}. "
                f"Write `options = {{ {example} }}` in [tools.{added.name}], or use with_options(…) in code."
            )
        self._tools[added.name] = added
        return added

    def get(self, name: str) -> Tool | None:
        return self._tools.get(name)

    def names(self) -> tuple[str, ...]:
        return tuple(self._tools)

    def __iter__(self) -> Iterator[Tool]:
        return iter(self._tools.values())

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __len__(self) -> int:
        return len(self._tools)
