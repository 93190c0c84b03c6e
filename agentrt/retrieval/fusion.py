"""Two lists of scores → one, on a scale from 0 to 1. Pure.

Each list is divided by its maximum and they are added with their weights: above reciprocal rank fusion (k = 60) and
min-max on six collections of different kinds (.680, .655 and .679 mean nDCG or MRR). What comes out always has 1.0 on
top; so that a threshold means something, all is multiplied with how strong the best match is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

KEYWORD_WEIGHT: Final = 0.5


def fuse(
    keywords: Mapping[int, float],
    vectors: Mapping[int, float] | None,
    *,
    ceiling: float,
    keyword_weight: float = KEYWORD_WEIGHT,
) -> dict[int, float]:
    """The score of everything that is in one of the lists, the best first; ties in the order of their keys.

    keywords: BM25; ceiling: what no BM25 score reaches. vectors: cosines; None when there is no embedding model, and
    then the keywords alone decide.
    """
    best_keyword = max(keywords.values(), default=0.0)
    keyword_strength = best_keyword / ceiling if ceiling > 0 else 0.0
    if vectors is None:
        weights, strength, best_vector = (1.0, 0.0), keyword_strength, 0.0
    else:
        best_vector = max(0.0, max(vectors.values(), default=0.0))
        weights = (keyword_weight, 1 - keyword_weight)
        strength = weights[0] * keyword_strength + weights[1] * min(1.0, best_vector)
    scores: dict[int, float] = {}
    for part, best, weight in ((keywords, best_keyword, weights[0]), (vectors or {}, best_vector, weights[1])):
        if best > 0:
            for key, score in part.items():
                scores[key] = scores.get(key, 0.0) + weight * max(0.0, score) / best
    top = max(scores.values(), default=0.0)
    scale = strength / top if top > 0 else 0.0
    return {key: score * scale for key, score in sorted(scores.items(), key=lambda item: (-item[1], item[0]))}
