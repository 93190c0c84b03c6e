"""Whatever a model, its tools, its caller and a crash do: no forbidden transition, no dead end, no lost call."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agentrt.engine import events as ev
from agentrt.engine.commands import CallModel, Conclude, Done, RunTools, Wait
from agentrt.engine.fold import fold
from agentrt.engine.loop import apply, next_command, recover
from agentrt.engine.message import CodeShown, Image, ImageFilePart, Role, ToolCall, ToolResult, Usage
from agentrt.engine.prompt import assemble
from agentrt.engine.run import TERMINAL, TRANSITIONS, Run, RunStatus
from agentrt.engine.spec import CodeInterpreterTool
from tests.engine.runs import calls, new_run, opens_message, says

_names = st.lists(st.sampled_from(["local", "remote", "unknown", "code_interpreter"]), min_size=1, max_size=3)


class Play:
    """Drives one run with drawn choices, storing and restoring it between any two events."""

    def __init__(self, data: st.DataObject) -> None:
        self.draw = data.draw
        self.run = new_run(max_steps=4, max_prompt_tokens=self.draw(st.sampled_from([None, 256])))
        spec = replace(self.run.spec, tools=(*self.run.spec.tools, CodeInterpreterTool()))
        self.run = replace(self.run, spec=spec)
        self.log: list[ev.Event] = [ev.RunCreated(spec=self.run.spec), ev.RunQueued()]
        self.n = 0

    def tell(self, *events: ev.Event) -> None:
        for event in events:
            before = self.run.status
            self.run = apply(self.run, event)
            assert self.run.status is before or self.run.status in TRANSITIONS[before]
            self.log.append(event)
            if self.draw(st.booleans(), label="stored and restored"):
                self.run = fold(ev.decode_events(ev.encode_events(self.log)))

    def step(self) -> bool:
        """One step; False when the run is done."""
        command = next_command(self.run)
        if self.run.status in (RunStatus.QUEUED, RunStatus.IN_PROGRESS, RunStatus.REQUIRES_ACTION):
            outside = self.draw(st.sampled_from(["", "", "", "", "cancel", "deadline", "crash"]))
            if outside == "cancel":
                self.tell(ev.CancelRequested())
                return True
            if outside == "deadline" and self.run.ending is None:
                self.tell(ev.DeadlinePassed())
                return True
            if outside == "crash":
                self.tell(*recover(self.run, repeatable=self.draw(st.sampled_from([(), ("local",)]))))
                command = next_command(self.run)
        match command:
            case Done():
                return False
            case Conclude(events):
                self.tell(*events)
            case Wait():
                self.tell(ev.OutputsSubmitted(results=tuple(ToolResult(c.id, "x") for c in self.run.pending_calls)))
            case RunTools():
                self.tell(*(ev.CallStarted(call_id=call.id) for _, call in command.calls))
                for index, call in self.draw(st.permutations(command.calls))[: self.draw(st.integers(0, 3))]:
                    self.returned(command.step_id, index, call)
                if next_command(self.run) == command:
                    self.tell(*recover(self.run))
            case CallModel():
                self.turn()
        return True

    def returned(self, step_id: str, index: int, call: ToolCall) -> None:
        """A call's result; code draws an image."""
        shown = None
        if call.name == "code_interpreter":
            image = Image(f"file-{call.id}")
            self.tell(ev.CallOutput(step_id=step_id, index=index, position=0, output=image))
            shown = CodeShown(outputs=(image,))
        self.tell(ev.CallReturned(step_id=step_id, index=index, result=ToolResult(call.id, "done", shown=shown)))

    def turn(self) -> None:
        self.n += 1
        kind = self.draw(st.sampled_from(["words", "calls", "cut", "filtered", "fails", "dies"]))
        usage = Usage(self.draw(st.integers(0, 200)), self.draw(st.integers(0, 50)))
        match kind:
            case "words":
                self.tell(*says("Hi", n=self.n, usage=usage))
            case "calls":
                late = self.draw(st.sampled_from(["", "One moment."]))
                self.tell(*calls(*self.draw(_names), n=self.n, usage=usage, late=late))
            case "cut":
                self.tell(*says("Hi", n=self.n, finish="length"))
            case "filtered":
                self.tell(*says("Hi", n=self.n, finish="content_filter"))
            case "fails":
                self.tell(*opens_message(self.n), ev.TurnFailed(code="server_error", message="boom"))
            case _:
                self.tell(*opens_message(self.n))
                self.tell(*recover(self.run))


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_every_run_comes_to_an_end_with_nothing_left_open(data: st.DataObject) -> None:
    play = Play(data)
    for _ in range(400):
        if not play.step():
            break
    run = play.run

    assert run.status in TERMINAL
    assert run.message_step is None
    assert run.tool_step is None
    assert sum(isinstance(event, ev.TERMINAL_EVENTS) for event in play.log) == 1
    assert isinstance(play.log[-1], ev.TERMINAL_EVENTS)
    assert fold(play.log) == run
    _check_steps(play.log)
    _check_usage(play.log, run)
    _check_conversation(run)
    _check_images(play.log, run)


def _check_steps(log: list[ev.Event]) -> None:
    created = [event.step_id for event in log if isinstance(event, ev.StepCreated)]
    closed = [
        e.step_id for e in log if isinstance(e, ev.StepCompleted | ev.StepFailed | ev.StepCancelled | ev.StepExpired)
    ]
    assert sorted(created) == sorted(closed)
    open_steps: set[str] = set()
    for event in log:
        if isinstance(event, ev.StepCreated):
            assert not open_steps, "SDKs follow one step at a time"
            open_steps.add(event.step_id)
        elif isinstance(event, ev.StepCompleted | ev.StepFailed | ev.StepCancelled | ev.StepExpired):
            open_steps.remove(event.step_id)
    messages = [event.message_id for event in log if isinstance(event, ev.MessageCreated)]
    ended = [e.message_id for e in log if isinstance(e, ev.MessageCompleted | ev.MessageIncomplete)]
    assert messages == ended


def _check_usage(log: list[ev.Event], run: Run) -> None:
    ends = (e for e in log if isinstance(e, ev.StepCompleted | ev.StepFailed | ev.StepCancelled | ev.StepExpired))
    total = Usage()
    for end in ends:
        total = total + (end.usage or Usage())
    assert total == run.usage, "the steps' usage is the run's"


def _check_conversation(run: Run) -> None:
    open_calls: list[str] = []
    for message in assemble("", run.turns):
        if message.role is Role.TOOL:
            assert message.call_id == open_calls.pop(0)
        else:
            assert open_calls == []
            open_calls = [call.id for call in message.tool_calls]
    assert open_calls == []


def _check_images(log: list[ev.Event], run: Run) -> None:
    drawn = [image for event in log if isinstance(event, ev.CallReturned) for image in event.result.images]
    shown = [
        part.file_id
        for event in log
        if isinstance(event, ev.MessageCompleted)
        or (isinstance(event, ev.MessageIncomplete) and not event.is_discarded)
        for part in event.parts
        if isinstance(part, ImageFilePart)
    ]
    assert shown == drawn[: len(shown)], "each image is shown once, in the order in which they were drawn"
    if run.status is RunStatus.COMPLETED:
        assert shown == drawn
