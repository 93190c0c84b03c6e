"""Timeline: what took how long in a run. Its stay in the queue, model calls, functions, waits, take-overs, the end.

How it is read from a run's events is in timeline_maker.py, how it looks in timeline_view.py. No clock here: times are
Unix seconds, and a part that is not over has no end.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from agentrt.cli.port import RunEnd
from agentrt.engine import events as ev
from agentrt.engine.message import ToolCall, Usage
from agentrt.engine.run import Run
from agentrt.engine.spec import RunSpec


@dataclass(slots=True)
class Part:
    """Something that takes time."""

    begin: float
    end: float | None = None

    def seconds(self, now: float) -> float:
        """How long it took, or has taken until now."""
        return max(0.0, (now if self.end is None else self.end) - self.begin)


@dataclass(slots=True)
class Queued(Part):
    """Nobody drove it: all were busy, or another run of the thread was to end first."""


@dataclass(slots=True)
class ModelCall(Part):
    """first_at: when its first piece came. finish: why it ended by itself. error: why it did not.

    is_lost: the process that held it died, or had to let go of it. is_cut: the run ended before it.
    """

    first_at: float | None = None
    finish: ev.Finish | None = None
    usage: Usage | None = None
    is_estimated: bool = False
    calls: tuple[ToolCall, ...] = ()
    error: str = ""
    is_lost: bool = False
    is_cut: bool = False


@dataclass(slots=True)
class FunctionCall(Part):
    """A function that the server ran. took_s: the function alone. n_tries: how often it was begun.

    is_cut: the run ended before it; it may have had an effect.
    """

    call: ToolCall = field(default_factory=lambda: ToolCall("", "", ""))
    took_s: float | None = None
    n_tries: int = 1
    output: str = ""
    error: str | None = None
    is_cut: bool = False


@dataclass(slots=True)
class CallerWait(Part):
    """The run waited for its caller to answer these calls."""

    calls: tuple[ToolCall, ...] = ()


@dataclass(slots=True)
class TakeOver(Part):
    """Another process went on with it. epoch: the new one. begin to end: nobody was heard of."""

    epoch: int = 0


@dataclass(slots=True)
class Asked(Part):
    """Something from outside, at once: somebody cancelled the run, or its time was over."""

    what: Literal["cancel", "deadline"] = "cancel"


@dataclass(slots=True)
class End(Part):
    """error: why it failed or what ended it. limit: which limit, when it was one."""

    status: RunEnd = "completed"
    error_code: str | None = None
    error: str = ""
    limit: str | None = None


AnyPart: TypeAlias = Queued | ModelCall | FunctionCall | CallerWait | TakeOver | Asked | End


@dataclass(frozen=True, slots=True)
class Timeline:
    """parts in the order in which they began. last_at: when the newest of its events happened."""

    spec: RunSpec
    created_at: float
    last_at: float
    parts: tuple[AnyPart, ...]
    usage: Usage
    is_estimated: bool

    @property
    def end(self) -> End | None:
        last = self.parts[-1] if self.parts else None
        return last if isinstance(last, End) else None

    @property
    def cost_usd(self) -> float | None:
        """What its model calls cost so far; None when the model has no price."""
        return Run(spec=self.spec, usage=self.usage).cost_usd

    def seconds(self, now: float) -> float:
        """From its creation to its end, or to now."""
        return max(0.0, (now if self.end is None else self.end.begin) - self.created_at)

    def seconds_of(self, kind: type[Part], now: float) -> float:
        """How long parts of a kind took; what happened side by side counts once."""
        total, reached = 0.0, self.created_at
        for part in self.parts:
            if isinstance(part, kind):
                end = now if part.end is None else part.end
                total += max(0.0, end - max(part.begin, reached))
                reached = max(reached, end)
        return total
