"""The yardstick of keyword search: a plain BM25 over whole documents, in numpy.

Words of letters and digits, Snowball stems of English, a short list of stop words for questions, k1 = 1.2, b = 0.75.
"""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Final

import numpy as np
from Stemmer import Stemmer  # type: ignore[import-not-found]

_WORDS: Final = """a about after all also an and any are as at be been but by can did do does for from had has have how
if in into is it its more no not of on or other our so some such than that the their them then there these they this to
was we were what when which who why will with would you your"""
_COMMON: Final = frozenset(_WORDS.split())


class PlainBm25:
    """documents: id → text."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self._stem = Stemmer("english").stemWord
        self._ids = list(documents)
        counts = [Counter(self._words(text)) for text in documents.values()]
        lengths = np.array([count.total() for count in counts], dtype=float)
        self._norm = 1.2 * (1 - 0.75 + 0.75 * lengths / lengths.mean())
        lists: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for place, count in enumerate(counts):
            for word, n in count.items():
                lists[word].append((place, n))
        self._lists = {word: np.array(entries) for word, entries in lists.items()}

    def answer(self, question: str, *, n: int) -> list[str]:
        """The n best documents."""
        scores = np.zeros(len(self._ids))
        for word in self._words(question, is_question=True):
            if word in self._lists:
                places, counts = self._lists[word].T
                idf = math.log(1 + (len(self._ids) - len(places) + 0.5) / (len(places) + 0.5))
                scores[places] += idf * counts * 2.2 / (counts + self._norm[places])
        best = np.argsort(-scores, kind="stable")[:n]
        return [self._ids[place] for place in best if scores[place] > 0]

    def _words(self, text: str, *, is_question: bool = False) -> list[str]:
        words = re.findall(r"[^\W_]+", text.lower())
        return [self._stem(word) for word in words if not (is_question and word in _COMMON)]
