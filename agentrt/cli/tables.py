"""Aligned columns for lists: no borders; on a terminal the last column is cut to what is left."""

from __future__ import annotations

from collections.abc import Container, Sequence

from agentrt.cli.cells import cells, clip
from agentrt.cli.screen import Role, Screen

_GAP = "  "
_LEAST = 8


def show_table(
    screen: Screen,
    heads: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    roles: Sequence[Role | Sequence[Role]],
    numbers: Container[str] = (),
    least_last: int = _LEAST,
) -> None:
    """Write rows under their heads; roles: one for a whole column, or one for each of its rows.

    numbers: heads of columns that stand to the right. least_last: with less room than that (or than it needs), the
    texts of the last column stand below their rows.
    """
    widths = [max(cells(row[i]) for row in (heads, *rows)) for i in range(len(heads))]
    is_below = False
    if screen.is_live:
        left = screen.columns - sum(widths[:-1]) - len(_GAP) * (len(heads) - 1)
        is_below = left < min(widths[-1], least_last) and least_last > _LEAST
        widths[-1] = max(_LEAST, min(widths[-1], screen.columns - len(_GAP) if is_below else left))
    for number, row in enumerate((heads, *rows)):
        painted = []
        for i, (text, width) in enumerate(zip(row, widths, strict=True)):
            shown = clip(text, width)
            room = " " * (width - cells(shown))
            shown = screen.paint(shown, _role(roles[i], number - 1) if number else "dim")
            painted.append(room + shown if heads[i] in numbers else shown + room)
        last = painted.pop() if is_below else ""
        screen.line(_GAP.join(painted).rstrip())
        if row[-1] and number and is_below:
            screen.line(_GAP + last.rstrip())


def _role(role: Role | Sequence[Role], row: int) -> Role:
    return role if isinstance(role, str) else role[row]
