"""A run's stored log as somebody reads it who was not there: a page at a time, with deltas that follow each other as
one. Drivers and followers read it in run_events.py, whole and as it is."""

from __future__ import annotations

from dataclasses import dataclass

from msgspec.structs import replace

from agentrt.engine.events import CallDelta, CallOutput, Event, TextDelta
from agentrt.engine.message import Logs
from agentrt.store.database import Tx
from agentrt.store.run_events import NumberedEvent, read_events

_CHUNKS = 64
"""How many rows of the log are read at a time."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """An event at its place; of deltas that were joined, the last one's. n: how many events it stands for."""

    epoch: int
    seq: int
    event: Event
    n: int = 1


def read_log(
    tx: Tx, run_id: str, *, after: tuple[int, int] | None, limit: int, joins_deltas: bool
) -> tuple[list[LogEntry], bool]:
    """At most `limit` entries that follow a place (epoch, seq), and whether more are stored behind them."""
    found: list[_Pile] = []
    place = after or (-1, -1)
    while len(found) <= limit:
        events = read_events(tx, run_id, after=place, n_chunks=_CHUNKS)
        if not events:
            break
        for numbered in events:
            if not (joins_deltas and found and found[-1].takes(numbered)):
                found.append(_Pile(numbered))
        place = (events[-1].epoch, events[-1].seq)
    return [pile.entry() for pile in found[:limit]], len(found) > limit


class _Pile:
    """An event, and the deltas that continue it."""

    def __init__(self, first: NumberedEvent) -> None:
        self._event = first.event
        self._place = (first.epoch, first.seq)
        self._pieces = [_piece(first.event)]

    def takes(self, numbered: NumberedEvent) -> bool:
        """Add the event if it goes on where this one ends."""
        target = _target(self._event)
        if target is None or target != _target(numbered.event):
            return False
        self._place = (numbered.epoch, numbered.seq)
        self._pieces.append(_piece(numbered.event))
        return True

    def entry(self) -> LogEntry:
        event, whole = self._event, "".join(self._pieces)
        if isinstance(event, TextDelta):
            event = replace(event, text=whole)
        elif isinstance(event, CallDelta):
            event = replace(event, arguments=whole)
        elif isinstance(event, CallOutput) and isinstance(event.output, Logs):
            event = replace(event, output=Logs(whole))
        return LogEntry(*self._place, event, len(self._pieces))


def _target(event: Event) -> tuple[object, ...] | None:
    """What a delta adds to; None for another event."""
    match event:
        case TextDelta():
            return event.message_id, event.part, event.is_refusal
        case CallDelta():
            return event.step_id, event.index
        case CallOutput(output=Logs()):
            return event.step_id, event.index, event.position
        case _:
            return None


def _piece(event: Event) -> str:
    match event:
        case TextDelta():
            return event.text
        case CallDelta():
            return event.arguments
        case CallOutput(output=Logs(text)):
            return text
        case _:
            return ""
