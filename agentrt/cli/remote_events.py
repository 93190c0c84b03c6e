"""The Assistants API's stream of a run → happenings."""

from __future__ import annotations

import json

from agentrt.cli.port import (
    CallBegan,
    CallEnded,
    CallRow,
    Happening,
    MessageEnded,
    OutputsWanted,
    RunBegan,
    RunEnded,
    Spent,
    TextPiece,
)
from agentrt.cli.problems import CliError
from agentrt.cli.remote_api import Json


class StreamReader:
    """Reads one stream. A call counts as begun when its arguments are whole."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, int], CallRow] = {}
        self._began: set[str] = set()

    def read(self, name: str, data: Json) -> list[Happening]:
        """What the event means for a person. Raises CliError for an `error` event."""
        match name.removeprefix("thread."):
            case "run.created":
                return [RunBegan(data["id"], data["thread_id"])]
            case "message.delta":
                return [TextPiece(text) for part in data["delta"]["content"] if (text := _delta_text(part))]
            case "message.completed":
                return [MessageEnded()]
            case "message.incomplete":
                return [MessageEnded()]
            case "run.step.delta":
                return self._step_delta(data)
            case "run.step.completed" | "run.step.failed" | "run.step.cancelled" | "run.step.expired":
                return self._step_over(data)
            case "run.requires_action":
                calls = data["required_action"]["submit_tool_outputs"]["tool_calls"]
                return [OutputsWanted(tuple(_call_row(call) for call in calls))]
            case "run.completed" | "run.failed" | "run.incomplete" | "run.cancelled" | "run.expired":
                return [_ended(data)]
            case "error":
                raise CliError("E504", "the server broke the stream off", why=str(data.get("message") or data))
            case _:
                return []

    def _step_delta(self, data: Json) -> list[Happening]:
        found: list[Happening] = []
        for piece in data["delta"]["step_details"].get("tool_calls", ()):
            function = piece.get("function") or {}
            key = (data["id"], piece["index"])
            old = self._calls.get(key, CallRow(piece.get("id") or "", "", ""))
            call = self._calls[key] = CallRow(
                old.id,
                old.name + (function.get("name") or ""),
                old.arguments + (function.get("arguments") or ""),
            )
            if call.id not in self._began and _is_whole(call.arguments):
                self._began.add(call.id)
                found.append(CallBegan(call))
            if function.get("output") is not None:
                found += self._over(call, function["output"])
        return found

    def _step_over(self, data: Json) -> list[Happening]:
        """The outputs of the calls that this stream has shown; others are the caller's own, or old."""
        calls = data["step_details"].get("tool_calls", ())
        known = [(_call_row(call), call["function"].get("output")) for call in calls if call["type"] == "function"]
        return [
            happening
            for call, output in known
            if output is not None and any(call.id == seen.id for seen in self._calls.values())
            for happening in self._over(call, output)
        ]

    def _over(self, call: CallRow, output: str) -> list[Happening]:
        self._calls = {key: seen for key, seen in self._calls.items() if seen.id != call.id}
        began: list[Happening] = [] if call.id in self._began else [CallBegan(call)]
        self._began.add(call.id)
        return [*began, CallEnded(call.id, output)]


def _delta_text(part: Json) -> str:
    if part["type"] == "refusal":
        return str(part.get("refusal") or "")
    return str((part.get("text") or {}).get("value") or "")


def _is_whole(arguments: str) -> bool:
    if not arguments.rstrip().endswith("}"):
        return False
    try:
        json.loads(arguments)
    except ValueError:
        return False
    return True


def _call_row(call: Json) -> CallRow:
    return CallRow(call["id"], call["function"]["name"], call["function"]["arguments"])


def _ended(run: Json) -> RunEnded:
    error = run.get("last_error") or {}
    details = run.get("incomplete_details") or {}
    usage = run.get("usage") or {}
    return RunEnded(
        run["status"],
        error_code=error.get("code"),
        error=error.get("message"),
        limit=details.get("reason"),
        spent=Spent(usage.get("prompt_tokens", 0), usage.get("completion_tokens", 0)),
    )
