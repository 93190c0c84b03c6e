"""Where commands write: colours by role, plain when it is no terminal. Knows nothing about what is written."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final, Literal, TextIO, TypeAlias

Role: TypeAlias = Literal["plain", "strong", "dim", "accent", "ok", "warn", "bad"]
When: TypeAlias = Literal["auto", "always", "never"]

# The terminal's own sixteen colours: they suit its background, light or dark.
_CODES: Final[Mapping[Role, str]] = {
    "plain": "",
    "strong": "1",
    "dim": "2",
    "accent": "36",
    "ok": "32",
    "warn": "33",
    "bad": "31",
}
_MAX_WIDTH: Final = 100
_UNITS: Final = {"h": 3600, "min": 60, "s": 1}


class Screen:
    """One stream. is_live: what is written may be rewritten (a terminal that moves its cursor).

    measure: asks the terminal for its columns and rows; it may be resized at any time.
    """

    def __init__(
        self,
        stream: TextIO,
        *,
        is_coloured: bool = False,
        is_live: bool = False,
        is_quiet: bool = False,
        measure: Callable[[], tuple[int, int]] = shutil.get_terminal_size,
    ) -> None:
        self.stream = stream
        self.is_coloured = is_coloured
        self.is_live = is_live
        self._is_quiet = is_quiet
        self._measure = measure

    def line(self, text: str = "") -> None:
        """Write a line. Nothing at all when the person asked for quiet."""
        if not self._is_quiet:
            self.write(f"{text}\n")

    def write(self, text: str) -> None:
        """Write text as it is, at once."""
        self.stream.write(text)
        self.stream.flush()

    def paint(self, text: str, role: Role) -> str:
        """The text in the role's colour, or as it is."""
        code = _CODES[role] if self.is_coloured else ""
        return f"\x1b[{code}m{text}\x1b[0m" if code and text else text

    @property
    def width(self) -> int:
        """Columns that may be used: the terminal's, and never so many that lines become hard to read."""
        return min(self.columns, _MAX_WIDTH)

    @property
    def columns(self) -> int:
        return self._measure()[0]

    @property
    def rows(self) -> int:
        return self._measure()[1]


def open_screens(environ: Mapping[str, str], *, color: When = "auto", is_quiet: bool = False) -> tuple[Screen, Screen]:
    """Standard output and standard error. environ: NO_COLOR, FORCE_COLOR and TERM count."""
    return _screen(sys.stdout, environ, color, is_quiet=False), _screen(sys.stderr, environ, color, is_quiet=is_quiet)


def _screen(stream: TextIO, environ: Mapping[str, str], color: When, *, is_quiet: bool) -> Screen:
    is_terminal = stream.isatty() and environ.get("TERM") != "dumb"
    if color == "auto":
        is_wanted = bool(environ.get("FORCE_COLOR")) or is_terminal
        is_coloured = is_wanted and not environ.get("NO_COLOR")
    else:
        is_coloured = color == "always"
    return Screen(stream, is_coloured=is_coloured, is_live=is_terminal, is_quiet=is_quiet)


def duration(seconds: float) -> str:
    """`12 ms`, `0.4 s`, `14 s`, `2 min 5 s`, `3 h 10 min`, `2 d 4 h`."""
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    for size, unit, smaller in ((86_400, "d", "h"), (3600, "h", "min"), (60, "min", "s")):
        if seconds >= size - _UNITS[smaller] / 2:
            n, rest = divmod(round(seconds / _UNITS[smaller]), size // _UNITS[smaller])
            return f"{n} {unit} {rest} {smaller}" if rest else f"{n} {unit}"
    raise AssertionError(seconds)


def ago(moment: float, now: float) -> str:
    """`now`, `3 min ago`; a date for what is older than a week. Unix seconds."""
    seconds = max(0, int(now) - int(moment))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            n = seconds // size
            is_old = unit == "d" and n > 7
            return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d") if is_old else f"{n} {unit} ago"
    return "now"
