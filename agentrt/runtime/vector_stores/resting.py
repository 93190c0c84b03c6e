"""Rest: a model server that has just failed a search is left alone for a while."""

from __future__ import annotations

from typing import Final

from agentrt.clock import Clock
from agentrt.errors import ModelError

REST_S: Final = 30.0
"""How long a model that is away or too slow is not asked: every search would wait for it in vain."""


class Rest:
    """Of one model."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until = float("-inf")
        self._why = ""

    def begin(self, error: ModelError) -> None:
        """Do not ask it for a while; why not is what the error says."""
        self._until = self._clock.monotonic() + REST_S
        self._why = error.message

    def why_not(self) -> str | None:
        """Why it is not asked now; None: it may be."""
        left_s = self._until - self._clock.monotonic()
        return f"{self._why} It is asked again in {left_s:.0f} s." if left_s > 0 else None
