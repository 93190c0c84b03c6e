"""Logs of runs for tests of timelines, written as a driver would have told them."""

from __future__ import annotations

from agentrt.cli.port import LoggedEvent
from agentrt.cli.timeline import Timeline
from agentrt.cli.timeline_maker import make_timeline
from agentrt.engine import events as ev
from agentrt.engine.message import ToolCall, ToolResult, Usage
from agentrt.engine.spec import Price, RunSpec

BEGAN = 1_000_000.0
SPEC = RunSpec(
    id="run_1",
    thread_id="thread_1",
    assistant_id="asst_1",
    created_at=int(BEGAN),
    model="fast",
    price=Price(input=1.0, cached_input=0.5, output=4.0),
)
WEATHER = ToolCall("call_1", "get_weather", '{"city": "Oslo"}')
SEARCH = ToolCall("call_2", "search", '{"query": "a question that is longer than any column could be"}')
LOOKUP = ToolCall("call_3", "lookup_order", '{"order_id": "A-17"}')


class Log:
    """Collects events. Times are seconds since the creation; `epoch` is the driver's who tells the next ones."""

    def __init__(self, spec: RunSpec = SPEC) -> None:
        self.events: list[LoggedEvent] = []
        self.epoch = 0
        self._n_steps = 0
        self.tell(ev.RunCreated(spec=spec, at=BEGAN), ev.RunQueued(at=BEGAN))

    def tell(self, *events: ev.Event) -> None:
        for event in events:
            self.events.append(LoggedEvent(self.epoch, len(self.events), event))

    def take(self) -> None:
        """Another driver goes on from here."""
        self.epoch += 1

    def start(self, at: float) -> None:
        """A driver takes the run out of the queue."""
        self.take()
        self.tell(ev.RunStarted(at=BEGAN + at))

    def open_step(self, at: float, *, is_tool: bool = False) -> str:
        """The first piece of an answer comes."""
        self._n_steps += 1
        step_id = f"step_{self._n_steps}"
        message_id = None if is_tool else f"msg_{self._n_steps}"
        kind = "tool_calls" if is_tool else "message_creation"
        self.tell(
            ev.StepCreated(step_id=step_id, type=kind, message_id=message_id, at=BEGAN + at)  # type: ignore[arg-type]
        )
        return step_id

    def answer(self, first_at: float, at: float, *calls: ToolCall, usage: Usage | None = None) -> str:
        """A whole model call from its first piece on."""
        step_id = self.open_step(first_at, is_tool=bool(calls))
        usage = usage or Usage(100, 20)
        self.tell(ev.TurnFinished(finish="tool_calls" if calls else "stop", calls=calls, usage=usage, at=BEGAN + at))
        if not calls:
            self.tell(ev.StepCompleted(step_id=step_id, usage=usage, at=BEGAN + at))
        return step_id

    def call(self, call: ToolCall, at: float) -> None:
        self.tell(ev.CallStarted(call_id=call.id, at=BEGAN + at))

    def give(self, call: ToolCall, at: float, output: str = "ok", *, error: str | None = None, ms: float = 0.0) -> None:
        result = ToolResult(call_id=call.id, output=output, error=error)
        self.tell(ev.CallReturned(step_id="step_1", index=0, result=result, duration_ms=ms, at=BEGAN + at))

    def close_step(self, step_id: str, at: float) -> None:
        self.tell(ev.StepCompleted(step_id=step_id, usage=Usage(), at=BEGAN + at))

    def ask_caller(self, at: float, *calls: ToolCall) -> None:
        self.tell(ev.ActionRequired(call_ids=tuple(call.id for call in calls), at=BEGAN + at))

    def hear_caller(self, at: float, step_id: str, *calls: ToolCall) -> None:
        """The outputs are submitted, and the run is in the queue again."""
        self.take()
        results = tuple(ToolResult(call_id=call.id, output="ok") for call in calls)
        self.tell(ev.OutputsSubmitted(results=results, at=BEGAN + at))
        self.close_step(step_id, at)
        self.tell(ev.RunQueued(at=BEGAN + at))

    @property
    def timeline(self) -> Timeline:
        found = make_timeline(self.events)
        assert found is not None
        return found


def a_whole_day() -> Log:
    """A model call, two functions side by side, a caller who takes a day, an attempt that is lost, and the answer."""
    log = Log()
    log.start(0.01)
    step_id = log.answer(0.4, 1.2, WEATHER, SEARCH)
    log.call(WEATHER, 1.2)
    log.call(SEARCH, 1.2)
    log.give(WEATHER, 1.21, "4 °C", ms=3.5)
    log.give(SEARCH, 2.0, "3 hits", ms=800)
    log.close_step(step_id, 2.0)
    step_id = log.answer(2.5, 3.0, LOOKUP)
    log.ask_caller(3.0, LOOKUP)
    log.hear_caller(90_003.0, step_id, LOOKUP)
    log.start(90_003.1)
    message_step = log.open_step(90_003.5)
    log.take()
    log.tell(
        ev.MessageIncomplete(message_id="msg_3", parts=(), reason="run_failed", is_discarded=True, at=BEGAN + 90_012.0),
        ev.StepFailed(step_id=message_step, code="server_error", message="lost", at=BEGAN + 90_012.0),
        ev.TurnLost(at=BEGAN + 90_012.0),
    )
    log.answer(90_012.4, 90_014.0, usage=Usage(1200, 120, 200))
    log.tell(ev.RunCompleted(at=BEGAN + 90_014.0))
    return log
