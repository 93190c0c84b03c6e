"""Events → rows of messages and run steps. Rows are written once per batch, whatever happened to them in it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_never

import msgspec

from agentrt.engine import events as ev
from agentrt.engine.message import JsonObject, Usage
from agentrt.engine.run import Call, OpenStep, Run
from agentrt.errors import FencedError, NotFoundError
from agentrt.store.database import Tx
from agentrt.store.messages import Message, delete_message, insert_messages, update_message
from agentrt.store.run_steps import RunStep, insert_step, update_step
from agentrt.store.threads import take_positions


class Projection:
    """Collects what a batch changes. `see` each event with the run after it, then `take_places` and `write` in the
    transaction, which may both run again when it is."""

    def __init__(self, project: str, run: Run) -> None:
        self._project = project
        self._spec = run.spec
        self._before = run
        self._steps: dict[str, RunStep] = {}
        self._messages: dict[str, Message] = {}
        self._step_changes: dict[str, dict[str, Any]] = {}
        self._message_changes: dict[str, dict[str, Any]] = {}
        self._discarded: set[str] = set()
        self._at = 0.0

    def see(self, event: ev.Event, after: Run) -> None:
        """Take one event in."""
        before, self._before = self._before, after
        at = int(event.at)
        self._at = event.at
        match event:
            case ev.StepCreated():
                self._steps[event.step_id] = self._new_step(event)
            case ev.MessageCreated():
                self._messages[event.message_id] = self._new_message(event)
            case ev.MessageCompleted():
                parts = _json(event.parts)
                self._change_message(event.message_id, status="completed", parts=parts, completed_at=at)
            case ev.MessageIncomplete(is_discarded=True):
                self._discarded.add(event.message_id)
            case ev.MessageIncomplete():
                change = {"status": "incomplete", "parts": _json(event.parts)}
                self._change_message(event.message_id, **change, incomplete_at=at, incomplete_reason=event.reason)
            case ev.StepCompleted() | ev.StepFailed() | ev.StepCancelled() | ev.StepExpired():
                self._end_step(event, at)
                self._keep_shown(event.step_id, before)
            case ev.TurnFinished() | ev.CallReturned() | ev.OutputsSubmitted() if after.tool_step is not None:
                self._change_step(after.tool_step.id, calls=calls_json(after.tool_step))
            case _:
                return

    def take_places(self, tx: Tx) -> bool:
        """Find places in the thread for what is new, which locks the thread's row. False: nothing is new.

        Raises FencedError when the thread was deleted, and the run with it.
        """
        records: list[RunStep | Message] = [*self._steps.values(), *self._messages.values()]
        if not records:
            return False
        try:
            first = take_positions(tx, self._spec.thread_id, len(records), now=self._at)
        except NotFoundError:
            raise FencedError(f"run {self._spec.id} is gone with its thread") from None
        for place, record in enumerate(sorted(records, key=_made_at), start=first):
            record.pos = place
        return True

    def write(self, tx: Tx) -> None:
        """Write the rows."""
        for step in self._steps.values():
            insert_step(tx, step)
        insert_messages(tx, [m for m in self._messages.values() if m.id not in self._discarded])
        for step_id, change in self._step_changes.items():
            update_step(tx, step_id, change)
        for message_id, change in self._message_changes.items():
            update_message(tx, message_id, change)
        for message_id in self._discarded - self._messages.keys():
            delete_message(tx, message_id)

    def _end_step(self, event: ev.StepCompleted | ev.StepFailed | ev.StepCancelled | ev.StepExpired, at: int) -> None:
        usage = None if event.usage is None else usage_json(event.usage)
        match event:
            case ev.StepCompleted():
                self._change_step(event.step_id, status="completed", completed_at=at, usage=usage)
            case ev.StepFailed():
                error: JsonObject = {"code": event.code, "message": event.message}
                self._change_step(event.step_id, status="failed", failed_at=at, last_error=error, usage=usage)
            case ev.StepCancelled():
                self._change_step(event.step_id, status="cancelled", cancelled_at=at, usage=usage)
            case ev.StepExpired():
                self._change_step(event.step_id, status="expired", expired_at=at, usage=usage)
            case _:
                assert_never(event)

    def _keep_shown(self, step_id: str, before: Run) -> None:
        """Of calls that will not return, what they have shown."""
        step = before.tool_step
        if step is not None and step.id == step_id and any(call.pieces for call in step.calls):
            self._change_step(step_id, calls=calls_json(step))

    def _change_step(self, step_id: str, **change: Any) -> None:
        if (step := self._steps.get(step_id)) is not None:
            step.__dict__.update(change)
        else:
            self._step_changes.setdefault(step_id, {}).update(change)

    def _change_message(self, message_id: str, **change: Any) -> None:
        if (message := self._messages.get(message_id)) is not None:
            message.__dict__.update(change)
        else:
            self._message_changes.setdefault(message_id, {}).update(change)

    def _new_step(self, event: ev.StepCreated) -> RunStep:
        spec = self._spec
        return RunStep(
            id=event.step_id,
            project=self._project,
            thread_id=spec.thread_id,
            run_id=spec.id,
            assistant_id=spec.assistant_id,
            pos=0,
            turn_pos=spec.position,
            type=event.type,
            created_at=int(event.at),
            message_id=event.message_id,
        )

    def _new_message(self, event: ev.MessageCreated) -> Message:
        spec = self._spec
        return Message(
            id=event.message_id,
            project=self._project,
            thread_id=spec.thread_id,
            pos=0,
            turn_pos=spec.position,
            created_at=int(event.at),
            role="assistant",
            status="in_progress",
            assistant_id=spec.assistant_id,
            run_id=spec.id,
            attachments=[],
        )


def calls_json(step: OpenStep) -> list[JsonObject]:
    """The calls of a tool step as its row keeps them; `type` and `shown` only of hosted tools."""
    return [_call_json(call) for call in step.calls]


def _call_json(call: Call) -> JsonObject:
    result = call.result
    row: JsonObject = {
        "id": call.call.id,
        "name": call.call.name,
        "arguments": call.call.arguments,
        "output": None if result is None else result.output,
    }
    if call.type != "function":
        row["type"] = call.type
        if call.shown is not None:
            row["shown"] = msgspec.to_builtins(call.shown)
    return row


def usage_json(usage: Usage) -> JsonObject:
    """Usage as its column keeps it."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "cached_tokens": usage.cached_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
    }


def _made_at(record: RunStep | Message) -> str:
    return record.id.partition("_")[2]


def _json(parts: Iterable[ev.AnswerPart]) -> list[JsonObject]:
    found: list[JsonObject] = msgspec.to_builtins(tuple(parts))
    return list(found)
