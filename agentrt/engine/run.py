"""Run: one execution on a thread, as a value; its statuses and the one table of transitions."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from agentrt.engine.events import ErrorCode, Finish, RunLimit, StepType
from agentrt.engine.message import (
    Annotation,
    CodeOutput,
    CodeShown,
    Logs,
    Message,
    SearchShown,
    ToolCall,
    ToolResult,
    Usage,
)
from agentrt.engine.spec import RunSpec, ToolName


class RunStatus(StrEnum):
    QUEUED = "queued"
    IN_PROGRESS = "in_progress"
    REQUIRES_ACTION = "requires_action"
    CANCELLING = "cancelling"
    CANCELLED = "cancelled"
    FAILED = "failed"
    COMPLETED = "completed"
    INCOMPLETE = "incomplete"
    EXPIRED = "expired"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL


TERMINAL = frozenset(
    {RunStatus.CANCELLED, RunStatus.FAILED, RunStatus.COMPLETED, RunStatus.INCOMPLETE, RunStatus.EXPIRED}
)
ACTIVE = frozenset(RunStatus) - TERMINAL

TRANSITIONS: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.QUEUED: frozenset(
        {RunStatus.IN_PROGRESS, RunStatus.CANCELLING, RunStatus.CANCELLED, RunStatus.EXPIRED, RunStatus.FAILED}
    ),
    RunStatus.IN_PROGRESS: frozenset(
        {
            RunStatus.REQUIRES_ACTION,
            RunStatus.CANCELLING,
            RunStatus.COMPLETED,
            RunStatus.FAILED,
            RunStatus.INCOMPLETE,
            RunStatus.EXPIRED,
        }
    ),
    RunStatus.REQUIRES_ACTION: frozenset({RunStatus.QUEUED, RunStatus.CANCELLING, RunStatus.EXPIRED}),
    RunStatus.CANCELLING: frozenset({RunStatus.CANCELLED}),
    **{status: frozenset() for status in TERMINAL},
}
"""From → to. `expired` from a status is allowed when `expires_at` has passed."""


class Call(msgspec.Struct, frozen=True):
    """One call of the open tool step. is_started: it may have had an effect already.

    pieces: what a hosted call has shown until it returns, each with its position.
    """

    call: ToolCall
    is_server: bool
    type: ToolName = "function"
    is_started: bool = False
    result: ToolResult | None = None
    pieces: tuple[tuple[int, CodeOutput], ...] = ()

    @property
    def shown(self) -> CodeShown | SearchShown | None:
        """What a step shows of it: of a call that has not returned, and perhaps never will, what it showed so far."""
        if self.result is not None:
            return self.result.shown
        return CodeShown(outputs=_joined(self.pieces)) if self.pieces else None


def _joined(pieces: tuple[tuple[int, CodeOutput], ...]) -> tuple[CodeOutput, ...]:
    """Logs of one position glued together."""
    texts: dict[int, list[str]] = {}
    outputs: dict[int, CodeOutput] = {}
    for position, output in pieces:
        outputs[position] = output
        if isinstance(output, Logs):
            texts.setdefault(position, []).append(output.text)
    return tuple(Logs("".join(texts[place])) if place in texts else outputs[place] for place in sorted(outputs))


class OpenStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step that has not ended. A message step holds the partial text; a tool step holds its calls."""

    id: str
    type: StepType
    created_at: float
    message_id: str | None = None
    message_at: float = 0.0
    text: str = ""
    refusal: str = ""
    calls: tuple[Call, ...] = ()


class TurnEnd(msgspec.Struct, frozen=True, kw_only=True):
    """How the last model call ended, until its steps are closed. `text` holds what was said beside the calls."""

    finish: Finish
    usage: Usage
    text: str = ""
    refusal: str = ""
    annotations: tuple[Annotation, ...] = ()


class LateWords(msgspec.Struct, frozen=True, kw_only=True):
    """What a model said after its calls. It becomes a message when their step is closed: steps do not overlap."""

    step_id: str
    message_id: str
    text: str = ""
    refusal: str = ""
    annotations: tuple[Annotation, ...] = ()


class CodeUsage(msgspec.Struct, frozen=True, kw_only=True):
    """What the code of a run took: elapsed and processor time of all calls together, the most memory of any."""

    n_calls: int = 0
    wall_ms: float = 0.0
    cpu_ms: float = 0.0
    max_rss_bytes: int = 0

    def plus(self, shown: CodeShown) -> CodeUsage:
        """With one more call."""
        return CodeUsage(
            n_calls=self.n_calls + 1,
            wall_ms=self.wall_ms + shown.wall_ms,
            cpu_ms=self.cpu_ms + shown.cpu_ms,
            max_rss_bytes=max(self.max_rss_bytes, shown.max_rss_bytes),
        )


class LastError(msgspec.Struct, frozen=True):
    code: ErrorCode
    message: str


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run after some events. Times are Unix seconds.

    turns: what this run has added to the conversation, complete turns only, in the order a model reads them.
    message_step, tool_step: the steps that are open now; at most one of each.
    turn: set from the end of a model call until its steps are closed. late: set until it is a message.
    ending: why the run must end although its turn is not over: failed, incomplete or expired.
    unshown_images: ids of files that calls drew and no message has shown yet; the next one begins with them.
    code: None = no code has run.
    waits_since: when it began to wait for its caller; waited_s: how long it did before, as far as that does not count.
    """

    spec: RunSpec
    status: RunStatus = RunStatus.QUEUED
    started_at: float | None = None
    ended_at: float | None = None
    usage: Usage = Usage()
    code: CodeUsage | None = None
    n_model_calls: int = 0
    turns: tuple[Message, ...] = ()
    message_step: OpenStep | None = None
    tool_step: OpenStep | None = None
    turn: TurnEnd | None = None
    late: LateWords | None = None
    unshown_images: tuple[str, ...] = ()
    ending: Literal["failed", "incomplete", "expired"] | None = None
    last_error: LastError | None = None
    limit: RunLimit | None = None
    waits_since: float | None = None
    waited_s: float = 0.0

    @property
    def expires_at(self) -> int | None:
        """When its time is over, as things stand; None = never."""
        spec = self.spec
        if self.waits_since is not None and spec.action_ttl_s is not None:
            return int(self.waits_since + spec.action_ttl_s)
        return None if spec.expires_at is None else int(spec.expires_at + self.waited_s)

    @property
    def cost_usd(self) -> float | None:
        """What the run's model calls cost so far; None when the model has no price."""
        price, usage = self.spec.price, self.usage
        if price is None:
            return None
        fresh_tokens = usage.prompt_tokens - usage.cached_tokens
        micro_usd = fresh_tokens * price.input + usage.cached_tokens * price.cached_input
        return (micro_usd + usage.completion_tokens * price.output) / 1e6

    @property
    def pending_calls(self) -> tuple[ToolCall, ...]:
        """The caller's calls that have no output yet, in the model's order."""
        calls = self.tool_step.calls if self.tool_step is not None and self.turn is not None else ()
        return tuple(c.call for c in calls if c.result is None and not c.is_server)
