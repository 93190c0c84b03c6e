"""What the demo model promises for every request: an answer, always alike, and JSON that keeps its schema."""

from __future__ import annotations

import asyncio
import json
from typing import NoReturn

import jsonschema
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrt.engine.message import (
    JsonObject,
    JsonValue,
    Message,
    ToolCall,
    ToolResult,
    assistant,
    system,
    tool_answer,
    user,
)
from agentrt.engine.spec import CodeInterpreterTool, FileSearchTool, FunctionTool, ResponseFormat, ToolChoice
from agentrt.models.client import Chunk, ModelRequest
from agentrt.models.demo import Demo
from tests.models.demo_chat import read_calls, read_end, read_text

DEMO = Demo()
relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def terms(lines: str) -> list[str]:
    return lines.split()


SAID = terms(
    """
    what is the weather in Oslo and Rome 12 * 7 ? my name Ada remember : call tool count to five list three
    fruits $20 tomorrow at 5pm "quoted" A-17 ann@example.org https://example.org/a mean of 3, 9, plot sales.csv
    say search not true off city = two { } 【4:0†source】 ' ``` ```python x ``` 5 km in miles 2025-01-31 red
    celsius first JSON keys name 1e999 % ( sqrt
    """
)
KEYWORDS = terms(
    """
    type properties required items enum const anyOf oneOf allOf $ref minItems maxItems minimum maximum minLength
    pattern format default not additionalProperties uniqueItems multipleOf prefixItems description $defs
    minProperties
    """
)
VALUES = terms(
    """
    string integer number array object null boolean # #/$defs/a date email ^a+$ (a+)+$
    """
)
NAMES = terms(
    """
    get_weather calculate search_web code_interpreter file_search remember x
    """
)

words = st.text(max_size=60) | st.lists(st.sampled_from(SAID), max_size=14).map(" ".join)
names = st.sampled_from(NAMES) | st.text(max_size=8)
json_values: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
# Anything that JSON allows where a schema is expected: keywords in wrong places, wrong values, references to nowhere.
wild_schemas: st.SearchStrategy[JsonObject] = st.dictionaries(
    st.sampled_from([*KEYWORDS, "a", "city"]),
    st.recursive(
        st.sampled_from(VALUES) | st.integers() | json_values,
        lambda inner: (
            st.dictionaries(st.sampled_from([*KEYWORDS, "a", "city"]), inner, max_size=4) | st.lists(inner, max_size=3)
        ),
        max_leaves=10,
    ),
    max_size=5,
)
calls = st.builds(ToolCall, st.text(max_size=4), names, words | json_values.map(json.dumps))
results = st.builds(ToolResult, st.text(max_size=4), words | json_values.map(json.dumps))
messages: st.SearchStrategy[list[Message]] = st.lists(
    st.builds(user, words)
    | st.builds(system, words)
    | st.builds(assistant, words, calls)
    | st.builds(assistant, words)
    | st.builds(tool_answer, results),
    max_size=6,
)
requests = st.builds(
    ModelRequest,
    model=st.just("demo"),
    messages=messages.map(tuple),
    tools=st.lists(
        st.builds(FunctionTool, names, st.none() | words, st.none() | wild_schemas)
        | st.sampled_from([CodeInterpreterTool(), FileSearchTool()]),
        max_size=4,
    ).map(tuple),
    tool_choice=st.builds(ToolChoice, st.sampled_from(["auto", "none", "required", "code_interpreter", "file_search"]))
    | st.builds(ToolChoice, st.just("function"), names),
    parallel_tool_calls=st.booleans(),
    response_format=st.builds(
        ResponseFormat,
        st.sampled_from(["auto", "text", "json_object", "json_schema"]),
        st.none() | wild_schemas.map(lambda schema: {"name": "x", "schema": schema}),
    ),
    max_completion_tokens=st.none() | st.integers(0, 40),
)


def answer(request: ModelRequest) -> list[Chunk]:
    async def drain() -> list[Chunk]:
        return [chunk async for chunk in DEMO.stream(request)]

    return asyncio.run(drain())


def no_constant(name: str) -> NoReturn:
    raise AssertionError(f"{name} is no JSON")


def read(text: str) -> JsonValue:
    value: JsonValue = json.loads(text, parse_constant=no_constant)
    return value


@relaxed
@given(requests)
def test_every_request_gets_one_answer_and_always_the_same(request: ModelRequest) -> None:
    chunks = answer(request)
    assert answer(request) == chunks
    end = read_end(chunks)
    made = read_calls(chunks)
    for call in made:
        assert isinstance(read(call.arguments), dict)
    assert not (made and request.tool_choice.mode == "none")
    assert len(made) <= 1 or request.parallel_tool_calls
    assert end.finish_reason in ("stop", "tool_calls", "length")
    if end.finish_reason == "stop":
        assert not made
        assert read_text(chunks)
    if end.finish_reason == "stop" and request.response_format.type in ("json_object", "json_schema"):
        read(read_text(chunks))
    limit = request.max_completion_tokens
    assert end.usage is not None
    assert limit is None or end.usage.completion_tokens <= limit


@relaxed
@given(requests, words)
def test_calls_come_to_an_end(request: ModelRequest, output: str) -> None:
    said = [*request.messages, user("weather in Oslo, 12 * 7")]
    seen: list[tuple[str, str]] = []
    for _ in range(20):
        made = read_calls(
            answer(
                ModelRequest(model="demo", messages=tuple(said), tools=request.tools, tool_choice=request.tool_choice)
            )
        )
        if not made:
            break
        seen += [(call.name, call.arguments) for call in made]
        said += [assistant("", *made), *(tool_answer(ToolResult(call.id, output)) for call in made)]
    else:
        raise AssertionError("it never stopped")
    assert len(seen) == len(set(seen))


PROPERTY_NAMES = st.sampled_from(
    terms("city name date count email tags amount unit answer ok from to id x items url text location when title")
)
PATTERNS = [
    "^[a-z]+$",
    r"^\d{4}-\d{2}$",
    r"^[A-Z]{2,3}\d+$",
    "^(foo|bar)-[0-9]{1,3}$",
    "^#?[0-9a-f]{6}$",
    r"^\S+@\S+\.\S+$",
]
FORMATS = ["date", "date-time", "email", "uuid", "uri", "time", "ipv4", "hostname", "duration"]


def limits(lowest: str, highest: str, largest: int) -> st.SearchStrategy[JsonObject]:
    pairs = st.tuples(st.integers(-largest if lowest == "minimum" else 0, largest), st.integers(0, 5))
    return st.one_of(
        st.just({}),
        pairs.map(lambda pair: {lowest: pair[0]}),
        pairs.map(lambda pair: {lowest: pair[0], highest: pair[0] + pair[1]}),
    )


def typed(name: str, *more: st.SearchStrategy[JsonObject]) -> st.SearchStrategy[JsonObject]:
    about: st.SearchStrategy[JsonObject] = st.sampled_from(
        [{}, {"description": "the city"}, {"description": "how many days"}]
    )
    return st.tuples(st.one_of(*more) if more else st.just({}), about).map(
        lambda both: {"type": name, **both[0], **both[1]}
    )


def nested(inner: st.SearchStrategy[JsonObject]) -> st.SearchStrategy[JsonObject]:
    arrays = st.tuples(inner, limits("minItems", "maxItems", 3)).map(
        lambda both: {"type": "array", "items": both[0], **both[1]}
    )
    unions: st.SearchStrategy[JsonObject] = st.lists(inner, min_size=1, max_size=3).map(
        lambda options: {"anyOf": [*options]}
    )
    return arrays | unions | objects(inner)


def objects(inner: st.SearchStrategy[JsonObject]) -> st.SearchStrategy[JsonObject]:
    properties = st.dictionaries(PROPERTY_NAMES, st.tuples(inner, st.booleans()), max_size=5)
    return properties.map(
        lambda parts: {
            "type": "object",
            "properties": {name: schema for name, (schema, _) in parts.items()},
            "required": [name for name, (_, is_required) in parts.items() if is_required],
            "additionalProperties": False,
        }
    )


# Schemas as people write them: every one can be kept.
leaves: st.SearchStrategy[JsonObject] = st.one_of(
    typed(
        "string",
        limits("minLength", "maxLength", 12),
        st.sampled_from(PATTERNS).map(lambda pattern: {"pattern": pattern}),
        st.sampled_from(FORMATS).map(lambda format_: {"format": format_}),
    ),
    typed(
        "integer",
        limits("minimum", "maximum", 20),
        st.sampled_from([{"multipleOf": 5}, {"exclusiveMinimum": 3, "multipleOf": 4}]),
    ),
    typed("number", limits("minimum", "maximum", 20), st.just({"exclusiveMinimum": 0, "exclusiveMaximum": 1})),
    typed("boolean"),
    st.lists(st.sampled_from(["red", "green", "celsius", 1, 2.5, None]), min_size=1, unique=True).map(
        lambda values: {"enum": [*values]}
    ),
    st.sampled_from(["fixed", 3, None, False, ["a"], {"a": 1}]).map(lambda value: {"const": value}),
    st.sampled_from(["string", "integer", "boolean"]).map(lambda name: {"type": [name, "null"]}),
    st.just({"$ref": "#/$defs/node"}),
)
NODE: JsonObject = {
    "type": "object",
    "properties": {"label": {"type": "string"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
    "required": ["label", "next"],
    "additionalProperties": False,
}
schemas = objects(st.recursive(leaves, nested, max_leaves=6)).map(lambda schema: {**schema, "$defs": {"node": NODE}})


@relaxed
@given(schemas, words)
def test_json_answers_keep_their_schema(schema: JsonObject, said: str) -> None:
    shape = ResponseFormat("json_schema", {"name": "x", "schema": schema})
    heard = read_text(answer(ModelRequest(model="demo", messages=(user(said),), response_format=shape)))
    checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
    jsonschema.Draft202012Validator(schema, format_checker=checker).validate(read(heard))


@relaxed
@given(schemas, words, st.sampled_from(["auto", "required"]))
def test_arguments_keep_their_schema(schema: JsonObject, said: str, mode: str) -> None:
    tool = FunctionTool("get_weather", "The weather in a city", schema)
    choice = ToolChoice("required" if mode == "required" else "auto")
    request = ModelRequest(model="demo", messages=(user(f"weather {said}"),), tools=(tool,), tool_choice=choice)
    made = read_calls(answer(request))
    assert made or mode == "auto"
    for call in made:
        jsonschema.Draft202012Validator(schema).validate(read(call.arguments))
