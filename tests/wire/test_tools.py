from __future__ import annotations

import msgspec
import pytest

from agentrt.engine.spec import (
    CodeInterpreterTool,
    FileSearchTool,
    FunctionTool,
    ResponseFormat,
    RunSpec,
    ToolChoice,
    ToolSpec,
)
from agentrt.wire.assistants import CreateAssistantRequest
from agentrt.wire.runs import CreateRunRequest
from agentrt.wire.tools import (
    read_response_format,
    read_tool_choice,
    read_tools,
    render_response_format,
    render_tool_choice,
    render_tools,
)
from tests.wire.bodies import read, refused

SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "x": [None, 1, 2.5]}

TOOLS: list[dict[str, object]] = [
    {"type": "code_interpreter"},
    {"type": "file_search"},
    {"type": "file_search", "file_search": {}},
    {"type": "file_search", "file_search": {"max_num_results": 50}},
    {"type": "file_search", "file_search": {"ranking_options": {"ranker": "auto", "score_threshold": 0.5}}},
    {"type": "file_search", "file_search": {"ranking_options": {"score_threshold": 0}}},
    {"type": "function", "function": {"name": "f"}},
    {"type": "function", "function": {"name": "get-Weather_2", "description": "", "parameters": {}}},
    {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA, "strict": True}},
    {"type": "function", "function": {"name": "f", "strict": None}},
    {"type": "function", "function": {"name": "f" * 64, "strict": False}},
]
CHOICES: list[object] = [
    "none",
    "auto",
    "required",
    {"type": "code_interpreter"},
    {"type": "file_search"},
    {"type": "function", "function": {"name": "f"}},
]
FORMATS: list[object] = [
    "auto",
    {"type": "text"},
    {"type": "json_object"},
    {"type": "json_schema", "json_schema": {"name": "n"}},
    {"type": "json_schema", "json_schema": {"name": "n", "description": "d", "schema": SCHEMA, "strict": None}},
]


def test_tools_come_back_from_the_engine_as_they_were_sent() -> None:
    tools = read(CreateAssistantRequest, {"model": "m", "tools": TOOLS}).tools or []
    assert render_tools(read_tools(tools) or ()) == TOOLS


def test_tools_keep_their_null_and_absent_fields_while_a_run_is_stored() -> None:
    tools = read_tools(read(CreateAssistantRequest, {"model": "m", "tools": TOOLS}).tools) or ()
    spec = RunSpec(id="run_1", thread_id="thread_1", assistant_id="asst_1", created_at=0, model="m", tools=tools)
    stored = msgspec.json.decode(msgspec.json.encode(spec), type=RunSpec)
    assert stored.tools == tools
    assert render_tools(stored.tools) == TOOLS
    assert msgspec.convert(msgspec.to_builtins(tools), tuple[ToolSpec, ...]) == tools


def test_the_engine_reads_what_each_tool_says() -> None:
    tools = read(CreateAssistantRequest, {"model": "m", "tools": [TOOLS[0], TOOLS[1], TOOLS[3], TOOLS[8]]}).tools
    assert read_tools(tools) == (
        CodeInterpreterTool(),
        FileSearchTool(),
        FileSearchTool({"max_num_results": 50}),
        FunctionTool("f", "d", SCHEMA, True),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("choice", CHOICES)
def test_a_tool_choice_comes_back_as_it_was_sent(choice: object) -> None:
    body = read(CreateRunRequest, {"assistant_id": "a", "tool_choice": choice})
    read_choice = read_tool_choice(body.tool_choice)
    assert read_choice is not None
    assert render_tool_choice(read_choice) == choice


@pytest.mark.parametrize("body", [{"assistant_id": "a"}, {"assistant_id": "a", "tool_choice": None}])
def test_no_tool_choice_is_left_to_the_assistant(body: dict[str, object]) -> None:
    assert read_tool_choice(read(CreateRunRequest, body).tool_choice) is None
    assert render_tool_choice(ToolChoice()) == "auto"


@pytest.mark.parametrize("response_format", FORMATS)
def test_a_response_format_comes_back_as_it_was_sent(response_format: object) -> None:
    body = read(CreateRunRequest, {"assistant_id": "a", "response_format": response_format})
    read_format = read_response_format(body.response_format)
    assert read_format is not None
    assert render_response_format(read_format) == response_format


@pytest.mark.parametrize("body", [{"assistant_id": "a"}, {"assistant_id": "a", "response_format": None}])
def test_no_response_format_is_left_to_the_assistant(body: dict[str, object]) -> None:
    assert read_response_format(read(CreateRunRequest, body).response_format) is None
    assert render_response_format(ResponseFormat()) == "auto"


def test_a_tool_list_holds_128() -> None:
    tools = [{"type": "code_interpreter"}] * 129
    for model, body in ((CreateAssistantRequest, {"model": "m"}), (CreateRunRequest, {"assistant_id": "a"})):
        assert read(model, body | {"tools": tools[:128]})
        assert refused(model, body | {"tools": tools}) == (
            "tools",
            "array_above_max_length",
            (
                "Invalid 'tools': array too long. Expected an array with maximum length 128, "
                "but got an array with length 129 instead."
            ),
        )


SUPPORTED_TOOLS = "Supported values are: 'code_interpreter', 'file_search', and 'function'."


@pytest.mark.parametrize(
    ("tool", "param", "code", "message"),
    [
        (
            "code_interpreter",
            "",
            "invalid_type",
            "Invalid type for '{}': expected an object, but got a string instead.",
        ),
        (None, "", "invalid_type", "Invalid type for '{}': expected an object, but got null instead."),
        ({}, ".type", "missing_required_parameter", "Missing required parameter: '{}'."),
        ({"type": "retrieval"}, ".type", "invalid_value", f"Invalid value: 'retrieval'. {SUPPORTED_TOOLS}"),
        (
            {"type": ["function"]},
            ".type",
            "invalid_type",
            "Invalid type for '{}': expected a string, but got an array instead.",
        ),
        ({"type": "function"}, ".function", "missing_required_parameter", "Missing required parameter: '{}'."),
        (
            {"type": "function", "function": {}},
            ".function.name",
            "missing_required_parameter",
            "Missing required parameter: '{}'.",
        ),
        (
            {"type": "function", "function": {"name": "get weather"}},
            ".function.name",
            "invalid_value",
            (
                "Invalid '{}': string does not match pattern. "
                "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
            ),
        ),
        (
            {"type": "function", "function": {"name": "f\n"}},
            ".function.name",
            "invalid_value",
            (
                "Invalid '{}': string does not match pattern. "
                "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
            ),
        ),
        (
            {"type": "function", "function": {"name": ""}},
            ".function.name",
            "string_below_min_length",
            "Invalid '{}': string too short. Expected a string with minimum length 1, but got an empty string instead.",
        ),
        (
            {"type": "function", "function": {"name": "f" * 65}},
            ".function.name",
            "string_above_max_length",
            (
                "Invalid '{}': string too long. Expected a string with maximum length 64, "
                "but got a string with length 65 instead."
            ),
        ),
        (
            {"type": "function", "function": {"name": "f", "strict": 1}},
            ".function.strict",
            "invalid_type",
            "Invalid type for '{}': expected a boolean, but got an integer instead.",
        ),
        (
            {"type": "function", "function": {"name": "f", "parameters": []}},
            ".function.parameters",
            "invalid_type",
            "Invalid type for '{}': expected an object, but got an array instead.",
        ),
        (
            {"type": "function", "function": {"name": "f", "description": None}},
            ".function.description",
            "invalid_type",
            "Invalid type for '{}': expected a string, but got null instead.",
        ),
        (
            {"type": "file_search", "file_search": {"max_num_results": 51}},
            ".file_search.max_num_results",
            "integer_above_max_value",
            "Invalid '{}': integer above maximum value. Expected a value <= 50, but got 51 instead.",
        ),
        (
            {"type": "file_search", "file_search": {"max_num_results": 0}},
            ".file_search.max_num_results",
            "integer_below_min_value",
            "Invalid '{}': integer below minimum value. Expected a value >= 1, but got 0 instead.",
        ),
        (
            {"type": "file_search", "file_search": {"ranking_options": {}}},
            ".file_search.ranking_options.score_threshold",
            "missing_required_parameter",
            "Missing required parameter: '{}'.",
        ),
        (
            {"type": "file_search", "file_search": {"ranking_options": {"score_threshold": 1.5}}},
            ".file_search.ranking_options.score_threshold",
            "decimal_above_max_value",
            "Invalid '{}': decimal above maximum value. Expected a value <= 1, but got 1.5 instead.",
        ),
    ],
)
def test_a_wrong_tool_is_refused_at_its_place(tool: object, param: str, code: str, message: str) -> None:
    path = f"tools[1]{param}"
    body = {"model": "m", "tools": [{"type": "code_interpreter"}, tool]}
    assert refused(CreateAssistantRequest, body) == (path, code, message.replace("{}", path))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (
            "any",
            (
                "tool_choice",
                "invalid_value",
                "Invalid value: 'any'. Supported values are: 'none', 'auto', and 'required'.",
            ),
        ),
        (
            1,
            (
                "tool_choice",
                "invalid_type",
                "Invalid type for 'tool_choice': expected a string or an object, but got an integer instead.",
            ),
        ),
        ({"type": "tool"}, ("tool_choice.type", "invalid_value", f"Invalid value: 'tool'. {SUPPORTED_TOOLS}")),
        (
            {"type": "function"},
            (
                "tool_choice.function",
                "missing_required_parameter",
                "Missing required parameter: 'tool_choice.function'.",
            ),
        ),
        (
            {"type": "file_search", "function": {"name": "f"}},
            ("tool_choice.function", "unknown_parameter", "Unknown parameter: 'tool_choice.function'."),
        ),
    ],
)
def test_a_wrong_tool_choice_is_refused(choice: object, expected: tuple[str, str, str]) -> None:
    assert refused(CreateRunRequest, {"assistant_id": "a", "tool_choice": choice}) == expected


@pytest.mark.parametrize(
    ("response_format", "expected"),
    [
        ("json", ("response_format", "invalid_value", "Invalid value: 'json'. Supported values are: 'auto'.")),
        (
            [],
            (
                "response_format",
                "invalid_type",
                "Invalid type for 'response_format': expected a string or an object, but got an array instead.",
            ),
        ),
        (
            {"type": "xml"},
            (
                "response_format.type",
                "invalid_value",
                "Invalid value: 'xml'. Supported values are: 'json_object', 'json_schema', and 'text'.",
            ),
        ),
        (
            {"type": "json_schema"},
            (
                "response_format.json_schema",
                "missing_required_parameter",
                "Missing required parameter: 'response_format.json_schema'.",
            ),
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "a b"}},
            (
                "response_format.json_schema.name",
                "invalid_value",
                (
                    "Invalid 'response_format.json_schema.name': string does not match pattern. "
                    "Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'."
                ),
            ),
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema": True}},
            (
                "response_format.json_schema.schema",
                "invalid_type",
                "Invalid type for 'response_format.json_schema.schema': expected an object, but got a boolean instead.",
            ),
        ),
        (
            {"type": "json_schema", "json_schema": {"name": "a", "schema_": {}}},
            (
                "response_format.json_schema.schema_",
                "unknown_parameter",
                "Unknown parameter: 'response_format.json_schema.schema_'.",
            ),
        ),
    ],
)
def test_a_wrong_response_format_is_refused(response_format: object, expected: tuple[str, str, str]) -> None:
    assert refused(CreateRunRequest, {"assistant_id": "a", "response_format": response_format}) == expected
