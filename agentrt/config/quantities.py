"""Durations and sizes as people write them: `"10m"`, `"1h30m"`, `"256KB"`; plain numbers are seconds and bytes."""

from __future__ import annotations

import math
import re
from typing import Final

DURATION_PATTERN: Final = r"(\d+(\.\d+)?(ms|s|m|h|d))+"
SIZE_PATTERN: Final = r"\d+(\.\d+)?\s*([KMG]i?)?B"

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_BYTES = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([KMG])i?)?B", re.IGNORECASE)


def parse_duration(value: object) -> float:
    """Seconds, more than zero. Raises ValueError if value is neither a number nor such a text."""
    if isinstance(value, str):
        text = value.strip()
        if re.fullmatch(DURATION_PATTERN, text):
            seconds = sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(text))
        else:
            seconds = float(text)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        seconds = float(value)
    else:
        raise ValueError(value)
    if not 0 < seconds < math.inf:
        raise ValueError(value)
    return seconds


def parse_period(value: object) -> float | None:
    """As parse_duration; `forever` is None."""
    return None if value == "forever" else parse_duration(value)


def parse_size(value: object) -> int:
    """Bytes, more than zero; 1 KB is 1024 bytes, as in Docker. Raises ValueError if value is no size."""
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        size = int(float(match[1]) * _BYTES[(match[2] or "").upper()]) if match else int(value)
    elif isinstance(value, int) and not isinstance(value, bool):
        size = value
    else:
        raise ValueError(value)
    if size <= 0:
        raise ValueError(value)
    return size
