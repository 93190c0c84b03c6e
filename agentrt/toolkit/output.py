"""What a tool returned → the text that the model reads."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from enum import Enum
from typing import Any

import msgspec

MAX_ITEMS = 10_000
"""How many items of a generator are taken; it may be endless."""

_NOTE_BYTES = 64  # room for the note that stands where something was cut out


def render(value: object) -> str:
    """Text as it is, None as "", everything else as JSON; what has no JSON form as str() shows it.

    A generator is run here: its texts are joined, other items become a JSON list. Raises what it or str() raises.
    """
    if type(value) is str:
        return value
    if value is None:
        return ""
    if isinstance(value, Enum):
        return render(value.value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (bytes, bytearray)):
        return _render_bytes(bytes(value))
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON would say null
    if isinstance(value, Iterator):
        return render_items(list(itertools.islice(value, MAX_ITEMS)))
    return _render_json(value)


def render_items(items: list[Any]) -> str:
    """The collected items of a generator."""
    return "".join(items) if items and all(isinstance(item, str) for item in items) else _render_json(items)


def fit(text: str, max_bytes: int) -> str:
    """Text that can be stored and sent: valid UTF-8 without NUL, cut in the middle to max_bytes with a note there."""
    if "\x00" in text:
        text = text.replace("\x00", "\ufffd")  # PostgreSQL cannot store it
    if text.isascii() and len(text) <= max_bytes:
        return text
    data = text.encode(errors="replace")
    if len(data) <= max_bytes:
        return data.decode()
    room = max_bytes - _NOTE_BYTES
    if room < _NOTE_BYTES:
        return data[:max_bytes].decode(errors="ignore")
    head, tail = data[: room // 2].decode(errors="ignore"), data[-(room // 2) :].decode(errors="ignore")
    return f"{head}\n[… {len(data) - room:,} bytes cut out …]\n{tail}"


def _render_bytes(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return msgspec.json.encode(value).decode()  # base64


def _render_json(value: object) -> str:
    def plain(part: Any) -> object:
        """The JSON form of what msgspec does not know: pydantic models, numpy values; else what str() shows."""
        if callable(dump := getattr(part, "model_dump", None)):
            return dump(mode="json")
        if callable(listed := getattr(part, "tolist", None)):
            return listed()
        if part is value:
            raise TypeError  # not str() inside of JSON quotes
        return str(part)

    try:
        return msgspec.json.encode(value, enc_hook=plain).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):  # odd keys, huge integers, a circle
        return str(value)
