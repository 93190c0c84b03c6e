"""The port of hosted tools: what the API promises beside functions, code_interpreter and file_search."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Literal, NamedTuple, Protocol, TypeAlias

from agentrt.engine.message import Annotation, CodeOutput, ToolCall, ToolResult
from agentrt.engine.run import Run
from agentrt.engine.spec import FunctionTool, RunSpec

HostedName: TypeAlias = Literal["code_interpreter", "file_search"]


class Piece(NamedTuple):
    """What a call shows while it runs. Logs of one position are glued together."""

    position: int
    output: CodeOutput


class HostedTool(Protocol):
    """Runs the calls of one hosted tool."""

    async def offer(self, spec: RunSpec) -> FunctionTool | None:
        """The function that the model is shown in its place, under the tool's name; asked once for each time that a
        run is driven. None: this run is not offered the tool.
        """
        ...

    def run(self, run: Run, call: ToolCall) -> AsyncGenerator[Piece | ToolResult, None]:
        """Make a call: pieces while it runs, at last the result, whose `shown` holds all of them.

        Whatever goes wrong is a result that the model reads; raises nothing but CancelledError. Closing the generator
        stops the call.
        """
        ...

    async def annotate(self, run: Run, text: str) -> tuple[Annotation, ...]:
        """What in an answer refers to the tool's files: citations, links. In the order of the text."""
        ...
