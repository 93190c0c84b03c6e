"""A text being read: its words, its mentions, and which of them have found their place already."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import islice

import msgspec

from agentrt.models.demo.lexicon import ACTION_WORDS, GENERIC_WORDS, STOP_WORDS
from agentrt.models.demo.mentions import Kind, Mention, find_mentions, joint_group
from agentrt.models.demo.words import stem

_MAX_TOKENS = 500
_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_IS = re.compile(
    r"\s{0,3}(?:(=|:)|(?:is|are|was|of|number|no\.|no|named|called|titled|#)(?=\W))?\s{0,3}[\"'“`#]?", re.IGNORECASE
)
_ASSIGNED = re.compile(r"\s{0,3}([^,;\n]{1,400})")
_SAYING = re.compile(
    r"\b(?:saying|says|that reads|to say|with the (?:text|message|body|note))[:,]?\s+(?:that\s+)?"
    r"(.+)|:\s+(.+)",
    re.IGNORECASE | re.DOTALL,
)
_ABOUT = re.compile(
    r"\b(?:say|says|said|tell|tells|mention|mentions|know|information|anything|something|write|written|read)\s+"
    r"(?:us\s+|me\s+)?(?:about|on|regarding)\s+(.{2,300})",
    re.IGNORECASE | re.DOTALL,
)
_TITLED = re.compile(
    r"\b(?:titled|entitled|called|named|with the (?:title|subject|name))\s+[\"“']?([^,.;\"”\n]{1,100}?)"
    r"(?=\s+(?:with|on|at|for|in|to|next|tomorrow|today|and|saying)\b|[,.;\"”\n]|$)",
    re.IGNORECASE,
)
_LEADS = frozenset({"for", "about", "regarding", "on", "that", "saying", "says", "to", "of", "concerning"})
_SEARCHED = frozenset(
    {
        "search",
        "look",
        "docs",
        "documents",
        "document",
        "web",
        "internet",
        "files",
        "folder",
        "handbook",
        "manual",
        "database",
    }
)
_PREPOSITIONS = frozenset({"to", "on", "in", "into", "from", "at", "with", "for", "using", "by"})
_EDGES = " \t\n.,;:!?\"'“”‘’`"


class Token(msgspec.Struct, frozen=True):
    """A word: lower case, its stem, its place."""

    word: str
    stem: str
    start: int
    end: int


class Sentence:
    """One text and the places in it that are taken. Cheap to start over with `again()`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.mentions = find_mentions(text)
        self.tokens = [_token(match) for match in islice(_TOKEN.finditer(text), _MAX_TOKENS)]
        self.about: frozenset[str] = frozenset()
        self._taken: list[tuple[int, int]] = []

    def again(self, about: frozenset[str]) -> Sentence:
        """The same text with nothing taken, read for a tool whose own words (stems) are about."""
        other = Sentence.__new__(Sentence)
        other.text, other.mentions, other.tokens, other.about, other._taken = (
            self.text,
            self.mentions,
            self.tokens,
            about,
            [],
        )
        return other

    def split_names(self) -> None:
        """Read "Oslo, Norway" as two names: for tools that ask for the country apart."""
        parts: list[Mention] = []
        for mention in self.mentions:
            head, comma, rest = mention.text.partition(", ")
            if mention.kind != "name" or not comma:
                parts.append(mention)
                continue
            middle = mention.start + len(head)
            parts.append(msgspec.structs.replace(mention, text=head, end=middle))
            parts.append(msgspec.structs.replace(mention, text=rest, start=middle + 2, before="", is_first=False))
        self.mentions = parts

    def take(self, start: int, end: int) -> None:
        self._taken.append((start, end))

    @property
    def n_taken(self) -> int:
        return len(self._taken)

    def is_free(self, start: int, end: int) -> bool:
        return not any(a < end and start < b for a, b in self._taken)

    def free(self, *kinds: Kind) -> list[Mention]:
        """The mentions of these kinds that are not taken, in order; names that are words of the tool are none."""
        return [
            mention
            for mention in self.mentions
            if mention.kind in kinds and self.is_free(mention.start, mention.end) and not self._is_about(mention)
        ]

    def group(self, mention: Mention) -> list[Mention]:
        """The free mentions that stand in a list with this one, itself included."""
        joint = joint_group(self.mentions, mention, self.text)
        return [
            other
            for other in joint
            if other == mention or (self.is_free(other.start, other.end) and not self._is_about(other))
        ]

    def find(self, stems: Sequence[str]) -> list[Token]:
        """Where these words stand next to each other: the last word of every place."""
        size = len(stems)
        return [
            self.tokens[at + size - 1]
            for at in range(len(self.tokens) - size + 1)
            if self.tokens[at].stem == stems[0] and all(self.tokens[at + i].stem == stems[i] for i in range(size))
        ]

    def value_after(self, token: Token) -> tuple[Mention | None, str]:
        """What a word is given as: the mention right after it ("order 7"), and the text after `=` or `:`."""
        connector = _IS.match(self.text, token.end)
        if connector is None:
            return None, ""
        at = connector.end()
        quoted = at - 1 if self.text[at - 1 : at] and self.text[at - 1] in "\"'“`#" else at
        for mention in self.free(*_ALL_KINDS):
            if mention.start in (at, quoted):
                return mention, ""
        written = _ASSIGNED.match(self.text, at) if connector.group(1) else None
        return None, written.group(1).strip(_EDGES) if written else ""

    def previous_word(self, start: int) -> str:
        before = [token.word for token in self.tokens if token.end <= start]
        return before[-1] if before else ""

    def titled(self) -> tuple[int, int] | None:
        """The place of the words after "called" or "titled", up to the next part of the sentence."""
        found = _TITLED.search(self.text)
        return self._free_span(*found.span(1)) if found else None

    def saying(self) -> tuple[int, int] | None:
        """The place of the words after "saying" or a colon."""
        found = _SAYING.search(self.text)
        return self._free_span(*found.span(1 if found.group(1) else 2)) if found else None

    def _free_span(self, start: int, end: int) -> tuple[int, int] | None:
        return (start, end) if self.is_free(start, end) else None

    def said_about(self) -> str:
        """What a question about texts asks for: "what do the docs say about streaming?"; "" for other questions."""
        found = _ABOUT.search(self.text)
        return found.group(1).strip(_EDGES) if found else ""

    def topic(self) -> str:
        """What the sentence is about, once the order itself is cut off: "please search the web for cats" → "cats"."""
        said = self.said_about()
        if said:
            return said
        start = self._topic_start()
        stop = self._topic_end(start)
        return self.text[self.tokens[start].start : stop].strip(_EDGES) if start < len(self.tokens) else ""

    def _topic_start(self) -> int:
        has_order = False
        for at, token in enumerate(self.tokens):
            is_order = (
                token.stem in self.about
                or token.word in ACTION_WORDS
                or token.word in GENERIC_WORDS
                or token.word in _SEARCHED
            )
            is_taken = not self.is_free(token.start, token.end)
            if has_order and token.word in _LEADS and at + 1 < len(self.tokens):
                following = self.tokens[at + 1]
                if self.is_free(following.start, following.end):
                    return (
                        at + 2 if following.word in ("the", "a", "an", "me") and at + 2 < len(self.tokens) else at + 1
                    )
            elif not (is_order or is_taken or token.word in STOP_WORDS):
                return at
            has_order = has_order or is_order
        return len(self.tokens)

    def _topic_end(self, start: int) -> int:
        """Cut off what trails: values with another place, and "to my shopping list" when that names the tool."""
        stop = len(self.tokens)
        at = stop - 1
        while at > start:
            token = self.tokens[at]
            is_taken = not self.is_free(token.start, token.end)
            if token.word in _PREPOSITIONS or is_taken:
                stop = at
            elif not (token.stem in self.about or token.word in STOP_WORDS):
                break
            at -= 1
        return self.tokens[stop - 1].end if stop < len(self.tokens) else len(self.text)

    def _is_about(self, mention: Mention) -> bool:
        return mention.kind == "name" and all(stem(word) in self.about for word in mention.text.split())


def _token(match: re.Match[str]) -> Token:
    word = match.group()[:40].casefold().replace("’", "'")
    return Token(word, stem(word), match.start(), match.end())


_ALL_KINDS: tuple[Kind, ...] = (
    "quoted", "url", "email", "datetime", "date", "time", "day", "zone", "file", "id", "number", "name",
)  # fmt: skip
