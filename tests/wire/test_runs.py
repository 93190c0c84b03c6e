from __future__ import annotations

import pytest

from agentrt.engine.spec import Truncation
from agentrt.wire.base import MAX_INTEGER, Body
from agentrt.wire.runs import (
    CreateRunRequest,
    CreateThreadAndRunRequest,
    SubmitToolOutputsRequest,
    UpdateRunRequest,
    read_tool_outputs,
    read_truncation,
    render_truncation,
)
from tests.wire.bodies import read, refused

BOTH: list[type[CreateRunRequest | CreateThreadAndRunRequest]] = [CreateRunRequest, CreateThreadAndRunRequest]


@pytest.mark.parametrize("model", BOTH)
def test_only_the_assistant_is_required(model: type[Body]) -> None:
    assert read(model, {"assistant_id": "asst_1"}).model_fields_set == {"assistant_id"}
    assert refused(model, {}) == (
        "assistant_id",
        "missing_required_parameter",
        "Missing required parameter: 'assistant_id'.",
    )


@pytest.mark.parametrize("model", BOTH)
@pytest.mark.parametrize(
    "field",
    [
        *("model", "instructions", "tools", "metadata", "temperature", "top_p", "stream", "max_prompt_tokens"),
        *("max_completion_tokens", "truncation_strategy", "tool_choice", "response_format"),
    ],
)
def test_null_means_as_the_assistant_says(model: type[Body], field: str) -> None:
    assert getattr(read(model, {"assistant_id": "a", field: None}), field) is None


@pytest.mark.parametrize(
    ("field", "value"),
    [("additional_instructions", "x"), ("additional_messages", []), ("reasoning_effort", "low")],
)
def test_what_only_a_run_on_an_existing_thread_takes(field: str, value: object) -> None:
    assert read(CreateRunRequest, {"assistant_id": "a", field: value})
    assert read(CreateRunRequest, {"assistant_id": "a", field: None})
    assert refused(CreateThreadAndRunRequest, {"assistant_id": "a", field: value})[:2] == (field, "unknown_parameter")


@pytest.mark.parametrize(("field", "value"), [("thread", {}), ("tool_resources", {})])
def test_what_only_a_run_with_a_new_thread_takes(field: str, value: object) -> None:
    assert read(CreateThreadAndRunRequest, {"assistant_id": "a", field: value})
    assert refused(CreateRunRequest, {"assistant_id": "a", field: value})[:2] == (field, "unknown_parameter")


def test_the_new_thread_is_checked_like_any_other() -> None:
    thread: dict[str, object] = {"messages": [{"role": "user", "content": "Hi", "foo": 1}]}
    assert refused(CreateThreadAndRunRequest, {"assistant_id": "a", "thread": thread})[:2] == (
        "thread.messages[0].foo",
        "unknown_parameter",
    )
    assert refused(CreateThreadAndRunRequest, {"assistant_id": "a", "thread": None})[:2] == ("thread", "invalid_type")


@pytest.mark.parametrize("model", BOTH)
@pytest.mark.parametrize("field", ["max_prompt_tokens", "max_completion_tokens"])
@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        (255, "integer_below_min_value", "integer below minimum value. Expected a value >= 256, but got 255 instead."),
        (
            MAX_INTEGER + 1,
            "integer_above_max_value",
            "integer above maximum value. Expected a value <= 2147483647, but got 2147483648 instead.",
        ),
        (256.0, "invalid_type", "expected an integer, but got a decimal instead."),
        ("256", "invalid_type", "expected an integer, but got a string instead."),
        (True, "invalid_type", "expected an integer, but got a boolean instead."),
    ],
)
def test_token_limits_are_integers_from_256(
    model: type[Body], field: str, value: object, code: str, words: str
) -> None:
    assert read(model, {"assistant_id": "a", field: 256})
    param, found, message = refused(model, {"assistant_id": "a", field: value})
    assert (param, found) == (field, code)
    assert message.endswith(words)


@pytest.mark.parametrize("model", BOTH)
@pytest.mark.parametrize("value", [1, 0, "true"])
def test_stream_is_a_boolean(model: type[Body], value: object) -> None:
    assert read(model, {"assistant_id": "a", "stream": True})
    assert refused(model, {"assistant_id": "a", "stream": value})[:2] == ("stream", "invalid_type")


@pytest.mark.parametrize("model", BOTH)
def test_parallel_tool_calls_is_a_boolean_and_never_null(model: type[Body]) -> None:
    assert read(model, {"assistant_id": "a", "parallel_tool_calls": False})
    assert refused(model, {"assistant_id": "a", "parallel_tool_calls": None}) == (
        "parallel_tool_calls",
        "invalid_type",
        "Invalid type for 'parallel_tool_calls': expected a boolean, but got null instead.",
    )


@pytest.mark.parametrize(("field", "limit"), [("instructions", 256_000), ("additional_instructions", 256_000)])
def test_a_runs_own_instructions_are_as_long_as_an_assistants(field: str, limit: int) -> None:
    assert read(CreateRunRequest, {"assistant_id": "a", field: "x" * limit})
    code = "string_above_max_length"
    assert refused(CreateRunRequest, {"assistant_id": "a", field: "x" * (limit + 1)})[:2] == (field, code)


@pytest.mark.parametrize(
    ("sent", "strategy", "answered"),
    [
        ({"type": "auto"}, Truncation("auto"), {"type": "auto", "last_messages": None}),
        ({"type": "auto", "last_messages": None}, Truncation("auto"), {"type": "auto", "last_messages": None}),
        (
            {"type": "last_messages", "last_messages": 1},
            Truncation("last_messages", 1),
            {"type": "last_messages", "last_messages": 1},
        ),
    ],
)
def test_truncation_is_read_and_answered(sent: object, strategy: Truncation, answered: object) -> None:
    body = read(CreateRunRequest, {"assistant_id": "a", "truncation_strategy": sent})
    assert read_truncation(body.truncation_strategy) == strategy
    assert render_truncation(strategy) == answered


def test_no_truncation_is_left_to_the_assistant() -> None:
    assert read_truncation(read(CreateRunRequest, {"assistant_id": "a"}).truncation_strategy) is None
    assert render_truncation(Truncation()) == {"type": "auto", "last_messages": None}


@pytest.mark.parametrize(
    ("sent", "param", "code"),
    [
        ({}, "truncation_strategy.type", "missing_required_parameter"),
        ({"type": "middle"}, "truncation_strategy.type", "invalid_value"),
        ({"type": "last_messages"}, "truncation_strategy.last_messages", "missing_required_parameter"),
        (
            {"type": "last_messages", "last_messages": None},
            "truncation_strategy.last_messages",
            "missing_required_parameter",
        ),
        (
            {"type": "last_messages", "last_messages": 0},
            "truncation_strategy.last_messages",
            "integer_below_min_value",
        ),
        ({"type": "last_messages", "last_messages": "9"}, "truncation_strategy.last_messages", "invalid_type"),
        ("auto", "truncation_strategy", "invalid_type"),
    ],
)
def test_a_wrong_truncation_is_refused(sent: object, param: str, code: str) -> None:
    assert refused(CreateRunRequest, {"assistant_id": "a", "truncation_strategy": sent})[:2] == (param, code)


def test_additional_messages_are_messages() -> None:
    messages = [{"role": "user", "content": "Hi"}]
    body = read(CreateRunRequest, {"assistant_id": "a", "additional_messages": messages})
    assert [message.content for message in body.additional_messages or ()] == ["Hi"]
    wrong = [{"role": "user", "content": "Hi", "agentrt": {}}]
    assert refused(CreateRunRequest, {"assistant_id": "a", "additional_messages": wrong})[:2] == (
        "additional_messages[0].agentrt",
        "unknown_parameter",
    )


@pytest.mark.parametrize("model", BOTH)
def test_a_run_may_say_what_happens_on_a_busy_thread(
    model: type[CreateRunRequest | CreateThreadAndRunRequest],
) -> None:
    extension = read(model, {"assistant_id": "a", "agentrt": {"on_busy": "interrupt"}}).agentrt
    assert extension is not None
    assert extension.on_busy == "interrupt"


def test_an_update_takes_metadata_only() -> None:
    assert read(UpdateRunRequest, {"metadata": None}).model_fields_set == {"metadata"}
    assert refused(UpdateRunRequest, {"status": "completed"})[:2] == ("status", "unknown_parameter")


def test_tool_outputs_are_pairs_in_their_order_and_may_be_empty() -> None:
    outputs = [
        {"tool_call_id": "call_2", "output": "4 °C"},
        {"tool_call_id": "call_1", "output": ""},
        {"tool_call_id": "call_3", "output": None},
        {"tool_call_id": "call_4"},
    ]
    body = read(SubmitToolOutputsRequest, {"tool_outputs": outputs, "stream": True})
    assert read_tool_outputs(body) == (
        ("call_2", "4 °C"),
        ("call_1", ""),
        ("call_3", ""),
        ("call_4", ""),
    )
    assert body.stream is True
    assert read_tool_outputs(read(SubmitToolOutputsRequest, {"tool_outputs": []})) == ()


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "tool_outputs", "missing_required_parameter"),
        ({"tool_outputs": None}, "tool_outputs", "invalid_type"),
        ({"tool_outputs": {}}, "tool_outputs", "invalid_type"),
        ({"tool_outputs": ["x"]}, "tool_outputs[0]", "invalid_type"),
        ({"tool_outputs": [{"output": "x"}]}, "tool_outputs[0].tool_call_id", "missing_required_parameter"),
        ({"tool_outputs": [{"tool_call_id": "c", "output": 4}]}, "tool_outputs[0].output", "invalid_type"),
        ({"tool_outputs": [{"tool_call_id": "c", "error": "x"}]}, "tool_outputs[0].error", "unknown_parameter"),
        ({"tool_outputs": [], "stream": "no"}, "stream", "invalid_type"),
    ],
)
def test_wrong_tool_outputs_are_refused(body: dict[str, object], param: str, code: str) -> None:
    assert refused(SubmitToolOutputsRequest, body)[:2] == (param, code)
