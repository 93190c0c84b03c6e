"""One model call's chunks → events: steps and messages are opened when their first piece arrives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from agentrt.engine.events import (
    CallDelta,
    Event,
    Finish,
    ImageShown,
    MessageCompleted,
    MessageCreated,
    MessageStarted,
    StepCompleted,
    StepCreated,
    StepStarted,
    TextDelta,
    TurnFinished,
)
from agentrt.engine.loop import annotated
from agentrt.engine.message import Annotation, ToolCall, Usage
from agentrt.engine.parts import answer_parts
from agentrt.ids import Prefix, new_id
from agentrt.models.client import CallChunk, EndChunk, ReasoningChunk, RefusalChunk, TextChunk

_MARKER_OPENS, _MARKER_CLOSES = "【", "】"
_LONGEST_MARKER = 80


@dataclass(slots=True)
class _Call:
    id: str
    name: str
    fragments: list[str] = field(default_factory=list)


class Turn:
    """Collects one answer. Calls that follow a text are shown when the turn ends; text that follows calls, after them.

    The text's message must be completed before the tool step begins (SDKs follow one step at a time, and openai-node
    throws when a second one opens), and a message that is completed cannot be taken back, so that nothing can complete
    it while the answer may still break off. An open tool step stays open until its calls have outputs: what is said
    after them becomes a message then.

    images: files that a message which begins now shows first. A marker (`【4:0†source】`) is not cut in pieces.
    """

    def __init__(self, make_id: Callable[[Prefix], str] = new_id, *, images: Sequence[str] = ()) -> None:
        self._make_id = make_id
        self._images = tuple(images)
        self._held = ""  # the beginning of what may become a marker
        self._text: list[str] = []
        self._refusal: list[str] = []
        self._calls: list[_Call] = []
        self._message_id = ""
        self._message_step_id = ""
        self._tool_step_id = ""

    def take(self, chunk: TextChunk | RefusalChunk | ReasoningChunk | CallChunk) -> tuple[Event, ...]:
        """The events that a chunk tells; none for reasoning, which is not part of the answer."""
        match chunk:
            case TextChunk(text):
                return self._say(text, is_refusal=False)
            case RefusalChunk(text):
                return self._say(text, is_refusal=True)
            case CallChunk():
                return self._call(chunk)
            case ReasoningChunk():
                return ()

    @property
    def text(self) -> str:
        """What was said so far, without refusals."""
        return "".join(self._text)

    def end(self, chunk: EndChunk, usage: Usage, annotations: tuple[Annotation, ...] = ()) -> tuple[Event, ...]:
        """The last events of the turn. annotations: of its text."""
        text, refusal = self.text, "".join(self._refusal)
        is_whole = chunk.finish_reason in ("stop", "tool_calls")
        calls = self._made_calls() if is_whole else ()
        events: list[Event] = [*self._release()]
        if self._message_id:
            events += annotated(self._message_id, len(self._images), annotations)
        if calls and self._message_id:
            parts = answer_parts(text, refusal, images=self._images, annotations=annotations)
            events.append(MessageCompleted(message_id=self._message_id, parts=parts))
            events.append(StepCompleted(step_id=self._message_step_id, usage=Usage()))
        if calls and not self._tool_step_id:
            events.extend(self._open_tool_step())
            for index, call in enumerate(calls):
                whole = CallChunk(index, call.id, call.name, call.arguments)
                events.extend(_call_deltas(self._tool_step_id, whole, call.id))
        if not calls and not self._message_id and not self._tool_step_id:
            events.extend(self._open_message())
        finish: Finish = chunk.finish_reason
        if is_whole:
            finish = "tool_calls" if calls else "stop"
        is_late = bool(calls and (text or refusal)) and not self._message_id
        events.append(
            TurnFinished(
                finish=finish,
                text=text,
                refusal=refusal,
                calls=calls,
                usage=usage,
                annotations=annotations,
                is_usage_estimated=chunk.usage is None,
                late_step_id=self._make_id("step") if is_late else "",
                late_message_id=self._make_id("msg") if is_late else "",
            )
        )
        return tuple(events)

    @property
    def answer_texts(self) -> tuple[str, ...]:
        """All that the model wrote, for an estimate of its tokens."""
        written = [*self._text, *self._refusal]
        for call in self._calls:
            written += [call.name, *call.fragments]
        return tuple(written)

    def _say(self, text: str, *, is_refusal: bool) -> tuple[Event, ...]:
        text = storable(text)
        if not text:
            return ()
        # Parts keep their place: what follows a refusal belongs to it, whatever the server calls it.
        is_refusal = is_refusal or bool(self._refusal)
        (self._refusal if is_refusal else self._text).append(text)
        if self._tool_step_id:
            return ()
        opening = () if self._message_id else self._open_message()
        held = self._release() if is_refusal else ()
        if not is_refusal:
            text, self._held = _without_open_marker(self._held + text)
        return (*opening, *held, *((self._delta(text, is_refusal=is_refusal),) if text else ()))

    def _release(self) -> tuple[Event, ...]:
        """What was held back and is no marker after all."""
        held, self._held = self._held, ""
        return (self._delta(held, is_refusal=False),) if held else ()

    def _delta(self, text: str, *, is_refusal: bool) -> TextDelta:
        # A refusal is a part of its own, behind the text if there is one.
        part = len(self._images) + (1 if is_refusal and self._text else 0)
        return TextDelta(message_id=self._message_id, text=text, part=part, is_refusal=is_refusal)

    def _call(self, chunk: CallChunk) -> tuple[Event, ...]:
        while len(self._calls) <= chunk.index:
            self._calls.append(_Call(id="", name=""))
        call = self._calls[chunk.index]
        if chunk.id is not None:
            taken = {other.id for other in self._calls if other is not call}
            call.id = chunk.id if chunk.id not in taken else self._make_id("call")
        if chunk.name is not None:
            call.name = chunk.name
        if chunk.arguments:
            call.fragments.append(storable(chunk.arguments))
        if self._message_id and not self._tool_step_id:
            return ()
        opening = () if self._tool_step_id else self._open_tool_step()
        return (*opening, *_call_deltas(self._tool_step_id, chunk, call.id))

    def _made_calls(self) -> tuple[ToolCall, ...]:
        return tuple(ToolCall(call.id, call.name, "".join(call.fragments)) for call in self._calls)

    def _open_message(self) -> tuple[Event, ...]:
        self._message_id, self._message_step_id = self._make_id("msg"), self._make_id("step")
        return (
            StepCreated(step_id=self._message_step_id, type="message_creation", message_id=self._message_id),
            StepStarted(step_id=self._message_step_id),
            MessageCreated(message_id=self._message_id, step_id=self._message_step_id),
            MessageStarted(message_id=self._message_id),
            *(ImageShown(message_id=self._message_id, part=i, file_id=file) for i, file in enumerate(self._images)),
        )

    def _open_tool_step(self) -> tuple[Event, ...]:
        self._tool_step_id = self._make_id("step")
        return (
            StepCreated(step_id=self._tool_step_id, type="tool_calls"),
            StepStarted(step_id=self._tool_step_id),
        )


def _without_open_marker(text: str) -> tuple[str, str]:
    """The text up to a marker that is not complete yet, and the rest."""
    begins = text.rfind(_MARKER_OPENS)
    if begins < 0 or _MARKER_CLOSES in text[begins:] or len(text) - begins > _LONGEST_MARKER:
        return text, ""
    return text[:begins], text[begins:]


def _call_deltas(step_id: str, chunk: CallChunk, call_id: str) -> list[Event]:
    """A piece of a call. What opens a call (its id and name) goes apart from its arguments: SDKs expect it so."""
    deltas: list[Event] = []
    if chunk.id is not None or chunk.name is not None:
        deltas.append(CallDelta(step_id=step_id, index=chunk.index, id=call_id, name=chunk.name))
    if chunk.arguments:
        deltas.append(CallDelta(step_id=step_id, index=chunk.index, arguments=storable(chunk.arguments)))
    return deltas


def storable(text: str) -> str:
    """The text without NUL characters and lone surrogates: PostgreSQL and UTF-8 have no place for them."""
    if "\x00" in text:
        text = text.replace("\x00", "")
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        text = text.encode("utf-8", "replace").decode()
    return text
