"""How much room text takes on a terminal: wide characters take two cells, combining ones none."""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]|[\u202a-\u202e\u2066-\u2069]")


def cells(text: str) -> int:
    """How many cells the text takes."""
    return len(text) if text.isascii() else sum(_cells_of(char) for char in text)


def cut(text: str, width: int) -> str:
    """The text in at most width cells; `…` stands for what was cut off."""
    if cells(text) <= width:
        return text
    kept, used = "", 0
    for char in text:
        used += _cells_of(char)
        if used > width - 1:
            break
        kept += char
    return f"{kept.rstrip()}…"


def clip(text: str, width: int) -> str:
    """The text on one line of at most width cells."""
    return cut(" ".join(text.split()), width)


def harmless(text: str) -> str:
    """The text without what a terminal would obey: models and tools write what strangers told them."""
    return _CONTROLS.sub("", text)


def _cells_of(char: str) -> int:
    if char.isascii():
        return 1
    if unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1
