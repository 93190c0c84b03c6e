"""The only agent loop: `next_command(run)` says what should happen, `apply(run, event)` what a run is afterwards.

Pure: the driver performs the commands, stamps the events with the time, and records them (runtime/drive.py).
Not here: how events change a run (engine/fold.py), what a model is shown (engine/prompt.py).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import assert_never

from msgspec.structs import replace

from agentrt.engine.commands import CallModel, Command, Conclude, Done, RunTools, Wait
from agentrt.engine.events import (
    ActionRequired,
    Annotated,
    AnswerPart,
    CallReturned,
    CutReason,
    Event,
    ImageShown,
    MessageCompleted,
    MessageCreated,
    MessageIncomplete,
    MessageStarted,
    RunCancelled,
    RunCompleted,
    RunExpired,
    RunFailed,
    RunIncomplete,
    RunLimit,
    RunQueued,
    RunStarted,
    StepCancelled,
    StepCompleted,
    StepCreated,
    StepErrorCode,
    StepExpired,
    StepFailed,
    StepStarted,
    TextDelta,
    TurnLost,
)
from agentrt.engine.fold import apply
from agentrt.engine.message import Annotation, ImageFilePart, RefusalPart, TextPart, ToolResult, Usage
from agentrt.engine.parts import answer_parts
from agentrt.engine.run import LastError, LateWords, OpenStep, Run, RunStatus, TurnEnd
from agentrt.engine.spec import ToolChoice

__all__ = ["INTERRUPTED", "annotated", "apply", "next_command", "recover"]

INTERRUPTED = "interrupted, outcome unknown"
"""What a model reads in place of the output of a call whose end nobody saw."""


def next_command(run: Run) -> Command:
    """What should happen next to a run in this state."""
    match run.status:
        case RunStatus.QUEUED:
            return Conclude((RunStarted(),)) if run.ending is None else Conclude(_end(run))
        case RunStatus.IN_PROGRESS:
            return _in_progress(run)
        case RunStatus.REQUIRES_ACTION:
            return _requires_action(run)
        case RunStatus.CANCELLING:
            return Conclude((*_close_steps(run, reason="run_cancelled"), RunCancelled()))
        case RunStatus.COMPLETED | RunStatus.FAILED | RunStatus.INCOMPLETE | RunStatus.CANCELLED | RunStatus.EXPIRED:
            return Done()
        case _:
            assert_never(run.status)


def recover(run: Run, *, repeatable: Collection[str] = ()) -> tuple[Event, ...]:
    """What must be stated before a run that lost its driver can go on; empty when nothing was in flight.

    A model call that was cut off is closed and will be made again. A tool call that had started and not returned
    is answered with "interrupted, outcome unknown", unless its name is in `repeatable` (declared idempotent); what a
    hosted call has shown until then stays shown.
    """
    if run.status is not RunStatus.IN_PROGRESS:
        return ()
    if run.turn is None:
        if run.message_step is None and run.tool_step is None:
            return ()
        why = LastError("server_error", "The process that held this model call stopped; it is made again.")
        return (*_close_steps(run, reason="run_failed", error=why, is_discarded=True), TurnLost())
    if run.tool_step is None:
        return ()
    return tuple(
        CallReturned(
            step_id=run.tool_step.id,
            index=index,
            result=ToolResult(call_id=call.call.id, output=INTERRUPTED, error="interrupted", shown=call.shown),
        )
        for index, call in enumerate(run.tool_step.calls)
        if call.is_started and call.result is None and call.call.name not in repeatable
    )


def take_back(run: Run, step_ids: Collection[str]) -> tuple[Event, ...]:
    """Close the open ones among these steps, for those who were told of them: they were not stored, and do not exist.

    A model call that was cut off is made again; what it had stored is closed by whoever makes it (see `recover`).
    """
    message_step, tool_step = (
        step if step is not None and step.id in step_ids else None for step in (run.message_step, run.tool_step)
    )
    why = LastError("server_error", "This model call could not be stored; it is made again.")
    told = replace(run, message_step=message_step, tool_step=tool_step)
    return _close_steps(told, reason="run_failed", error=why, is_discarded=True)


def _in_progress(run: Run) -> Command:
    if run.ending is not None:
        return Conclude(_end(run))
    if run.turn is None:
        return _call_model(run) if run.late is None else Conclude(_say_late(run, run.late))
    if run.turn.finish == "length":
        error = LastError("server_error", "The answer was cut off by the token limit.")
        closing = _close_steps(run, reason="max_tokens", error=error)
        return Conclude((*closing, RunIncomplete(limit="max_completion_tokens")))
    if run.turn.finish == "content_filter":
        error = LastError("invalid_prompt", "The model server's content filter stopped the answer.")
        closing = _close_steps(run, reason="content_filter", error=error)
        return Conclude((*closing, RunFailed(code=error.code, message=error.message)))
    if run.tool_step is not None:
        return _tool_step(run, run.tool_step, run.turn)
    return Conclude((*_answer(run, run.turn), RunCompleted()))


def _tool_step(run: Run, step: OpenStep, turn: TurnEnd) -> Command:
    on_server = tuple((i, c.call) for i, c in enumerate(step.calls) if c.is_server and c.result is None)
    if on_server:
        return RunTools(step_id=step.id, calls=on_server)
    pending = run.pending_calls
    if pending:
        return Conclude((ActionRequired(call_ids=tuple(call.id for call in pending)),))
    return Conclude((StepCompleted(step_id=step.id, usage=turn.usage),))


def _requires_action(run: Run) -> Command:
    if run.ending is not None:
        return Conclude(_end(run))
    if run.pending_calls or run.tool_step is None or run.turn is None:
        return Wait()
    return Conclude((StepCompleted(step_id=run.tool_step.id, usage=run.turn.usage), RunQueued()))


def _call_model(run: Run) -> Command:
    spec = run.spec
    if run.n_model_calls >= spec.max_steps:
        return Conclude(_limit("max_steps", f"Stopped after {run.n_model_calls} model calls (max_steps)."))
    prompt_left = None if spec.max_prompt_tokens is None else spec.max_prompt_tokens - run.usage.prompt_tokens
    if prompt_left is not None and prompt_left <= 0:
        return Conclude(_limit("max_prompt_tokens"))
    answer_left = (
        None if spec.max_completion_tokens is None else spec.max_completion_tokens - run.usage.completion_tokens
    )
    if answer_left is not None and answer_left <= 0:
        return Conclude(_limit("max_completion_tokens"))
    # A forced choice binds the first call only: bound for ever, a run would never come to its answer.
    choice = spec.tool_choice if run.n_model_calls == 0 or spec.tool_choice.mode == "none" else ToolChoice()
    return CallModel(tool_choice=choice, prompt_tokens_left=prompt_left, completion_tokens_left=answer_left)


def _limit(limit: RunLimit, message: str = "") -> tuple[Event, ...]:
    return (RunIncomplete(limit=limit, message=message),)


def _answer(run: Run, turn: TurnEnd) -> tuple[Event, ...]:
    step = run.message_step
    if step is None or step.message_id is None:
        return ()
    parts = answer_parts(step.text, step.refusal, images=run.unshown_images, annotations=turn.annotations)
    return (
        MessageCompleted(message_id=step.message_id, parts=parts),
        StepCompleted(step_id=step.id, usage=turn.usage),
    )


def _say_late(run: Run, late: LateWords) -> tuple[Event, ...]:
    parts = answer_parts(late.text, late.refusal, images=run.unshown_images, annotations=late.annotations)
    return (
        StepCreated(step_id=late.step_id, type="message_creation", message_id=late.message_id),
        StepStarted(step_id=late.step_id),
        MessageCreated(message_id=late.message_id, step_id=late.step_id),
        MessageStarted(message_id=late.message_id),
        *(event for index, part in enumerate(parts) for event in _pieces(late.message_id, index, part)),
        MessageCompleted(message_id=late.message_id, parts=parts),
        StepCompleted(step_id=late.step_id, usage=Usage()),
    )


def _pieces(message_id: str, index: int, part: AnswerPart) -> tuple[Event, ...]:
    """A whole part as the pieces of a message."""
    match part:
        case ImageFilePart(file_id):
            return (ImageShown(message_id=message_id, part=index, file_id=file_id),)
        case RefusalPart(refusal):
            return (TextDelta(message_id=message_id, text=refusal, part=index, is_refusal=True),)
        case TextPart(text, annotations):
            return (
                TextDelta(message_id=message_id, text=text, part=index),
                *annotated(message_id, index, annotations),
            )
        case _:
            assert_never(part)


def annotated(message_id: str, part: int, annotations: Iterable[Annotation]) -> tuple[Event, ...]:
    """The annotations of a text as pieces of its message."""
    return tuple(
        Annotated(message_id=message_id, part=part, index=i, annotation=annotation)
        for i, annotation in enumerate(annotations)
    )


def _end(run: Run) -> tuple[Event, ...]:
    """The last events of a run that must end although its turn is not over."""
    match run.ending:
        case "failed":
            error = run.last_error or LastError("server_error", "The run failed.")
            closing = _close_steps(run, reason="run_failed", error=error)
            return (*closing, RunFailed(code=error.code, message=error.message))
        case "incomplete":
            closing = _close_steps(run, reason="run_failed", error=run.last_error)
            message = run.last_error.message if run.last_error else ""
            return (*closing, RunIncomplete(limit=run.limit or "max_prompt_tokens", message=message))
        case "expired":
            return (*_close_steps(run, reason="run_expired"), RunExpired())
        case None:
            return ()
        case _:
            assert_never(run.ending)


def _close_steps(
    run: Run, *, reason: CutReason, error: LastError | None = None, is_discarded: bool = False
) -> tuple[Event, ...]:
    """Close the open message and steps. The message's event stands before its step's."""
    events: list[Event] = []
    usage = None if run.turn is None else run.turn.usage
    if (step := run.message_step) is not None and step.message_id is not None:
        parts = answer_parts(step.text, step.refusal, images=run.unshown_images)
        events.append(
            MessageIncomplete(message_id=step.message_id, parts=parts, reason=reason, is_discarded=is_discarded)
        )
        events.append(_close_step(step, reason, error, usage if run.tool_step is None else None))
    if (step := run.tool_step) is not None:
        tool_error = error or LastError("server_error", "The turn was cut off.")
        events.append(_close_step(step, "run_failed" if reason == "max_tokens" else reason, tool_error, usage))
    return tuple(events)


def _close_step(step: OpenStep, reason: CutReason, error: LastError | None, usage: Usage | None) -> Event:
    match reason:
        case "max_tokens":
            return StepCompleted(step_id=step.id, usage=usage or Usage())
        case "run_cancelled":
            return StepCancelled(step_id=step.id, usage=usage)
        case "run_expired":
            return StepExpired(step_id=step.id, usage=usage)
        case "run_failed" | "content_filter":
            code: StepErrorCode = "server_error"
            if error is not None and error.code == "rate_limit_exceeded":
                code = "rate_limit_exceeded"
            message = error.message if error else "The run failed."
            return StepFailed(step_id=step.id, code=code, message=message, usage=usage)
        case _:
            assert_never(reason)
