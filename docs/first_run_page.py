"""How the first run is printed: a narrow page, colours only on a terminal, streamed text wrapped as it comes."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable
from pathlib import Path
from typing import Final, TextIO

_WIDEST: Final = 88
_INDENT: Final = "   "
_LABEL: Final = 6  # of who speaks
_COLOURS: Final = {"bold": "1", "dim": "2", "red": "31", "green": "32", "yellow": "33", "blue": "34", "cyan": "36"}


class Page:
    """Prints the story, from top to bottom. At most one line is open: the one that an answer streams into."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self._out = out
        self._is_coloured = out.isatty() and not os.environ.get("NO_COLOR")  # noqa: TID251 - a script of its own
        self._width = min(shutil.get_terminal_size().columns, _WIDEST)
        self._n_steps = 0
        self._column = 0
        self._word = ""
        self._n_spaces = 0  # before the word, if it fits

    def title(self) -> None:
        self._line(self._paint("bold", "agentrt: the first run"))
        self._wrapped(
            "Everything here is real but the model, which is a scripted stand-in and not a language model: it needs no "
            "key and no network.",
            indent="",
        )

    def step(self, text: str) -> None:
        self._n_steps += 1
        self._line()
        self._line(f"{self._paint('bold', f'{self._n_steps}  {text}')}")

    def shell(self, command: str) -> None:
        """What was done, as a person would type it."""
        self._line(f"{_INDENT}{self._paint('dim', '$')} {command}")

    def code(self, call: str) -> None:
        """The SDK's method behind what comes next."""
        self._line(f"{_INDENT}{self._paint('dim', call)}")

    def note(self, text: str) -> None:
        self._wrapped(text, indent=_INDENT)

    def pair(self, name: str, text: str) -> None:
        self._wrapped(f"{name:<16}{text}", indent=_INDENT, hang=_INDENT + " " * 16)

    def said(self, who: str, text: str) -> None:
        """Words that are there at once."""
        hang = _INDENT + " " * _LABEL
        lines = textwrap.wrap(text, self._width, initial_indent=hang, subsequent_indent=hang)
        self._line(_INDENT + self._paint("cyan", f"{who:<{_LABEL}}") + "\n".join(lines)[len(hang) :])

    def piece(self, who: str, text: str) -> None:
        """A piece of what somebody says; the first one begins the line."""
        if self._column == 0:
            self._write(_INDENT + self._paint("green", f"{who:<{_LABEL}}"))
            self._column = len(_INDENT) + _LABEL
        for character in text:
            if character == "\n":
                self._end_word()
                self._break()
            elif character.isspace():
                self._end_word()
                self._n_spaces += 1
            else:
                self._word += character  # held back to its end: only then it is known whether it fits the line
        self._out.flush()

    def called(self, name: str, arguments: str) -> None:
        values: dict[str, object] = json.loads(arguments)
        shown = ", ".join(f"{key}={json.dumps(value, ensure_ascii=False)}" for key, value in values.items())
        self.end_line()
        self._line(f"{_INDENT}{self._paint('yellow', ' →    ')}{name}({shown})")

    def program(self, code: str) -> None:
        """Code that is to be run, as it is."""
        self.end_line()
        first, *more = code.splitlines() or [""]
        self._line(f"{_INDENT}{self._paint('yellow', ' →    ')}{first}")
        for line in more:
            self._line(f"{_INDENT}{' ' * _LABEL}{line}".rstrip())

    def returned(self, output: str) -> None:
        self.end_line()
        hang = _INDENT + " " * _LABEL
        lines = textwrap.wrap(output, self._width, initial_indent=hang, subsequent_indent=hang)
        self._line(_INDENT + self._paint("yellow", " ←    ") + self._paint("dim", "\n".join(lines)[len(hang) :]))

    def end_line(self) -> None:
        """Close the line that an answer streamed into, if one is open."""
        self._end_word()
        self._n_spaces = 0
        if self._column:
            self._line()

    def stop(self) -> None:
        """Somebody pressed Ctrl-C."""
        self.end_line()
        self._line()
        self._line("Stopped. The server is stopped too, and its folder is gone.")

    def fail(self, why: str, log: Iterable[str]) -> None:
        """What went wrong, on standard error, with the end of the server's log."""
        self.end_line()
        self._out.flush()
        print(f"\nThe first run failed: {why}", *[f"  server.log: {line}" for line in log], sep="\n", file=sys.stderr)

    def what_next(self) -> None:
        agentrt = _shown_command()
        commands = {
            f"{agentrt} chat": "talk to an agent here",
            f"{agentrt} serve": "serve the API, for an app of your own",
            f"{agentrt} init my-project": "begin a project, with a real model",
        }
        widest = max(map(len, commands))
        self._line()
        self._line(self._paint("bold", "What to type next"))
        for command, text in commands.items():
            self._line(f"{_INDENT}{command:<{widest}}   {self._paint('dim', text)}")
        self._line(f"{_INDENT}How to point an app in Python or Node at it: README.md")

    def _end_word(self) -> None:
        word, self._word = self._word, ""
        if not word:
            return
        if self._column + self._n_spaces + len(word) > self._width:
            self._break()
        word = " " * self._n_spaces + word
        self._n_spaces = 0
        self._write(word)
        self._column += len(word)

    def _break(self) -> None:
        self._write("\n" + _INDENT + " " * _LABEL)
        self._column = len(_INDENT) + _LABEL
        self._n_spaces = 0

    def _wrapped(self, text: str, *, indent: str, hang: str | None = None) -> None:
        self.end_line()
        subsequent = indent if hang is None else hang
        for line in textwrap.wrap(text, self._width, initial_indent=indent, subsequent_indent=subsequent):
            self._line(line)

    def _line(self, text: str = "") -> None:
        self._write(text + "\n")
        self._column = 0
        self._out.flush()

    def _write(self, text: str) -> None:
        self._out.write(text)

    def _paint(self, colour: str, text: str) -> str:
        return f"\x1b[{_COLOURS[colour]}m{text}\x1b[0m" if self._is_coloured else text


def _shown_command() -> str:
    """How to call `agentrt` from here: by its name if that is found, else by its path."""
    own = Path(sys.executable).parent / "agentrt"
    found = shutil.which("agentrt")
    if found is not None and Path(found) == own:
        return "agentrt"
    return str(own.relative_to(Path.cwd()) if own.is_relative_to(Path.cwd()) else own)
