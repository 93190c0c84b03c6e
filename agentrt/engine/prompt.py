"""Instructions + history + the run's own turns → the messages of one model call.

Every tool call in the result has its answer: a call that a crash or a cancel left without one is closed here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from agentrt.engine.loop import INTERRUPTED
from agentrt.engine.message import Message, Role, ToolResult, system, tool_answer


def assemble(instructions: str, conversation: Sequence[Message]) -> tuple[Message, ...]:
    """The messages of one model call: system first, then oldest to newest."""
    head = (system(instructions),) if instructions else ()
    return (*head, *close_calls(conversation))


def close_calls(messages: Iterable[Message]) -> list[Message]:
    """Give every call without an answer one that says so, and drop answers to calls that are not there.

    A text and the calls that follow it in the same turn become one message, as the model wrote them.
    """
    closed: list[Message] = []
    open_ids: list[str] = []
    for message in messages:
        if message.role is Role.TOOL:
            if message.call_id in open_ids:
                open_ids.remove(message.call_id)
                closed.append(message)
            continue
        closed.extend(_interrupted(open_ids))
        open_ids = [call.id for call in message.tool_calls]
        if _continues(closed, message):
            closed[-1] = Message(Role.ASSISTANT, closed[-1].parts, message.tool_calls)
        else:
            closed.append(message)
    closed.extend(_interrupted(open_ids))
    return closed


def _continues(closed: list[Message], message: Message) -> bool:
    if not (closed and message.role is Role.ASSISTANT and message.tool_calls and not message.parts):
        return False
    return closed[-1].role is Role.ASSISTANT and not closed[-1].tool_calls


def _interrupted(call_ids: Sequence[str]) -> list[Message]:
    return [tool_answer(ToolResult(call_id=call_id, output=INTERRUPTED)) for call_id in call_ids]
