"""What is taken at sight is what jsonschema would have taken: the short way changes no answer."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from agentrt.toolkit.arguments import ArgumentReader, Refusal

_KINDS: list[Any] = ["string", "integer", "number", "boolean", "null", "array", ["string", "null"]]
_SHAPES = st.fixed_dictionaries(
    {"type": st.sampled_from(_KINDS)},
    optional={"description": st.just("x"), "enum": st.just(["a", 1]), "minimum": st.just(3), "minLength": st.just(2)},
)
_SCHEMAS = st.fixed_dictionaries(
    {"type": st.just("object"), "properties": st.dictionaries(st.sampled_from("abc"), _SHAPES)},
    optional={
        "required": st.lists(st.sampled_from("abc"), unique=True),
        "additionalProperties": st.booleans(),
        "minProperties": st.just(2),
        "title": st.just("T"),
    },
)
_VALUES = st.dictionaries(
    st.sampled_from("abcd"), st.sampled_from(["a", "long", "", 1, 3, 2.0, 2.5, True, None, [1]]), max_size=4
)


@settings(max_examples=300, deadline=None)
@given(schema=_SCHEMAS, values=_VALUES)
def test_arguments_are_taken_or_refused_as_the_schema_says(schema: dict[str, Any], values: dict[str, Any]) -> None:
    read = ArgumentReader("f", schema, {}).read(msgspec.json.encode(values).decode())
    assert isinstance(read, Refusal) != Draft202012Validator(schema).is_valid(values)
