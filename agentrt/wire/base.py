"""What all request bodies share: strict JSON types, unions with sensible errors, and `parse_body`.

Absent and null differ. A nullable field is declared `T | None = None`, and `model_fields_set` tells null from absent;
a field that may be left out but not be null is `Omittable[T] = None`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Annotated, Literal, TypeAlias, TypeVar, cast

import msgspec
from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Strict, ValidationError
from pydantic.annotated_handlers import GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError

from agentrt.engine.message import JsonObject, JsonValue
from agentrt.errors import InvalidRequestError
from agentrt.wire.errors import BRANCH, from_validation, invalid_type, invalid_value, nul_character, param_path

MAX_TEXT = 256_000  # characters of instructions and of a message's text
MAX_INTEGER = 2**31 - 1  # what an integer column holds on every database
MAX_ACTION_TTL_S = 366 * 24 * 3600
MAX_DEPTH = 64  # what jsonschema, databases and encoders walk without running out of stack
MAX_KEYS = 5000  # colons in a body that nobody needs to count keys for; and keys of one object

OnBusy: TypeAlias = Literal["reject", "enqueue", "interrupt"]
UnknownFields: TypeAlias = Literal["error", "ignore"]

T = TypeVar("T")
BodyT = TypeVar("BodyT", bound="Body")

_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_METADATA_PAIRS = 16
_CONTAINERS = (dict, list)  # built once: `dict | list` in a loop is built each time


def _without_null_defaults(schema: JsonObject) -> None:
    # Our None for absent is not the caller's default, and would not even fit where null is refused.
    properties = schema.get("properties")
    for field in properties.values() if isinstance(properties, dict) else ():
        if isinstance(field, dict) and field.get("default", ...) is None:
            del field["default"]


class Body(BaseModel):
    """A closed JSON object of a request: an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_extra=_without_null_defaults)


class _NotNull:
    """Takes the null out of `T | None`: the None is ours, for absent."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        return schema["schema"] if schema["type"] == "nullable" else schema


def few_pairs(most: int) -> BeforeValidator:
    """At most so many keys. Before they are looked at: a map of a million wrong ones would make a million errors."""

    def check(value: object) -> object:
        if isinstance(value, dict) and len(value) > most:
            raise refusal(
                f"too many properties. Expected an object with at most {most} properties, "
                f"but got an object with {len(value)} properties instead."
            )
        return value

    return BeforeValidator(check)


Omittable = Annotated[T | None, _NotNull()]
Boolean = Annotated[bool, Strict()]
Integer = Annotated[int, Strict()]
Decimal = Annotated[float, Strict()]
LongText = Annotated[str, Field(max_length=MAX_TEXT)]
Pairs: TypeAlias = dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]]
Metadata = Annotated[Pairs, Field(json_schema_extra={"maxProperties": _METADATA_PAIRS}), few_pairs(_METADATA_PAIRS)]


class Extension(Body):
    """agentrt's own fields of a request, in one object so that they never clash with the API's.

    on_busy: what happens while a run is active on the thread: refuse, wait behind it, or cancel it first.
    """

    on_busy: Omittable[OnBusy] = None


class NewRunExtension(Extension):
    """Those of a request that creates a run. action_ttl: for how many seconds the run may wait for its caller."""

    action_ttl: Omittable[Annotated[Integer, Field(ge=1, le=MAX_ACTION_TTL_S)]] = None


class _Choice(Discriminator):
    # typing hashes what stands in a union, and pydantic's class holds a dict.
    def __hash__(self) -> int:
        return id(self)


def refusal(why: str) -> PydanticCustomError:
    """To raise in a validator: `Invalid 'PARAM': WHY`."""
    return PydanticCustomError("refused", "{why}", {"why": why})


def branch(name: str) -> str:
    """The tag of a union's branch for one_of: a `type`, a word, or `string` / `array` for the JSON type itself."""
    return BRANCH + name


def one_of(*kinds: str, words: Iterable[str] = (), expected: str = "an object") -> Discriminator:
    """Chooses a union's branch by an object's `type` (kinds), or the branch `string` for words such as `auto`.

    An unknown or missing `type` gives an error that names the kinds. expected says what the value must be at all.
    """
    words = tuple(words)
    by_kind = {kind: branch(kind) for kind in kinds}

    def choose(value: object) -> str | None:
        if isinstance(value, str):
            return branch("string") if value in words else None
        # A model has its type as an attribute: pydantic asks again when it writes one out.
        kind = value.get("type") if isinstance(value, dict) else getattr(value, "type", None)
        return by_kind.get(kind) if isinstance(kind, str) else None

    return _discriminator(choose, key="type", kinds=kinds, words=words, expected=expected)


def string_or_array(*, expected: str) -> Discriminator:
    """Chooses between the branches `string` and `array`."""

    def choose(value: object) -> str | None:
        if isinstance(value, str):
            return branch("string")
        return branch("array") if isinstance(value, list) else None

    return _discriminator(choose, key="", kinds=(), words=(), expected=expected)


def text_or_number(*, expected: str) -> Discriminator:
    """Chooses between the branches `string`, `number` and `boolean`."""

    def choose(value: object) -> str | None:
        match value:
            case bool():
                return branch("boolean")
            case int() | float():
                return branch("number")
            case str():
                return branch("string")
            case _:
                return None

    return _discriminator(choose, key="", kinds=(), words=(), expected=expected)


def _discriminator(
    choose: Callable[[object], str | None], *, key: str, kinds: Iterable[str], words: Iterable[str], expected: str
) -> Discriminator:
    return _Choice(
        choose,
        custom_error_type="no_branch",
        custom_error_message="no branch fits",
        custom_error_context={"key": key, "kinds": " ".join(kinds), "words": " ".join(words), "expected": expected},
    )


def as_sent(body: Body) -> JsonObject:
    """The JSON object again: what was absent stays absent, what was null is null."""
    return cast("JsonObject", body.model_dump(by_alias=True, exclude_unset=True))


def parse_body(model: type[BodyT], raw: bytes, *, unknown_fields: UnknownFields = "error") -> BodyT:
    """Read a request body; an empty one counts as `{}`.

    unknown_fields="ignore" drops unknown keys at every depth. Raises InvalidRequestError, and nothing else.
    """
    data = _decode(raw)
    if not isinstance(data, dict):
        raise invalid_type(None, expected="an object", got=data)
    # Counting bytes is far cheaper than walking the values, and hardly any body needs the walk.
    n_brackets = raw.count(b"{") + raw.count(b"[")
    if b"\\u0000" in raw or raw.count(b":") > MAX_KEYS or (n_brackets > MAX_DEPTH and _is_deep(data)):
        _inspect(data)
    try:
        return model.model_validate(data, extra="forbid" if unknown_fields == "error" else "ignore")
    except ValidationError as error:
        raise from_validation(error) from None


def _decode(raw: bytes) -> JsonValue:
    # msgspec and not pydantic's own JSON reader: it refuses NaN, Infinity and numbers out of range, and measured with
    # the validation of its result it is the faster way (20 µs to 34 µs for a create-thread-and-run of 3 kB).
    try:
        return cast("JsonValue", msgspec.json.decode(raw)) if raw.strip() else {}
    except RecursionError:
        why = "it is nested too deeply."
    except UnicodeDecodeError as error:
        why = f"it is not UTF-8 (byte {error.start} of a string)."
    except msgspec.DecodeError as error:
        why = f"{str(error).partition(' - at ')[0]}."  # the place would read `$[...]`
        if _SURROGATE.search(raw):
            why += " An escaped surrogate must be one half of a pair."
    raise InvalidRequestError(f"We could not parse the JSON body of your request: {why}")


def _is_deep(data: JsonObject) -> bool:
    level: list[dict[str, JsonValue] | list[JsonValue]] = [data]
    for _ in range(MAX_DEPTH):
        level = [
            value
            for container in level
            for value in (container.values() if isinstance(container, dict) else container)
            if isinstance(value, _CONTAINERS)
        ]
        if not level:
            return False
    return True


_Link: TypeAlias = "tuple[_Link, str | int] | None"


def _inspect(data: JsonObject) -> None:
    """Refuse what is JSON and yet breaks databases or stacks: NUL characters, deep nesting, enormous objects."""
    rest: list[tuple[JsonValue, _Link, int]] = [(data, None, 1)]
    while rest:
        value, link, depth = rest.pop()
        if isinstance(value, str):
            if "\0" in value:
                raise nul_character(_path(link))
            continue
        if not isinstance(value, _CONTAINERS):
            continue
        if depth > MAX_DEPTH:
            raise invalid_value(_path(link), f"nested too deeply. Expected at most {MAX_DEPTH} levels.")
        if isinstance(value, list):
            rest.extend((item, (link, index), depth + 1) for index, item in enumerate(value))
            continue
        if len(value) > MAX_KEYS:
            raise invalid_value(
                _path(link), f"too many properties. Expected at most {MAX_KEYS}, but got {len(value)} instead."
            )
        if any("\0" in key for key in value):
            raise nul_character(_path(link))
        rest.extend((item, (link, key), depth + 1) for key, item in value.items())


def _path(link: _Link) -> str | None:
    loc: list[str | int] = []
    while link is not None:
        link, entry = link
        loc.append(entry)
    return param_path(loc[::-1])
