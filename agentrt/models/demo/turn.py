"""What a request says: the last words of the user, what came before them, what was done since."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import msgspec

from agentrt.engine.message import ImageFilePart, ImageUrlPart, JsonObject, Message, Role, ToolCall
from agentrt.models.client import ModelRequest
from agentrt.models.demo.arithmetic import Expression, find_expression
from agentrt.models.demo.jsontext import read_object
from agentrt.models.demo.sentence import Sentence

READ_LIMIT = 8_000  # characters of a message that are understood; a fenced block is taken whole
_FENCE = "```"


class PlannedCall(msgspec.Struct, frozen=True):
    """A call the demo wants made."""

    name: str
    arguments: JsonObject


class Reply(msgspec.Struct, frozen=True):
    """One answer of the model: text, or calls."""

    text: str = ""
    calls: tuple[PlannedCall, ...] = ()


class Step(msgspec.Struct, frozen=True):
    """A call made since the user spoke. arguments: None when they are no JSON object. output: None while it is open."""

    name: str
    arguments: JsonObject | None
    output: str | None


@dataclass(frozen=True)
class Turn:
    """A request, read. Nothing but the last user message, and what follows it, is looked at before somebody asks."""

    request: ModelRequest
    position: int
    """The index of the last user message; -1 when there is none."""

    @cached_property
    def raw_text(self) -> str:
        return self.request.messages[self.position].text if self.position >= 0 else ""

    @cached_property
    def text(self) -> str:
        """The user's last words, without fenced blocks, as far as they are understood."""
        return self._words[:READ_LIMIT].strip()

    @cached_property
    def is_cut(self) -> bool:
        """Whether the last words are longer than what is understood: nothing may be computed or called with a part."""
        return len(self._words) > READ_LIMIT

    @cached_property
    def _words(self) -> str:
        return " ".join(self.raw_text.split(_FENCE)[::2])

    @cached_property
    def sentence(self) -> Sentence:
        return Sentence(self.text)

    @cached_property
    def expression(self) -> Expression | None:
        """The arithmetic in the last words."""
        return find_expression(self.text)

    @cached_property
    def asks_arithmetic(self) -> bool:
        return self.expression is not None and self.expression.is_asked and not self.is_cut

    @cached_property
    def code_block(self) -> tuple[str, str] | None:
        """The first fenced block of the last user message: its language, lower case, and its text."""
        pieces = self.raw_text.split(_FENCE, 2)
        if len(pieces) < 3:
            return None
        language, newline, body = pieces[1].partition("\n")
        return (language.strip().lower(), body.rstrip()) if newline else ("", pieces[1].strip())

    @cached_property
    def images(self) -> tuple[ImageUrlPart | ImageFilePart, ...]:
        """The images of the last user message."""
        if self.position < 0:
            return ()
        parts = self.request.messages[self.position].parts
        return tuple(part for part in parts if isinstance(part, (ImageUrlPart, ImageFilePart)))

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The calls made since the user spoke, in order, with their results."""
        since = self.request.messages[self.position + 1 :]
        outputs = {message.call_id: message.text for message in since if message.role is Role.TOOL}
        return tuple(
            Step(call.name, read_object(call.arguments), outputs.get(call.id))
            for message in since
            for call in message.tool_calls
        )

    @cached_property
    def history(self) -> tuple[Message, ...]:
        """What came before the last user message."""
        return self.request.messages[: max(self.position, 0)]

    @cached_property
    def earlier(self) -> tuple[str, ...]:
        """The user's earlier messages, oldest first, each as far as it is understood."""
        return tuple(message.text[:READ_LIMIT] for message in self.history if message.role is Role.USER)

    @cached_property
    def instructions(self) -> str:
        """All system messages."""
        found = [message.text for message in self.request.messages if message.role is Role.SYSTEM]
        return "\n".join(found)[:READ_LIMIT]

    @cached_property
    def previous_answer(self) -> str:
        """The last text of the assistant before the user spoke."""
        for message in reversed(self.history):
            if message.role is Role.ASSISTANT and message.text:
                return message.text
        return ""

    @cached_property
    def previous_call(self) -> ToolCall | None:
        """The last call before the user spoke."""
        for message in reversed(self.history):
            if message.tool_calls:
                return message.tool_calls[-1]
        return None


def read_turn(request: ModelRequest) -> Turn:
    """Find the last user message."""
    for position in range(len(request.messages) - 1, -1, -1):
        if request.messages[position].role is Role.USER:
            return Turn(request, position)
    return Turn(request, -1)
