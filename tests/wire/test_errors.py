from __future__ import annotations

import pytest
from pydantic import BaseModel, ValidationError

from agentrt.wire.assistants import CreateAssistantRequest
from agentrt.wire.errors import error_envelope, from_validation, listed, param_path
from tests.wire.bodies import refused


def test_the_envelope_has_all_four_keys_always() -> None:
    assert error_envelope("No.", kind="server_error") == {
        "error": {"message": "No.", "type": "server_error", "param": None, "code": None}
    }
    assert error_envelope("No.", kind="invalid_request_error", param="model", code="invalid_type")["error"] == {
        "message": "No.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "invalid_type",
    }


@pytest.mark.parametrize(
    ("loc", "param"),
    [
        ((), None),
        (("tools", 0, "\0function", "function", "name"), "tools[0].function.name"),
        (("content", "\0array", 2, "\0text", "text"), "content[2].text"),
        (("metadata", "key", "[key]"), "metadata.key"),
    ],
)
def test_a_param_is_a_path_without_the_branches_of_unions(loc: tuple[int | str, ...], param: str | None) -> None:
    assert param_path(loc) == param


@pytest.mark.parametrize(
    ("values", "text"), [(["a"], "'a'"), (["a", "b"], "'a' and 'b'"), (["a", "b", "c"], "'a', 'b', and 'c'")]
)
def test_supported_values_are_listed_in_words(values: list[str], text: str) -> None:
    assert listed(values) == text


def test_only_the_first_of_many_errors_is_told() -> None:
    body = {"temperature": "warm", "top_p": 7, "foo": 1, "model": 1}
    assert refused(CreateAssistantRequest, body) == (
        "temperature",
        "invalid_type",
        "Invalid type for 'temperature': expected a decimal, but got a string instead.",
    )


def test_what_the_caller_sent_is_repeated_shortened() -> None:
    param, _, message = refused(CreateAssistantRequest, {"model": "m", "reasoning_effort": "x" * 10_000})
    assert param == "reasoning_effort"
    assert message.startswith(f"Invalid value: '{'x' * 80}…'. Supported values are: 'none', ")
    param, _, message = refused(CreateAssistantRequest, {"model": "m", "k" * 10_000: 1})
    assert param == f"{'k' * 80}…"
    assert message == f"Unknown parameter: '{param}'."


def test_a_complaint_without_a_wording_of_its_own_is_an_invalid_value() -> None:
    class Dated(BaseModel):
        day: int  # lax, unlike the API's integers: complains in a way that no body of the API can

    with pytest.raises(ValidationError) as caught:
        Dated.model_validate({"day": "x"})
    error = from_validation(caught.value)
    assert (error.param, error.code) == ("day", "invalid_value")
    assert error.message.startswith("Invalid 'day': Input should be a valid integer")
