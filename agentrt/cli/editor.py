"""Reading lines from a person: readline's editing and history on a terminal, plain lines from anywhere else."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from agentrt.cli.screen import Role, Screen

_MAX_HISTORY: Final = 1000


class LineEditor:
    """Asks for lines. history: a file that keeps them; words: what Tab completes at the start of a line.

    is_code: a backslash at the end and Tab are the language's own, and taken as they are.
    """

    def __init__(self, screen: Screen, *, history: Path, words: Sequence[str] = (), is_code: bool = False) -> None:
        self._screen = screen
        self._history = history
        self._words = words
        self._is_code = is_code
        self.is_interactive = sys.stdin.isatty() and screen.is_live
        if self.is_interactive:
            self._set_up()

    def read(self, prompt: str, *, role: Role = "accent") -> str | None:
        """A line, without its end; a backslash at the end asks for another one. None: there will be no more.

        Raises KeyboardInterrupt.
        """
        lines: list[str] = []
        while True:
            line = self._line(" " * len(prompt) if lines else prompt, role)
            if line is None:
                return "\n".join(lines) if lines else None
            if not line.endswith("\\") or self._is_code or not self.is_interactive:
                return "\n".join([*lines, line])
            lines.append(line[:-1])

    def close(self) -> None:
        """Keep what was typed."""
        if not self.is_interactive:
            return
        try:
            import readline

            self._history.parent.mkdir(parents=True, exist_ok=True)
            self._history.touch(mode=0o600)
            readline.set_history_length(_MAX_HISTORY)
            readline.write_history_file(self._history)
        except (ImportError, OSError):
            return  # a history that cannot be kept is no reason to fail

    def _line(self, prompt: str, role: Role) -> str | None:
        if not self.is_interactive:
            line = sys.stdin.readline()
            return line.rstrip("\r\n") if line else None
        try:
            return input(self._painted(prompt, role))
        except EOFError:
            self._screen.line()
            return None

    def _painted(self, prompt: str, role: Role) -> str:
        """In colour, which readline must know to take no room."""
        painted = self._screen.paint(prompt, role)
        if painted == prompt:
            return prompt
        before, after = painted.split(prompt)
        return f"\x01{before}\x02{prompt}\x01{after}\x02"

    def _set_up(self) -> None:
        try:
            import readline
        except ImportError:
            return
        readline.set_completer(self._complete)
        readline.set_completer_delims(" \t\n")
        readline.parse_and_bind("tab: tab-insert" if self._is_code else "tab: complete")
        try:
            readline.read_history_file(self._history)
        except OSError:
            readline.clear_history()

    def _complete(self, text: str, state: int) -> str | None:
        fitting = [f"{word} " for word in self._words if text.startswith("/") and word.startswith(text)]
        return fitting[state] if state < len(fitting) else None
