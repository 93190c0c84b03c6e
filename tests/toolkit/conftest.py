"""Calling a tool as the runtime does: a model's text goes in, a ToolResult comes out."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, TypeAlias

import pytest

from agentrt.engine.message import ToolCall, ToolResult
from agentrt.toolkit.context import Context
from agentrt.toolkit.invoke import invoke
from agentrt.toolkit.tool import Tool, as_tool

Play: TypeAlias = Callable[..., Coroutine[Any, Any, ToolResult]]


@pytest.fixture
def play() -> Play:
    """`await play(tool, '{"city": "Oslo"}')`; keyword arguments are invoke's, and `context`."""

    async def play(
        tool: Tool | Callable[..., object], arguments: str = "{}", *, context: Context[Any] | None = None, **limits: Any
    ) -> ToolResult:
        made = as_tool(tool)
        call = ToolCall("call_1", made.name, arguments)
        return await invoke(made, call, context or Context(None, run_id="run_1", call_id="call_1"), **limits)

    return play
