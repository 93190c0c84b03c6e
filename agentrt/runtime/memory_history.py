"""MemoryHistory: the conversation before a run of an Agent in code, from memory."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from agentrt.engine.message import ImageFilePart, Message, Role, TextPart
from agentrt.engine.window import Window


class MemoryHistory:
    """A History over a list."""

    def __init__(self, messages: Sequence[Message]) -> None:
        note = TextPart("[a stored image was left out: this conversation has no file store]")
        self._messages = [_with_note(message, note) for message in messages]

    async def fill(self, window: Window) -> None:
        """See perform.History."""
        entry: tuple[Message, ...] = ()
        for message in reversed(self._messages):
            entry = (message, *entry)
            if message.role is Role.TOOL:
                continue
            if not window.offer(entry, counts=not message.tool_calls):
                return
            entry = ()

    async def images(self, messages: Sequence[Message]) -> tuple[Message, ...]:
        """See perform.History. There are no stored files here; what named one has its note already."""
        return tuple(messages)


def _with_note(message: Message, note: TextPart) -> Message:
    """The message with a note in place of each stored image."""
    if not any(isinstance(part, ImageFilePart) for part in message.parts):
        return message
    return replace(message, parts=tuple(note if isinstance(part, ImageFilePart) else part for part in message.parts))
