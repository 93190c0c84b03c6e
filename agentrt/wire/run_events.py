"""A run's stored events as JSON, for whoever wants to see what happened when. Not part of the original API; what its
streams say of a run is in stream_events.py."""

from __future__ import annotations

from typing import Literal, NotRequired

from typing_extensions import TypedDict

from agentrt.engine.message import JsonObject


class RunEventObject(TypedDict):
    """One event of a run's log. id: EPOCH.SEQ, as in its streams.

    at: Unix seconds, null for deltas. data: what the event says beside that; what is empty, null, zero or false is
    left out. pieces: of a delta, how many were joined into it; its id is the last one's.
    """

    id: str
    object: Literal["thread.run.event"]
    kind: str
    at: float | None
    data: JsonObject
    pieces: NotRequired[int]
