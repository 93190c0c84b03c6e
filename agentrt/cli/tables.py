"""Aligned columns for lists: no borders; on a terminal the last column is cut to what is left."""

from __future__ import annotations

from collections.abc import Sequence

from agentrt.cli.cells import cells, clip
from agentrt.cli.screen import Role, Screen

_GAP = "  "
_LEAST = 8


def show_table(screen: Screen, heads: Sequence[str], rows: Sequence[Sequence[str]], *, roles: Sequence[Role]) -> None:
    """Write rows under their heads; roles: one a column."""
    widths = [max(cells(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    if screen.is_live:
        used = sum(widths[:-1]) + len(_GAP) * (len(heads) - 1)
        widths[-1] = max(_LEAST, min(widths[-1], screen.columns - used))
    for number, row in enumerate((heads, *rows)):
        painted = ""
        for i, (text, width) in enumerate(zip(row, widths, strict=True)):
            shown = clip(text, width)
            is_last = i == len(row) - 1
            painted += screen.paint(shown, roles[i] if number else "dim")
            painted += "" if is_last else " " * (width - cells(shown)) + _GAP
        screen.line(painted)
