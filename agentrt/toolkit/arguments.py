"""From the text that a model wrote to checked arguments, or to a short text that helps the model correct itself.

What is forgiven, because models do it and it can mean only one thing: no text at all or `null` for no arguments, an
object encoded twice, a line break or tab left raw inside a string. Anything else that is not JSON (NaN, trailing
commas, single quotes, half an object) goes back to the model: a guess could call a function with the wrong values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Protocol

import msgspec

from agentrt.engine.message import JsonObject
from agentrt.toolkit.complaint import complain, outline, show
from agentrt.toolkit.shape import Converter

_ENCODINGS = 3  # an object, in a string, in a string


class Refusal(NamedTuple):
    """Why a call is not made. text is for the model."""

    code: Literal["invalid_json", "invalid_arguments"]
    text: str


class _Validator(Protocol):
    def is_valid(self, instance: Any) -> bool: ...
    def iter_errors(self, instance: Any) -> Any: ...


class ArgumentReader:
    """Reads the calls of one tool. The schema is compiled at the first call that needs it and kept."""

    __slots__ = ("_converters", "_plain", "_schema", "_tool", "_validator")

    def __init__(self, tool: str, schema: JsonObject, converters: Mapping[str, Converter]) -> None:
        self._tool = tool
        self._schema = schema
        self._converters = converters
        self._validator: _Validator | None = None
        self._plain = _PlainObject.of(schema)

    def read(self, text: str) -> dict[str, object] | Refusal:
        """Arguments by name, each as its hint wants it, or why there are none."""
        try:
            values = _decode(text)
        except (ValueError, RecursionError) as error:
            return self._refuse("invalid_json", f"are not valid JSON ({_reason(error)})")
        if type(values) is not dict:
            return self._refuse("invalid_arguments", f"must be one JSON object, got {show(values)}")
        try:
            return self._checked(values)
        except RecursionError:
            return self._refuse("invalid_arguments", "are nested too deep")

    def _checked(self, values: dict[str, object]) -> dict[str, object] | Refusal:
        if self._plain is None or not self._plain.takes(values):
            validator = self._validator or self._compile()
            if not validator.is_valid(values):
                return self._refuse("invalid_arguments", f"do not fit: {complain(validator.iter_errors(values))}")
        problems = []
        for name, convert in self._converters.items():
            if name in values:
                try:
                    values[name] = convert(values[name])
                except (ValueError, OverflowError) as error:
                    problems.append(f"{name}: {error}")
        return self._refuse("invalid_arguments", f"do not fit: {'; '.join(problems)}") if problems else values

    def _compile(self) -> _Validator:
        # Imported here: jsonschema takes 100 ms, and a program that calls no tool need not pay.
        from jsonschema.validators import Draft202012Validator, validator_for
        from referencing import Registry

        # An empty registry: a foreign schema must not make this process fetch what its $ref names.
        validator: _Validator = validator_for(self._schema, default=Draft202012Validator)(
            self._schema, registry=Registry()
        )
        self._validator = validator
        return validator

    def _refuse(self, code: Literal["invalid_json", "invalid_arguments"], what: str) -> Refusal:
        expected = f"Expected {outline(self._schema)}. Correct the arguments and call again."
        return Refusal(code, f"The arguments for {self._tool} {what}. {expected}")


class _PlainObject(NamedTuple):
    """The part of a schema that is checked at sight: presence, and types that no other keyword narrows.

    Most calls need no more. jsonschema takes 35 µs for one, a sixth of what a turn costs beside the network, and
    100 ms and 5 MB to be imported; whatever is not taken here is left to it.
    """

    types: Mapping[str, tuple[type, ...]]
    required: frozenset[str]

    @classmethod
    def of(cls, schema: JsonObject) -> _PlainObject | None:
        """None when the schema asks more of the object than that."""
        properties, required = schema.get("properties"), schema.get("required", [])
        if schema.get("type") != "object" or not isinstance(properties, dict) or not isinstance(required, list):
            return None
        if not schema.keys() <= {"type", "properties", "required", "additionalProperties", *_REMARKS}:
            return None
        types = {}
        for name, shape in properties.items():
            if isinstance(shape, dict) and shape.keys() - _REMARKS == {"type"} and isinstance(shape["type"], str):
                types[name] = _TYPES.get(shape["type"], ())
        return cls(types, frozenset(str(name) for name in required))

    def takes(self, values: dict[str, object]) -> bool:
        """True: the schema allows these arguments. False: it may."""
        types = self.types
        return self.required <= values.keys() and all(type(v) in types.get(name, ()) for name, v in values.items())


# What Python type the values of a JSON type have once they are read.
_TYPES = {"string": (str,), "integer": (int,), "number": (int, float), "boolean": (bool,)}
_REMARKS = {"title", "description", "default", "examples"}


def _decode(text: str) -> object:
    """The value that the text stands for. Raises ValueError, and RecursionError for one nested too deep."""
    if not text or text.isspace():
        return {}
    value = _parse(text)
    for _ in range(_ENCODINGS - 1):
        if type(value) is not str:
            break
        try:
            value = _parse(value) if value.strip() else {}
        except ValueError:  # a string after all
            break
    return {} if value is None else value


def _parse(text: str) -> object:
    try:
        return msgspec.json.decode(text)
    except ValueError:
        value = json.loads(text, strict=False, parse_constant=_refuse_constant)  # raw control characters in strings
        # json also lets 1e999 and lone surrogates through, which nothing behind us can store or send.
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
        return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _reason(error: ValueError | RecursionError) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, UnicodeError):
        return "half of a surrogate pair"
    return str(error)
