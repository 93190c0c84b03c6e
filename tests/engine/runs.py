"""Small runs and a loop over them that performs what the engine commands, without any I/O."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from agentrt.engine.commands import Command, Conclude
from agentrt.engine.events import (
    Event,
    Finish,
    MessageCreated,
    MessageStarted,
    StepCreated,
    StepStarted,
    TextDelta,
    TurnFinished,
)
from agentrt.engine.loop import apply, next_command
from agentrt.engine.message import ToolCall, Usage
from agentrt.engine.run import Run
from agentrt.engine.spec import FunctionTool, RunSpec, ToolChoice


def new_run(**fields: object) -> Run:
    """A queued run that may call `local` (run by the server) and `remote` (run by its caller)."""
    spec = RunSpec(
        id="run_1",
        thread_id="thread_1",
        assistant_id="asst_1",
        created_at=100,
        expires_at=700,
        model="demo",
        tools=(FunctionTool("local"), FunctionTool("remote")),
        tool_choice=ToolChoice(),
        server_tools=("local",),
    )
    return Run(spec=replace(spec, **fields))


def told(run: Run, events: Iterable[Event]) -> Run:
    """The run after events."""
    for event in events:
        run = apply(run, event)
    return run


def concluded(run: Run) -> tuple[Run, list[Event]]:
    """The run after all that the engine concludes by itself, and what that was."""
    events: list[Event] = []
    while isinstance(command := next_command(run), Conclude):
        events.extend(command.events)
        run = told(run, command.events)
    return run, events


def says(text: str, *, n: int = 1, finish: Finish = "stop", usage: Usage | None = None) -> list[Event]:
    """A model's turn in words. n makes its ids."""
    return [
        *opens_message(n),
        TextDelta(message_id=f"msg_{n}", text=text),
        TurnFinished(finish=finish, text=text, usage=usage or Usage(10, 5)),
    ]


def opens_message(n: int = 1) -> list[Event]:
    return [
        StepCreated(step_id=f"step_{n}", type="message_creation", message_id=f"msg_{n}"),
        StepStarted(step_id=f"step_{n}"),
        MessageCreated(message_id=f"msg_{n}", step_id=f"step_{n}"),
        MessageStarted(message_id=f"msg_{n}"),
    ]


def calls(*names: str, n: int = 1, usage: Usage | None = None, late: str = "") -> list[Event]:
    """A model's turn that calls functions; the ids are call_N_0, call_N_1 … late: what it says after them."""
    made = tuple(ToolCall(f"call_{n}_{i}", name, "{}") for i, name in enumerate(names))
    return [
        StepCreated(step_id=f"step_{n}", type="tool_calls"),
        StepStarted(step_id=f"step_{n}"),
        TurnFinished(
            finish="tool_calls",
            text=late,
            calls=made,
            usage=usage or Usage(10, 5),
            late_step_id=f"step_{n}_late" if late else "",
            late_message_id=f"msg_{n}_late" if late else "",
        ),
    ]


def kinds(events: Iterable[Event]) -> list[str]:
    return [type(event).__name__ for event in events]


def command_name(run: Run) -> str:
    command: Command = next_command(run)
    return type(command).__name__
