"""How the terms of a segment are written down: `liver cell^3 of^24`, each once, with its count unless it is 1. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

LEVELS: Final = (1, 2, 3, 4, 6, 10, 24)
"""Counts that are told apart: in a chunk of mean length BM25 makes 4 % more or less of a count than of its level."""

_LEVEL_OF: Final = (1, 1, 2, 3, 4, 6, 6, 6, *[10] * 8)


def written_terms(counts: Mapping[str, int]) -> str:
    """Terms and how often each comes. A term has no spaces and no `^`."""
    return " ".join([term if n == 1 else term + _suffix(n) for term, n in counts.items()])


def read_terms(written: str) -> Iterator[tuple[str, int]]:
    """The inverse, but for the counts that are not told apart."""
    for entry in written.split():
        term, _, count = entry.partition("^")
        yield term, int(count or 1)


def _suffix(count: int) -> str:
    return f"^{_LEVEL_OF[count] if count < len(_LEVEL_OF) else LEVELS[-1]}"
