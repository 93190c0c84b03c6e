"""One file of the configuration: its text, its values, and how a place in it is shown to people."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal

import msgspec

from agentrt.config.positions import KeyPath, Place, Positions, scan
from agentrt.config.traps import explain_syntax
from agentrt.errors import ConfigError
from agentrt.secret import is_secret_name, redact

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_MAX_SHOWN = 110
_SYNTAX_PLACE = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)$")
# A file that is not TOML has no known places; hide what stands behind a telling key.
_SECRET_ASSIGNMENT = re.compile(r"""(\b[\w-]*(?:key|token|secret|password|authorization)\b["']?\s*[=:]\s*)(.+)""", re.I)

At = Literal["key", "value"]


class Problem(msgspec.Struct, frozen=True):
    """One thing that is wrong. rank orders problems: number of the file, offset in it."""

    where: str
    what: str
    fix: str = ""
    excerpt: str = ""
    rank: tuple[int, int] = (0, 0)

    def __str__(self) -> str:
        lines = [f"{self.where}: {self.what}", *self.excerpt.splitlines()]
        if self.fix:
            lines.append(f"  fix: {self.fix}")
        return "\n".join(lines)


class Source:
    """A file that was read. overridden: paths whose value a variable replaced; they have no place in the text."""

    def __init__(self, *, shown: str, folder: Path, text: str, number: int = 0) -> None:
        """Raises ConfigError if the text is not TOML; tree stays as it was read."""
        self.shown = shown
        self.folder = folder
        self.number = number
        self.text = text.replace("\r\n", "\n")
        self.overridden: dict[KeyPath, str] = {}
        try:
            self.tree: dict[str, object] = tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError([str(_syntax_problem(self, str(error)))]) from None

    @cached_property
    def positions(self) -> Positions:
        return scan(self.text)

    def where(self, path: KeyPath, at: At = "value") -> str:
        """`agents.toml:31:12`, or the variable that set the value."""
        variable = self._variable(path)
        if variable is not None:
            return f"{variable} (environment)"
        _, place = self.positions.nearest(path)
        spot = self.positions.spot(place.key if at == "key" else place.start)
        return f"{self.shown}:{spot.line}:{spot.column}"

    def problem(self, path: KeyPath, what: str, *, fix: str = "", at: At = "value") -> Problem:
        """A problem with the value (or the key) at path; what is missing is shown at the table that lacks it."""
        described = redact(f"{format_path(path)}: {what}" if path else what)
        if self._variable(path) is not None:
            return Problem(self.where(path), described, fix, rank=(self.number, 0))
        found, place = self.positions.nearest(path)
        start = place.key if at == "key" and found == path else place.start
        end = start + len(str(path[-1])) if at == "key" and found == path else place.end
        excerpt = self._excerpt(start, end) if found else ""
        return Problem(self.where(path, at), described, fix, excerpt, (self.number, start))

    def _variable(self, path: KeyPath) -> str | None:
        for length in range(len(path), 0, -1):
            if path[:length] in self.overridden:
                return self.overridden[path[:length]]
        return None

    def _excerpt(self, start: int, end: int) -> str:
        number = self.positions.spot(start).line
        line_start, line = self.positions.line(number)
        for place in self._secret_places():
            left, right = max(place.start - line_start, 0), min(place.end - line_start, len(line))
            if left < right:
                line = line[:left] + _hidden(line[left:right]) + line[right:]
        return _caret(redact(line, keep_length=True), number, start - line_start, end - line_start)

    def _secret_places(self) -> Iterator[Place]:
        return (place for path, place in self.positions.places.items() if is_secret_path(path))


def read_source(path: Path, *, shown: str, number: int = 0) -> Source:
    """Read one file. Raises ConfigError if it cannot be read or is not UTF-8 or not TOML."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError([f"{shown}: not UTF-8 (byte {error.start})\n  fix: save the file as UTF-8"]) from None
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError([f"{shown}: {reason}\n  fix: name a file with --config FILE or AGENTRT_CONFIG"]) from None
    return Source(shown=shown, folder=path.parent.absolute(), text=text, number=number)


def format_path(path: KeyPath) -> str:
    """`models."gpt-4.1".answers_to[0]`"""
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            name = part if _BARE_KEY.fullmatch(part) else f'"{part}"'
            shown += f".{name}" if shown else name
    return shown


def is_secret_path(path: KeyPath) -> bool:
    """Whether the value at path may never be shown."""
    return (
        "headers" in path[:-1]
        or "environment" in path[:-1]
        or path[-1:] == ("hash",)
        or any(isinstance(part, str) and is_secret_name(part) for part in path)
    )


def _hidden(text: str) -> str:
    """The text as stars, but for quotes and the names of variables."""
    parts = re.split(r"""(\$\{\w+\}|["'])""", text)
    return "".join(part if index % 2 else "*" * len(part) for index, part in enumerate(parts))


def _caret(line: str, number: int, left: int, right: int) -> str:
    line = line.replace("\t", " ")
    right = max(left + 1, min(right, len(line)))
    if left > _MAX_SHOWN // 2 and len(line) > _MAX_SHOWN:
        cut = left - _MAX_SHOWN // 4
        line, left, right = f"…{line[cut:]}", left - cut + 1, right - cut + 1
    if len(line) > _MAX_SHOWN:
        line, right = f"{line[:_MAX_SHOWN]}…", min(right, _MAX_SHOWN)
    margin = " " * len(str(number))
    return f"  {number} | {line}\n  {margin} | {' ' * left}{'^' * max(1, right - left)}"


def _syntax_problem(source: Source, text: str) -> Problem:
    match = _SYNTAX_PLACE.search(text)
    message = text[: match.start()] if match else text
    lines = source.text.split("\n")
    number = int(match[1]) if match and match[1] else len(source.text.rstrip().split("\n"))
    line = lines[number - 1]
    column = int(match[2]) if match and match[2] else len(line)
    what, fix = _defined_twice(source, message, number) or explain_syntax(message, line, column)
    hidden = _SECRET_ASSIGNMENT.sub(lambda found: found[1] + "*" * len(found[2]), redact(line, keep_length=True))
    excerpt = _caret(hidden, number, column - 1, column)
    return Problem(f"{source.shown}:{number}:{column}", what, fix, excerpt, (source.number, 0))


def _defined_twice(source: Source, message: str, number: int) -> tuple[str, str] | None:
    """The first place of what is defined again on line number: tomllib names neither the key nor that place."""
    lines = source.text.split("\n")
    declared = re.fullmatch(r"Cannot (?:declare|mutate immutable namespace) (\(.*\))(?: twice)?", message)
    path: KeyPath
    if declared:
        before = scan("\n".join(lines[: number - 1]))
        path = tuple(ast.literal_eval(declared[1]))
    elif message == "Cannot overwrite a value" and (before := scan("\n".join(lines[:number]))).repeated:
        path = before.repeated[-1]
    else:
        return None
    found, place = before.nearest(path)
    line = before.spot(place.key).line
    if line == number or not found:
        return f"{format_path(path)} is defined twice", "keep one of the two"
    return f"{format_path(path)} is defined twice, first on line {line}", "keep one of the two, or merge them"
