"""Text → windows that an embedding model can read at once. Pure.

Windows do not overlap: a passage counts by its best one, and each text is embedded once.
"""

from __future__ import annotations

from itertools import pairwise

from agentrt.retrieval.tokens import TokenCounter


def windows(text: str, size: int | None) -> list[str]:
    """The text in as few parts of up to about `size` tokens as it takes, all of about one length, cut between words.

    None: any length is right. There is always one, and together they are the text.
    """
    if size is None:
        return [text]
    counter = TokenCounter(text)
    n = counter.count(0, len(text))
    n_windows = -int(-n // size)
    if n_windows < 2:
        return [text]
    cuts = _cuts(text, list(counter.ends(0, len(text))), n_windows)
    return [text[start:end] for start, end in pairwise([0, *cuts, len(text)])]


def _cuts(text: str, ends: list[int], n_windows: int) -> list[int]:
    cuts: list[int] = []
    last = 0
    for i in range(1, n_windows):
        place = ends[i * len(ends) // n_windows - 1]
        # Before a word rather than in it; a text without spaces is cut where it is.
        space = text.rfind(" ", last + 1, place + 1)
        cut = space + 1 if space > last + (place - last) // 2 else place
        if last < cut < len(text):
            cuts.append(cut)
            last = cut
    return cuts
