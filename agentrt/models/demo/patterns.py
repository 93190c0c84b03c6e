"""A string that matches a regular expression, for `pattern` in JSON Schemas.

Only the plain core of the language: literals, classes, groups, alternatives, counts, anchors. Look-arounds, back
references and property classes give up. A user's pattern is run by `re` only when it cannot take long: the server must
survive `(a+)+$` from a stranger.
"""

from __future__ import annotations

import re
import string
import warnings
from functools import lru_cache

import msgspec

_MAX_COUNT = 1_000
_MAX_SAMPLE = 4_000
_MAX_DEPTH = 20
_LONGEST_CHECKED = 64
_COUNT = re.compile(r"\{(\d{1,9})(?:(,)(\d{0,9}))?\}")
_CLASS = re.compile(r"\[(\^?)((?:\\.|[^\]\\])+)\]")
_GROUP_START = re.compile(r"\((?:\?:|\?P?<\w+>|(?!\?))")
_CLASSES = {"d": "0", "w": "a", "s": " ", "D": "a", "W": "-", "S": "a"}
_LITERALS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "b": "", "B": "", "A": "", "Z": ""}
_FILLERS = "a0A_- é" + string.punctuation


class Pattern(msgspec.Struct, frozen=True):
    """sample: a string that matches. is_cheap: matching short strings cannot blow up."""

    compiled: re.Pattern[str]
    sample: str
    is_cheap: bool

    def matches(self, text: str) -> bool:
        """Whether text matches, as far as it may be tried; when it may not, only the sample does."""
        if text == self.sample:
            return True
        return self.is_cheap and len(text) <= _LONGEST_CHECKED and self.compiled.search(text) is not None


@lru_cache(maxsize=256)
def read_pattern(source: str) -> Pattern | None:
    """Understand a regular expression; None when it is outside of the plain core or malformed."""
    parser = _Parser(source)
    try:
        sample = parser.alternatives(0)
        if parser.at < len(source):
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # "possible nested set": a schema's style is not our concern
            compiled = re.compile(source)
    except (_UnsupportedError, re.error, OverflowError):
        return None
    return Pattern(compiled, sample, parser.n_open <= 3 and parser.n_optional <= 8 and not parser.repeats_a_group)


class _UnsupportedError(Exception):
    """The pattern uses what the parser does not know."""


class _Parser:
    """Recursive descent; every method returns the shortest sample of what it has read."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0
        self.n_open = 0  # * + {n,}
        self.n_optional = 0  # ? {n,m}
        self.repeats_a_group = False

    def alternatives(self, depth: int) -> str:
        if depth > _MAX_DEPTH:
            raise _UnsupportedError
        first = self._sequence(depth)
        while self._take("|"):
            self._sequence(depth)
        return first

    def _sequence(self, depth: int) -> str:
        sample = ""
        while self.at < len(self.source) and self.source[self.at] not in "|)":
            is_group = self.source[self.at] == "("
            atom = self._atom(depth)
            lowest, highest = self._count()
            self.repeats_a_group = self.repeats_a_group or (is_group and highest != 1)
            sample += atom * lowest
            if len(sample) > _MAX_SAMPLE:
                raise _UnsupportedError
        return sample

    def _atom(self, depth: int) -> str:
        char = self.source[self.at]
        if char == "(":
            return self._group(depth)
        if char == "[":
            return self._class()
        if char in "*+?":
            raise _UnsupportedError
        self.at += 1
        if char == "\\":
            return self._escape()
        return {".": "a", "^": "", "$": ""}.get(char, char)

    def _group(self, depth: int) -> str:
        start = _GROUP_START.match(self.source, self.at)
        if not start:
            raise _UnsupportedError
        self.at = start.end()
        sample = self.alternatives(depth + 1)
        if not self._take(")"):
            raise _UnsupportedError
        return sample

    def _class(self) -> str:
        found = _CLASS.match(self.source, self.at)
        if not found:
            raise _UnsupportedError
        self.at = found.end()
        negation, body = found.groups()
        if not negation and body[0] != "\\":
            return str(body[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            member = re.compile(found.group())
        for filler in _FILLERS:
            if member.match(filler):
                return filler
        raise _UnsupportedError

    def _escape(self) -> str:
        char = self.source[self.at : self.at + 1]
        self.at += 1
        known = _CLASSES.get(char, _LITERALS.get(char))
        if known is not None:
            return known
        if not char or char.isalnum():
            raise _UnsupportedError
        return char

    def _count(self) -> tuple[int, int | None]:
        """How often the atom before stands: at least, at most (None = no limit)."""
        lowest: int = 1
        highest: int | None = 1
        counted = _COUNT.match(self.source, self.at)
        if self._take("*"):
            lowest, highest = 0, None
        elif self._take("+"):
            highest = None
        elif self._take("?"):
            lowest = 0
        elif counted:
            self.at = counted.end()
            lowest = int(counted.group(1))
            highest = lowest if not counted.group(2) else int(counted.group(3)) if counted.group(3) else None
        else:
            return 1, 1
        if lowest > _MAX_COUNT:
            raise _UnsupportedError
        self.n_open += highest is None
        self.n_optional += highest is not None and highest != lowest
        if not self._take("?"):  # lazy or possessive: the sample is the same
            self._take("+")
        return lowest, highest

    def _take(self, text: str) -> bool:
        if self.source.startswith(text, self.at):
            self.at += len(text)
            return True
        return False
