"""Numbered engine events → the events of an Assistants stream.

One engine event is at most one event of the stream, so that its place (`EPOCH.SEQ`) names it. What only the engine
needs to know (a turn's end, a call's start, accepted outputs, a lost turn) shows nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from agentrt.engine import events as ev
from agentrt.engine.fold import apply
from agentrt.engine.run import OpenStep, Run
from agentrt.errors import ForbiddenTransitionError
from agentrt.server.render.assistants import render_run, render_usage, thread_object
from agentrt.server.render.call_stream import CallStream
from agentrt.server.render.run_steps import StepStatus, message_step_details, tool_step_details
from agentrt.wire.messages import MessageObject, render_annotation, render_content
from agentrt.wire.run_steps import RunStepObject, StepError
from agentrt.wire.runs import UsageObject
from agentrt.wire.stream_events import (
    ContentDelta,
    ImageFileDelta,
    MessageEventName,
    RunEventName,
    RunStepEventName,
    ToolCallDelta,
)

_encode = msgspec.json.Encoder().encode

_RUN_EVENTS: dict[type[ev.Event], RunEventName] = {
    ev.RunCreated: "thread.run.created",
    ev.RunQueued: "thread.run.queued",
    ev.RunStarted: "thread.run.in_progress",
    ev.ActionRequired: "thread.run.requires_action",
    ev.CancelRequested: "thread.run.cancelling",
    ev.RunCompleted: "thread.run.completed",
    ev.RunFailed: "thread.run.failed",
    ev.RunIncomplete: "thread.run.incomplete",
    ev.RunCancelled: "thread.run.cancelled",
    ev.RunExpired: "thread.run.expired",
}
_STEP_EVENTS: dict[type[ev.Event], tuple[RunStepEventName, StepStatus]] = {
    ev.StepCreated: ("thread.run.step.created", "in_progress"),
    ev.StepStarted: ("thread.run.step.in_progress", "in_progress"),
    ev.StepCompleted: ("thread.run.step.completed", "completed"),
    ev.StepFailed: ("thread.run.step.failed", "failed"),
    ev.StepCancelled: ("thread.run.step.cancelled", "cancelled"),
    ev.StepExpired: ("thread.run.step.expired", "expired"),
}
_MESSAGE_EVENTS: dict[type[ev.Event], MessageEventName] = {
    ev.MessageCreated: "thread.message.created",
    ev.MessageStarted: "thread.message.in_progress",
    ev.MessageCompleted: "thread.message.completed",
    ev.MessageIncomplete: "thread.message.incomplete",
}


class StreamEvent(NamedTuple):
    """What stands behind `event:` and `data:`."""

    name: str
    data: bytes


class StreamRenderer:
    """Renders the events of one run, in order; it folds the run on the way.

    A stream that begins in the middle needs `pass_over` for all that stands before it. metadata: the run's, when it
    was changed after the run's creation (changes are not events). with_content: with the texts that searches found.
    """

    def __init__(self, *, metadata: dict[str, str] | None = None, with_content: bool = False) -> None:
        self._run: Run | None = None
        self._metadata = metadata
        self._with_content = with_content
        self._begun: set[tuple[str, int]] = set()  # (message id, part) of texts whose first piece is out
        self._text_head: tuple[tuple[str, int], bytes] | None = None
        self._calls = CallStream()

    def pass_over(self, events: Iterable[ev.Event]) -> None:
        """Take note of events that are not to be sent."""
        for event in events:
            if isinstance(event, ev.TextDelta):
                self._begun.add((event.message_id, event.part))
            elif isinstance(event, ev.CallDelta) and self._run is not None:
                self._calls.delta(event, self._run.spec)
            elif isinstance(event, ev.CallOutput) or not (event.is_delta or isinstance(event, ev.ThreadCreated)):
                self._fold(event)

    def render(self, event: ev.Event) -> StreamEvent | None:
        """The event of the stream, None for what shows nothing."""
        if isinstance(event, ev.TextDelta):
            return self._text(event)
        if isinstance(event, ev.ThreadCreated):
            return _thread(event)
        if event.is_delta:
            return self._piece(event)
        before, after = self._fold(event)
        kind = type(event)
        if (name := _RUN_EVENTS.get(kind)) is not None:
            return StreamEvent(name, _encode(render_run(after)))
        if isinstance(event, ev.StepCreated | ev.StepStarted):
            return _step(after, event, self._with_content)
        if isinstance(event, ev.StepCompleted | ev.StepFailed | ev.StepCancelled | ev.StepExpired):
            return _step(before, event, self._with_content)
        if isinstance(event, ev.MessageCreated | ev.MessageStarted | ev.MessageCompleted | ev.MessageIncomplete):
            return _message(after, event)
        if isinstance(event, ev.CallReturned):
            return _step_delta(event.step_id, self._calls.returned(event, before))
        return None

    def _piece(self, event: ev.Event) -> StreamEvent | None:
        """A delta other than a text's."""
        match event:
            case ev.CallDelta() if self._run is not None:
                return _step_delta(event.step_id, self._calls.delta(event, self._run.spec))
            case ev.CallOutput():
                self._fold(event)  # a step that is cut off shows what there was
                return _step_delta(event.step_id, self._calls.output(event))
            case ev.ImageShown():
                image: ImageFileDelta = {"file_id": event.file_id, "detail": "auto"}
                return _message_delta(
                    event.message_id, {"index": event.part, "type": "image_file", "image_file": image}
                )
            case ev.Annotated():
                annotation = {"index": event.index, **render_annotation(event.annotation)}
                return _message_delta(
                    event.message_id,
                    {"index": event.part, "type": "text", "text": {"annotations": [annotation]}},  # type: ignore[list-item]
                )
            case _:
                return None

    def render_end(self, run: Run) -> StreamEvent:
        """The last event of a run that has ended, when its others are not kept any more."""
        return StreamEvent(f"thread.run.{run.status}", _encode(render_run(run)))

    @property
    def has_begun(self) -> bool:
        """Whether it has seen the run's creation; without that, only its end can be rendered."""
        return self._run is not None

    def _fold(self, event: ev.Event) -> tuple[Run, Run]:
        """The run before and after the event."""
        if isinstance(event, ev.RunCreated):
            spec = event.spec
            if self._metadata is not None:
                spec = msgspec.structs.replace(spec, metadata=self._metadata)
            self._run = Run(spec=spec)
            return self._run, self._run
        if self._run is None:
            raise ForbiddenTransitionError(f"the stream begins with {type(event).__name__}, not with RunCreated")
        before = self._run
        self._run = apply(before, event)
        return before, self._run

    def _text(self, event: ev.TextDelta) -> StreamEvent:
        place = (event.message_id, event.part)
        if event.is_refusal:
            head = _delta_head(event) + b'"refusal","refusal":'
            return StreamEvent("thread.message.delta", head + _encode(event.text) + b"}]}}")
        if self._text_head is None or self._text_head[0] != place:
            self._text_head = (place, _delta_head(event) + b'"text","text":{"value":')
        tail = b"}}]}}"
        if place not in self._begun:
            self._begun.add(place)
            tail = b',"annotations":[]}}]}}'
        return StreamEvent("thread.message.delta", self._text_head[1] + _encode(event.text) + tail)


def _delta_head(event: ev.TextDelta) -> bytes:
    return b'{"id":%b,"object":"thread.message.delta","delta":{"content":[{"index":%d,"type":' % (
        _encode(event.message_id),
        event.part,
    )


def _message_delta(message_id: str, content: ContentDelta) -> StreamEvent:
    data = {"id": message_id, "object": "thread.message.delta", "delta": {"content": [content]}}
    return StreamEvent("thread.message.delta", _encode(data))


def _step_delta(step_id: str, call: ToolCallDelta | None) -> StreamEvent | None:
    if call is None:
        return None
    data = {
        "id": step_id,
        "object": "thread.run.step.delta",
        "delta": {"step_details": {"type": "tool_calls", "tool_calls": [call]}},
    }
    return StreamEvent("thread.run.step.delta", _encode(data))


def _thread(event: ev.ThreadCreated) -> StreamEvent:
    thread = event.thread
    rendered = thread_object(
        thread.id, created_at=thread.created_at, tool_resources=thread.tool_resources, metadata=thread.metadata
    )
    return StreamEvent("thread.created", _encode(rendered))


def _step(
    run: Run,
    event: ev.StepCreated | ev.StepStarted | ev.StepCompleted | ev.StepFailed | ev.StepCancelled | ev.StepExpired,
    with_content: bool,
) -> StreamEvent:
    """A step as the event leaves it; run: one in which it is open."""
    step = _open_step(run, event.step_id)
    name, status = _STEP_EVENTS[type(event)]
    at = int(event.at)
    error: StepError | None = None
    if isinstance(event, ev.StepFailed):
        error = {"code": event.code, "message": event.message}
    usage: UsageObject | None = None
    if not isinstance(event, ev.StepCreated | ev.StepStarted) and event.usage is not None:
        usage = render_usage(event.usage)
    rendered: RunStepObject = {
        "id": step.id,
        "object": "thread.run.step",
        "created_at": int(step.created_at),
        "assistant_id": run.spec.assistant_id,
        "thread_id": run.spec.thread_id,
        "run_id": run.spec.id,
        "type": step.type,
        "status": status,
        "step_details": (
            tool_step_details(step.calls, with_content=with_content)
            if step.type == "tool_calls"
            else message_step_details(step.message_id or "")
        ),
        "last_error": error,
        "expired_at": at if status == "expired" else None,
        "cancelled_at": at if status == "cancelled" else None,
        "failed_at": at if status == "failed" else None,
        "completed_at": at if status == "completed" else None,
        "metadata": {},
        "usage": usage,
    }
    return StreamEvent(name, _encode(rendered))


def _open_step(run: Run, step_id: str) -> OpenStep:
    for step in (run.message_step, run.tool_step):
        if step is not None and step.id == step_id:
            return step
    raise ForbiddenTransitionError(f"run {run.spec.id} has no open step {step_id}")


def _message(
    run: Run, event: ev.MessageCreated | ev.MessageStarted | ev.MessageCompleted | ev.MessageIncomplete
) -> StreamEvent:
    """The message of the open step. Until it ends its content is empty: SDKs add the deltas to it."""
    created_at = 0 if run.message_step is None else int(run.message_step.message_at)
    is_completed, is_cut = isinstance(event, ev.MessageCompleted), isinstance(event, ev.MessageIncomplete)
    parts = event.parts if isinstance(event, ev.MessageCompleted | ev.MessageIncomplete) else ()
    rendered: MessageObject = {
        "id": event.message_id,
        "object": "thread.message",
        "created_at": created_at,
        "thread_id": run.spec.thread_id,
        "status": "completed" if is_completed else "incomplete" if is_cut else "in_progress",
        "incomplete_details": {"reason": event.reason} if isinstance(event, ev.MessageIncomplete) else None,
        "completed_at": int(event.at) if is_completed else None,
        "incomplete_at": int(event.at) if is_cut else None,
        "role": "assistant",
        "content": render_content(parts),
        "assistant_id": run.spec.assistant_id,
        "run_id": run.spec.id,
        "attachments": [],
        "metadata": {},
    }
    return StreamEvent(_MESSAGE_EVENTS[type(event)], _encode(rendered))
