"""A timeline as lines: when, what, how long, a bar, and what more there is to say. Bars on a terminal only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import floor, log10
from textwrap import wrap
from typing import Final, assert_never

from agentrt.cli.cells import cells, clip, harmless
from agentrt.cli.port import CallRow
from agentrt.cli.screen import Role, Screen, duration
from agentrt.cli.timeline import (
    AnyPart,
    Asked,
    CallerWait,
    End,
    FunctionCall,
    ModelCall,
    Part,
    Queued,
    TakeOver,
    Timeline,
)
from agentrt.cli.transcript import call_label
from agentrt.cli.waterfall import Axis
from agentrt.engine.message import ToolCall

_GAP: Final = "  "
_MOST_LABEL: Final = 30
_MOST_LABEL_PLAIN: Final = 60
_MOST_BAR: Final = 40
_SINCE: Final = 10
_SIDE_NOTES: Final = 110
"""From how many columns on notes stand beside the bars, and not below."""
_LONG_WAIT_S: Final = 60.0
_FINISHES: Final = {"length": "cut off by a limit", "content_filter": "stopped by the content filter"}
_ENDS: Final[dict[str, tuple[str, Role]]] = {
    "completed": ("✓", "ok"),
    "failed": ("✗", "bad"),
    "incomplete": ("✗", "warn"),
    "cancelled": ("■", "warn"),
    "expired": ("■", "warn"),
}


@dataclass(frozen=True, slots=True)
class Row:
    """One part in words. seconds None: it takes no time. note: stands beside the bar if it fits there.

    more: a line of its own, cut where the terminal ends. whole: lines of their own, all of it.
    """

    part: AnyPart
    label: str
    role: Role
    seconds: float | None
    note: str = ""
    note_role: Role = "dim"
    more: str = ""
    more_role: Role = "dim"
    whole: str = ""


def timeline_lines(
    screen: Screen, timeline: Timeline, *, now: float, is_verbose: bool = False, saying: str = ""
) -> list[str]:
    """Every part, in the order in which they began.

    is_verbose: with what functions returned. saying: the words with which the open model call's answer ends now.
    """
    rows = [_row(part, now=now, is_verbose=is_verbose) for part in timeline.parts]
    if saying and isinstance(rows[-1].part, ModelCall) and rows[-1].part.end is None:
        rows[-1] = replace(rows[-1], note=saying)
    layout = _Layout(screen, timeline, rows, now=now)
    return [line for row in rows for line in layout.lines(row)]


def part_line(screen: Screen, part: AnyPart, timeline: Timeline, *, now: float) -> str:
    """One part alone, for where lines cannot be changed later."""
    row = _row(part, now=now, is_verbose=False)
    since = duration(max(0.0, part.begin - timeline.created_at)).rjust(_SINCE)
    said = [screen.paint(since, "dim"), screen.paint(row.label, row.role)]
    said += [screen.paint(text, "dim") for text in (_took(row),) if text]
    said += [screen.paint(text, row.note_role) for text in (row.note,) if text]
    return _GAP.join(said)


def summary_lines(screen: Screen, timeline: Timeline, *, now: float) -> list[str]:
    """What it came to: `14 s · 3 model calls 9.1 s · 2 functions 4.9 s · 1,234 + 56 tokens · $0.0123`"""
    lines = [""]
    for said in _summary(timeline, now):
        longer = f"{lines[-1]} · {said}" if lines[-1] else f"  {said}"
        if screen.is_live and cells(longer) >= screen.columns and lines[-1]:
            lines.append(f"  {said}")
        else:
            lines[-1] = longer
    return [screen.paint(line, "dim") for line in lines]


def _summary(timeline: Timeline, now: float) -> list[str]:
    models = [part for part in timeline.parts if isinstance(part, ModelCall)]
    functions = [part for part in timeline.parts if isinstance(part, FunctionCall)]
    said = [duration(timeline.seconds(now))]
    if models:
        said.append(f"{_count(len(models), 'model call')} {duration(timeline.seconds_of(ModelCall, now))}")
    if functions:
        said.append(f"{_count(len(functions), 'function')} {duration(timeline.seconds_of(FunctionCall, now))}")
    for kind, words in ((Queued, "queued"), (CallerWait, "waited for its caller")):
        seconds = timeline.seconds_of(kind, now)
        if seconds >= 1.0:
            said.append(f"{words} {duration(seconds)}")
    n_taken = sum(isinstance(part, TakeOver) for part in timeline.parts)
    if n_taken:
        said.append("taken over" if n_taken == 1 else f"taken over {n_taken} times")
    usage = timeline.usage
    if usage.total_tokens:
        said.append(_tokens(usage.prompt_tokens, usage.completion_tokens, is_estimated=timeline.is_estimated))
    if timeline.cost_usd is not None:
        said.append(dollars(timeline.cost_usd))
    return said


def dollars(usd: float) -> str:
    """`$1.25`, `$0.03`, `$0.0031`, `$0.00000042`: two digits that say something."""
    n_zeros = 0 if usd <= 0 else max(0, -floor(log10(usd)) - 1)
    return f"${usd:,.{min(n_zeros + 2, 12)}f}"


class _Layout:
    """Where the columns stand. Numbers are aligned by the widest; labels are cut, and notes that do not fit beside
    the bar go below."""

    def __init__(self, screen: Screen, timeline: Timeline, rows: Sequence[Row], *, now: float) -> None:
        self._screen = screen
        self._now = now
        self._begin = timeline.created_at
        self._bases = _bases(timeline)
        self._offset = max((cells(self._since(row)) for row in rows), default=0)
        self._took = max((cells(_took(row)) for row in rows), default=0)
        self._label = min(max((cells(row.label) for row in rows), default=0), _MOST_LABEL_PLAIN)
        self._axis: Axis | None = None
        self._note: int | None = None
        if screen.is_live:
            self._place_bars(timeline)

    def lines(self, row: Row) -> list[str]:
        screen = self._screen
        since, took = self._since(row), _took(row)
        label = clip(row.label, self._label)
        line = f"  {screen.paint(since.rjust(self._offset), 'dim')}{_GAP}{screen.paint(label, row.role)}"
        line += " " * (self._label - cells(label)) + _GAP
        line += screen.paint(took.rjust(self._took), "dim") if took else " " * self._took
        bar, role = self._bar(row)
        note, below = row.note, [(row.more, row.more_role)] if row.more else []
        if note and self._note is not None and cells(note) > self._note:
            note, below = "", [(note, row.note_role), *below]
        if bar or (note and self._axis is not None):
            line += f"{_GAP}{screen.paint(bar, role)}"
            line += " " * (self._axis.width - cells(bar)) if note and self._axis is not None else ""
        if note:
            line += f"{_GAP}{screen.paint(note, row.note_role)}"
        margin = " " * (2 + self._offset + len(_GAP) + 2)
        room = max(20, screen.columns - len(margin) - 1) if screen.is_live else 1_000_000
        below = [(clip(text, room), said_in) for text, said_in in below]
        below += [(text, row.note_role) for text in wrap(row.whole, room)]
        return [line.rstrip(), *(margin + screen.paint(text, said_in) for text, said_in in below)]

    def _place_bars(self, timeline: Timeline) -> None:
        columns = self._screen.columns - 1
        fixed = 2 + self._offset + self._took + 3 * len(_GAP)
        self._label = min(self._label, _MOST_LABEL, max(12, columns - fixed - 16))
        room = columns - fixed - self._label
        width = min(_MOST_BAR, room)
        if self._screen.columns >= _SIDE_NOTES:
            width = min(28, room)
        self._note = room - width - len(_GAP)
        kinds = (Queued, CallerWait, TakeOver)
        idle = [(part.begin, self._end(part)) for part in timeline.parts if isinstance(part, kinds)]
        end = self._begin + timeline.seconds(self._now)
        self._axis = Axis(self._begin, end, width=max(8, width), idle=idle)

    def _bar(self, row: Row) -> tuple[str, Role]:
        axis, part = self._axis, row.part
        if axis is None:
            return "", "plain"
        match part:
            case ModelCall():
                role: Role = "warn" if part.is_lost or part.is_cut else "bad" if part.error else "accent"
                return axis.bar(part.begin, self._end(part), first_at=part.first_at or self._end(part)), role
            case FunctionCall():
                return axis.bar(part.begin, self._end(part)), "bad" if part.error else "warn" if part.is_cut else "ok"
            case Queued() | CallerWait():
                return axis.idle_bar(part.begin, self._end(part)), "dim"
            case TakeOver():
                return axis.idle_bar(part.begin, self._end(part)), "warn"
            case Asked():
                return axis.tick(part.begin, "▲"), "warn"
            case End():
                return "", "plain"
            case _:
                assert_never(part)

    def _end(self, part: Part) -> float:
        return self._now if part.end is None else part.end

    def _since(self, row: Row) -> str:
        """Since the creation; after a long wait, since its end."""
        base = max((base for base in self._bases if base <= row.part.begin), default=self._begin)
        text = duration(max(0.0, row.part.begin - base))
        return text if base == self._begin else f"+ {text}"


def _bases(timeline: Timeline) -> list[float]:
    waits = (part for part in timeline.parts if isinstance(part, CallerWait) and part.end is not None)
    return [timeline.created_at, *(part.end for part in waits if part.end and part.end - part.begin > _LONG_WAIT_S)]


def _row(part: AnyPart, *, now: float, is_verbose: bool) -> Row:
    seconds = part.seconds(now)
    match part:
        case Queued():
            return Row(part, "queued", "dim", seconds)
        case ModelCall():
            how = ", lost" if part.is_lost else ", cut off" if part.is_cut else ", failed" if part.error else ""
            note, role = _about_model(part)
            return Row(part, f"model{how}", "bad" if part.error else "strong", seconds, note, role)
        case FunctionCall():
            return _function_row(part, seconds, is_verbose=is_verbose)
        case CallerWait():
            names = ", ".join(dict.fromkeys(call.name for call in part.calls))
            return Row(part, f"waits for {names}" if part.end is None else f"waited for {names}", "plain", seconds)
        case TakeOver():
            return Row(part, f"⇄ taken over, epoch {part.epoch}", "warn", seconds)
        case Asked():
            return Row(part, "cancel asked for" if part.what == "cancel" else "its time was over", "warn", None)
        case End():
            mark, end_role = _ENDS[part.status]
            why = harmless(": ".join(text for text in (part.limit, part.error) if text))
            return Row(part, f"{mark} {part.status}", end_role, None, note_role=end_role, whole=why)
        case _:
            assert_never(part)


def _about_model(part: ModelCall) -> tuple[str, Role]:
    said = []
    if part.first_at is not None and part.end is not None and part.first_at < part.end:
        said.append(f"first word {duration(part.first_at - part.begin)}")
    if part.usage is not None:
        usage = part.usage
        said.append(_tokens(usage.prompt_tokens, usage.completion_tokens, is_estimated=part.is_estimated))
    if part.finish in _FINISHES:
        return " · ".join([*said, _FINISHES[part.finish]]), "warn"
    return " · ".join(said), "dim"


def _function_row(part: FunctionCall, seconds: float, *, is_verbose: bool) -> Row:
    mark = "✗" if part.error or part.is_cut else "→"
    said = ["cut off"] if part.is_cut else []
    said += [f"{part.n_tries} tries"] if part.n_tries > 1 else []
    output = harmless(part.output)
    more = output if part.error or is_verbose else ""
    if part.error and not output.startswith(part.error):
        more = f"{part.error}: {output}"
    label = f"{mark} {call_label(_call_row(part.call))}"
    took_s = seconds if not part.took_s or part.n_tries > 1 else part.took_s
    more_role: Role = "bad" if part.error else "dim"
    return Row(part, label, "plain", took_s, " · ".join(said), "warn", more=more, more_role=more_role)


def _call_row(call: ToolCall) -> CallRow:
    return CallRow(call.id, call.name, call.arguments)


def _took(row: Row) -> str:
    return "" if row.seconds is None else duration(row.seconds)


def _tokens(prompt: int, completion: int, *, is_estimated: bool) -> str:
    return f"{'about ' if is_estimated else ''}{prompt:,} + {completion:,} tokens"


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}{'' if n == 1 else 's'}"
