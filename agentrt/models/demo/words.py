"""Words and their stems: the small change of matching. No grammar."""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from agentrt.models.demo.lexicon import GENERIC_WORDS, STOP_WORDS, SYNONYMS

_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_LONGEST_WORD = 40  # what is longer is no word; the caches below must not hold pasted blobs
_HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_SUFFIXES = (
    "ations", "ation", "ators", "ator", "ating", "ated", "ate", "ings", "ing", "ise", "ize", "ion", "ed", "er", "or",
    "ly",
)  # fmt: skip
# An operator between numbers is a word too, so that "12 * 7" finds a tool that multiplies.
# `-` and `/` without spaces are more often a date or a range.
_OPERATOR = re.compile(r"(?<=[\d)])(?:\s{0,4}(\+|\*|×|÷)\s{0,4}|\s(-|−|/|x|times)\s)(?=[-(\d])")
_OPERATOR_WORDS = {"+": "plus", "*": "multiply", "×": "multiply", "x": "multiply", "times": "multiply"} | {
    "-": "minus", "−": "minus", "/": "divide", "÷": "divide",
}  # fmt: skip


class Vocabulary(msgspec.Struct, frozen=True):
    """The content of a text as words: their stems, and the synonym groups these belong to."""

    stems: frozenset[str]
    groups: frozenset[int]


def raw_words(text: str) -> list[str]:
    """All words, lower case, in order; `get_weather` and `getWeather` are two words each."""
    return [
        match.group()[:_LONGEST_WORD].casefold().replace("’", "'") for match in _WORD.finditer(_HUMP.sub(" ", text))
    ]


@lru_cache(maxsize=8192)
def stem(word: str) -> str:
    """Fold the forms of a word: cities → city, calculation → calcul, cancelled → cancel."""
    word = word.casefold().removesuffix("'s").removesuffix("’s")
    if len(word) <= 3:
        return word
    if word.endswith("ies"):
        word = word[:-3] + "y"
    elif word.endswith(("sses", "shes", "ches", "xes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for suffix in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word.removesuffix(suffix)
            break
    else:
        if len(word) > 4 and word[-1] in "ey":
            word = word[:-1]
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


def read_words(text: str) -> Vocabulary:
    """The content words of what a user wrote."""
    spelled = _OPERATOR.sub(lambda match: f" {_OPERATOR_WORDS[match.group(1) or match.group(2)]} ", text)
    found = frozenset([stem(word) for word in raw_words(spelled) if word not in STOP_WORDS])
    return Vocabulary(found, frozenset[int]().union(*map(groups_of, found)))


@lru_cache(maxsize=4096)
def content_stems(text: str) -> frozenset[str]:
    """Stems of the words that say something in a tool's texts. Kept: tools come back with every request."""
    return frozenset(stem(word) for word in raw_words(text) if word not in STOP_WORDS and word not in GENERIC_WORDS)


@lru_cache(maxsize=4096)
def name_stems(text: str) -> frozenset[str]:
    """Stems of every word of an identifier, generic ones too."""
    return frozenset(stem(word) for word in raw_words(text))


def shorten(text: str, limit: int) -> str:
    """The text on one line, cut at a word with an ellipsis when it is longer than limit characters."""
    line = " ".join(text[: limit * 4].split())
    if len(line) <= limit:
        return line if len(text) <= limit * 4 else line + " …"
    return line[:limit].rsplit(" ", 1)[0].rstrip(",;:.") + " …"


def join_words(items: list[str], last: str = "and") -> str:
    """a · a and b · a, b and c"""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {last} {items[-1]}" if items else ""


@lru_cache(maxsize=8192)
def groups_of(stem_: str) -> frozenset[int]:
    """The synonym groups of a stem, by number."""
    return frozenset(number for number, group in _STEMMED_GROUPS if stem_ in group)


_STEMMED_GROUPS = tuple((number, frozenset(map(stem, line))) for number, line in enumerate(SYNONYMS))
