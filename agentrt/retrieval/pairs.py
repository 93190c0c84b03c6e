"""Words that stand side by side in the question and in the passage. Pure.

Looked at for the ten best candidates only, for their texts have to be read and analysed: nDCG@10 is 2 % higher on
manual pages, the same on Markdown and on abstracts, 1 % lower on code; with twenty candidates 3 % on manual pages.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from agentrt.retrieval.analyser import QueryTerm

BONUS: Final = 0.1
"""What a passage with all pairs gets, as a share of the best score."""

LOOKED_AT: Final = 10


def share_of_pairs(terms: Sequence[QueryTerm], words: Sequence[str]) -> float:
    """Which share of the question's neighbours are neighbours in the text, too: in the same order, one word between.

    words: the terms of the text, in their order.
    """
    patterns = _patterns(tuple(term.variants for term in terms))
    if not patterns:
        return 0.0
    text = f" {' '.join(words)} "
    return sum(pattern.search(text) is not None for pattern in patterns) / len(patterns)


@lru_cache(maxsize=64)
def _patterns(variants: tuple[tuple[str, ...], ...]) -> list[re.Pattern[str]]:
    """One for each two neighbours."""
    return [re.compile(f" {_any(first)} (?:[^ ]+ )?{_any(second)} ") for first, second in pairwise(variants)]


def _any(variants: tuple[str, ...]) -> str:
    return re.escape(variants[0]) if len(variants) == 1 else f"(?:{'|'.join(map(re.escape, variants))})"
