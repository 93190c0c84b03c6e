"""A docstring taken apart: what the function does, and what each parameter means.

Reads `name: text` lines (our own style), Google's `Args:`, numpy's `Parameters`, and `:param name: text`. Everything
else (returns, raises, examples) is for people and does not reach the model.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Collection
from dataclasses import dataclass

_PARAMETER_HEADERS = {
    *("args", "arguments", "parameters", "params", "keyword args", "keyword arguments", "other parameters"),
}
_OTHER_HEADERS = {
    *("return", "returns", "raises", "yields", "example", "examples", "note", "notes", "see also", "references"),
    *("warning", "warnings", "warns", "attributes"),
}
_FIELD = re.compile(r"[:@](?P<tag>\w+)(?:\s+[^:]*?)??(?:\s+\*{0,2}(?P<name>\w+))?\s*:(?:\s+(?P<text>.*))?$")
_ENTRY = re.compile(r"\*{0,2}`{0,2}(?P<name>\w+)`{0,2}\s*(?:\([^)]*\))?\s*(?::|--)(?:\s+(?P<text>.*))?$")
_NUMPY_ENTRY = re.compile(r"\*{0,2}(?P<name>\w+)\s*(?::.*)?$")
_RULE = re.compile(r"[-=~]{3,}$")


@dataclass(frozen=True, slots=True)
class Docstring:
    """description is the first paragraph on one line, "" when there is none; parameters only has those described."""

    description: str
    parameters: dict[str, str]


def read_docstring(text: str | None, names: Collection[str]) -> Docstring:
    """Take a docstring apart. names are the function's parameters: no other word starts a description."""
    reader = _Reader(frozenset(names))
    lines = inspect.cleandoc(text or "").splitlines()
    for line, next_line in zip(lines, (*lines[1:], ""), strict=False):
        reader.feed(line, is_underlined=_RULE.fullmatch(next_line.strip()) is not None)
    return Docstring(_join(reader.summary), {name: _join(lines) for name, lines in reader.found.items() if any(lines)})


class _Reader:
    """Reads line by line.

    _open: the description that a deeper indented line goes on with, and its indent.
    _aside: the indent of the header of a section about something else, which ends at a line that is not deeper.
    """

    def __init__(self, names: frozenset[str]) -> None:
        self.names = names
        self.summary: list[str] = []
        self.found: dict[str, list[str]] = {}
        self._in_summary = True
        self._open: tuple[list[str], int] | None = None
        self._aside: int | None = None
        self._is_numpy = False

    def feed(self, line: str, *, is_underlined: bool) -> None:
        text, indent = line.strip(), len(line) - len(line.lstrip())
        if not text:
            self._in_summary = self._in_summary and not self.summary
        elif self._begins_section(text, indent, is_underlined) or self._is_passed_over(text, indent):
            return
        elif (entry := self._entry(text)) is not None:
            name, rest = entry
            self._in_summary = False
            self._open = (self.found.setdefault(name, [rest]), indent) if name else None
        elif self._open is not None and indent > self._open[1]:
            self._open[0].append(text)
        else:
            self._open = None
            if self._in_summary:
                self.summary.append(text)

    def _begins_section(self, text: str, indent: int, is_underlined: bool) -> bool:
        words = text.lower().removesuffix(":")
        if words not in _PARAMETER_HEADERS | _OTHER_HEADERS or not (text.endswith(":") or is_underlined):
            return False
        self._in_summary, self._open = False, None
        self._is_numpy = is_underlined and words in _PARAMETER_HEADERS
        if words in _PARAMETER_HEADERS:
            self._aside = None
        else:
            self._aside = -1 if is_underlined else indent  # numpy does not indent: only the next header ends it
        return True

    def _is_passed_over(self, text: str, indent: int) -> bool:
        return _RULE.fullmatch(text) is not None or (self._aside is not None and indent > self._aside)

    def _entry(self, text: str) -> tuple[str, str] | None:
        """(parameter, text) of a line that starts a description; ("", "") for a `:field:` about something else."""
        if (match := _FIELD.match(text)) is not None:
            name = match["name"]
            is_parameter = match["tag"] in {"param", "parameter", "arg", "argument", "key", "keyword"}
            return (name, match["text"] or "") if is_parameter and name in self.names else ("", "")
        if self._is_numpy and (match := _NUMPY_ENTRY.match(text)) is not None and match["name"] in self.names:
            return match["name"], ""
        if (match := _ENTRY.match(text)) is not None and match["name"] in self.names:
            return match["name"], match["text"] or ""
        return None


def _join(lines: list[str]) -> str:
    return " ".join(" ".join(lines).split())
