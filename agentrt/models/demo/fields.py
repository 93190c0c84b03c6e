"""What a parameter wants, told by its schema, its name and its description: a place, a date, an id, an expression …"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Literal, TypeAlias

import msgspec

from agentrt.engine.message import JsonObject, JsonValue
from agentrt.models.demo.schema import Blueprint, as_object, required_names
from agentrt.models.demo.words import content_stems, name_stems, stem

Direction: TypeAlias = Literal["from", "to", ""]


class Hint(StrEnum):
    """The kind of text a string parameter holds. In order: the first whose words are in the name decides."""

    EXPRESSION = "expression"
    EMAIL = "email"
    URL = "url"
    ZONE = "zone"
    CURRENCY = "currency"
    UNIT = "unit"
    LANGUAGE = "language"
    FILE = "file"
    PLACE = "place"
    ID = "id"
    WHEN = "when"
    QUERY = "query"
    TEXT = "text"
    PERSON = "person"
    NONE = ""


class Field(msgspec.Struct, frozen=True):
    """One parameter. is_paired: another one is its other end (from and to).

    schema is resolved and without its null alternative; type is the likeliest JSON type, "" = any."""

    name: str
    schema: JsonObject
    type: str
    hint: Hint
    direction: Direction
    stems: frozenset[str]
    is_required: bool
    may_be_null: bool
    is_paired: bool
    description: str

    @property
    def label(self) -> str:
        """How to ask a person for it."""
        return f"`{self.name}` ({self.description})" if self.description else f"`{self.name}`"


_HINT_WORDS: tuple[tuple[Hint, str], ...] = (
    (Hint.EXPRESSION, "expression expr formula equation calculation"),
    (Hint.EMAIL, "email mail"),
    (Hint.URL, "url uri link website webpage"),
    (Hint.ZONE, "timezone tz zone"),
    (Hint.CURRENCY, "currency"),
    (Hint.UNIT, "unit"),
    (Hint.LANGUAGE, "language lang locale"),
    (Hint.FILE, "file filename path folder directory"),
    (Hint.PLACE, "city location place town country address destination origin region where airport station state area"),
    (Hint.ID, "id identifier number no ref reference code sku key ticket order invoice flight isbn"),
    (Hint.WHEN, "date day when time datetime start end deadline due moment timestamp hour until since"),
    (Hint.QUERY, "query search question keyword term topic q pattern needle"),
    (Hint.TEXT, "text content message body note title description comment summary prompt input reason sentence"),
    (Hint.TEXT, "phrase subject task item word string data fact reminder memo"),
    (Hint.PERSON, "name person customer user author who employee contact participant assignee recipient sender"),
    (Hint.PERSON, "to from cc attendee"),
)
_HINT_STEMS = tuple((hint, frozenset(map(stem, words.split()))) for hint, words in _HINT_WORDS)
_FORMAT_HINTS = {"email": Hint.EMAIL, "uri": Hint.URL, "date": Hint.WHEN, "date-time": Hint.WHEN, "time": Hint.WHEN}
_FROM_WORDS = "from source origin departure start sender base min minimum"
_TO_WORDS = "to target dest destination arrival end recipient receiver into max maximum"
_FROM_STEMS = frozenset(map(stem, _FROM_WORDS.split()))
_TO_STEMS = frozenset(map(stem, _TO_WORDS.split()))


def fields_of(schema: JsonObject, blueprint: Blueprint) -> list[Field]:
    """The parameters of a resolved object schema, the required ones first, else in their order."""
    needed = set(required_names(schema))
    found = [
        read_field(name, property_, blueprint, is_required=name in needed)
        for name, property_ in as_object(schema.get("properties")).items()
    ]
    sides = {field.direction for field in found}
    if {"from", "to"} <= sides:
        found = [msgspec.structs.replace(field, is_paired=bool(field.direction)) for field in found]
    return sorted(found, key=lambda field: not field.is_required)


def read_field(name: str, schema: JsonValue, blueprint: Blueprint, *, is_required: bool) -> Field:
    """One parameter; of several alternatives, the first that is not null."""
    whole = blueprint.resolve(schema)
    options = [option for option in blueprint.options(whole) if blueprint.types(option) != ("null",)]
    chosen = options[0] if options else whole
    types = [type_ for type_ in blueprint.types(chosen) if type_ != "null"]
    described = whole.get("description") or chosen.get("description")
    description = " ".join(described.split()).rstrip(".") if isinstance(described, str) else ""
    may_be_null = len(options) < len(blueprint.options(whole)) or (
        "type" in chosen and "null" in blueprint.types(chosen)
    )
    format_ = chosen.get("format")
    hint = _FORMAT_HINTS.get(format_) if isinstance(format_, str) else None
    return Field(
        name,
        chosen,
        types[0] if types and len(types) < 4 else "",
        hint or hint_of(name, description),
        _direction(name),
        name_stems(name),
        is_required,
        may_be_null,
        False,
        description,
    )


@lru_cache(maxsize=2048)
def hint_of(name: str, description: str) -> Hint:
    """What a string parameter holds, told by its name, else by the first words of its description."""
    named = name_stems(name)
    for hint, stems in _HINT_STEMS:
        if not stems.isdisjoint(named):
            return hint
    # The description decides only with its first words: "The city to …", "Name of the city …".
    described = content_stems(" ".join(description.split()[:6]))
    for hint, stems in _HINT_STEMS:
        if not stems.isdisjoint(described):
            return hint
    return Hint.NONE


@lru_cache(maxsize=2048)
def _direction(name: str) -> Direction:
    stems = name_stems(name)
    if not stems.isdisjoint(_FROM_STEMS):
        return "from"
    return "to" if not stems.isdisjoint(_TO_STEMS) else ""
