"""What happened in a run: one frozen union tagged by `kind`. Stored, replayed, rendered, and folded into a `Run`.

An event is numbered when it is recorded, not here. `at` is Unix seconds, given by whoever observed the fact.
Deltas and beginnings (`may_wait`) may be published before they are stored, so that the first word is not held up by
a disk: a crash can take them back. Everything else is stored first. Deltas (`is_delta`) carry no time.
"""

from __future__ import annotations

import re
from typing import ClassVar, Literal, TypeAlias

import msgspec

from agentrt.engine.message import (
    Annotation,
    CodeOutput,
    ImageFilePart,
    RefusalPart,
    TextPart,
    ToolCall,
    ToolResult,
    Usage,
)
from agentrt.engine.spec import RunSpec, ThreadInfo

ErrorCode: TypeAlias = Literal["server_error", "rate_limit_exceeded", "invalid_prompt"]
StepErrorCode: TypeAlias = Literal["server_error", "rate_limit_exceeded"]
Finish: TypeAlias = Literal["stop", "length", "tool_calls", "content_filter"]
StepType: TypeAlias = Literal["message_creation", "tool_calls"]
RunLimit: TypeAlias = Literal["max_completion_tokens", "max_prompt_tokens", "max_steps"]
CutReason: TypeAlias = Literal["content_filter", "max_tokens", "run_cancelled", "run_expired", "run_failed"]
AnswerPart: TypeAlias = ImageFilePart | TextPart | RefusalPart


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


class _Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag=_snake, omit_defaults=True):
    is_delta: ClassVar[bool] = False
    may_wait: ClassVar[bool] = False
    at: float = 0.0


# The thread and the run ------------------------------------------------------------------------------------------


class ThreadCreated(_Event, frozen=True, kw_only=True):
    """Only of create-thread-and-run, and then the first."""

    thread: ThreadInfo


class RunCreated(_Event, frozen=True, kw_only=True):
    spec: RunSpec


class RunQueued(_Event, frozen=True, kw_only=True):
    """After creation, and again after tool outputs were submitted."""


class RunStarted(_Event, frozen=True, kw_only=True):
    """A driver took the run out of the queue."""


class ActionRequired(_Event, frozen=True, kw_only=True):
    """The run waits for the caller's outputs of `call_ids`."""

    call_ids: tuple[str, ...]


class OutputsSubmitted(_Event, frozen=True, kw_only=True):
    """The caller answered every pending call."""

    results: tuple[ToolResult, ...]


class CancelRequested(_Event, frozen=True, kw_only=True):
    """From outside. On the wire: `thread.run.cancelling`."""


class DeadlinePassed(_Event, frozen=True, kw_only=True):
    """From outside: `expires_at` is over."""


class RunCompleted(_Event, frozen=True, kw_only=True):
    """Terminal."""


class RunFailed(_Event, frozen=True, kw_only=True):
    """Terminal. `message` says what really happened."""

    code: ErrorCode
    message: str


class RunIncomplete(_Event, frozen=True, kw_only=True):
    """Terminal: a limit ended the run; what it produced so far stays."""

    limit: RunLimit
    message: str = ""


class RunCancelled(_Event, frozen=True, kw_only=True):
    """Terminal."""


class RunExpired(_Event, frozen=True, kw_only=True):
    """Terminal."""


# Steps and messages ----------------------------------------------------------------------------------------------


class StepCreated(_Event, frozen=True, kw_only=True):
    """message_id only for type message_creation."""

    may_wait: ClassVar[bool] = True
    step_id: str
    type: StepType
    message_id: str | None = None


class StepStarted(_Event, frozen=True, kw_only=True):
    may_wait: ClassVar[bool] = True
    step_id: str


class StepCompleted(_Event, frozen=True, kw_only=True):
    step_id: str
    usage: Usage


class StepFailed(_Event, frozen=True, kw_only=True):
    """usage: of its model call, when that had ended. So in the next two: the steps' usage is the run's."""

    step_id: str
    code: StepErrorCode
    message: str
    usage: Usage | None = None


class StepCancelled(_Event, frozen=True, kw_only=True):
    step_id: str
    usage: Usage | None = None


class StepExpired(_Event, frozen=True, kw_only=True):
    step_id: str
    usage: Usage | None = None


class MessageCreated(_Event, frozen=True, kw_only=True):
    may_wait: ClassVar[bool] = True
    message_id: str
    step_id: str


class MessageStarted(_Event, frozen=True, kw_only=True):
    may_wait: ClassVar[bool] = True
    message_id: str


class MessageCompleted(_Event, frozen=True, kw_only=True):
    message_id: str
    parts: tuple[AnswerPart, ...]


class MessageIncomplete(_Event, frozen=True, kw_only=True):
    """The message ends early. It stays in the thread unless it `is_discarded` (a crash cut its attempt off)."""

    message_id: str
    parts: tuple[AnswerPart, ...]
    reason: CutReason
    is_discarded: bool = False


# The model's turn and its calls ----------------------------------------------------------------------------------


class TextDelta(_Event, frozen=True, kw_only=True):
    """A piece of a message's text, or of its refusal. `part` is the content part's index."""

    is_delta: ClassVar[bool] = True
    may_wait: ClassVar[bool] = True
    message_id: str
    text: str
    part: int = 0
    is_refusal: bool = False


class ImageShown(_Event, frozen=True, kw_only=True):
    """A message begins with an image that a call before it drew."""

    is_delta: ClassVar[bool] = True
    may_wait: ClassVar[bool] = True
    message_id: str
    part: int
    file_id: str


class Annotated(_Event, frozen=True, kw_only=True):
    """An annotation of a message's text is complete. index counts those of the part."""

    is_delta: ClassVar[bool] = True
    may_wait: ClassVar[bool] = True
    message_id: str
    part: int
    index: int
    annotation: Annotation


class CallDelta(_Event, frozen=True, kw_only=True):
    """A piece of a call. The first piece of an index carries id and name; later ones only arguments."""

    is_delta: ClassVar[bool] = True
    may_wait: ClassVar[bool] = True
    step_id: str
    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


class CallOutput(_Event, frozen=True, kw_only=True):
    """A piece of what a hosted call shows, while it runs. Logs of one position are glued together."""

    is_delta: ClassVar[bool] = True
    may_wait: ClassVar[bool] = True
    step_id: str
    index: int
    position: int
    output: CodeOutput


class TurnFinished(_Event, frozen=True, kw_only=True):
    """One model call is over. With calls, the turn's usage belongs to its tool step, else to its message step.

    late_step_id, late_message_id: of the message that the text becomes once the calls' step is closed, when it was
    said after them; else empty.
    """

    finish: Finish
    text: str = ""
    refusal: str = ""
    calls: tuple[ToolCall, ...] = ()
    usage: Usage
    annotations: tuple[Annotation, ...] = ()
    is_usage_estimated: bool = False
    late_step_id: str = ""
    late_message_id: str = ""


class TurnFailed(_Event, frozen=True, kw_only=True):
    """The model call cannot be made or broke off. The run will end as failed."""

    code: ErrorCode
    message: str


class PromptTooLong(_Event, frozen=True, kw_only=True):
    """The conversation does not fit what is left of max_prompt_tokens. The run will end as incomplete."""

    message: str


class TurnLost(_Event, frozen=True, kw_only=True):
    """The process that held the model call died. The call will be made again with new ids."""


class CallStarted(_Event, frozen=True, kw_only=True):
    """Stored before the tool begins: what a crash leaves started and unanswered has an unknown outcome."""

    call_id: str


class CallReturned(_Event, frozen=True, kw_only=True):
    """A call that the server ran has its result."""

    step_id: str
    index: int
    result: ToolResult
    duration_ms: float = 0.0


Event: TypeAlias = (
    ThreadCreated
    | RunCreated
    | RunQueued
    | RunStarted
    | ActionRequired
    | OutputsSubmitted
    | CancelRequested
    | DeadlinePassed
    | RunCompleted
    | RunFailed
    | RunIncomplete
    | RunCancelled
    | RunExpired
    | StepCreated
    | StepStarted
    | StepCompleted
    | StepFailed
    | StepCancelled
    | StepExpired
    | MessageCreated
    | MessageStarted
    | MessageCompleted
    | MessageIncomplete
    | TextDelta
    | ImageShown
    | Annotated
    | CallDelta
    | CallOutput
    | TurnFinished
    | TurnFailed
    | PromptTooLong
    | TurnLost
    | CallStarted
    | CallReturned
)
"""Everything that can happen to a run."""

TerminalEvent: TypeAlias = RunCompleted | RunFailed | RunIncomplete | RunCancelled | RunExpired
TERMINAL_EVENTS = (RunCompleted, RunFailed, RunIncomplete, RunCancelled, RunExpired)

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(list[Event])


def encode_events(events: list[Event]) -> bytes:
    """Events as a JSON list, for the event log."""
    return _encoder.encode(events)


def decode_events(data: bytes | str) -> list[Event]:
    """The inverse of encode_events. Raises msgspec.ValidationError if the data is not ours."""
    return _decoder.decode(data)
