"""Which function a text is about: overlap of stemmed words, with synonyms, and of the values that it gives.

A word of the tool's name counts 3 (1 when it is an action that many tools share, like "create"), a word of its
description 1 (3 at most), a named enum value 1.5, a parameter's word 0.5 (2 at most); a synonym counts 0.7 of the word.
Required parameters whose kind of value is in the text (a date, two units …) count 1 or 2. A tool is called from 2 on:
one telling word of its name, or two of its description. One that the text names outright wins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

import msgspec

from agentrt.engine.message import JsonObject, JsonValue
from agentrt.engine.spec import FunctionTool
from agentrt.models.demo.fields import Hint, hint_of
from agentrt.models.demo.lexicon import ACTION_WORDS, CURRENCIES, UNITS
from agentrt.models.demo.schema import as_object, required_names
from agentrt.models.demo.sentence import Sentence
from agentrt.models.demo.words import Vocabulary, content_stems, groups_of, read_words, stem

THRESHOLD = 2.0
_SURE = 10.0
_ARITHMETIC = 5.0  # an expression to work out is a calculator's job, whatever its words
_MAX_PROPERTIES = 40
_MAX_ENUM = 40
_ACTION_STEMS = frozenset(map(stem, ACTION_WORDS))
_NO_VALUES: Mapping[Hint, int] = {}


class Match(msgspec.Struct, frozen=True):
    """A tool and how much a text is about it. is_full: every telling word of its name is in the text."""

    tool: FunctionTool
    score: float
    is_full: bool


def values_given(sentence: Sentence, *, asks_arithmetic: bool) -> dict[Hint, int]:
    """How many values of the kinds that tell tools apart stand in a sentence."""
    given = {
        Hint.EXPRESSION: int(asks_arithmetic),
        Hint.WHEN: 0,
        Hint.EMAIL: 0,
        Hint.URL: 0,
        Hint.UNIT: 0,
        Hint.CURRENCY: 0,
    }
    for mention in sentence.mentions:
        match mention.kind:
            case "date" | "datetime" | "day":
                given[Hint.WHEN] += 1
            case "email":
                given[Hint.EMAIL] += 1
            case "url":
                given[Hint.URL] += 1
            case "number" if mention.unit:
                given[Hint.UNIT] += mention.unit in UNITS
                given[Hint.CURRENCY] += mention.unit in CURRENCIES
    for token in sentence.tokens:
        is_beside_number = any(number.unit == token.word for number in sentence.mentions)
        is_telling = len(token.word) > 1 or sentence.previous_word(token.start) in ("to", "in", "into")
        if is_telling and not is_beside_number:
            given[Hint.UNIT] += token.word in UNITS and token.word != "in"
            given[Hint.CURRENCY] += token.word in CURRENCIES
    return given


def rank_tools(text: str, tools: Sequence[FunctionTool], given: Mapping[Hint, int] = _NO_VALUES) -> list[Match]:
    """The tools that the text is about, best first; equals stay in their order. given: see values_given."""
    words = read_words(text)
    lowered = text.casefold()
    matches = []
    for tool in tools:
        match = _match(tool, words)
        bonus = _shape(tool, given)
        if len(tool.name) > 3 and ("_" in tool.name or "`" in text) and tool.name.casefold() in lowered:
            bonus += _SURE
        if match.score + bonus >= THRESHOLD:
            is_full = match.is_full or bonus >= _ARITHMETIC
            matches.append(Match(tool, match.score + bonus, is_full))
    return sorted(matches, key=lambda match: -match.score)


def best_guess(text: str, tools: Sequence[FunctionTool], given: Mapping[Hint, int]) -> FunctionTool | None:
    """The tool to take when one must be taken: the best match, however weak; None only without tools."""
    ranked = rank_tools(text, tools, given)
    if ranked:
        return ranked[0].tool
    words = read_words(text)
    return max(tools, key=lambda tool: _match(tool, words).score, default=None)


def tool_stems(tool: FunctionTool) -> frozenset[str]:
    """The tool's own words, which are not values of its parameters."""
    return content_stems(tool.name) | content_stems(tool.description or "")


def _match(tool: FunctionTool, words: Vocabulary) -> Match:
    named = content_stems(tool.name)
    acts = named & _ACTION_STEMS if not named <= _ACTION_STEMS else frozenset[str]()
    said = named & words.stems
    # A word stands for one word of the name only: "book" is not both the schedule and the meeting.
    credited = set[int]().union(*map(groups_of, said))
    meant = set[str]()
    for stem_ in named - said if not words.groups <= credited else ():
        groups = groups_of(stem_) & words.groups
        if groups - credited:
            credited |= groups
            meant.add(stem_)
    score = sum(1.0 if stem_ in acts else 3.0 for stem_ in said)
    score += 0.7 * sum(1.0 if stem_ in acts else 3.0 for stem_ in meant)
    described = content_stems(tool.description or "") - named
    score += min(3.0, float(len(described & words.stems)))
    score += _parameters(as_object(as_object(tool.parameters or {}).get("properties")), words, named | described)
    n_found = len(said) + len(meant)
    return Match(tool, score + (0.5 * n_found / len(named) if named else 0.0), 0 < n_found == len(named))


def _shape(tool: FunctionTool, given: Mapping[Hint, int]) -> float:
    """How well the values in the text are the ones that the tool requires."""
    parameters = as_object(tool.parameters or {})
    if not any(given.values()):
        return 0.0
    properties = as_object(parameters.get("properties"))
    wanted: dict[Hint, int] = {}
    for name in required_names(parameters)[:_MAX_PROPERTIES]:
        described = as_object(properties.get(name)).get("description")
        hint = hint_of(name, described if isinstance(described, str) else "")
        wanted[hint] = wanted.get(hint, 0) + 1
    score = _ARITHMETIC if wanted.get(Hint.EXPRESSION) and given[Hint.EXPRESSION] else 0.0
    for hint in (Hint.UNIT, Hint.CURRENCY):
        score += 2.0 if wanted.get(hint, 0) > 1 and given[hint] > 1 else 0.0
    return score + sum(min(2, given[hint], wanted.get(hint, 0)) for hint in (Hint.WHEN, Hint.EMAIL, Hint.URL))


def _parameters(properties: JsonObject, words: Vocabulary, counted: frozenset[str]) -> float:
    hits = 0
    enum_score = 0.0
    for name, schema in list(properties.items())[:_MAX_PROPERTIES]:
        fields = as_object(schema)
        description = fields.get("description")
        found = _parameter_stems(name, description if isinstance(description, str) else "") & words.stems
        hits += len(found - counted) if found else 0
        enum_score = enum_score or _enum_score(fields.get("enum"), words)
    return min(2.0, 0.5 * hits) + enum_score


@lru_cache(maxsize=4096)
def _parameter_stems(name: str, description: str) -> frozenset[str]:
    return content_stems(name) | content_stems(description)


def _enum_score(values: JsonValue, words: Vocabulary) -> float:
    if not isinstance(values, list):
        return 0.0
    for value in values[:_MAX_ENUM]:
        stems = content_stems(value) if isinstance(value, str) else frozenset()
        if stems and stems <= words.stems:
            return 1.5
    return 0.0
