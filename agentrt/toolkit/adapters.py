"""Hints that JSON cannot express as they are: models, dataclasses, TypedDicts, enums, dates, sets … by pydantic.

The only module of the toolkit that imports pydantic; schema.py imports it when a hint needs it.
"""

from __future__ import annotations

import functools
import json
import operator
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

import msgspec
import typing_extensions
from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core import SchemaError

from agentrt.engine.message import JsonObject, JsonValue
from agentrt.toolkit.shape import Converter, HintError, Shape

_SHOWN_ERRORS = 3


def adapt(hints: Mapping[str, Any]) -> tuple[dict[str, Shape], JsonObject]:
    """Shapes of the named hints, and the `$defs` that their schemas refer to. Raises HintError naming the parameter."""
    adapters = {name: _adapter(name, hint) for name, hint in hints.items()}
    for name, adapter in adapters.items():
        _json_schema(name, adapter)  # one by one first: only so does an error name its parameter
    schemas, shared = TypeAdapter.json_schemas(
        [(name, "validation", adapter) for name, adapter in adapters.items()],
        ref_template="#/$defs/{model}",
        schema_generator=_Untitled,
    )
    shapes = {
        name: Shape(cast(JsonObject, schemas[name, "validation"]), _converter(adapter))
        for name, adapter in adapters.items()
    }
    return shapes, cast(JsonObject, shared.get("$defs", {}))


def convert_option(hint: Any, value: object) -> object:
    """An option's value from agents.toml or code as its hint wants it. Raises ValueError with the reason."""
    try:
        return _option_adapter(_with_own_typed_dict(hint)).validate_python(value)
    except ValidationError as error:
        raise ValueError(_explain(error)) from None


class _Untitled(GenerateJsonSchema):
    """Without a title for every field: it repeats the name and is paid for in tokens in every model call."""

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def _adapter(name: str, hint: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(_with_own_typed_dict(hint))
    except (PydanticUserError, SchemaError, NameError, TypeError, RecursionError) as error:
        raise HintError(f"parameter '{name}': {_reason(error)}") from error


def _option_adapter(hint: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(hint)
    except PydanticUserError:  # a class that only code can give: isinstance is the check
        return TypeAdapter(hint, config={"arbitrary_types_allowed": True})


def _json_schema(name: str, adapter: TypeAdapter[Any]) -> None:
    try:
        adapter.json_schema(schema_generator=_Untitled)
    except PydanticUserError as error:
        raise HintError(f"parameter '{name}': {_reason(error)}") from error


def _reason(error: Exception) -> str:
    text = error.message if isinstance(error, PydanticUserError) else str(error)
    return text.split(". ")[0].split("\n")[0].rstrip(".")


def _converter(adapter: TypeAdapter[Any]) -> Converter:
    def convert(value: JsonValue) -> object:
        try:
            # As JSON, not as Python values: strict models too must take a date from a string.
            return adapter.validate_json(_encode(value))
        except ValidationError as error:
            raise ValueError(_explain(error)) from None

    return convert


def _encode(value: JsonValue) -> bytes:
    try:
        return msgspec.json.encode(value)
    except OverflowError:  # an integer of more than 64 bits
        return json.dumps(value).encode()


def _explain(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [_problem(problem["loc"], problem["msg"]) for problem in problems[:_SHOWN_ERRORS]]
    if len(problems) > _SHOWN_ERRORS:
        shown.append(f"and {len(problems) - _SHOWN_ERRORS} more")
    return "; ".join(shown)


def _problem(location: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(map(str, location))}: {message}" if location else message


def _with_own_typed_dict(hint: Any) -> Any:
    """The hint with typing.TypedDict replaced by the one of typing_extensions, which pydantic demands before 3.12."""
    if sys.version_info >= (3, 12):
        return hint
    if typing.is_typeddict(hint):  # false for those of typing_extensions
        return _modern_typed_dict(hint)
    origin, args = get_origin(hint), get_args(hint)
    if origin is typing.Annotated:
        return typing.Annotated[(_with_own_typed_dict(args[0]), *args[1:])]
    if origin in (Union, types.UnionType):
        return functools.reduce(operator.or_, map(_with_own_typed_dict, args))
    if origin in (list, dict, set, tuple, frozenset):
        return origin[tuple(arg if arg is Ellipsis else _with_own_typed_dict(arg) for arg in args)]
    return hint


def _modern_typed_dict(hint: Any) -> Any:
    fields: dict[str, Any] = {}
    for key, value in get_type_hints(hint, include_extras=True).items():
        is_required = key in hint.__required_keys__
        if get_origin(value) in (typing.Required, typing.NotRequired):  # unseen by the class when hints are strings
            is_required, value = get_origin(value) is typing.Required, get_args(value)[0]
        wrapper: Any = typing.Required if is_required else typing.NotRequired
        fields[key] = wrapper[_with_own_typed_dict(value)]
    make_typed_dict: Any = typing_extensions.TypedDict
    modern = make_typed_dict(hint.__name__, fields)
    modern.__doc__, modern.__module__ = hint.__doc__, hint.__module__
    return modern
