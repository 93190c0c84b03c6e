"""JSON answers: an object that keeps the schema, with what the text, the tool results and the user's facts say."""

from __future__ import annotations

import re
from collections.abc import Iterator

from agentrt.engine.message import JsonObject, JsonValue
from agentrt.models.demo.answers import flat_values
from agentrt.models.demo.jsontext import read_object, write_json
from agentrt.models.demo.memory import read_facts
from agentrt.models.demo.reading import read_arguments
from agentrt.models.demo.schema import Blueprint, as_object
from agentrt.models.demo.sentence import Sentence
from agentrt.models.demo.turn import Turn
from agentrt.models.demo.words import name_stems, stem

_ANSWER_STEMS = frozenset(
    map(
        stem,
        (
            "answer",
            "response",
            "reply",
            "explanation",
            "summary",
            "result",
            "output",
            "comment",
            "reasoning",
            "conclusion",
        ),
    )
)
_NUMBER_STEMS = frozenset(
    map(
        stem,
        (
            "age",
            "count",
            "amount",
            "price",
            "total",
            "number",
            "year",
            "quantity",
            "temperature",
            "sum",
            "score",
            "size",
        ),
    )
)
_KEYS = re.compile(
    r"\b(?:keys?|fields?|propert(?:y|ies)|attributes?)\b\W{0,3}"
    r"((?:[\"'`]?[A-Za-z_]\w{0,40}[\"'`]?(?:\s*,\s*(?:and\s+)?|\s+and\s+)?){1,20})",
    re.IGNORECASE,
)
_TEMPLATE_KEY = re.compile(r"[{,]\s*[\"'](\w{1,40})[\"']\s*:")
_TEMPLATE = re.compile(r"\{[^{}]{0,1000}\}")
_NOUN_PHRASE = re.compile(
    r"\b(?:a|an|the)\s+([^\W\d_]+(?:\s[^\W\d_]+){0,2}?)"
    r"(?=\s+(?:on|in|at|for|to|with|from|of|and|is|was|by|that)\b|[.,!?]|$)",
    re.IGNORECASE,
)


def json_answer(turn: Turn, answer: str) -> str:
    """The answer as JSON, in the shape that the request's response_format asks for."""
    format_ = turn.request.response_format
    if format_.type == "json_schema" and format_.json_schema is not None:
        value = value_for(format_.json_schema.get("schema"), turn, answer)
    else:
        value = _free_object(turn, answer)
    return write_json(value)


def value_for(schema: JsonValue, turn: Turn, answer: str) -> JsonValue:
    """A value that the schema accepts: what can be read, and the least that is valid for the rest."""
    blueprint = Blueprint(as_object(schema))
    whole = blueprint.resolve(schema)
    if "object" not in blueprint.types(whole) and "properties" not in whole:
        return answer if blueprint.accepts(answer, whole) and "type" in whole else blueprint.minimal(whole)
    reading = read_arguments(
        schema,
        Sentence(_TEMPLATE.sub(" ", turn.text)) if "{" in turn.text else turn.sentence,
        blueprint=blueprint,
        known=_known(whole, turn, answer),
        otherwise=_facts(whole, turn),
    )
    values: JsonObject = dict(reading.arguments)
    for field in reading.missing:
        for guess in _noun_phrases(turn, values):
            if blueprint.accepts(guess, field.schema):
                values[field.name] = guess
                break
    least = Blueprint(as_object(schema)).minimal(schema)
    base = as_object(least)
    properties = as_object(whole.get("properties"))
    merged: JsonObject = {**base, **values}
    ordered: JsonObject = {name: merged[name] for name in [*properties, *merged] if name in merged}
    return ordered if Blueprint(as_object(schema)).accepts(ordered, schema) else least


def _known(schema: JsonObject, turn: Turn, answer: str) -> JsonObject:
    """Values by parameter name: what tools returned and were given; the answer for those that ask for one."""
    known: JsonObject = {}
    for step in turn.steps:
        known |= step.arguments or {}
        known |= flat_values(read_object(step.output or "") or {})
    for name in as_object(schema.get("properties")):
        if not _ANSWER_STEMS.isdisjoint(name_stems(name)):
            known.setdefault(name, answer)
    return known


def _facts(schema: JsonObject, turn: Turn) -> JsonObject:
    """What the user said about themselves earlier, by parameter name."""
    facts = read_facts(turn.earlier).values.items()
    return {
        name: value
        for name in as_object(schema.get("properties"))
        for key, value in facts
        if name_stems(key) == name_stems(name)
    }


def _noun_phrases(turn: Turn, values: JsonObject) -> Iterator[JsonValue]:
    for match in _NOUN_PHRASE.finditer(turn.text):
        if match.group(1) not in values.values():
            yield match.group(1)


def _free_object(turn: Turn, answer: str) -> JsonObject:
    keys = _named_keys(turn)
    if not keys:
        return {"answer": answer}
    properties: JsonObject = {
        key: {"type": "string" if _NUMBER_STEMS.isdisjoint(name_stems(key)) else "number"} for key in keys
    }
    value = value_for({"type": "object", "properties": properties, "required": list(keys)}, turn, answer)
    return as_object(value)


def _named_keys(turn: Turn) -> list[str]:
    """The keys that the words or the instructions ask for: named in a list, or shown in a template."""
    for text in (turn.raw_text[:4_000], turn.instructions):
        shown = _TEMPLATE_KEY.findall(text)
        if shown:
            return list(dict.fromkeys(shown))[:20]
        named = _KEYS.search(text)
        if named:
            words = re.findall(r"[A-Za-z_]\w*", named.group(1))
            return [word for word in dict.fromkeys(words) if word not in ("and", "named", "called", "are")][:20]
    return []
