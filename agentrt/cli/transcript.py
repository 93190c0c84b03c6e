"""Shows a run while it happens: finished blocks once, the open block live; or plain text where nothing is live."""

from __future__ import annotations

import json
from typing import Protocol

from agentrt.cli.blocks import Blocks
from agentrt.cli.cells import clip, harmless
from agentrt.cli.live import Region
from agentrt.cli.port import CallEnded, CallRow
from agentrt.cli.screen import Screen, duration
from agentrt.clock import Clock

_CUT_OFF = "  (cut off here; it is said again)"
_QUIET_S = 1.0
"""How long nothing may happen before a sign of life is shown."""


class Transcript(Protocol):
    """What a run's happenings are shown on."""

    def text(self, piece: str) -> None:
        """More of the answer."""
        ...

    def message_end(self, *, is_discarded: bool = False) -> None:
        """The message is over. is_discarded: it was cut off and will be said again."""
        ...

    def call_began(self, call: CallRow) -> None: ...

    def call_ended(self, call: CallRow, ended: CallEnded) -> None: ...

    def tick(self) -> None:
        """Called many times a second while a run goes on."""
        ...

    def rest(self) -> None:
        """The run stands still: nothing stays open on the screen."""
        ...


def open_transcript(
    out: Screen, notes: Screen, *, clock: Clock, indent: int = 0, is_verbose: bool = False
) -> Transcript:
    """For the answer on out and the calls on notes. is_verbose: shows what calls returned, too."""
    if out.is_live:
        return LiveTranscript(out, notes, clock=clock, indent=indent, is_verbose=is_verbose)
    return PlainTranscript(out, notes, is_verbose=is_verbose)


class PlainTranscript:
    """The answer as it comes, letter by letter; a line for each call."""

    def __init__(self, out: Screen, notes: Screen, *, is_verbose: bool = False) -> None:
        self._out = out
        self._notes = notes
        self._is_verbose = is_verbose
        self._is_mid_line = False

    def text(self, piece: str) -> None:
        self._out.write(piece)
        self._is_mid_line = not piece.endswith("\n")

    def message_end(self, *, is_discarded: bool = False) -> None:
        if self._is_mid_line:
            self._out.write("\n")
            self._is_mid_line = False
        if is_discarded:
            self._notes.line(_CUT_OFF)

    def call_began(self, call: CallRow) -> None:
        return None  # shown when it is over, on one line

    def call_ended(self, call: CallRow, ended: CallEnded) -> None:
        if self._notes is self._out:
            self.message_end()
        for line in call_lines(self._notes, call, ended, indent=2, is_verbose=self._is_verbose):
            self._notes.line(line)

    def tick(self) -> None:
        return None

    def rest(self) -> None:
        self.message_end()


class SilentTranscript:
    """Shows nothing."""

    def text(self, piece: str) -> None:
        return None

    def message_end(self, *, is_discarded: bool = False) -> None:
        return None

    def call_began(self, call: CallRow) -> None:
        return None

    def call_ended(self, call: CallRow, ended: CallEnded) -> None:
        return None

    def tick(self) -> None:
        return None

    def rest(self) -> None:
        return None


class LiveTranscript:
    """Markdown on a terminal. The open block and the calls that are running are rewritten in place."""

    def __init__(self, out: Screen, notes: Screen, *, clock: Clock, indent: int = 0, is_verbose: bool = False) -> None:
        from agentrt.cli.markdown import MarkdownScreen

        self._out = out
        self._notes = notes
        self._clock = clock
        self._indent = indent
        self._is_verbose = is_verbose
        self._region = Region(out)
        self._markdown = MarkdownScreen(width=out.width - indent - 1, is_coloured=out.is_coloured)
        self._blocks = Blocks()
        self._running: dict[str, tuple[CallRow, float]] = {}
        self._has_block = False
        self._last_news = clock.monotonic()
        self._open: tuple[str, list[str]] = ("", [])

    def text(self, piece: str) -> None:
        self._last_news = self._clock.monotonic()
        for block in self._blocks.add(harmless(piece)):
            self._commit_block(block)

    def message_end(self, *, is_discarded: bool = False) -> None:
        rest = self._blocks.finish()
        if rest.strip():
            self._commit_block(rest)
        if is_discarded:
            self._region.commit(())
            self._notes.line(self._notes.paint(_CUT_OFF, "dim"))
            self._has_block = False

    def call_began(self, call: CallRow) -> None:
        self._last_news = self._clock.monotonic()
        self._running[call.id] = (call, self._last_news)

    def call_ended(self, call: CallRow, ended: CallEnded) -> None:
        self._last_news = self._clock.monotonic()
        self._running.pop(call.id, None)
        self._region.commit(())
        for line in call_lines(self._notes, call, ended, indent=2, is_verbose=self._is_verbose):
            self._notes.line(line)
        self._has_block = False

    def tick(self) -> None:
        self._region.show(self._open_lines())

    def rest(self) -> None:
        self.message_end()
        self._running.clear()
        self._region.commit(())
        self._has_block = False
        self._last_news = self._clock.monotonic()

    def _commit_block(self, block: str) -> None:
        self._region.commit(self._block_lines(block))
        self._has_block = True

    def _block_lines(self, block: str) -> list[str]:
        margin = " " * self._indent
        gap = [""] if self._has_block else []
        return gap + [f"{margin}{line}".rstrip() for line in self._markdown.lines(block)]

    def _open_lines(self) -> list[str]:
        now, block = self._clock.monotonic(), self._blocks.open
        if block != self._open[0]:
            self._open = (block, self._block_lines(block) if block.strip() else [])
        lines = list(self._open[1])
        for call, since in self._running.values():
            label = clip(call_label(call), self._out.width - 14)
            lines.append(self._out.paint(f"  → {label}  {duration(now - since)}", "dim"))
        quiet_s = now - self._last_news
        if not lines and quiet_s > _QUIET_S:
            lines.append(self._out.paint(f"{' ' * self._indent}… {quiet_s:.0f} s", "dim"))
        return lines


def call_label(call: CallRow) -> str:
    """`weather(city="Oslo")`"""
    try:
        values = json.loads(call.arguments or "{}")
    except ValueError:
        values = None
    if not isinstance(values, dict):
        return harmless(f"{call.name}({call.arguments})")
    shown = (f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in values.items())
    return harmless(f"{call.name}({', '.join(shown)})")


def call_lines(screen: Screen, call: CallRow, ended: CallEnded, *, indent: int, is_verbose: bool) -> list[str]:
    """A call that is over: one line, and under it what it returned if the person wants to know."""
    margin = " " * indent
    took = f"  {duration(ended.seconds)}" if ended.seconds is not None else ""
    problem = f" · {ended.error}" if ended.error else ""
    label = clip(call_label(call), max(20, screen.width - indent - 2 - len(took) - len(problem)))
    mark = screen.paint("✗", "bad") if ended.error else screen.paint("→", "accent")
    name, bracket, rest = label.partition("(")
    line = f"{margin}{mark} {screen.paint(name, 'strong')}{bracket}{rest}{screen.paint(took, 'dim')}"
    lines = [line + screen.paint(problem, "bad")]
    if is_verbose or ended.error:
        output = clip(harmless(ended.output), screen.width - indent - 4)
        lines.append(f"{margin}  {screen.paint(output, 'dim')}")
    return lines
