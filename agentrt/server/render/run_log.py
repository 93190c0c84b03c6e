"""A run's log → the JSON of GET /v1/runs/{run_id}/events."""

from __future__ import annotations

from typing import Any

import msgspec

from agentrt.store.run_log import LogEntry
from agentrt.wire.run_events import RunEventObject


def render_entry(entry: LogEntry) -> RunEventObject:
    """An entry as an object. Kinds and their data are those of engine/events.py."""
    data: dict[str, Any] = msgspec.to_builtins(entry.event)
    kind, at = data.pop("kind"), data.pop("at", None)
    rendered: RunEventObject = {
        "id": f"{entry.epoch}.{entry.seq}",
        "object": "thread.run.event",
        "kind": kind,
        "at": at,
        "data": data,
    }
    if entry.event.is_delta:
        rendered["pieces"] = entry.n
    return rendered
