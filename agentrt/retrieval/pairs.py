"""Words that stand side by side in the question and in the passage. Pure.

Looked at for the ten best candidates only, for their texts have to be read and analysed: nDCG@10 is 2 % higher on
manual pages, the same on Markdown and on abstracts, 1 % lower on code; with twenty candidates 3 % on manual pages.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from agentrt.retrieval.analyser import QueryTerm

BONUS: Final = 0.1
"""What a passage with all pairs gets, as a share of the best score, where words alone count."""

LOOKED_AT: Final = 10

_FARTHEST: Final = 2
"""Next to each other, or with one word between."""


def share_of_pairs(terms: Sequence[QueryTerm], places: Sequence[tuple[int, str]]) -> float:
    """Which share of the question's neighbours are neighbours in the text, too: in the same order, one word between.

    places: where the text has terms of the question, in order (Analyser.places).
    """
    wanted = {(first, second) for (a, b) in pairwise(terms) for first in a.variants for second in b.variants}
    found: set[tuple[str, str]] = set()
    for i, (place, first) in enumerate(places):
        for later, second in places[i + 1 : i + 1 + _FARTHEST]:
            if later - place <= _FARTHEST and (first, second) in wanted:
                found.add((first, second))
    if not found:
        return 0.0
    n_found = sum(
        any((first, second) in found for first in a.variants for second in b.variants) for a, b in pairwise(terms)
    )
    return n_found / (len(terms) - 1)
