"""Check: one fact that `agentrt doctor` tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Check:
    """One fact. text says it, as a rule on one line; fix is what to type or do about it."""

    name: str
    state: State
    text: str
    fix: str = ""
