"""A function's parameters → the JSON Schema of its arguments, and what turns JSON values into the hinted ones.

Hints that JSON can express as it is (str, int, float, bool, None, Literal, list, dict and unions of them) are read
here and cost next to nothing in a call. Every other hint is pydantic's (`adapters.py`), which is imported for it.
"""

from __future__ import annotations

import math
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import Parameter as _Inspected
from typing import Annotated, Any, Literal, Union, cast, get_args, get_origin

import msgspec

from agentrt.engine.message import JsonObject, JsonValue
from agentrt.toolkit.shape import Converter, Shape

NO_DEFAULT = _Inspected.empty


@dataclass(frozen=True, slots=True)
class Parameter:
    """One argument that the model may send. default is NO_DEFAULT when it must."""

    name: str
    hint: Any
    description: str = ""
    default: object = NO_DEFAULT


def object_schema(parameters: Sequence[Parameter]) -> tuple[JsonObject, dict[str, Converter]]:
    """The schema of the arguments object, closed to other names, and the converters of those that need one.

    Raises HintError naming the parameter.
    """
    shapes = {parameter.name: plain_shape(_effective_hint(parameter)) for parameter in parameters}
    others = {p.name: _effective_hint(p) for p in parameters if shapes[p.name] is None}
    definitions: JsonObject = {}
    if others:
        from agentrt.toolkit.adapters import adapt

        adapted, definitions = adapt(others)
        shapes.update(adapted)
    properties: JsonObject = {}
    converters: dict[str, Converter] = {}
    for parameter in parameters:
        shape = cast(Shape, shapes[parameter.name])
        properties[parameter.name] = _annotate(shape.schema, parameter)
        if shape.convert is not None:
            converters[parameter.name] = shape.convert
    schema: JsonObject = {"type": "object", "properties": properties}
    if required := [parameter.name for parameter in parameters if parameter.default is NO_DEFAULT]:
        schema["required"] = cast("list[JsonValue]", required)
    schema["additionalProperties"] = False
    return (schema | {"$defs": definitions} if definitions else schema), converters


def plain_shape(hint: Any) -> Shape | None:
    """The shape of a hint that is JSON's own, None when it takes pydantic."""
    while isinstance(hint, typing.NewType):
        hint = hint.__supertype__
    if (scalar := _SCALARS.get(hint) if _is_hashable(hint) else None) is not None:
        return Shape(dict(scalar.schema), scalar.convert)
    origin, args = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return _annotated(args[0], args[1:])
    if origin is Literal:
        return _literal(args)
    if origin is list:
        return _list(args[0])
    if origin is dict and args[0] is str:
        return _dict(args[1])
    if origin in (Union, types.UnionType):
        return _union(args)
    return None


def accepts_none(hint: Any) -> bool:
    if get_origin(hint) is Annotated:
        return accepts_none(get_args(hint)[0])
    if get_origin(hint) in (Union, types.UnionType, Literal):
        return any(accepts_none(arg) for arg in get_args(hint))
    return hint in (None, types.NoneType, Any, object)


def _effective_hint(parameter: Parameter) -> Any:
    # `unit: str = None` is wrong and common; the model would be refused for sending the default that it was shown.
    if parameter.default is None and not accepts_none(parameter.hint):
        return Union[parameter.hint, None]  # noqa: UP007 - `|` fails on string forward references
    return parameter.hint


def _annotate(schema: JsonObject, parameter: Parameter) -> JsonObject:
    """Add the description (the hint's own goes first) and the default, when JSON can show it."""
    described = dict(schema)
    if parameter.description and "description" not in described:
        described["description"] = parameter.description
    if parameter.default is not NO_DEFAULT and "default" not in described:
        shown, value = _shown_default(parameter.default)
        if shown:
            described["default"] = value
    return described


def _shown_default(default: object) -> tuple[bool, JsonValue]:
    if default is None or type(default) in (str, int, bool):
        return True, cast(JsonValue, default)
    if isinstance(default, float):
        return math.isfinite(default), float(default)
    try:
        return True, msgspec.json.decode(msgspec.json.encode(default))
    except (
        TypeError,
        ValueError,
        OverflowError,
        RecursionError,
    ):  # no JSON form: the parameter is optional all the same
        return False, None


def _integer(value: Any) -> object:
    # JSON Schema counts 3.0 as an integer; the function was promised an int.
    return int(value) if type(value) is float else value


def _number(value: Any) -> object:
    return float(value) if type(value) is int else value


_SCALARS: Mapping[Any, Shape] = {
    str: Shape({"type": "string"}),
    int: Shape({"type": "integer"}, _integer),
    float: Shape({"type": "number"}, _number),
    bool: Shape({"type": "boolean"}),
    None: Shape({"type": "null"}),
    types.NoneType: Shape({"type": "null"}),
    list: Shape({"type": "array"}),
    dict: Shape({"type": "object"}),
    typing.List: Shape({"type": "array"}),  # noqa: UP006 - users write it
    typing.Dict: Shape({"type": "object"}),  # noqa: UP006 - users write it
    Any: Shape({}),
    object: Shape({}),
}
_JSON_TYPES: Mapping[type, str] = {str: "string", int: "integer", bool: "boolean", types.NoneType: "null"}
# What a union's member converts: an int is wanted where JSON had a float, and the other way round.
_PYTHON_TYPES: Mapping[str, type] = {
    "string": str,
    "integer": float,
    "number": int,
    "boolean": bool,
    "null": types.NoneType,
    "array": list,
    "object": dict,
}


def _is_hashable(hint: Any) -> bool:
    try:
        hash(hint)
    except TypeError:  # Annotated and Literal with unhashable contents
        return False
    return True


def _annotated(hint: Any, metadata: tuple[object, ...]) -> Shape | None:
    if not all(isinstance(item, str) for item in metadata) or (shape := plain_shape(hint)) is None:
        return None
    return Shape(shape.schema | {"description": " ".join(cast("tuple[str, ...]", metadata))}, shape.convert)


def _literal(values: tuple[object, ...]) -> Shape | None:
    if not all(type(value) in _JSON_TYPES for value in values):
        return None
    kinds = dict.fromkeys(_JSON_TYPES[type(value)] for value in values)
    kind: JsonValue = next(iter(kinds)) if len(kinds) == 1 else list(kinds)
    return Shape(
        {"type": kind, "enum": list(cast("tuple[str, ...]", values))}, _integer if "integer" in kinds else None
    )


def _list(item_hint: Any) -> Shape | None:
    if (item := plain_shape(item_hint)) is None:
        return None
    schema: JsonObject = {"type": "array", "items": item.schema} if item.schema else {"type": "array"}
    if (convert := item.convert) is None:
        return Shape(schema)
    return Shape(schema, lambda values: [convert(value) for value in values])


def _dict(value_hint: Any) -> Shape | None:
    if (value := plain_shape(value_hint)) is None:
        return None
    schema: JsonObject = (
        {"type": "object", "additionalProperties": value.schema} if value.schema else {"type": "object"}
    )
    if (convert := value.convert) is None:
        return Shape(schema)
    return Shape(schema, lambda values: {key: convert(item) for key, item in values.items()})


def _union(hints: tuple[Any, ...]) -> Shape | None:
    """Members are told apart by their JSON type; what that cannot do (two lists, say) is left to pydantic."""
    members = [plain_shape(hint) for hint in hints]
    shapes = {str(member.schema.get("type")): member for member in members if member is not None}
    if len(shapes) < len(members) or not shapes.keys() <= _PYTHON_TYPES.keys():
        return None
    if all(shape.schema.keys() == {"type"} for shape in shapes.values()):
        # One list of types instead of anyOf: shorter, cheaper to check, and its errors read better.
        return Shape({"type": list(shapes)}, _by_type(shapes))
    return Shape({"anyOf": [shape.schema for shape in shapes.values()]}, _by_type(shapes))


def _by_type(shapes: Mapping[str, Shape]) -> Converter | None:
    if {"integer", "number"} <= shapes.keys():
        shapes = {kind: shape for kind, shape in shapes.items() if kind not in ("integer", "number")}
    table = {_PYTHON_TYPES[kind]: shape.convert for kind, shape in shapes.items() if shape.convert is not None}
    if not table:
        return None

    def convert(value: Any) -> object:
        member = table.get(type(value))
        return value if member is None else member(value)

    return convert
