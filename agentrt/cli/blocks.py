"""Markdown that is still being written, cut into blocks: a finished block never changes again.

Rendering the whole text for every piece of it costs its length squared; rendering only the open block does not.
No rendering here.
"""

from __future__ import annotations

import re
from typing import Final

_FENCE: Final = re.compile(r" {0,3}(`{3,}|~{3,})")
_HEADING: Final = re.compile(r" {0,3}#{1,6}(\s|$)")
_ITEM: Final = re.compile(r"\s*([-*+]|\d{1,9}[.)])(\s|$)")
_INDENTED: Final = re.compile(r"( {2,}|\t)\S")


class Blocks:
    """Takes text in pieces of any size; gives back the blocks that are finished, keeps the one that is open.

    A block is a paragraph, a heading, a table, a whole list or a fenced piece of code, its line breaks included.
    """

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._tail = ""
        self._fence = ""
        self._is_list = False

    @property
    def open(self) -> str:
        """The text of the block that is not finished."""
        return "".join(self._lines) + self._tail

    def add(self, piece: str) -> list[str]:
        """The blocks that this piece finished, in order."""
        self._tail += piece
        *lines, self._tail = self._tail.split("\n")
        finished: list[str] = []
        for line in lines:
            finished += self._line(f"{line}\n")
        return finished

    def finish(self) -> str:
        """No more text comes: what is left, as a block. Ready for another text after that."""
        rest, self._lines, self._tail, self._fence, self._is_list = self.open, [], "", "", False
        return rest

    def _line(self, line: str) -> list[str]:
        if self._fence:
            return self._line_of_code(line)
        if not line.strip():
            if self._is_list:  # it may go on after the empty line
                self._lines.append(line)
                return []
            return self._cut()
        finished: list[str] = []
        if self._is_list and self._lines and not self._lines[-1].strip() and not _goes_on(line):
            finished = self._cut()
        if fence := _FENCE.match(line):
            if not self._is_list:
                finished += self._cut()
            self._fence = fence[1]
            self._lines.append(line)
            return finished
        if _HEADING.match(line):
            finished += self._cut()
            self._lines.append(line)
            return finished + self._cut()
        if not self._lines:
            self._is_list = bool(_ITEM.match(line))
        self._lines.append(line)
        return finished

    def _line_of_code(self, line: str) -> list[str]:
        self._lines.append(line)
        mark = line.strip()
        if set(mark) != {self._fence[0]} or len(mark) < len(self._fence):
            return []
        self._fence = ""
        return [] if self._is_list else self._cut()

    def _cut(self) -> list[str]:
        block, self._lines, self._is_list = "".join(self._lines), [], False
        return [block] if block.strip() else []


def _goes_on(line: str) -> bool:
    """Whether a line after an empty one still belongs to the list above."""
    return bool(_ITEM.match(line) or _INDENTED.match(line))
