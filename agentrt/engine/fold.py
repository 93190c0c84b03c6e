"""`apply(run, event)`: a run after one more event. Every rule of what may follow what stands here.

Raises ForbiddenTransitionError for an event that the state does not allow: a bug, or a race that a fence must catch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from agentrt.engine import events as ev
from agentrt.engine.message import CodeShown, assistant, tool_answer
from agentrt.engine.run import TRANSITIONS, Call, CodeUsage, LastError, LateWords, OpenStep, Run, RunStatus, TurnEnd
from agentrt.engine.spec import FunctionTool
from agentrt.errors import ForbiddenTransitionError


def apply(run: Run, event: ev.Event) -> Run:
    """The run after the event. Raises ForbiddenTransitionError when it may not happen now."""
    return _FOLDS[type(event)](run, event)


def fold(events: Iterable[ev.Event]) -> Run:
    """The run that a whole stored log describes. The log must hold a RunCreated before all else but ThreadCreated."""
    run: Run | None = None
    for event in events:
        if isinstance(event, ev.RunCreated):
            run = Run(spec=event.spec)
        elif run is not None:
            run = apply(run, event)
        elif not isinstance(event, ev.ThreadCreated):
            raise ForbiddenTransitionError(f"the log begins with {type(event).__name__}, not with RunCreated")
    if run is None:
        raise ForbiddenTransitionError("the log holds no RunCreated")
    return run


def last_event(run: Run) -> ev.Event:
    """The event that ended a run, told by what the run has become: for one whose log is not kept any more."""
    at, error = run.ended_at or 0.0, run.last_error or LastError("server_error", "")
    match run.status:
        case RunStatus.COMPLETED:
            return ev.RunCompleted(at=at)
        case RunStatus.FAILED:
            return ev.RunFailed(code=error.code, message=error.message, at=at)
        case RunStatus.INCOMPLETE:
            return ev.RunIncomplete(limit=run.limit or "max_steps", message=error.message, at=at)
        case RunStatus.CANCELLED:
            return ev.RunCancelled(at=at)
        case RunStatus.EXPIRED:
            return ev.RunExpired(at=at)
        case _:
            raise ForbiddenTransitionError(f"run {run.spec.id} ({run.status}) has not ended")


def _to(run: Run, status: RunStatus) -> None:
    if status not in TRANSITIONS[run.status]:
        raise ForbiddenTransitionError(f"run {run.spec.id}: {run.status} cannot become {status}")


def _need(condition: bool, run: Run, event: ev.Event) -> None:
    if not condition:
        raise ForbiddenTransitionError(f"run {run.spec.id} ({run.status}): {type(event).__name__} may not happen now")


def _need_live(run: Run, event: ev.Event) -> None:
    _need(not run.status.is_terminal, run, event)


# The run -----------------------------------------------------------------------------------------------------------


def _unchanged(run: Run, event: ev.Event) -> Run:
    return run


def _queued(run: Run, event: ev.RunQueued) -> Run:
    if run.status is RunStatus.QUEUED:
        return run
    _to(run, RunStatus.QUEUED)
    _need(not run.pending_calls, run, event)
    return replace(run, status=RunStatus.QUEUED)


def _started(run: Run, event: ev.RunStarted) -> Run:
    _to(run, RunStatus.IN_PROGRESS)
    return replace(run, status=RunStatus.IN_PROGRESS, started_at=run.started_at or event.at)


def _action_required(run: Run, event: ev.ActionRequired) -> Run:
    _to(run, RunStatus.REQUIRES_ACTION)
    _need(event.call_ids == tuple(call.id for call in run.pending_calls) and bool(event.call_ids), run, event)
    waits_since = event.at if run.spec.action_ttl_s is not None else None
    return replace(run, status=RunStatus.REQUIRES_ACTION, waits_since=waits_since)


def _outputs_submitted(run: Run, event: ev.OutputsSubmitted) -> Run:
    _need(run.status is RunStatus.REQUIRES_ACTION and run.ending is None, run, event)
    results = {result.call_id: result for result in event.results}
    _need(set(results) == {call.id for call in run.pending_calls} and run.tool_step is not None, run, event)
    step = run.tool_step
    assert step is not None
    calls = tuple(replace(c, result=results.get(c.call.id, c.result)) for c in step.calls)
    waited_s = run.waited_s + (0.0 if run.waits_since is None else max(0.0, event.at - run.waits_since))
    return replace(run, tool_step=replace(step, calls=calls), waits_since=None, waited_s=waited_s)


def _cancel_requested(run: Run, event: ev.CancelRequested) -> Run:
    _to(run, RunStatus.CANCELLING)
    return replace(run, status=RunStatus.CANCELLING)


def _deadline_passed(run: Run, event: ev.DeadlinePassed) -> Run:
    _need(not run.status.is_terminal and run.status is not RunStatus.CANCELLING, run, event)
    return replace(run, ending="expired")


def _ended(status: RunStatus) -> Callable[[Run, Any], Run]:
    def end(run: Run, event: ev.TerminalEvent) -> Run:
        _to(run, status)
        _need(run.message_step is None and run.tool_step is None, run, event)
        return replace(run, status=status, ended_at=event.at, turn=None)

    return end


def _failed(run: Run, event: ev.RunFailed) -> Run:
    ended = _ended(RunStatus.FAILED)(run, event)
    return replace(ended, last_error=LastError(event.code, event.message))


def _incomplete(run: Run, event: ev.RunIncomplete) -> Run:
    ended = _ended(RunStatus.INCOMPLETE)(run, event)
    error = LastError("server_error", event.message) if event.message else None
    return replace(ended, limit=event.limit, last_error=error)


# Steps and messages ------------------------------------------------------------------------------------------------


def _step_created(run: Run, event: ev.StepCreated) -> Run:
    _need(run.status is RunStatus.IN_PROGRESS and run.turn is None, run, event)
    step = OpenStep(id=event.step_id, type=event.type, created_at=event.at, message_id=event.message_id)
    if event.type == "message_creation":
        _need(run.message_step is None and event.message_id is not None, run, event)
        return replace(run, message_step=step)
    _need(run.tool_step is None, run, event)
    return replace(run, tool_step=step)


def _step_known(run: Run, event: ev.StepStarted) -> Run:
    _need(event.step_id in (_id(run.message_step), _id(run.tool_step)), run, event)
    return run


def _message_created(run: Run, event: ev.MessageCreated) -> Run:
    step = run.message_step
    _need(step is not None and step.message_id == event.message_id, run, event)
    assert step is not None
    return replace(run, message_step=replace(step, message_at=event.at))


def _message_known(run: Run, event: ev.MessageStarted | ev.MessageCompleted | ev.MessageIncomplete) -> Run:
    _need(run.message_step is not None and run.message_step.message_id == event.message_id, run, event)
    return run


def _step_completed(run: Run, event: ev.StepCompleted) -> Run:
    _need_live(run, event)
    step, turn = run.tool_step, run.turn
    if run.message_step is not None and run.message_step.id == event.step_id:
        if turn is None or step is not None:  # text beside calls: it joins the conversation with them
            return replace(run, message_step=None, late=None, unshown_images=())
        said = assistant(turn.text, annotations=turn.annotations)
        return replace(run, message_step=None, unshown_images=(), turns=(*run.turns, said))
    _need(step is not None and step.id == event.step_id and turn is not None, run, event)
    assert step is not None
    assert turn is not None
    results = tuple(c.result for c in step.calls if c.result is not None)
    _need(len(results) == len(step.calls), run, event)
    said = assistant(turn.text, *(c.call for c in step.calls), annotations=turn.annotations)
    turns = (*run.turns, said, *(tool_answer(result) for result in results))
    return replace(run, tool_step=None, turn=None, turns=turns)


def _step_closed(run: Run, event: ev.StepFailed | ev.StepCancelled | ev.StepExpired) -> Run:
    _need_live(run, event)
    if _id(run.message_step) == event.step_id:
        return replace(run, message_step=None)
    _need(_id(run.tool_step) == event.step_id, run, event)
    return replace(run, tool_step=None)


def _id(step: OpenStep | None) -> str | None:
    return None if step is None else step.id


# The model's turn and its calls --------------------------------------------------------------------------------------


def _text_delta(run: Run, event: ev.TextDelta) -> Run:
    step = run.message_step
    _need(step is not None and step.message_id == event.message_id, run, event)
    assert step is not None
    if event.is_refusal:
        return replace(run, message_step=replace(step, refusal=step.refusal + event.text))
    return replace(run, message_step=replace(step, text=step.text + event.text))


def _call_delta(run: Run, event: ev.CallDelta) -> Run:
    _need(_id(run.tool_step) == event.step_id and run.turn is None, run, event)
    return run


def _turn_finished(run: Run, event: ev.TurnFinished) -> Run:
    _need(run.status is RunStatus.IN_PROGRESS and run.turn is None, run, event)
    _need(bool(event.calls) <= (run.tool_step is not None), run, event)
    step = run.tool_step
    if step is not None:
        # A name that nobody offered is answered by the server, with an error that the model can read.
        callers = {t.name for t in run.spec.tools if isinstance(t, FunctionTool)} - set(run.spec.server_tools)
        made = (Call(call, call.name not in callers, run.spec.tool_type(call.name)) for call in event.calls)
        step = replace(step, calls=tuple(made))
    turn = TurnEnd(
        finish=event.finish,
        usage=event.usage,
        text=event.text,
        refusal=event.refusal,
        annotations=event.annotations,
    )
    n_calls, usage = run.n_model_calls + 1, run.usage + event.usage
    return replace(run, tool_step=step, turn=turn, late=_late_words(event), usage=usage, n_model_calls=n_calls)


def _late_words(event: ev.TurnFinished) -> LateWords | None:
    if not event.late_message_id:
        return None
    return LateWords(
        step_id=event.late_step_id,
        message_id=event.late_message_id,
        text=event.text,
        refusal=event.refusal,
        annotations=event.annotations,
    )


def _turn_failed(run: Run, event: ev.TurnFailed) -> Run:
    _need(run.status is RunStatus.IN_PROGRESS, run, event)
    return replace(run, ending="failed", last_error=LastError(event.code, event.message))


def _prompt_too_long(run: Run, event: ev.PromptTooLong) -> Run:
    _need(run.status is RunStatus.IN_PROGRESS, run, event)
    error = LastError("server_error", event.message)
    return replace(run, ending="incomplete", limit="max_prompt_tokens", last_error=error)


def _turn_lost(run: Run, event: ev.TurnLost) -> Run:
    _need(run.message_step is None and run.tool_step is None and run.turn is None, run, event)
    return run


def _call_started(run: Run, event: ev.CallStarted) -> Run:
    return _with_call(run, event, event.call_id, is_started=True)


def _call_returned(run: Run, event: ev.CallReturned) -> Run:
    after = _with_call(run, event, event.result.call_id, result=event.result, pieces=())
    shown = event.result.shown
    if not isinstance(shown, CodeShown):
        return after
    images = (*after.unshown_images, *event.result.images)
    code = (after.code or CodeUsage()).plus(shown) if shown.wall_ms else after.code
    return replace(after, unshown_images=images, code=code)


def _call_output(run: Run, event: ev.CallOutput) -> Run:
    step = run.tool_step
    _need(_id(step) == event.step_id and run.turn is not None, run, event)
    assert step is not None
    _need(event.index < len(step.calls) and step.calls[event.index].result is None, run, event)
    calls = list(step.calls)
    call = calls[event.index]
    calls[event.index] = replace(call, pieces=(*call.pieces, (event.position, event.output)))
    return replace(run, tool_step=replace(step, calls=tuple(calls)))


def _message_piece(run: Run, event: ev.ImageShown | ev.Annotated) -> Run:
    _need(run.message_step is not None and run.message_step.message_id == event.message_id, run, event)
    return run


def _with_call(run: Run, event: ev.Event, call_id: str, **change: Any) -> Run:
    step = run.tool_step
    _need(run.status is RunStatus.IN_PROGRESS and run.turn is not None and step is not None, run, event)
    assert step is not None
    calls = list(step.calls)
    for position, call in enumerate(calls):
        if call.call.id == call_id:
            _need(call.is_server and call.result is None, run, event)
            calls[position] = replace(call, **change)
            return replace(run, tool_step=replace(step, calls=tuple(calls)))
    raise ForbiddenTransitionError(f"run {run.spec.id}: no call {call_id} is open")


_FOLDS: dict[type, Callable[[Run, Any], Run]] = {
    ev.ThreadCreated: _unchanged,
    ev.RunCreated: _unchanged,
    ev.RunQueued: _queued,
    ev.RunStarted: _started,
    ev.ActionRequired: _action_required,
    ev.OutputsSubmitted: _outputs_submitted,
    ev.CancelRequested: _cancel_requested,
    ev.DeadlinePassed: _deadline_passed,
    ev.RunCompleted: _ended(RunStatus.COMPLETED),
    ev.RunFailed: _failed,
    ev.RunIncomplete: _incomplete,
    ev.RunCancelled: _ended(RunStatus.CANCELLED),
    ev.RunExpired: _ended(RunStatus.EXPIRED),
    ev.StepCreated: _step_created,
    ev.StepStarted: _step_known,
    ev.StepCompleted: _step_completed,
    ev.StepFailed: _step_closed,
    ev.StepCancelled: _step_closed,
    ev.StepExpired: _step_closed,
    ev.MessageCreated: _message_created,
    ev.MessageStarted: _message_known,
    ev.MessageCompleted: _message_known,
    ev.MessageIncomplete: _message_known,
    ev.TextDelta: _text_delta,
    ev.ImageShown: _message_piece,
    ev.Annotated: _message_piece,
    ev.CallDelta: _call_delta,
    ev.CallOutput: _call_output,
    ev.TurnFinished: _turn_finished,
    ev.TurnFailed: _turn_failed,
    ev.PromptTooLong: _prompt_too_long,
    ev.TurnLost: _turn_lost,
    ev.CallStarted: _call_started,
    ev.CallReturned: _call_returned,
}
