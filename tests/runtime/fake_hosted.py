"""A hosted tool that plays what the test wrote, in place of a sandbox or a search."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import TypeAlias

from agentrt.engine.code_input import read_code
from agentrt.engine.message import (
    Annotation,
    CodeOutput,
    CodeShown,
    FilePath,
    Image,
    JsonObject,
    Logs,
    ToolCall,
    ToolResult,
)
from agentrt.engine.run import Run
from agentrt.engine.spec import FunctionTool, RunSpec
from agentrt.runtime.hosted import Piece

Play: TypeAlias = Sequence["str | Image | asyncio.Event"]
"""What one call shows, in order: logs, images; an event is waited for."""

LINK = "sandbox:/mnt/data/out.csv"
PARAMETERS: JsonObject = {"type": "object", "properties": {"code": {"type": "string"}}, "required": ["code"]}


class FakeCode:
    """A HostedTool. Each call plays the next play, one call at a time; links to out.csv become annotations."""

    def __init__(self, *plays: Play) -> None:
        self._plays = list(plays)
        self._turn = asyncio.Lock()
        self.n_offered = 0
        self.codes: list[str] = []
        self.n_stopped = 0

    async def offer(self, spec: RunSpec) -> FunctionTool | None:
        self.n_offered += 1
        return FunctionTool("code_interpreter", "Runs Python.", PARAMETERS)

    async def run(self, run: Run, call: ToolCall) -> AsyncGenerator[Piece | ToolResult, None]:
        async with self._turn, aclosing(self._play(call)) as pieces:
            async for piece in pieces:
                yield piece

    async def _play(self, call: ToolCall) -> AsyncGenerator[Piece | ToolResult, None]:
        self.codes.append(read_code(call.arguments))
        shown: list[CodeOutput] = []
        is_over = False
        try:
            for item in self._plays.pop(0):
                if isinstance(item, asyncio.Event):
                    await item.wait()
                    continue
                output = Logs(item) if isinstance(item, str) else item
                if isinstance(output, Logs) and shown and isinstance(shown[-1], Logs):
                    shown[-1] = Logs(shown[-1].text + output.text)
                else:
                    shown.append(output)
                yield Piece(len(shown) - 1, output)
            is_over = True
        finally:
            self.n_stopped += not is_over
        text = "".join(output.text for output in shown if isinstance(output, Logs))
        yield ToolResult(call.id, text, shown=CodeShown(outputs=tuple(shown), wall_ms=5.0, cpu_ms=4.0))

    async def annotate(self, run: Run, text: str) -> tuple[Annotation, ...]:
        begin = text.find(LINK)
        return () if begin < 0 else (FilePath(LINK, begin, begin + len(LINK), "file-out"),)
