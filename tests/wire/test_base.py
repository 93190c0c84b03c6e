from __future__ import annotations

import msgspec
import pytest

from agentrt.errors import InvalidRequestError
from agentrt.wire.assistants import CreateAssistantRequest, UpdateAssistantRequest
from agentrt.wire.base import MAX_DEPTH, MAX_KEYS, parse_body
from agentrt.wire.runs import CreateThreadAndRunRequest
from agentrt.wire.threads import CreateThreadRequest
from tests.wire.bodies import read, refused


@pytest.mark.parametrize("raw", [b"", b"  \n", b"{}"])
def test_an_empty_body_is_an_empty_object(raw: bytes) -> None:
    assert parse_body(CreateThreadRequest, raw).model_fields_set == set()


def test_an_empty_body_still_misses_what_is_required() -> None:
    with pytest.raises(InvalidRequestError, match=r"^Missing required parameter: 'model'\.$"):
        parse_body(CreateAssistantRequest, b"")


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'{"model":', "Input data was truncated."),
        (b"{'model': 1}", "JSON is malformed: object keys must be strings (byte 1)."),
        (b'{"model":"x"} {}', "JSON is malformed: trailing characters (byte 15)."),
        (b'{"temperature":NaN}', "JSON is malformed: invalid character (byte 15)."),
        (b'{"temperature":-Infinity}', "JSON is malformed: invalid character (byte 16)."),
        (b'{"temperature":1e999}', "Number out of range."),
        (b'{"temperature":' + b"9" * 5000 + b"}", "Integer value out of range."),
        (b'{"model":"\xff"}', "it is not UTF-8 (byte 0 of a string)."),
        (b'{"tools":' * 20_000, "it is nested too deeply."),
        ("{}".encode("utf-16"), "JSON is malformed: invalid character (byte 0)."),
    ],
)
def test_a_body_that_is_not_json_is_refused_with_the_reason(raw: bytes, why: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_body(CreateAssistantRequest, raw)
    assert caught.value.message == f"We could not parse the JSON body of your request: {why}"
    assert (caught.value.param, caught.value.code) == (None, None)


@pytest.mark.parametrize("raw", [rb'{"model":"\ud800"}', rb'{"model":"\udc00 and more text"}', rb'{"\uD83D x":1}'])
def test_half_a_surrogate_pair_is_refused_and_named(raw: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="An escaped surrogate must be one half of a pair"):
        parse_body(CreateAssistantRequest, raw)


def test_a_whole_surrogate_pair_is_a_character() -> None:
    assert parse_body(CreateAssistantRequest, rb'{"model":"\ud83d\ude00"}').model == "\N{GRINNING FACE}"


@pytest.mark.parametrize(
    ("body", "kind"), [([], "an array"), ("x", "a string"), (None, "null"), (1, "an integer"), (True, "a boolean")]
)
def test_a_body_that_is_no_object_is_refused(body: object, kind: str) -> None:
    assert refused(CreateThreadRequest, body) == (
        None,
        "invalid_type",
        f"Invalid type for the request body: expected an object, but got {kind} instead.",
    )


def test_a_nul_character_is_refused_where_it_stands() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"enum": ["a", "b\0"]}}}
    assert refused(CreateAssistantRequest, {"model": "m", "tools": [tool]}) == (
        "tools[0].function.parameters.enum[1]",
        "invalid_value",
        (
            "Invalid 'tools[0].function.parameters.enum[1]': "
            "string contains a NUL character (\\u0000), which cannot be stored."
        ),
    )


def test_a_nul_character_in_a_key_is_refused_too() -> None:
    assert refused(CreateThreadRequest, {"metadata": {"a\0": "b"}})[:2] == ("metadata", "invalid_value")
    assert refused(CreateThreadRequest, {"a\0": "b"})[:2] == (None, "invalid_value")


def test_a_backslash_before_u0000_is_not_a_nul_character() -> None:
    assert read(CreateAssistantRequest, {"model": "m", "name": r"\u0000"}).name == r"\u0000"


def test_a_free_object_may_be_as_deep_as_the_limit_and_not_deeper() -> None:
    def body(levels: int) -> dict[str, object]:
        schema: dict[str, object] = {}
        for _ in range(levels - 1):
            schema = {"items": schema}
        return {"model": "m", "tools": [{"type": "function", "function": {"name": "f", "parameters": schema}}]}

    above = 4  # body, tools, tool, function
    assert read(CreateAssistantRequest, body(MAX_DEPTH - above)).tools
    param, code, message = refused(CreateAssistantRequest, body(MAX_DEPTH - above + 1))
    assert param is not None
    assert param.startswith("tools[0].function.parameters.items.items")
    assert code == "invalid_value"
    assert message.endswith(f"nested too deeply. Expected at most {MAX_DEPTH} levels.")


def test_many_brackets_side_by_side_are_not_deep() -> None:
    message = {"role": "user", "content": [{"type": "text", "text": "[{" * 500}]}
    assert len(read(CreateThreadRequest, {"messages": [message] * 100}).messages or ()) == 100


def test_an_object_with_thousands_of_keys_is_refused_before_it_costs_anything() -> None:
    keys = {str(n): 1 for n in range(MAX_KEYS + 1)}
    assert refused(CreateThreadAndRunRequest, {"assistant_id": "a", "thread": keys}) == (
        "thread",
        "invalid_value",
        f"Invalid 'thread': too many properties. Expected at most {MAX_KEYS}, but got {MAX_KEYS + 1} instead.",
    )


def test_a_text_with_thousands_of_colons_is_read() -> None:
    assert read(CreateAssistantRequest, {"model": "m", "instructions": ":" * (MAX_KEYS + 1)}).instructions


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"model": "m", "foo": 1}, "foo"),
        ({"model": "m", "tools": [{"type": "code_interpreter", "foo": 1}]}, "tools[0].foo"),
        ({"model": "m", "tool_resources": {"file_search": {"foo": 1}}}, "tool_resources.file_search.foo"),
    ],
)
def test_an_unknown_field_is_refused_at_any_depth_unless_the_server_ignores_them(
    body: dict[str, object], param: str
) -> None:
    assert refused(CreateAssistantRequest, body) == (param, "unknown_parameter", f"Unknown parameter: '{param}'.")
    raw = msgspec.json.encode(body)
    assert parse_body(CreateAssistantRequest, raw, unknown_fields="ignore").model == "m"


def test_ignoring_unknown_fields_ignores_no_wrong_ones() -> None:
    with pytest.raises(InvalidRequestError, match="Invalid type for 'model'"):
        parse_body(CreateAssistantRequest, b'{"model":1,"foo":2}', unknown_fields="ignore")


def test_null_and_absent_differ_in_an_update() -> None:
    body = read(UpdateAssistantRequest, {"name": None, "metadata": {}})
    assert body.model_fields_set == {"name", "metadata"}
    assert body.name is None
    assert body.description is None


@pytest.mark.parametrize(("field", "kind"), [("model", "a string"), ("tools", "an array")])
def test_a_field_that_may_be_absent_need_not_be_nullable(field: str, kind: str) -> None:
    assert refused(UpdateAssistantRequest, {field: None}) == (
        field,
        "invalid_type",
        f"Invalid type for '{field}': expected {kind}, but got null instead.",
    )


def test_the_last_of_two_equal_keys_counts() -> None:
    assert parse_body(CreateAssistantRequest, b'{"model":"a","model":"b"}').model == "b"


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (
            [],
            ("metadata", "invalid_type", "Invalid type for 'metadata': expected an object, but got an array instead."),
        ),
        (
            {"a": 1},
            (
                "metadata.a",
                "invalid_type",
                "Invalid type for 'metadata.a': expected a string, but got an integer instead.",
            ),
        ),
        (
            {"k": "v" * 513},
            (
                "metadata.k",
                "string_above_max_length",
                (
                    "Invalid 'metadata.k': string too long. Expected a string with maximum length 512, "
                    "but got a string with length 513 instead."
                ),
            ),
        ),
        (
            {"k" * 65: "v"},
            (
                f"metadata.{'k' * 65}",
                "string_above_max_length",
                (
                    f"Invalid 'metadata.{'k' * 65}': string too long. Expected a string with maximum length 64, "
                    "but got a string with length 65 instead."
                ),
            ),
        ),
        (
            {str(n): "v" for n in range(17)},
            (
                "metadata",
                "invalid_value",
                (
                    "Invalid 'metadata': too many properties. Expected an object with at most 16 properties, "
                    "but got an object with 17 properties instead."
                ),
            ),
        ),
    ],
)
def test_metadata_has_limits(metadata: object, expected: tuple[str, str, str]) -> None:
    assert refused(CreateThreadRequest, {"metadata": metadata}) == expected


def test_metadata_may_be_as_large_as_its_limits() -> None:
    metadata = {f"{n:064}": "é" * 512 for n in range(16)}
    assert read(CreateThreadRequest, {"metadata": metadata}).metadata == metadata
    assert read(CreateThreadRequest, {"metadata": None}).metadata is None


@pytest.mark.parametrize("on_busy", ["reject", "enqueue", "interrupt"])
def test_agentrts_own_fields_live_in_an_object_of_their_own(on_busy: str) -> None:
    extension = read(CreateThreadRequest, {"agentrt": {"on_busy": on_busy}}).agentrt
    assert extension is not None
    assert extension.on_busy == on_busy


@pytest.mark.parametrize(
    ("extension", "expected"),
    [
        ({"foo": 1}, ("agentrt.foo", "unknown_parameter", "Unknown parameter: 'agentrt.foo'.")),
        (
            {"on_busy": "wait"},
            (
                "agentrt.on_busy",
                "invalid_value",
                "Invalid value: 'wait'. Supported values are: 'reject', 'enqueue', and 'interrupt'.",
            ),
        ),
        (
            {"on_busy": None},
            (
                "agentrt.on_busy",
                "invalid_type",
                "Invalid type for 'agentrt.on_busy': expected a string, but got null instead.",
            ),
        ),
        (None, ("agentrt", "invalid_type", "Invalid type for 'agentrt': expected an object, but got null instead.")),
    ],
)
def test_agentrts_own_fields_are_checked_like_all_others(extension: object, expected: tuple[str, str, str]) -> None:
    assert refused(CreateThreadRequest, {"agentrt": extension}) == expected
