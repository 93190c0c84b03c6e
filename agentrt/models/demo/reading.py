"""Arguments from text: the parameters of a JSON Schema, filled with what a sentence says.

Several looks at the text, the surest first, so that "from Oslo to Rome in 3 days" gives each parameter its own value:
what is named ("city: Oslo"), lists, what fits by kind and place ("in Oslo", "3 days"), and for required parameters what
is left. A value is used once. Nothing is made up here; what cannot be read is reported as missing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from agentrt.engine.message import JsonObject, JsonValue
from agentrt.models.demo.enums import find_enum
from agentrt.models.demo.fields import Field, fields_of, read_field
from agentrt.models.demo.mentions import MAX_MENTIONS, Mention, currency_of, spelled_numbers
from agentrt.models.demo.schema import Blueprint, as_object
from agentrt.models.demo.sentence import Sentence
from agentrt.models.demo.strings import spelled_for, string_candidates
from agentrt.models.demo.words import content_stems, raw_words, stem

_MAX_OTHERS = 7
_MAX_NESTING = 4
_MONEY = frozenset(map(stem, ("amount", "price", "cost", "budget", "fee", "total", "salary", "sum", "value")))
_PERCENT = frozenset(map(stem, ("percent", "percentage", "rate", "tip", "discount", "tax")))
_FROM = frozenset({"from", "between", "over", "above"})
_TO = frozenset({"to", "until", "till", "under", "below"})
_YES = frozenset({"yes", "true", "on", "enable", "enabled", "yep", "sure"})
_NO = frozenset({"no", "false", "off", "disable", "disabled", "nope", "without", "not", "don't", "exclude"})
_FLAG_WORDS = frozenset(
    map(stem, ("include", "is", "has", "with", "show", "use", "enable", "enabled", "should", "want"))
)
_LISTING = re.compile(r"(?::|\b(?:of|with|for|are|add|buy))\s+([^:.!?\n]{1,400})", re.IGNORECASE)
_LIST_GAP = re.compile(r"\s{0,3}(?:,|;|\band\b|\bor\b|&)\s{0,3}(?:and\s)?", re.IGNORECASE)


class Reading(msgspec.Struct, frozen=True):
    """arguments: what was read, in the schema's order. missing: required parameters that were not.

    n_used: how many places of the text were of use.
    repeated: the parameter whose value stands in a list ("Oslo and Rome"), "" when none does. others: the rest of it.
    """

    arguments: JsonObject
    missing: tuple[Field, ...] = ()
    repeated: str = ""
    others: tuple[JsonValue, ...] = ()
    n_used: int = 0


class _Found(msgspec.Struct, frozen=True):
    value: JsonValue
    spans: tuple[tuple[int, int], ...] = ()
    mention: Mention | None = None


def read_arguments(
    schema: JsonValue,
    sentence: Sentence,
    *,
    blueprint: Blueprint,
    about: frozenset[str] = frozenset(),
    known: Mapping[str, JsonValue] | None = None,
    otherwise: Mapping[str, JsonValue] | None = None,
) -> Reading:
    """Fill the parameters of an object schema from a sentence.

    about: stems of the tool's own words, which are not values. known: values by parameter name, taken unread.
    otherwise: values by parameter name for what the sentence does not say.
    """
    reader = _Reader(sentence.again(about), blueprint, known or {}, otherwise or {})
    return reader.read(blueprint.resolve(schema))


class _Reader:
    """One reading of one sentence; every look may take places in it."""

    def __init__(
        self,
        sentence: Sentence,
        blueprint: Blueprint,
        known: Mapping[str, JsonValue],
        otherwise: Mapping[str, JsonValue],
    ) -> None:
        self._sentence = sentence
        self._blueprint = blueprint
        self._known = known
        self._otherwise = otherwise
        self._sources: dict[str, Mention] = {}

    def read(self, schema: JsonObject) -> Reading:
        fields = fields_of(schema, self._blueprint)
        if any(not field.stems.isdisjoint(("country", "stat", "state")) for field in fields):
            self._sentence.split_names()
        values = self._fill(fields, depth=0)
        self._settle(fields, values)
        ordered: JsonObject = {name: values[name] for name in as_object(schema.get("properties")) if name in values}
        missing = tuple(field for field in fields if field.is_required and field.name not in values)
        repeated, others = ("", ()) if missing else self._repeats(fields, values)
        return Reading(ordered, missing, repeated, others, self._sentence.n_taken + len(others))

    def _fill(self, fields: list[Field], depth: int, *, may_be_loose: bool = True) -> JsonObject:
        values: JsonObject = {}
        looks = [self._given, self._assigned, self._listed, self._fitting, self._remembered]
        for look in [*looks, self._left] if may_be_loose else looks:
            for field in fields:
                if field.name in values:
                    continue
                for found in look(field, depth):
                    if self._blueprint.accepts(found.value, field.schema):
                        values[field.name] = found.value
                        self._use(field, found)
                        break
        return values

    def _use(self, field: Field, found: _Found) -> None:
        for start, end in found.spans:
            self._sentence.take(start, end)
        if found.mention is not None:
            self._sources[field.name] = found.mention

    def _settle(self, fields: list[Field], values: JsonObject) -> None:
        """Required parameters that people leave unsaid: a default, null; beside a read value the first choice or no."""
        has_read = bool(values)
        for field in fields:
            if field.name in values or not field.is_required:
                continue
            enum = field.schema.get("enum")
            if "const" in field.schema:
                values[field.name] = field.schema["const"]
            elif "default" in field.schema:
                values[field.name] = field.schema["default"]
            elif field.may_be_null:
                values[field.name] = None
            elif isinstance(enum, list) and enum and has_read:
                values[field.name] = enum[0]
            elif field.type == "boolean" and has_read:
                values[field.name] = False

    def _repeats(self, fields: list[Field], values: JsonObject) -> tuple[str, tuple[JsonValue, ...]]:
        for field in fields:
            mention = self._sources.get(field.name)
            if mention is None or field.name not in values:
                continue
            others = [
                other.value if field.type in ("number", "integer") else spelled_for(field, other.text)
                for other in self._sentence.group(mention)
                if other != mention
            ]
            fitting = [value for value in others if self._blueprint.accepts(value, field.schema)]
            if fitting:
                return field.name, tuple(fitting[:_MAX_OTHERS])
        return "", ()

    def _given(self, field: Field, depth: int) -> Iterator[_Found]:
        if field.name in self._known:
            yield _Found(self._known[field.name])

    def _remembered(self, field: Field, depth: int) -> Iterator[_Found]:
        if field.name in self._otherwise:
            yield _Found(self._otherwise[field.name])

    def _assigned(self, field: Field, depth: int) -> Iterator[_Found]:
        """City: Oslo · order 7 · title is "Hi"."""
        named = [stem(word) for word in raw_words(field.name)]
        if not named or field.type in ("object", "array"):
            return
        for token in self._sentence.find(named):
            mention, written = self._sentence.value_after(token)
            if mention is not None and (len(field.name) > 2 or self._sentence.text[token.end : mention.start].strip()):
                yield from self._of_mention(field, mention)
            elif written:
                yield from self._of_words(field, written)

    def _of_mention(self, field: Field, mention: Mention) -> Iterator[_Found]:
        span = ((mention.start, mention.end),)
        if field.type in ("number", "integer"):
            if mention.kind == "number":
                yield _Found(_exact(field, mention.value), span, mention)
        elif field.type != "boolean":
            yield _Found(mention.text, span, mention)

    def _of_words(self, field: Field, written: str) -> Iterator[_Found]:
        if field.type == "boolean":
            word = written.split()[0].lower()
            if word in _YES or word in _NO:
                yield _Found(word in _YES)
        elif field.type not in ("number", "integer"):
            yield _Found(written)

    def _listed(self, field: Field, depth: int) -> Iterator[_Found]:
        if field.type == "array" and field.is_required and depth <= _MAX_NESTING:
            yield from self._lists(field)

    def _lists(self, field: Field) -> Iterator[_Found]:
        if len(self._sentence.mentions) >= MAX_MENTIONS:
            return  # not all were read: half a list is worse than none
        item = read_field(field.name, field.schema.get("items", {}), self._blueprint, is_required=field.is_required)
        if item.type in ("number", "integer"):
            numbers = self._sentence.free("number")
            if numbers:
                spans = tuple((number.start, number.end) for number in numbers)
                yield _Found([_exact(item, number.value) for number in numbers], spans)
        elif "enum" in item.schema:
            hits = find_enum(item, self._sentence)
            if hits:
                yield _Found([hit.value for hit in hits], tuple((hit.start, hit.end) for hit in hits))
        elif item.type in ("string", ""):
            yield from self._listed_texts(item)

    def _listed_texts(self, item: Field) -> Iterator[_Found]:
        for candidate in string_candidates(item, self._sentence, may_be_loose=item.is_required):
            if candidate.mention is None:
                continue
            group = self._sentence.group(candidate.mention)
            spans = tuple((mention.start, mention.end) for mention in group)
            texts: list[JsonValue] = [mention.text for mention in group]
            if len(group) > 1 or not _LIST_GAP.search(self._sentence.text):
                yield _Found(texts, spans)
        if item.is_required:
            kinds = {mention.kind for group in [self._sentence.free("name", "id", "email")] for mention in group}
            for kind in sorted(kinds):
                apart = self._sentence.free(kind)
                yield _Found([mention.text for mention in apart], tuple((m.start, m.end) for m in apart))
        listing = _LISTING.search(self._sentence.text)
        if listing:
            parts: list[JsonValue] = [
                part.strip(" \"'") for part in _LIST_GAP.split(listing.group(1)) if part.strip(" \"'")
            ]
            if len(parts) > 1 or item.is_required:
                yield _Found(parts, (listing.span(1),))

    def _fitting(self, field: Field, depth: int) -> Iterator[_Found]:
        if "enum" in field.schema:
            for hit in find_enum(field, self._sentence):
                yield _Found(hit.value, ((hit.start, hit.end),))
            return
        match field.type:
            case "number" | "integer":
                yield from self._fitting_numbers(field)
            case "boolean":
                yield from self._flags(field)
            case "object":
                yield from self._objects(field, depth)
            case "array" if depth <= _MAX_NESTING:
                yield from self._lists(field)
            case "string" | "":
                yield from self._texts(field, may_be_loose=False)

    def _left(self, field: Field, depth: int) -> Iterator[_Found]:
        if not field.is_required or "enum" in field.schema:
            return
        match field.type:
            case "number" | "integer":
                numbers = self._sentence.free("number") or [
                    number
                    for number in spelled_numbers(self._sentence.text)
                    if self._sentence.is_free(number.start, number.end)
                ]
                for number in numbers:
                    yield from self._of_mention(field, number)
            case "boolean":
                words = {token.word for token in self._sentence.tokens}
                if words & (_YES | _NO):
                    yield _Found(not words & _NO)
            case "string" | "" if not field.may_be_null:
                yield from self._texts(field, may_be_loose=True)

    def _texts(self, field: Field, *, may_be_loose: bool) -> Iterator[_Found]:
        for candidate in string_candidates(field, self._sentence, may_be_loose=may_be_loose):
            yield _Found(candidate.text, candidate.spans, candidate.mention)

    def _fitting_numbers(self, field: Field) -> Iterator[_Found]:
        words = field.stems | content_stems(field.description)
        numbers = self._sentence.free("number")
        spelled = [number for number in spelled_numbers(self._sentence.text) if stem(number.unit) in words]
        for number in [*numbers, *spelled]:
            is_money = currency_of(number) is not None and not words.isdisjoint(_MONEY)
            is_share = number.unit in ("%", "percent") and not words.isdisjoint(_PERCENT)
            is_side = number.before in {"from": _FROM, "to": _TO}.get(field.direction, ())
            if is_money or is_share or is_side or (number.unit and stem(number.unit) in words):
                yield from self._of_mention(field, number)

    def _flags(self, field: Field) -> Iterator[_Found]:
        words = field.stems - _FLAG_WORDS or field.stems
        for at, token in enumerate(self._sentence.tokens):
            if token.stem in words and token.stem not in self._sentence.about:
                before = {earlier.word for earlier in self._sentence.tokens[max(0, at - 3) : at]}
                yield _Found(not before & _NO)
        if "on" in words and any(token.word == "off" for token in self._sentence.tokens):
            yield _Found(value=False)

    def _objects(self, field: Field, depth: int) -> Iterator[_Found]:
        if depth >= _MAX_NESTING:
            return
        inner = fields_of(field.schema, self._blueprint)
        values = self._fill(inner, depth + 1, may_be_loose=not field.may_be_null)
        if values:
            self._settle(inner, values)
            yield _Found(values)


def _exact(field: Field, value: int | float | None) -> JsonValue:
    return int(value) if field.type == "integer" and isinstance(value, float) and value.is_integer() else value
