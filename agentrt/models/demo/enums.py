"""Which of a parameter's allowed values a sentence names."""

from __future__ import annotations

import msgspec

from agentrt.engine.message import JsonValue
from agentrt.models.demo.fields import Field
from agentrt.models.demo.sentence import Sentence
from agentrt.models.demo.words import content_stems, groups_of, raw_words, stem

_SHORT = 2
_MAX_VALUES = 200
_FROM = frozenset({"from", "of"})
_TO = frozenset({"to", "into", "in", "as"})


class EnumHit(msgspec.Struct, frozen=True):
    value: JsonValue
    start: int
    end: int


def find_enum(field: Field, sentence: Sentence) -> list[EnumHit]:
    """The allowed values that the free part of the sentence names, in its order; for a target, those after "to" first.

    Said outright counts; a synonym only when nothing is. One or two letters count as written: "C".
    """
    allowed = field.schema.get("enum")
    if not isinstance(allowed, list):
        return []
    hits = [hit for value in allowed[:_MAX_VALUES] for hit in _said(value, sentence)]
    if not hits:
        hits = [hit for value in allowed[:_MAX_VALUES] for hit in _meant(value, sentence)]
    free = [hit for hit in hits if sentence.is_free(hit.start, hit.end)]
    longest = [hit for hit in free if not any(_covers(other, hit) for other in free)]
    longest.sort(key=lambda hit: hit.start)
    sides = {"from": _FROM, "to": _TO}.get(field.direction)
    if sides:
        longest.sort(key=lambda hit: sentence.previous_word(hit.start) not in sides)
    return longest


def _said(value: JsonValue, sentence: Sentence) -> list[EnumHit]:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [EnumHit(value, number.start, number.end) for number in sentence.free("number") if number.value == value]
    if not isinstance(value, str):
        return []
    words = raw_words(value.replace("-", " ").replace("_", " "))
    if not words:
        at = sentence.text.find(value) if value.strip() else -1
        return [EnumHit(value, at, at + len(value))] if at >= 0 else []
    ends = sentence.find([stem(word) for word in words])
    spans = [(_start_of(len(words), token.end, sentence), token.end) for token in ends]
    if len(value) <= _SHORT:
        spans = [(start, end) for start, end in spans if sentence.text[start:end] == value]
    return [EnumHit(value, start, end) for start, end in spans]


def _meant(value: JsonValue, sentence: Sentence) -> list[EnumHit]:
    if not isinstance(value, str) or len(value) <= _SHORT:
        return []
    groups = frozenset[int]().union(*map(groups_of, content_stems(value)))
    return [
        EnumHit(value, token.start, token.end)
        for token in sentence.tokens
        if not groups.isdisjoint(groups_of(token.stem)) and token.stem not in sentence.about
    ]


def _start_of(n_words: int, end: int, sentence: Sentence) -> int:
    before = [token.start for token in sentence.tokens if token.end <= end]
    return before[-n_words]


def _covers(outer: EnumHit, inner: EnumHit) -> bool:
    return outer.start <= inner.start and inner.end <= outer.end and outer.end - outer.start > inner.end - inner.start
