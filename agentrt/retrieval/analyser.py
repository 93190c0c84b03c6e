"""Text → terms, the same for documents and questions. The home of PyStemmer. Pure.

A term is a word in its stem, without its accents (Latin and Greek); letters of East Asian and Thai text in pairs, for
they have no spaces; an identifier as a whole and in its parts.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence, Set
from functools import lru_cache
from typing import Final

import msgspec

from agentrt.retrieval.languages import STOP_WORDS, likely_language
from agentrt.retrieval.words import pairs_of, words_of

ANALYSER_VERSION: Final = 1
"""Goes up when the same text would give other terms than before: what is indexed has to be indexed anew."""

_TERM_CHARS: Final = 64
_CACHED_WORDS: Final = 200_000

_UNACCENTED: Final = re.compile("[a-zα-ω]")
_ACCENTS: Final = re.compile("[\u0300-\u036f]")


class QueryTerm(msgspec.Struct, frozen=True):
    """A word of a question. variants: the terms that stand for it in the languages there are; n: how often it comes."""

    word: str
    variants: tuple[str, ...]
    n: int = 1


class Analyser:
    """Terms of texts in one language; "" for one without a stemmer."""

    def __init__(self, language: str = "") -> None:
        self._stems = _Stems(language)
        # In some languages stems lose the beginning of a word, too; here only accents may change it.
        self._keeps_initials = language == "english"

    def terms(self, text: str) -> list[str]:
        """Every term, as often as it comes."""
        terms = list(map(self._stems.__getitem__, words_of(text)))
        terms += pairs_of(text)
        self._stems.forget_if_many()
        return terms

    def places(self, text: str, wanted: Set[str]) -> list[tuple[int, str]]:
        """Where the text has terms that are wanted, in order: (place, term), by their places among all terms."""
        words = words_of(text)
        # In English most words begin in another way: that is seen sooner than anything else of them.
        initials = {term[:1] for term in wanted}
        if not self._keeps_initials:
            some = list(enumerate(words))
        elif text.isascii():
            some = [(place, word) for place, word in enumerate(words) if word[0] in initials]
        else:
            some = [(place, word) for place, word in enumerate(words) if word[0] in initials or word[0] > "\x7f"]
        term_of = {word: term for word in {word for _, word in some} if (term := self._stems[word]) in wanted}
        found = [(place, term_of[word]) for place, word in some if word in term_of]
        found += [(place, pair) for place, pair in enumerate(pairs_of(text), len(words)) if pair in wanted]
        self._stems.forget_if_many()
        return found


def query_terms(text: str, languages: Sequence[str]) -> list[QueryTerm]:
    """The terms of a question to documents in these languages, the most frequent one first.

    Words like "the" and "of" are left out, unless there are no others.
    """
    words = Counter(words_of(text))
    stop_words = STOP_WORDS.get(likely_language(words, languages), frozenset())
    kept = {word: n for word, n in words.items() if word not in stop_words} or words
    analysers = [_stems_of(language) for language in languages or ("",)]
    merged: dict[tuple[str, ...], QueryTerm] = {}
    for word, n in kept.items():
        variants = tuple(dict.fromkeys(stems[word] for stems in analysers))
        known = merged.get(variants)
        merged[variants] = QueryTerm(known.word if known else word, variants, n + (known.n if known else 0))
    for pair, n in Counter(pairs_of(text)).items():
        merged[pair,] = QueryTerm(pair, (pair,), n)
    return list(merged.values())


class _Stems(dict[str, str]):
    """Word → term, worked out when it is first asked for."""

    def __init__(self, language: str) -> None:
        super().__init__()
        if language:
            from Stemmer import Stemmer  # type: ignore[import-not-found]

            self._stem = Stemmer(language, 0).stemWord
        else:
            self._stem = str
        # The stems of other languages depend on accents; in English they come and go with the writer.
        self._is_plain = language == "english"

    def __missing__(self, word: str) -> str:
        term = word[:_TERM_CHARS]
        if self._is_plain:
            term = _without_accents(term)
        if word.isalpha():
            term = self._stem(term)
        term = self[word] = _without_accents(term)
        return term

    def forget_if_many(self) -> None:
        """Words are without end: numbers, names, codes."""
        if len(self) > _CACHED_WORDS:
            self.clear()


@lru_cache(maxsize=8)
def _stems_of(language: str) -> _Stems:
    stems = _Stems(language)
    stems.forget_if_many()
    return stems


def _without_accents(term: str) -> str:
    """`ete` for `été`; letters of other scripts keep theirs, where they make another letter (`й`, `が`)."""
    if term.isascii():
        return term
    apart = unicodedata.normalize("NFD", term)
    if not _UNACCENTED.match(apart):
        return term.replace("ё", "е")
    return unicodedata.normalize("NFC", _ACCENTS.sub("", apart)).replace("ς", "σ").replace("ı", "i").replace("ł", "l")
