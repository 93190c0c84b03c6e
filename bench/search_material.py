"""What the speed of search is measured on, and against: texts without meaning, vectors without a model, FTS5 and numpy.

Words come as often as in a language (Zipf), so that lists of postings are as long as they would be.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

DIMENSION: Final = 384
TOP: Final = 200
"""How many candidates each half of a hybrid search hands on."""

_VOCABULARY: Final = 30_000
_COMMON: Final = ("the", "of", "and", "to", "in", "is", "that", "for", "with", "as")
_SENTENCE: Final = 17
_QUESTION_WORDS: Final = 5
_FROM_RANK: Final = 100
_TO_RANK: Final = 5_000


class Ask(NamedTuple):
    """A question as people type it, its words without the common ones, and its vector."""

    text: str
    words: tuple[str, ...]
    vector: Floats


class Material:
    """The same texts, vectors and questions each time."""

    def __init__(self, seed: int = 1) -> None:
        self._random = np.random.default_rng(seed)
        letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
        lengths = self._random.integers(4, 11, _VOCABULARY)
        made = ("".join(self._random.choice(letters, n)) for n in lengths)
        self._words = np.array([*_COMMON, *dict.fromkeys(made)], dtype=object)
        weights = 1 / (np.arange(len(self._words)) + 2.7)
        self._cumulated = np.cumsum(weights / weights.sum())
        self._centres = self._random.standard_normal((256, DIMENSION), dtype=np.float32)

    def text(self, n_words: int) -> str:
        """So many words in sentences."""
        places = np.searchsorted(self._cumulated, self._random.random(n_words))
        words = self._words[np.minimum(places, len(self._words) - 1)].tolist()
        sentences = (" ".join(words[at : at + _SENTENCE]) for at in range(0, n_words, _SENTENCE))
        return "".join(f"{sentence.capitalize()}.\n" for sentence in sentences)

    def vectors(self, n: int) -> Floats:
        """Of length 1, in clusters, as those of texts are."""
        noise = self._random.standard_normal((n, DIMENSION), dtype=np.float32)
        made = self._centres[self._random.integers(0, len(self._centres), n)] + noise
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return made

    def questions(self, n: int) -> list[Ask]:
        """Words that are neither rare nor in every text, and one common one."""
        found = []
        for vector in self.vectors(n):
            words = self._words[self._random.integers(_FROM_RANK, _TO_RANK, _QUESTION_WORDS)].tolist()
            found.append(Ask(" ".join(["the", *words]), tuple(words), vector))
        return found


class RawSearch:
    """FTS5 with its own ranking, and a matrix in numpy: what search stands on, with nothing around it."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("CREATE VIRTUAL TABLE chunk USING fts5(text, tokenize='porter unicode61')")
        self._matrix: Floats = np.empty((0, DIMENSION), np.float32)

    def add(self, chunks: Sequence[str]) -> None:
        """The chunks of one file, in a transaction."""
        with self._db:
            self._db.executemany("INSERT INTO chunk (text) VALUES (?)", [(chunk,) for chunk in chunks])

    def set_vectors(self, matrix: Floats) -> None:
        self._matrix = matrix

    def keywords(self, ask: Ask) -> list[tuple[int, float]]:
        """The best rows and their scores."""
        query = " OR ".join(f'"{word}"' for word in ask.words)
        sql = "SELECT rowid, bm25(chunk) FROM chunk WHERE chunk MATCH ? ORDER BY rank LIMIT ?"
        return [(row, -score) for row, score in self._db.execute(sql, (query, TOP))]

    def hybrid(self, ask: Ask) -> list[str]:
        """The texts of the ten best: both lists, added as in the service."""
        scores: dict[int, float] = {}
        for part in (self.keywords(ask), self._nearest(ask.vector)):
            best = max((score for _, score in part), default=1.0)
            for row, score in part:
                scores[row] = scores.get(row, 0.0) + score / best
        top = sorted(scores, key=lambda row: -scores[row])[:10]
        marks = ",".join("?" * len(top))
        return [row[0] for row in self._db.execute(f"SELECT text FROM chunk WHERE rowid IN ({marks})", top)]

    def delete(self, rows: Sequence[int]) -> None:
        with self._db:
            self._db.executemany("DELETE FROM chunk WHERE rowid = ?", [(row,) for row in rows])

    def close(self) -> None:
        self._db.close()

    def _nearest(self, vector: Any) -> list[tuple[int, float]]:
        cosines = self._matrix @ vector
        places = np.argpartition(cosines, -TOP)[-TOP:] if len(cosines) > TOP else np.arange(len(cosines))
        return [(int(place) + 1, float(cosines[place])) for place in places]
