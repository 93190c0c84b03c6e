"""What should happen next. The driver obeys; it decides nothing."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from agentrt.engine.events import Event
from agentrt.engine.message import ToolCall
from agentrt.engine.spec import ToolChoice


class CallModel(msgspec.Struct, frozen=True, kw_only=True):
    """Make one model call. The token figures are what is left of the run's limits, None = no limit."""

    tool_choice: ToolChoice
    prompt_tokens_left: int | None = None
    completion_tokens_left: int | None = None


class RunTools(msgspec.Struct, frozen=True, kw_only=True):
    """Run these calls on the server, in parallel where allowed. (index in the turn, call) pairs."""

    step_id: str
    calls: tuple[tuple[int, ToolCall], ...]


class Conclude(msgspec.Struct, frozen=True):
    """Nothing is to be done, only to be stated: record these events."""

    events: tuple[Event, ...]


class Wait(msgspec.Struct, frozen=True):
    """The run stands still until its caller submits outputs, cancels, or it expires. No worker is held."""


class Done(msgspec.Struct, frozen=True):
    """The run is terminal."""


Command: TypeAlias = CallModel | RunTools | Conclude | Wait | Done
