"""A small terminal: it obeys the few control sequences that the command line writes, and says what it shows."""

from __future__ import annotations

import io
import re

from agentrt.cli.screen import Screen

_TOKEN = re.compile(r"\x1b\[(\d*)([A-Za-z])|\n|\r|[^\x1b\n\r]+")


class Terminal(io.StringIO):
    """A stream that shows. Lines that scrolled off the top stay as they were: nothing can rewrite them."""

    def __init__(self, columns: int = 40, rows: int = 12) -> None:
        super().__init__()
        self.columns = columns
        self.rows = rows
        self.lines = [""]
        self.n_written = 0
        self._row = 0
        self._column = 0

    def isatty(self) -> bool:
        return True

    def screen(self, *, is_coloured: bool = False) -> Screen:
        return Screen(self, is_coloured=is_coloured, is_live=True, measure=lambda: (self.columns, self.rows))

    def write(self, text: str) -> int:
        self.n_written += len(text)
        for token in _TOKEN.finditer(text):
            self._obey(token)
        return len(text)

    def shown(self) -> str:
        """Everything on the terminal and above it."""
        return "\n".join(line.rstrip() for line in self.lines).rstrip()

    def _obey(self, token: re.Match[str]) -> None:
        match token[2], token[0]:
            case "A", _:
                self._row -= int(token[1] or 1)
                top = max(0, len(self.lines) - self.rows)
                assert self._row >= top, "the cursor cannot go above the screen"
            case "J", _:
                del self.lines[self._row + 1 :]
                self.lines[self._row] = self.lines[self._row][: self._column]
            case "m", _:
                return
            case _, "\n":
                self._row, self._column = self._row + 1, 0
                if self._row == len(self.lines):
                    self.lines.append("")
            case _, "\r":
                self._column = 0
            case _, text:
                line = self.lines[self._row]
                self.lines[self._row] = line[: self._column] + text + line[self._column + len(text) :]
                self._column += len(text)
                assert self._column < self.columns, f"wider than the terminal: {text!r}"
