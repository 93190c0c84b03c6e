"""Pieces of calls → the deltas of a run step, each kind of tool in its own shape.

The first piece says who is called, once: SDKs glue what is repeated.
"""

from __future__ import annotations

from agentrt.engine.code_input import CodeInput
from agentrt.engine.events import CallDelta, CallOutput, CallReturned
from agentrt.engine.message import Logs
from agentrt.engine.run import Run
from agentrt.engine.spec import RunSpec, ToolName
from agentrt.wire.stream_events import (
    CodeCallDelta,
    CodeImageDelta,
    CodeLogsDelta,
    FunctionCallDelta,
    SearchCallDelta,
    ToolCallDelta,
)


class CallStream:
    """Remembers what kind each call of the stream is, and how far its code was read."""

    def __init__(self) -> None:
        self._types: dict[tuple[str, int], ToolName] = {}
        self._codes: dict[tuple[str, int], CodeInput] = {}

    def delta(self, event: CallDelta, spec: RunSpec) -> ToolCallDelta | None:
        """A piece of what the model writes; None when it shows nothing."""
        place = (event.step_id, event.index)
        if event.name is not None:
            self._types[place] = spec.tool_type(event.name)
        match self._types.get(place, "function"):
            case "code_interpreter":
                return self._code(place, event)
            case "file_search":
                return _search(event)
            case "function":
                return _function(event)

    def output(self, event: CallOutput) -> CodeCallDelta:
        """A piece of what code prints, or an image that it drew."""
        shown: CodeLogsDelta | CodeImageDelta
        if isinstance(event.output, Logs):
            shown = {"index": event.position, "type": "logs", "logs": event.output.text}
        else:
            shown = {"index": event.position, "type": "image", "image": {"file_id": event.output.file_id}}
        return {"index": event.index, "type": "code_interpreter", "code_interpreter": {"outputs": [shown]}}

    def returned(self, event: CallReturned, run: Run) -> FunctionCallDelta | None:
        """What a function returned. Of hosted tools the pieces have told it."""
        step = run.tool_step
        calls = () if step is None else step.calls
        if any(call.call.id == event.result.call_id and call.type != "function" for call in calls):
            return None
        return {"index": event.index, "type": "function", "function": {"output": event.result.output}}

    def _code(self, place: tuple[str, int], event: CallDelta) -> CodeCallDelta | None:
        delta: CodeCallDelta = {"index": event.index, "type": "code_interpreter"}
        reader = self._codes.setdefault(place, CodeInput())
        code = reader.feed(event.arguments)
        if event.name is not None:
            if event.id is not None:
                delta["id"] = event.id
            delta["code_interpreter"] = {"input": code, "outputs": []}
        elif code:
            delta["code_interpreter"] = {"input": code}
        else:
            return None
        return delta


def _search(event: CallDelta) -> SearchCallDelta | None:
    if event.name is None:
        return None
    delta: SearchCallDelta = {"index": event.index, "type": "file_search", "file_search": {}}
    if event.id is not None:
        delta["id"] = event.id
    return delta


def _function(event: CallDelta) -> FunctionCallDelta:
    delta: FunctionCallDelta = {"index": event.index, "type": "function", "function": {}}
    if event.id is not None:
        delta["id"] = event.id
    if event.name is not None:
        delta["function"] = {"name": event.name, "arguments": event.arguments, "output": None}
    else:
        delta["function"] = {"arguments": event.arguments}
    return delta
