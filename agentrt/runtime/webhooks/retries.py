"""When a delivery is tried again. Pure. Source: Standard Webhooks 1.0, "Deliverability and reliability"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

SCHEDULE_S: Final = (5.0, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
"""After the first try, the second … : ten tries within a little more than three days."""

_JITTER: Final = 0.1
_LONGEST_WISH_S: Final = 24 * 3600.0


def delay_s(
    n_tries: int, *, jitter: float, wish_s: float | None = None, schedule_s: Sequence[float] = SCHEDULE_S
) -> float | None:
    """How long to wait after so many tries that failed; None: give up.

    jitter in 0..1 makes the wait up to a tenth longer, so that what failed together does not come back together.
    wish_s: the receiver's `Retry-After`; it can make a wait longer, up to a day, and never shorter.
    """
    if n_tries > len(schedule_s):
        return None
    delay = schedule_s[n_tries - 1] * (1 + _JITTER * jitter)
    return max(delay, min(wish_s or 0.0, _LONGEST_WISH_S))
