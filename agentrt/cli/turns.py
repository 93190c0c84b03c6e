"""One turn: a run's happenings shown as they come, and what they come to. Shared by `chat` and `run`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from typing import assert_never

from agentrt.cli.port import (
    CallBegan,
    CallEnded,
    CallRow,
    Happening,
    MessageEnded,
    OutputsWanted,
    RunBegan,
    RunEnded,
    TextPiece,
)
from agentrt.cli.transcript import Transcript
from agentrt.clock import Clock

_TICK_S = 0.05


@dataclass(slots=True)
class Turn:
    """What a run has come to so far.

    answer: the text of its last message. calls: those that the engine made. rest: why the stream ended, None while it
    goes on.
    """

    thread_id: str = ""
    run_id: str = ""
    answer: str = ""
    calls: dict[str, CallRow] = field(default_factory=dict)
    results: dict[str, CallEnded] = field(default_factory=dict)
    rest: OutputsWanted | RunEnded | None = None
    is_message_open: bool = False


async def play(
    happenings: AsyncGenerator[Happening, None],
    turn: Turn,
    transcript: Transcript,
    *,
    clock: Clock,
    tell: Callable[[Happening], None] | None = None,
) -> None:
    """Follow a stream to its end: note everything in `turn`, show it, and tell it to whoever listens."""
    began: dict[str, float] = {}
    turn.rest = None
    with _ticking(transcript.tick):
        try:
            async with aclosing(happenings):
                async for happening in happenings:
                    if isinstance(happening, CallBegan):
                        began[happening.call.id] = clock.monotonic()
                    elif isinstance(happening, CallEnded) and happening.seconds is None:
                        since = began.get(happening.call_id)
                        took_s = None if since is None else clock.monotonic() - since
                        happening = replace(happening, seconds=took_s)
                    _note(happening, turn)
                    _show(happening, turn, transcript)
                    if tell is not None:
                        tell(happening)
        finally:
            transcript.rest()


def _note(happening: Happening, turn: Turn) -> None:
    match happening:
        case RunBegan(run_id, thread_id):
            turn.run_id, turn.thread_id = run_id, thread_id
        case TextPiece(text):
            turn.answer = turn.answer + text if turn.is_message_open else text
            turn.is_message_open = True
        case MessageEnded():
            turn.is_message_open = False
        case CallBegan(call):
            turn.calls[call.id] = call
        case CallEnded(call_id):
            turn.results[call_id] = happening
        case OutputsWanted() | RunEnded():
            turn.rest = happening
        case _:
            assert_never(happening)


def _show(happening: Happening, turn: Turn, transcript: Transcript) -> None:
    match happening:
        case TextPiece(text):
            transcript.text(text)
        case MessageEnded(is_discarded):
            transcript.message_end(is_discarded=is_discarded)
        case CallBegan(call):
            transcript.call_began(call)
        case CallEnded(call_id) if call_id in turn.calls:
            transcript.call_ended(turn.calls[call_id], happening)
        case _:
            return


@contextmanager
def _ticking(tick: Callable[[], None]) -> Iterator[None]:
    """Call tick many times a second from the event loop, in between whatever else it does."""
    loop = asyncio.get_running_loop()
    handles: list[asyncio.TimerHandle] = []

    def again() -> None:
        handles[:] = [loop.call_later(_TICK_S, again)]
        tick()

    handles[:] = [loop.call_later(_TICK_S, again)]
    try:
        yield
    finally:
        handles[0].cancel()
