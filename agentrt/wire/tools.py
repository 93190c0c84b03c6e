"""Tools, tool choice and response format: what assistants and runs share, from the wire to the engine and back.

Round trips are exact: what the caller left out stays out. None, absent or null, is read as None: the caller did not
say, and what holds then is decided elsewhere. How a tool is told to a model is `models/`'s job.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, NotRequired, TypeAlias, assert_never, cast

import msgspec
from pydantic import Field, Tag
from typing_extensions import TypedDict

from agentrt.engine.message import JsonObject
from agentrt.engine.spec import (
    CodeInterpreterTool,
    FileSearchTool,
    FunctionTool,
    ResponseFormat,
    ToolChoice,
    ToolSpec,
)
from agentrt.wire.base import Body, Boolean, Decimal, Integer, Omittable, as_sent, branch, one_of

# Requests ------------------------------------------------------------------------------------------------------------

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[a-zA-Z0-9_-]+$")]


class FunctionRequest(Body):
    """A function's name, what it does, and the JSON Schema of its arguments."""

    name: Name
    description: Omittable[str] = None
    parameters: Omittable[JsonObject] = None
    strict: Boolean | None = None


class FunctionToolRequest(Body):
    type: Literal["function"]
    function: FunctionRequest


class CodeInterpreterToolRequest(Body):
    type: Literal["code_interpreter"]


class RankingOptionsRequest(Body):
    ranker: Omittable[Literal["auto", "default_2024_08_21"]] = None
    score_threshold: Annotated[Decimal, Field(ge=0, le=1)]


class FileSearchOptionsRequest(Body):
    max_num_results: Omittable[Annotated[Integer, Field(ge=1, le=50)]] = None
    ranking_options: Omittable[RankingOptionsRequest] = None


class FileSearchToolRequest(Body):
    type: Literal["file_search"]
    file_search: Omittable[FileSearchOptionsRequest] = None


ToolRequest: TypeAlias = Annotated[
    Annotated[CodeInterpreterToolRequest, Tag(branch("code_interpreter"))]
    | Annotated[FileSearchToolRequest, Tag(branch("file_search"))]
    | Annotated[FunctionToolRequest, Tag(branch("function"))],
    one_of("code_interpreter", "file_search", "function"),
]
# The contract caps a run's tools at 20 in one place and copies an assistant's 128 in another: 128 for both.
ToolList = Annotated[list[ToolRequest], Field(max_length=128, fail_fast=True)]


class NamedFunction(Body):
    name: Name


class FunctionChoiceRequest(Body):
    type: Literal["function"]
    function: NamedFunction


class HostedChoiceRequest(Body):
    type: Literal["code_interpreter", "file_search"]


ToolChoiceRequest: TypeAlias = Annotated[
    Annotated[Literal["none", "auto", "required"], Tag(branch("string"))]
    | Annotated[FunctionChoiceRequest, Tag(branch("function"))]
    | Annotated[HostedChoiceRequest, Tag(branch("code_interpreter"))]
    | Annotated[HostedChoiceRequest, Tag(branch("file_search"))],
    one_of(
        "code_interpreter",
        "file_search",
        "function",
        words=("none", "auto", "required"),
        expected="a string or an object",
    ),
]


class JsonSchemaRequest(Body):
    name: Name
    description: Omittable[str] = None
    schema_: Omittable[JsonObject] = Field(default=None, alias="schema")
    strict: Boolean | None = None


class PlainFormatRequest(Body):
    type: Literal["text", "json_object"]


class JsonSchemaFormatRequest(Body):
    type: Literal["json_schema"]
    json_schema: JsonSchemaRequest


ResponseFormatRequest: TypeAlias = Annotated[
    Annotated[Literal["auto"], Tag(branch("string"))]
    | Annotated[PlainFormatRequest, Tag(branch("text"))]
    | Annotated[PlainFormatRequest, Tag(branch("json_object"))]
    | Annotated[JsonSchemaFormatRequest, Tag(branch("json_schema"))],
    one_of("json_object", "json_schema", "text", words=("auto",), expected="a string or an object"),
]

# Answers -------------------------------------------------------------------------------------------------------------


class FunctionObject(TypedDict):
    name: str
    description: NotRequired[str]
    parameters: NotRequired[JsonObject]
    strict: NotRequired[bool | None]


class FunctionToolObject(TypedDict):
    type: Literal["function"]
    function: FunctionObject


class CodeInterpreterToolObject(TypedDict):
    type: Literal["code_interpreter"]


class RankingOptionsObject(TypedDict):
    ranker: NotRequired[Literal["auto", "default_2024_08_21"]]
    score_threshold: float


class FileSearchOptionsObject(TypedDict):
    max_num_results: NotRequired[int]
    ranking_options: NotRequired[RankingOptionsObject]


class FileSearchToolObject(TypedDict):
    type: Literal["file_search"]
    file_search: NotRequired[FileSearchOptionsObject]


ToolObject: TypeAlias = CodeInterpreterToolObject | FileSearchToolObject | FunctionToolObject


class NamedFunctionObject(TypedDict):
    name: str


class FunctionChoiceObject(TypedDict):
    type: Literal["function"]
    function: NamedFunctionObject


class HostedChoiceObject(TypedDict):
    type: Literal["code_interpreter", "file_search"]


ToolChoiceObject: TypeAlias = Literal["none", "auto", "required"] | FunctionChoiceObject | HostedChoiceObject


class PlainFormatObject(TypedDict):
    type: Literal["text", "json_object"]


class JsonSchemaObject(TypedDict):
    name: str
    description: NotRequired[str]
    schema: NotRequired[JsonObject]
    strict: NotRequired[bool | None]


class JsonSchemaFormatObject(TypedDict):
    type: Literal["json_schema"]
    json_schema: JsonSchemaObject


ResponseFormatObject: TypeAlias = Literal["auto"] | PlainFormatObject | JsonSchemaFormatObject

# Conversion ----------------------------------------------------------------------------------------------------------


def read_tools(tools: Iterable[ToolRequest] | None) -> tuple[ToolSpec, ...] | None:
    """The engine's tools, in the request's order."""
    return None if tools is None else tuple(_read_tool(tool) for tool in tools)


def render_tools(tools: Iterable[ToolSpec]) -> list[ToolObject]:
    """The very tools that read_tools was given."""
    return [_render_tool(tool) for tool in tools]


def read_tool_choice(choice: ToolChoiceRequest | None) -> ToolChoice | None:
    if choice is None:
        return None
    if isinstance(choice, str):
        return ToolChoice(choice)
    if isinstance(choice, HostedChoiceRequest):
        return ToolChoice(choice.type)
    return ToolChoice("function", choice.function.name)


def render_tool_choice(choice: ToolChoice) -> ToolChoiceObject:
    match choice.mode:
        case "auto" | "none" | "required":
            return choice.mode
        case "code_interpreter" | "file_search":
            return {"type": choice.mode}
        case "function":
            return {"type": "function", "function": {"name": choice.name or ""}}
        case _:
            assert_never(choice.mode)


def read_response_format(response_format: ResponseFormatRequest | None) -> ResponseFormat | None:
    """json_schema holds what the caller sent, key for key."""
    if response_format is None:
        return None
    if isinstance(response_format, str):
        return ResponseFormat(response_format)
    if isinstance(response_format, PlainFormatRequest):
        return ResponseFormat(response_format.type)
    return ResponseFormat("json_schema", as_sent(response_format.json_schema))


def render_response_format(response_format: ResponseFormat) -> ResponseFormatObject:
    match response_format.type:
        case "auto":
            return "auto"
        case "text" | "json_object":
            return {"type": response_format.type}
        case "json_schema":
            return {"type": "json_schema", "json_schema": cast("JsonSchemaObject", response_format.json_schema)}
        case _:
            assert_never(response_format.type)


def _read_tool(tool: ToolRequest) -> ToolSpec:
    match tool:
        case FunctionToolRequest(function=function):
            return FunctionTool(
                function.name,
                function.description,
                function.parameters,
                function.strict if "strict" in function.model_fields_set else msgspec.UNSET,
            )
        case FileSearchToolRequest(file_search=options):
            return FileSearchTool(None if options is None else as_sent(options))
        case CodeInterpreterToolRequest():
            return CodeInterpreterTool()
        case _:
            assert_never(tool)


def _render_tool(tool: ToolSpec) -> ToolObject:
    match tool:
        case FunctionTool():
            return {"type": "function", "function": _render_function(tool)}
        case FileSearchTool(options=None):
            return {"type": "file_search"}
        case FileSearchTool(options=options):
            return {"type": "file_search", "file_search": cast("FileSearchOptionsObject", options)}
        case CodeInterpreterTool():
            return {"type": "code_interpreter"}
        case _:
            assert_never(tool)


def _render_function(tool: FunctionTool) -> FunctionObject:
    function: FunctionObject = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.parameters is not None:
        function["parameters"] = tool.parameters
    if tool.strict is not msgspec.UNSET:
        function["strict"] = tool.strict
    return function
