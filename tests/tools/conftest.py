"""The bundled tools as an operator's agents.toml loads them, called as a model calls them."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from agentrt.engine.message import ToolCall, ToolResult
from agentrt.toolkit.context import Context
from agentrt.toolkit.discover import load_tool
from agentrt.toolkit.invoke import invoke

ROOT = Path(__file__).parents[2]

Ask: TypeAlias = Callable[..., Coroutine[Any, Any, ToolResult]]


@pytest.fixture
def ask() -> Ask:
    """`await ask("calculator.py:calculate", expression="1 + 1")`; `options` are the operator's."""

    async def ask(target: str, *, options: dict[str, object] | None = None, **arguments: object) -> ToolResult:
        tool = load_tool(f"tools/{target}", base=ROOT, options=options)
        return await invoke(tool, ToolCall("call_1", tool.name, json.dumps(arguments)), Context(None))

    return ask
