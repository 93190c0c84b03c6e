"""A run's events → its Timeline. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Literal

from agentrt.cli.port import LoggedEvent, RunEnd
from agentrt.cli.timeline import AnyPart, Asked, CallerWait, End, FunctionCall, ModelCall, Queued, TakeOver, Timeline
from agentrt.engine import events as ev
from agentrt.engine.message import ToolCall, Usage
from agentrt.engine.spec import RunSpec


def make_timeline(events: Iterable[LoggedEvent]) -> Timeline | None:
    """What the events tell; None when the run's creation is not among them (a log that was deleted)."""
    maker = TimelineMaker()
    for logged in events:
        maker.see(logged)
    return maker.timeline()


class TimelineMaker:
    """Takes the events in one by one. A part that is open is changed in place when more is known of it."""

    def __init__(self) -> None:
        self._spec: RunSpec | None = None
        self._created_at = self._last_at = 0.0
        self._epoch = 0
        self._parts: list[AnyPart] = []
        self._stay: Queued | None = None
        self._model: ModelCall | None = None
        self._wait: CallerWait | None = None
        self._running: dict[str, FunctionCall] = {}
        self._known: dict[str, ToolCall] = {}
        self._tool_steps: set[str] = set()
        self._late_steps: set[str] = set()
        self._usage = Usage()
        self._is_estimated = False

    def see(self, logged: LoggedEvent) -> None:
        """The next event."""
        event = logged.event
        if logged.epoch != self._epoch:
            self._change_driver(event, logged.epoch)
        handle = _HANDLERS.get(type(event))
        if handle is not None:
            handle(self, event)
        self._last_at = event.at or self._last_at

    def timeline(self) -> Timeline | None:
        """What has been seen so far; None before the run's creation."""
        if self._spec is None:
            return None
        parts = tuple(sorted(self._parts, key=lambda part: part.begin))
        return Timeline(self._spec, self._created_at, self._last_at, parts, self._usage, self._is_estimated)

    def _created(self, event: ev.RunCreated) -> None:
        self._spec, self._created_at = event.spec, event.at
        self._queued(event)

    def _queued(self, event: ev.RunCreated | ev.RunQueued) -> None:
        self._forget_model_call()
        if self._stay is None:
            self._stay = Queued(event.at)
            self._parts.append(self._stay)

    def _started(self, event: ev.RunStarted) -> None:
        self._end_queue(event.at)
        self._call_model(event.at)

    def _action_required(self, event: ev.ActionRequired) -> None:
        calls = tuple(self._known[call_id] for call_id in event.call_ids if call_id in self._known)
        self._wait = CallerWait(event.at, calls=calls)
        self._parts.append(self._wait)

    def _outputs_submitted(self, event: ev.OutputsSubmitted) -> None:
        if self._wait is not None:
            self._wait.end, self._wait = event.at, None

    def _asked(self, event: ev.CancelRequested | ev.DeadlinePassed) -> None:
        what: Literal["cancel", "deadline"] = "cancel" if isinstance(event, ev.CancelRequested) else "deadline"
        self._parts.append(Asked(event.at, event.at, what=what))

    def _step_created(self, event: ev.StepCreated) -> None:
        if event.type == "tool_calls":
            self._tool_steps.add(event.step_id)
        if event.step_id in self._late_steps:  # said beside calls, long ago
            return
        model = self._model or self._call_model(event.at)
        if model.first_at is None:
            model.first_at = event.at

    def _step_completed(self, event: ev.StepCompleted) -> None:
        if event.step_id in self._tool_steps:
            self._call_model(event.at)

    def _turn_finished(self, event: ev.TurnFinished) -> None:
        model = self._model or self._call_model(event.at)
        model.end, self._model = event.at, None
        model.finish, model.usage, model.calls = event.finish, event.usage, event.calls
        model.is_estimated = event.is_usage_estimated
        self._usage += event.usage
        self._is_estimated = self._is_estimated or event.is_usage_estimated
        self._known |= {call.id: call for call in event.calls}
        self._late_steps.add(event.late_step_id)

    def _turn_failed(self, event: ev.TurnFailed | ev.PromptTooLong) -> None:
        if self._model is not None:
            self._model.end, self._model.error = event.at, event.message
            self._model = None

    def _turn_lost(self, event: ev.TurnLost) -> None:
        self._call_model(event.at)

    def _call_started(self, event: ev.CallStarted) -> None:
        again = self._running.get(event.call_id)
        if again is not None:
            again.n_tries += 1
            return
        call = self._known.get(event.call_id, ToolCall(event.call_id, "", ""))
        self._running[event.call_id] = part = FunctionCall(event.at, call=call)
        self._parts.append(part)

    def _call_returned(self, event: ev.CallReturned) -> None:
        part = self._running.pop(event.result.call_id, None)
        if part is not None:
            part.end, part.took_s = event.at, event.duration_ms / 1000
            part.output, part.error = event.result.output, event.result.error

    def _ended(self, event: ev.TerminalEvent) -> None:
        if isinstance(event, ev.RunIncomplete):  # a limit that was reached before the model was asked again
            self._forget_model_call()
        for part in (self._stay, self._model, self._wait, *self._running.values()):
            if part is not None:
                part.end = event.at
            if isinstance(part, ModelCall | FunctionCall):
                part.is_cut = True
        end = End(event.at, event.at, status=_ENDS[type(event)])
        match event:
            case ev.RunFailed():
                end.error_code, end.error = event.code, event.message
            case ev.RunIncomplete():
                end.limit, end.error = event.limit, event.message
        self._parts.append(end)

    def _change_driver(self, event: ev.Event, epoch: int) -> None:
        """A take-over, unless the run was handed on in good order: from the queue, or after a wait."""
        self._epoch = epoch
        is_planned = isinstance(event, ev.RunStarted | ev.OutputsSubmitted | ev.CancelRequested | ev.DeadlinePassed)
        if is_planned or self._stay is not None or self._wait is not None:
            return
        self._parts.append(TakeOver(self._last_at, event.at or self._last_at, epoch=epoch))
        if self._model is not None:
            self._model.end, self._model.is_lost = self._last_at, True
            self._model = None

    def _end_queue(self, at: float) -> None:
        if self._stay is not None:
            self._stay.end, self._stay = at, None

    def _call_model(self, at: float) -> ModelCall:
        self._forget_model_call()
        self._model = ModelCall(at)
        self._parts.append(self._model)
        return self._model

    def _forget_model_call(self) -> None:
        """Nothing was heard of it: it was expected, and something else came."""
        if self._model is not None and self._model.first_at is None:
            self._parts = [part for part in self._parts if part is not self._model]
            self._model = None


_ENDS: dict[type[ev.Event], RunEnd] = {
    ev.RunCompleted: "completed",
    ev.RunFailed: "failed",
    ev.RunIncomplete: "incomplete",
    ev.RunCancelled: "cancelled",
    ev.RunExpired: "expired",
}
_HANDLERS: dict[type[ev.Event], Callable[[TimelineMaker, Any], None]] = {
    ev.RunCreated: TimelineMaker._created,
    ev.RunQueued: TimelineMaker._queued,
    ev.RunStarted: TimelineMaker._started,
    ev.ActionRequired: TimelineMaker._action_required,
    ev.OutputsSubmitted: TimelineMaker._outputs_submitted,
    ev.CancelRequested: TimelineMaker._asked,
    ev.DeadlinePassed: TimelineMaker._asked,
    ev.StepCreated: TimelineMaker._step_created,
    ev.StepCompleted: TimelineMaker._step_completed,
    ev.TurnFinished: TimelineMaker._turn_finished,
    ev.TurnFailed: TimelineMaker._turn_failed,
    ev.PromptTooLong: TimelineMaker._turn_failed,
    ev.TurnLost: TimelineMaker._turn_lost,
    ev.CallStarted: TimelineMaker._call_started,
    ev.CallReturned: TimelineMaker._call_returned,
    **dict.fromkeys(_ENDS, TimelineMaker._ended),
}
