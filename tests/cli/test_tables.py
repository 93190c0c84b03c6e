"""Lists on terminals of all widths."""

from __future__ import annotations

import io

from agentrt.cli.screen import Screen, ago
from agentrt.cli.tables import show_table
from tests.cli.terminals import Terminal

_HEADS = ("name", "size", "about")
_ROWS = [("one", "5", "a short word"), ("two", "1,200", "a text that is much longer than there is room for")]


def shown(columns: int, *, least_last: int = 8) -> list[str]:
    terminal = Terminal(columns=columns + 1)  # a line may fill the terminal
    screen = Screen(terminal, is_live=True, measure=lambda: (columns, 20))
    show_table(screen, _HEADS, _ROWS, roles=("plain", "dim", "dim"), numbers=("size",), least_last=least_last)
    return terminal.shown().split("\n")


def test_numbers_stand_to_the_right_and_the_last_column_takes_what_is_left() -> None:
    assert shown(40) == [
        "name   size  about",
        "one       5  a short word",
        "two   1,200  a text that is much longer…",
    ]


def test_a_last_column_with_too_little_room_stands_below() -> None:
    assert shown(30, least_last=24) == [
        "name   size",
        "one       5",
        "  a short word",
        "two   1,200",
        "  a text that is much longer…",
    ]
    assert shown(40, least_last=24) == shown(40)


def test_without_a_terminal_nothing_is_cut() -> None:
    stream = io.StringIO()
    show_table(Screen(stream), _HEADS, _ROWS, roles=("plain", "dim", "dim"), least_last=100)
    assert stream.getvalue().splitlines()[-1].endswith(_ROWS[1][2])


def test_each_row_of_a_column_may_have_its_own_colour() -> None:
    stream = io.StringIO()
    show_table(Screen(stream, is_coloured=True), ("a",), [("x",), ("y",)], roles=(["ok", "bad"],))
    assert stream.getvalue().splitlines()[1:] == ["\x1b[32mx\x1b[0m", "\x1b[31my\x1b[0m"]


def test_moments_are_told_by_their_age_and_old_ones_by_their_date() -> None:
    now = 1_800_000_000
    assert [ago(now - s, now) for s in (-5, 30, 90, 7200, 3 * 86_400, 30 * 86_400)] == [
        "now", "now", "1 min ago", "2 h ago", "3 d ago", "2026-12-16",
    ]  # fmt: skip
