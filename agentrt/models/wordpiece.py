"""Text → word pieces, as BERT's uncased models read it.

The same as Hugging Face's BertNormalizer, BertPreTokenizer and WordPiece, but for names of special tokens in a text
(`[SEP]`), which are text here, and control characters, which part words. Source: BERT, tokenization.py; tokenizers.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Final

_LONGEST_WORD: Final = 100
_REMEMBERED_WORDS: Final = 50_000
_ASCII_PUNCTUATION: Final = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_DROPPED: Final = frozenset({"Cc", "Cf", "Co"})
# Han only: neither kana nor Hangul, which BERT reads as words.
_HAN: Final = (
    *((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F)),
    *((0x2B740, 0x2B81F), (0x2B920, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)),
)


class WordPieces:
    """A vocabulary: piece → number. begin, end: the numbers of what stands around every text."""

    def __init__(self, vocabulary: Mapping[str, int]) -> None:
        self._vocabulary = vocabulary
        self._unknown = (vocabulary["[UNK]"],)
        self.begin = vocabulary["[CLS]"]
        self.end = vocabulary["[SEP]"]
        self._of_word = lru_cache(maxsize=_REMEMBERED_WORDS)(self._read_word)

    @staticmethod
    def load(path: Path) -> WordPieces:
        """From a vocab.txt: a piece a line. Raises OSError, and KeyError when it is no vocabulary of BERT's."""
        pieces = path.read_text(encoding="utf-8").split("\n")
        return WordPieces({piece: number for number, piece in enumerate(pieces) if piece})

    def cut(self, text: str) -> list[int]:
        """The numbers of a text's pieces, without begin and end."""
        return [piece for word in text.split() for piece in self._of_word(word)]

    def _read_word(self, word: str) -> tuple[int, ...]:
        return tuple(piece for part in _parts(word) for piece in self._pieces(part))

    def _pieces(self, part: str) -> tuple[int, ...]:
        """The longest pieces from the left; one that is not in the vocabulary makes all of it unknown."""
        if len(part) > _LONGEST_WORD:
            return self._unknown
        found: list[int] = []
        start = 0
        while start < len(part):
            for end in range(len(part), start, -1):
                number = self._vocabulary.get(part[start:end] if start == 0 else f"##{part[start:end]}")
                if number is not None:
                    break
            else:
                return self._unknown
            found.append(number)
            start = end
        return tuple(found)


def _parts(word: str) -> Iterator[str]:
    """A word in small letters without accents, cut at punctuation and Han characters, which are parts themselves."""
    part = ""
    for char in _plain(word):
        if _stands_alone(char):
            if part:
                yield part
            yield char
            part = ""
        else:
            part += char
    if part:
        yield part


def _plain(word: str) -> str:
    if word.isascii():
        return word.lower() if word.isprintable() else "".join(filter(str.isprintable, word.lower()))
    kept = "".join(char for char in word if char != "\ufffd" and unicodedata.category(char) not in _DROPPED)
    bare = "".join(char for char in unicodedata.normalize("NFD", kept) if unicodedata.category(char) != "Mn")
    return bare.lower()


def _stands_alone(char: str) -> bool:
    if char.isascii():
        return char in _ASCII_PUNCTUATION
    if unicodedata.category(char).startswith("P"):
        return True
    return any(first <= ord(char) <= last for first, last in _HAN)
