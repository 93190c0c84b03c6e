from __future__ import annotations

import pytest

from agentrt.wire.assistants import CreateAssistantRequest, UpdateAssistantRequest
from tests.wire.bodies import read, refused


def test_only_the_model_is_required() -> None:
    body = read(CreateAssistantRequest, {"model": "gpt-4o"})
    assert body.model_fields_set == {"model"}
    assert read(UpdateAssistantRequest, {}).model_fields_set == set()


def test_all_fields_may_come_at_once() -> None:
    sent = {
        "model": "gpt-4o",
        "name": "n" * 256,
        "description": "d" * 512,
        "instructions": "i" * 256_000,
        "reasoning_effort": "xhigh",
        "tools": [],
        "tool_resources": {},
        "metadata": {"a": "b"},
        "temperature": 2,
        "top_p": 0.0,
        "response_format": "auto",
    }
    assert read(CreateAssistantRequest, sent).model_dump() == sent | {
        "tool_resources": {"code_interpreter": None, "file_search": None}
    }
    assert read(UpdateAssistantRequest, sent).model_fields_set == sent.keys()


@pytest.mark.parametrize(
    "field",
    [
        *("name", "description", "instructions", "reasoning_effort"),
        *("tool_resources", "metadata", "temperature", "top_p", "response_format"),
    ],
)
def test_null_is_fine_where_the_api_allows_it(field: str) -> None:
    assert getattr(read(CreateAssistantRequest, {"model": "m", field: None}), field) is None
    assert read(UpdateAssistantRequest, {field: None}).model_fields_set == {field}


@pytest.mark.parametrize(("field", "most"), [("name", 256), ("description", 512), ("instructions", 256_000)])
def test_texts_are_limited_in_characters_not_bytes(field: str, most: int) -> None:
    assert read(UpdateAssistantRequest, {field: "é" * most})
    assert refused(UpdateAssistantRequest, {field: "é" * (most + 1)}) == (
        field,
        "string_above_max_length",
        (
            f"Invalid '{field}': string too long. Expected a string with maximum length {most}, "
            f"but got a string with length {most + 1} instead."
        ),
    )


@pytest.mark.parametrize(
    ("field", "value", "code", "message"),
    [
        ("temperature", 2.01, "decimal_above_max_value", "Expected a value <= 2, but got 2.01 instead."),
        ("temperature", -1, "decimal_below_min_value", "Expected a value >= 0, but got -1 instead."),
        ("temperature", "0.5", "invalid_type", "expected a decimal, but got a string instead."),
        ("temperature", True, "invalid_type", "expected a decimal, but got a boolean instead."),
        ("temperature", 10**400, "invalid_type", "expected a decimal, but got an integer instead."),
        ("top_p", 1.5, "decimal_above_max_value", "Expected a value <= 1, but got 1.5 instead."),
        ("top_p", -0.1, "decimal_below_min_value", "Expected a value >= 0, but got -0.1 instead."),
        ("model", "", "string_below_min_length", "minimum length 1, but got an empty string instead."),
        ("model", 4, "invalid_type", "expected a string, but got an integer instead."),
        ("reasoning_effort", 1, "invalid_type", "expected a string, but got an integer instead."),
        ("tools", {}, "invalid_type", "expected an array, but got an object instead."),
        ("tool_resources", [], "invalid_type", "expected an object, but got an array instead."),
    ],
)
def test_wrong_values_are_refused(field: str, value: object, code: str, message: str) -> None:
    for model in (CreateAssistantRequest, UpdateAssistantRequest):
        param, found, text = refused(model, {"model": "m", field: value})
        assert (param, found) == (field, code)
        assert text.endswith(message)


def test_an_integer_is_a_decimal() -> None:
    assert read(CreateAssistantRequest, {"model": "m", "temperature": 1}).temperature == 1.0


def test_agentrts_own_fields_are_not_for_assistants() -> None:
    assert refused(CreateAssistantRequest, {"model": "m", "agentrt": {}})[:2] == ("agentrt", "unknown_parameter")
