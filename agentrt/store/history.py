"""What a model may be shown of a thread, read from the newest backwards: nothing older than needed is ever read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import BigInteger, Tuple, bindparam, select, tuple_

from agentrt.engine.message import (
    ImageFilePart,
    Message,
    Part,
    Role,
    SearchShown,
    TextPart,
    ToolCall,
    ToolResult,
    tool_answer,
)
from agentrt.store.database import Tx
from agentrt.store.messages import MessageTable
from agentrt.store.records import table_of
from agentrt.store.run_steps import IS_TOOL_STEP, RunStepTable
from agentrt.store.statements import Statement


@dataclass(frozen=True, slots=True)
class Entry:
    """What stands together in a conversation: one message, or a turn's calls with the outputs that are known.

    place: (turn_pos, pos), the order in which a model reads entries. is_message: False for a tool step.
    """

    place: tuple[int, int]
    messages: tuple[Message, ...]
    is_message: bool


_START = (1 << 62, 0)
_messages = table_of(MessageTable)
_steps = table_of(RunStepTable)


def _place(prefix: str = "") -> Tuple:
    return tuple_(*(bindparam(f"{prefix}{name}", type_=BigInteger) for name in ("turn_pos", "pos")))


_newest_messages = Statement(
    select(_messages.c.turn_pos, _messages.c.pos, _messages.c.role, _messages.c.parts)
    .where(
        _messages.c.thread_id == bindparam("thread_id"),
        tuple_(_messages.c.turn_pos, _messages.c.pos) < _place(),
    )
    .order_by(_messages.c.turn_pos.desc(), _messages.c.pos.desc())
    .limit(bindparam("n"))
)
_steps_between = Statement(
    select(_steps.c.turn_pos, _steps.c.pos, _steps.c.calls).where(
        _steps.c.thread_id == bindparam("thread_id"),
        IS_TOOL_STEP,
        tuple_(_steps.c.turn_pos, _steps.c.pos) < _place(),
        tuple_(_steps.c.turn_pos, _steps.c.pos) > _place("from_"),
    )
)


def read_history(tx: Tx, thread_id: str, *, before: tuple[int, int] | None, limit: int) -> tuple[list[Entry], bool]:
    """The newest entries before a place, newest first, and whether there may be older ones.

    limit: how many messages to read; the tool steps between them come along. Only finished turns are shown:
    a step of calls whose run ended before they were made has none.
    """
    turn_pos, pos = before or _START
    place = {"thread_id": thread_id, "turn_pos": turn_pos, "pos": pos}
    rows = _newest_messages.rows(tx, {**place, "n": limit})
    entries = [Entry((row[0], row[1]), (_message(row[2], row[3]),), is_message=True) for row in rows]
    is_more = len(rows) == limit
    oldest = entries[-1].place if is_more else (-1, -1)
    bounds = {**place, "from_turn_pos": oldest[0], "from_pos": oldest[1]}
    entries.extend(
        Entry((row[0], row[1]), _calls(row[2]), is_message=False) for row in _steps_between.rows(tx, bounds) if row[2]
    )
    entries.sort(key=lambda entry: entry.place, reverse=True)
    return entries, is_more


def _message(role: str, parts: list[object]) -> Message:
    if len(parts) == 1 and isinstance(parts[0], dict) and parts[0].get("type") == "text":  # nearly every message
        return Message(Role(role), (TextPart(str(parts[0]["text"])),))
    read = msgspec.convert(parts, tuple[Part, ...])
    if role == Role.ASSISTANT:  # models take images from users only
        read = tuple(TextPart(f"[image {p.file_id}]") if isinstance(p, ImageFilePart) else p for p in read)
    return Message(Role(role), read)


def _calls(calls: list[dict[str, Any]]) -> tuple[Message, ...]:
    made = tuple(ToolCall(str(call["id"]), str(call["name"]), str(call["arguments"])) for call in calls)
    answers = (
        tool_answer(ToolResult(call_id=str(call["id"]), output=_output(call)))
        for call in calls
        if call["output"] is not None
    )
    return (Message(Role.ASSISTANT, tool_calls=made), *answers)


def _output(call: dict[str, Any]) -> str:
    shown = call.get("shown")
    if call.get("type") == "file_search" and shown and shown.get("hits"):
        return msgspec.convert(shown, SearchShown).brief
    return str(call["output"])
