"""Tools of your own: write a function with hints and a docstring, put @tool on it, name it in agents.toml."""

from __future__ import annotations

import random

from agentrt import tool


@tool
def roll_dice(count: int = 1, sides: int = 6) -> str:
    """Roll dice and say what came up.

    count: how many dice to roll.
    sides: how many sides each of them has.
    """
    if not 1 <= count <= 100 or not 2 <= sides <= 1000:
        raise ValueError("1 to 100 dice with 2 to 1000 sides")
    rolls = [random.randint(1, sides) for _ in range(count)]  # noqa: S311 - a game, no secret
    return f"{', '.join(map(str, rolls))} (sum {sum(rolls)})"
