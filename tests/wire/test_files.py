from __future__ import annotations

import pytest

from agentrt.errors import InvalidRequestError
from agentrt.wire.files import read_file_form

PURPOSES = ["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
EXPIRY = [("expires_after[anchor]", "created_at"), ("expires_after[seconds]", "3600")]


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_form_has_a_purpose_and_maybe_an_expiry(purpose: str) -> None:
    assert read_file_form([("purpose", purpose)], filename="a.txt").model_dump() == {
        "purpose": purpose,
        "expires_after": None,
    }
    assert read_file_form([("purpose", purpose), *EXPIRY], filename="a.txt").model_dump() == {
        "purpose": purpose,
        "expires_after": {"anchor": "created_at", "seconds": 3600},
    }


@pytest.mark.parametrize(
    ("fields", "filename", "param", "code"),
    [
        ([("purpose", "assistants")], None, "file", "missing_required_parameter"),
        ([("purpose", "assistants")], "", "file", "invalid_value"),
        ([("purpose", "assistants")], "é" * 128, "file", "invalid_value"),
        ([("purpose", "assistants")], "a\0b", "file", "invalid_value"),
        ([], "a.txt", "purpose", "missing_required_parameter"),
        ([("purpose", "assistants_output")], "a.txt", "purpose", "invalid_value"),
        ([("purpose", "assistants"), ("foo", "1")], "a.txt", "foo", "unknown_parameter"),
        ([("purpose", "assistants\0")], "a.txt", "purpose", "invalid_value"),
        ([("purpose", "assistants"), EXPIRY[0]], "a.txt", "expires_after.seconds", "missing_required_parameter"),
        ([("purpose", "assistants"), EXPIRY[1]], "a.txt", "expires_after.anchor", "missing_required_parameter"),
        (
            [("purpose", "assistants"), EXPIRY[1], ("expires_after[anchor]", "now")],
            "a.txt",
            "expires_after.anchor",
            "invalid_value",
        ),
        (
            [("purpose", "assistants"), EXPIRY[0], ("expires_after[seconds]", "3599")],
            "a.txt",
            "expires_after.seconds",
            "integer_below_min_value",
        ),
        (
            [("purpose", "assistants"), EXPIRY[0], ("expires_after[seconds]", "2592001")],
            "a.txt",
            "expires_after.seconds",
            "integer_above_max_value",
        ),
        (
            [("purpose", "assistants"), EXPIRY[0], ("expires_after[seconds]", "1h")],
            "a.txt",
            "expires_after.seconds",
            "invalid_type",
        ),
    ],
)
def test_a_wrong_form_is_refused(fields: list[tuple[str, str]], filename: str | None, param: str, code: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        read_file_form(fields, filename=filename)
    assert (caught.value.param, caught.value.code) == (param, code)


def test_unknown_fields_of_a_form_can_be_ignored_too() -> None:
    form = read_file_form([("purpose", "vision"), ("foo", "1")], filename="a.png", unknown_fields="ignore")
    assert form.purpose == "vision"
