"""The API's run object and run events → what the command line knows of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from agentrt.cli.port import CallRow, LoggedEvent, RunRow, Spent
from agentrt.engine.events import Event

_TIMES_OF_ENDS = ("completed_at", "failed_at", "cancelled_at")


def run_row(run: Mapping[str, Any]) -> RunRow:
    """A run object as the API gives it."""
    error = run["last_error"] or {}
    action = run["required_action"] or {}
    usage, more = run["usage"], run.get("agentrt") or {}
    return RunRow(
        id=run["id"],
        thread_id=run["thread_id"],
        assistant_id=run["assistant_id"],
        status=run["status"],
        model=run["model"],
        created_at=run["created_at"],
        started_at=run["started_at"],
        ended_at=next((run[name] for name in _TIMES_OF_ENDS if run[name] is not None), None),
        expires_at=run["expires_at"],
        error_code=error.get("code"),
        error=error.get("message"),
        limit=(run["incomplete_details"] or {}).get("reason"),
        waits_for=tuple(
            CallRow(call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in action.get("submit_tool_outputs", {}).get("tool_calls", ())
        ),
        spent=None if usage is None else Spent(usage["prompt_tokens"], usage["completion_tokens"]),
        cost_usd=more.get("cost_usd"),
        retry_of=more.get("retry_of"),
    )


def logged_event(item: Mapping[str, Any]) -> LoggedEvent | None:
    """A run event object as the API gives it; None for a kind that a newer server knows and we do not."""
    epoch, _, seq = item["id"].partition(".")
    said = {"kind": item["kind"], "at": item["at"] or 0.0, **item["data"]}
    try:
        event: Event = msgspec.convert(said, Event)
    except msgspec.ValidationError:
        return None
    return LoggedEvent(int(epoch), int(seq), event)
