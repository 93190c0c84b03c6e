"""Prefixed, time-ordered ids: `run_` + 24 base62 digits (9 of microseconds, 15 random).

Ids of one process increase strictly, so they break ties between objects of the same second. Imported ids
need not be ordered: never sort by id alone.
"""

from __future__ import annotations

import os
import threading
import time
from functools import lru_cache
from typing import Literal, TypeAlias

Prefix: TypeAlias = Literal[
    "asst",
    "thread",
    "msg",
    "run",
    "step",
    "call",
    "vs",
    "vsfb",
    "file",
    "req",
    "job",
    "upload",
    "part",
    "evt",
    "delivery",
    "sched",
]

_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_TIME_DIGITS = 9
_RANDOM_DIGITS = 15
_LOW_DIGITS = 4
_LOW = 62**_LOW_DIGITS
_DIGIT_OF_BYTE = bytes(ord(_DIGITS[byte % 62]) for byte in range(256))
_SEPARATOR = {"file": "-"}

_lock = threading.Lock()
_last_us = 0


def new_id(prefix: Prefix) -> str:
    """A new id, greater than every id of the same prefix made before it in this process."""
    global _last_us
    now_us = time.time_ns() // 1000
    with _lock:
        _last_us = max(now_us, _last_us + 1)
        stamp = _last_us
    high, low = divmod(stamp, _LOW)
    # 256 is no multiple of 62, so that eight digits come a little more often: 85 bits of chance are left of 89.
    chance = os.urandom(_RANDOM_DIGITS).translate(_DIGIT_OF_BYTE).decode("ascii")
    return f"{prefix}{_SEPARATOR.get(prefix, '_')}{_head(high)}{_base62(low, _LOW_DIGITS)}{chance}"


def time_of(object_id: str) -> float | None:
    """When one of our ids was made, Unix seconds; None for an id of another maker (an imported one)."""
    body = object_id.replace("-", "_").rpartition("_")[2]
    if len(body) != _TIME_DIGITS + _RANDOM_DIGITS or not body.isascii() or not body.isalnum():
        return None
    stamp = 0
    for digit in body[:_TIME_DIGITS]:
        stamp = stamp * 62 + _DIGITS.index(digit)
    return stamp / 1e6


@lru_cache(maxsize=4)
def _head(high: int) -> str:
    """The digits of a time that change every 15 seconds only: making them anew was half the cost of an id."""
    return _base62(high, _TIME_DIGITS - _LOW_DIGITS)


def _base62(value: int, width: int) -> str:
    digits = []
    for _ in range(width):
        value, remainder = divmod(value, 62)
        digits.append(_DIGITS[remainder])
    return "".join(reversed(digits))
