"""Short words for runs that call a hosted tool, over a World: what every such tool's tests say."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import ClassVar

from agentrt.engine import events as ev
from agentrt.engine.message import TextPart, ToolResult
from agentrt.engine.run import Run
from agentrt.runtime.hosted import HostedName
from agentrt.runtime.requests import Attachment, NewMessage
from agentrt.testing.scripts import ScriptedModel
from tests.runtime.conftest import World


@dataclass
class ToldRun:
    """What one run told."""

    run: Run
    events: list[ev.Event]

    @property
    def results(self) -> list[ToolResult]:
        return [event.result for event in self.events if isinstance(event, ev.CallReturned)]

    @property
    def result(self) -> ToolResult:
        """Of its only call."""
        (result,) = self.results
        return result

    @property
    def parts(self) -> tuple[ev.AnswerPart, ...]:
        """Of the last message."""
        return [event.parts for event in self.events if isinstance(event, ev.MessageCompleted)][-1]


@dataclass
class ToolWorld:
    """One runtime, and people who give its tool files."""

    tool: ClassVar[HostedName]
    world: World

    @property
    def model(self) -> ScriptedModel:
        return self.world.model

    async def upload(self, name: str, data: bytes | str) -> str:
        async def pieces() -> AsyncGenerator[bytes, None]:
            yield data.encode() if isinstance(data, str) else data

        file = await self.world.runtime.files.put(self.world.project, pieces(), filename=name, purpose="assistants")
        return file.id

    async def say(self, thread_id: str, words: str, *file_ids: str) -> None:
        """A message of the user, with files for the tool."""
        attachments = tuple(Attachment(file_id, (self.tool,)) for file_id in file_ids)
        message = NewMessage("user", (TextPart(words),), attachments=attachments)
        await self.world.runtime.threads.add_message(self.world.project, thread_id, message)
