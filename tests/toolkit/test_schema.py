from __future__ import annotations

import asyncio
import json
import typing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Literal, NewType, NotRequired, TypedDict
from uuid import UUID

import pytest
import typing_extensions
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from agentrt.engine.message import JsonObject, ToolCall
from agentrt.errors import ToolDefinitionError
from agentrt.toolkit.context import Context
from agentrt.toolkit.invoke import invoke
from agentrt.toolkit.tool import Tool, tool


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    x: int
    y: int = 0


class Invoice(BaseModel):
    number: str
    total: Decimal = Field(gt=0)


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    day: date


class Address(TypedDict):
    street: str
    since: NotRequired[date]


class Place(typing_extensions.TypedDict):
    street: str
    since: NotRequired[date]


UserId = NewType("UserId", str)


def tool_of(hint: Any, **default: object) -> Tool:
    """A tool with one parameter `value` that puts what it got in `got`."""

    def function(value: Any) -> None:
        got.append(value)

    got: list[object] = []
    function.__annotations__ = {"value": hint}
    if default:
        function.__defaults__ = (default["default"],)
    made = tool(function, description="Takes a value.")
    GOT[made] = got
    return made


GOT: dict[Tool, list[object]] = {}


def send(made: Tool, value: object) -> object:
    """What the function got for a JSON value; the error's text when it was refused."""
    call = ToolCall("call_1", made.name, json.dumps({"value": value}))
    result = asyncio.run(invoke(made, call, Context(None)))
    return result.output if result.error else GOT[made][-1]


def schema_of(hint: Any, **default: object) -> Any:
    return tool_of(hint, **default).parameters["properties"]["value"]  # type: ignore[index, call-overload]


@pytest.mark.parametrize(
    ("hint", "schema"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (Any, {}),
        (UserId, {"type": "string"}),
        (str | None, {"type": ["string", "null"]}),
        (typing.Optional[int], {"type": ["integer", "null"]}),  # noqa: UP045
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (list, {"type": "array"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (typing.List[str], {"type": "array", "items": {"type": "string"}}),  # noqa: UP006
        (dict[str, Any], {"type": "object"}),
        (
            dict[str, list[float]],
            {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "number"}}},
        ),
        (list[int] | None, {"anyOf": [{"type": "array", "items": {"type": "integer"}}, {"type": "null"}]}),
        (Annotated[str, "a city"], {"type": "string", "description": "a city"}),
        (list[Annotated[str, "a city"]], {"type": "array", "items": {"type": "string", "description": "a city"}}),
    ],
)
def test_hints_that_json_can_express_need_no_pydantic(hint: Any, schema: JsonObject) -> None:
    from agentrt.toolkit.schema import plain_shape

    assert schema_of(hint) == schema
    assert plain_shape(hint) is not None


@pytest.mark.parametrize(
    ("hint", "sent", "got"),
    [
        (int, 3.0, 3),
        (float, 3, 3.0),
        (int | None, 3.0, 3),
        (int | float, 3, 3),
        (int | str, 3.0, 3),
        (list[int], [1, 2.0], [1, 2]),
        (dict[str, float], {"a": 1}, {"a": 1.0}),
        (list[float] | None, [1], [1.0]),
        (Literal[1, 2], 2.0, 2),
        (Colour, "red", Colour.RED),
        (Point, {"x": 1}, Point(1)),
        (Invoice, {"number": "7", "total": "3.50"}, Invoice(number="7", total=Decimal("3.50"))),
        (Strict, {"day": "2026-11-21"}, Strict(day=date(2026, 11, 21))),
        (Address, {"street": "Main", "since": "2026-11-21"}, {"street": "Main", "since": date(2026, 11, 21)}),
        (list[Address] | None, [{"street": "Main"}], [{"street": "Main"}]),
        (datetime, "2026-11-21T12:00:00Z", datetime(2026, 11, 21, 12, tzinfo=UTC)),
        (Decimal, 123456789012345678901234567890, Decimal("123456789012345678901234567890")),
        (UUID, "12345678-1234-5678-1234-567812345678", UUID("12345678-1234-5678-1234-567812345678")),
        (set[str], ["a", "b"], {"a", "b"}),
        (tuple[int, str], [1, "a"], (1, "a")),
        (Annotated[int, Field(ge=1), "how many"], 1, 1),
        (list[int] | list[str], ["a"], ["a"]),
    ],
)
def test_the_function_gets_what_its_hint_promises(hint: Any, sent: object, got: object) -> None:
    received = send(tool_of(hint), sent)
    assert received == got
    assert type(received) is type(got)
    if isinstance(got, (list, dict)):
        assert repr(received) == repr(got)


@pytest.mark.parametrize(
    ("hint", "sent", "text"),
    [
        (int, "3", 'value: expected integer, got "3"'),
        (int, True, "value: expected integer, got true"),
        (float, 10**400, "value: "),
        (bool, 1, "value: expected boolean, got 1"),
        (list[int], [1, "a"], 'value[1]: expected integer, got "a"'),
        (Literal["a", "b"], "c", 'value: expected "a" or "b", got "c"'),
        (Colour, "green", 'value: expected "red" or "blue", got "green"'),
        (Invoice, {"number": "7"}, "value: missing 'total'"),
        (Invoice, {"number": "7", "total": "-1"}, "value: total: Input should be greater than 0"),
        (date, "yesterday", "value: Input should be a valid date"),
        (Annotated[int, Field(ge=1)], 0, "value: 0 is less than the minimum of 1"),
        (dict[str, int], {"a": None}, "value.a: expected integer, got null"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_words_for_the_model(hint: Any, sent: object, text: str) -> None:
    output = send(tool_of(hint), sent)
    assert isinstance(output, str)
    assert text in output


def test_two_parameters_may_use_classes_of_the_same_name() -> None:
    def invoice() -> Any:
        class Invoice(BaseModel):
            paid: bool

        return Invoice

    def function(old: Any, new: Any) -> None: ...

    function.__annotations__ = {"old": Invoice, "new": invoice()}
    parameters: Any = tool(function, description="Compares.").parameters
    assert len(parameters["$defs"]) == 2
    assert parameters["properties"]["old"] != parameters["properties"]["new"]


@pytest.mark.parametrize(
    ("hint", "default", "shown"),
    [
        (int, 3, 3),
        (str | None, None, None),
        (Colour, Colour.RED, "red"),
        (date, date(2026, 11, 21), "2026-11-21"),
        (Point, Point(1), {"x": 1, "y": 0}),
    ],
)
def test_defaults_make_a_parameter_optional_and_are_shown(hint: Any, default: object, shown: object) -> None:
    assert schema_of(hint, default=default)["default"] == shown
    assert "required" not in tool_of(hint, default=default).parameters


def test_a_default_that_json_cannot_show_is_left_out() -> None:
    assert "default" not in schema_of(Any, default=object())
    assert "default" not in schema_of(float, default=float("inf"))


def test_a_parameter_that_is_none_by_default_may_be_sent_null() -> None:
    made = tool_of(str, default=None)
    assert send(made, None) is None
    assert schema_of(str, default=None) == {"type": ["string", "null"], "default": None}


def test_a_field_may_describe_its_parameter() -> None:
    assert schema_of(Annotated[int, Field(description="how many")])["description"] == "how many"


@pytest.mark.parametrize("hint", [Tool, typing.Callable[[], int], "Colour[", type(None) | Tool])
def test_a_hint_without_a_json_form_is_refused(hint: Any) -> None:
    with pytest.raises(ToolDefinitionError, match=r"test_schema.py:\d+"):
        tool_of(hint)


_SCALARS: list[tuple[Any, st.SearchStrategy[Any]]] = [
    (str, st.text()),
    (int, st.integers() | st.integers(-(2**53), 2**53).map(float)),
    (float, st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**53), 2**53)),
    (bool, st.booleans()),
    (None, st.none()),
    (Literal["a", 2], st.sampled_from(["a", 2])),
    (Colour, st.sampled_from(["red", "blue"])),
    (date, st.dates().map(str)),
    (UUID, st.uuids().map(str)),
    (Decimal, st.decimals(allow_nan=False, allow_infinity=False).map(str)),
    (Point, st.fixed_dictionaries({"x": st.integers(-(2**62), 2**62)})),
    (Place, st.fixed_dictionaries({"street": st.text()}, optional={"since": st.dates().map(str)})),
]


_LIST: Any = list  # subscripted with values of the test, which no type checker follows
_DICT: Any = dict
_TUPLE: Any = tuple
_UNION: Any = typing.Union


def _wider(inner: st.SearchStrategy[tuple[Any, Any]]) -> st.SearchStrategy[tuple[Any, Any]]:
    return (
        inner.map(lambda one: (_LIST[one[0]], st.lists(one[1], max_size=3)))
        | inner.map(lambda one: (_DICT[str, one[0]], st.dictionaries(st.text(), one[1], max_size=3)))
        | inner.map(lambda one: (_UNION[one[0], None], st.none() | one[1]))
        | inner.map(lambda one: (Annotated[one[0], "described"], one[1]))
        | st.tuples(inner, inner).map(lambda two: (_TUPLE[two[0][0], two[1][0]], st.tuples(two[0][1], two[1][1])))
        | st.tuples(inner, inner).map(lambda two: (_UNION[two[0][0], two[1][0]], two[0][1] | two[1][1]))
    )


HINTS: st.SearchStrategy[tuple[Any, Any]] = st.recursive(st.sampled_from(_SCALARS), _wider, max_leaves=3)


@settings(deadline=None)
@given(st.data())
def test_the_schema_of_any_signature_accepts_what_the_function_accepts(data: st.DataObject) -> None:
    hint, values = data.draw(HINTS)
    made = tool_of(hint)
    received = send(made, data.draw(values))
    assert GOT[made], received
    TypeAdapter(hint).validate_python(received, strict=True)
