"""The last lines of a terminal, rewritten in place. Everything above them is never touched again."""

from __future__ import annotations

from collections.abc import Sequence

from agentrt.cli.screen import Screen


class Region:
    """Lines that may still change. Between calls the cursor stands at the start of the line below them."""

    def __init__(self, screen: Screen) -> None:
        self._screen = screen
        self._lines: list[str] = []

    def show(self, lines: Sequence[str]) -> None:
        """Replace the region's lines; no line may be wider than the terminal. Only what differs is written."""
        # What has scrolled off the screen cannot be rewritten: a block that is too tall shows its end.
        wanted = list(lines[-max(1, self._screen.rows - 2) :])
        n_same = 0
        for old, new in zip(self._lines, wanted, strict=False):
            if old != new:
                break
            n_same += 1
        n_up = len(self._lines) - n_same
        if n_up or len(wanted) > n_same:
            up = f"\x1b[{n_up}A\r\x1b[J" if n_up else ""
            self._screen.write(up + "".join(f"{line}\n" for line in wanted[n_same:]))
        self._lines = wanted

    def commit(self, lines: Sequence[str]) -> None:
        """Write lines for good where the region was; the region is empty after that."""
        n_up, self._lines = len(self._lines), []
        up = f"\x1b[{n_up}A\r\x1b[J" if n_up else ""
        self._screen.write(up + "".join(f"{line}\n" for line in lines))
