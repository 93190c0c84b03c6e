"""JSON answers of the demo model: the schema is kept, and filled with what was said where that is possible."""

from __future__ import annotations

import json

import jsonschema
import pytest

from agentrt.engine.message import JsonObject, JsonValue
from agentrt.engine.spec import ResponseFormat
from tests.models.demo_chat import WEATHER, Chat

STRING: JsonValue = {"type": "string"}
JSON = ResponseFormat("json_object")


def schema_of(**properties: JsonValue) -> JsonObject:
    return {
        "type": "object",
        "properties": dict(properties),
        "required": list(properties),
        "additionalProperties": False,
    }


def shaped(schema: JsonObject) -> ResponseFormat:
    return ResponseFormat("json_schema", {"name": "answer", "schema": schema, "strict": True})


async def test_a_json_object_holds_the_answer() -> None:
    assert json.loads(await Chat(format=JSON).say("count to 3")) == {"answer": "1, 2, 3"}


@pytest.mark.parametrize(
    "asked",
    [
        "Anna is 34 and lives in Oslo. Give me JSON with the keys name, age and city.",
        'Fill in {"name": "", "age": 0, "city": ""} for: Anna is 34 and lives in Oslo',
    ],
)
async def test_a_json_object_has_the_keys_that_were_asked_for(asked: str) -> None:
    assert json.loads(await Chat(format=JSON).say(asked)) == {"name": "Anna", "age": 34, "city": "Oslo"}


async def test_keys_may_stand_in_the_instructions() -> None:
    chat = Chat(format=JSON, instructions='Reply in JSON like {"city": "…"}.')
    assert json.loads(await chat.say("I live in Oslo")) == {"city": "Oslo"}


@pytest.mark.parametrize(
    ("said", "schema", "answered"),
    [
        (
            "Alice and Bob are going to a science fair on Friday.",
            schema_of(name=STRING, date=STRING, participants={"type": "array", "items": STRING}),
            {"name": "science fair", "date": "Friday", "participants": ["Alice", "Bob"]},
        ),
        (
            "Invoice A-17 over $120.50 for Bob, due 2025-03-01, paid",
            schema_of(
                number=STRING,
                total={"type": "number"},
                customer=STRING,
                due={"type": "string", "format": "date"},
                status={"enum": ["open", "paid"]},
                currency={"type": ["string", "null"]},
                note={"type": ["string", "null"]},
            ),
            {
                "number": "A-17",
                "total": 120.5,
                "customer": "Bob",
                "due": "2025-03-01",
                "status": "paid",
                "currency": "USD",
                "note": None,
            },
        ),
        (
            "what is 6 * 7?",
            schema_of(answer=STRING, confidence={"type": "number", "minimum": 0.5, "maximum": 1}),
            {"answer": "6 * 7 = 42", "confidence": 0.5},
        ),
        (
            "hm",
            schema_of(
                steps={"type": "array", "items": {"$ref": "#/$defs/step"}, "minItems": 2},
                kind={"const": "none"},
                code={"type": "string", "pattern": "^[A-Z]{3}-\\d{2}$"},
                id={"type": "string", "format": "uuid"},
                text={"type": "string", "minLength": 5},
                choice={"anyOf": [{"type": "string", "enum": ["a"]}, {"type": "integer"}]},
                odd={"type": "integer", "exclusiveMinimum": 4, "multipleOf": 5},
                tags={"type": "array", "items": {"enum": ["x", "y"]}, "minItems": 2, "uniqueItems": True},
            )
            | {"$defs": {"step": schema_of(output=STRING, done={"type": "boolean"})}},
            {
                "steps": [{"output": "", "done": False}, {"output": "", "done": False}],
                "kind": "none",
                "code": "AAA-00",
                "id": "00000000-0000-4000-8000-000000000000",
                "text": "demod",
                "choice": "a",
                "odd": 5,
                "tags": ["x", "y"],
            },
        ),
    ],
)
async def test_a_schema_is_kept_and_filled(said: str, schema: JsonObject, answered: JsonObject) -> None:
    heard = json.loads(await Chat(format=shaped(schema)).say(said))
    jsonschema.validate(heard, schema, format_checker=jsonschema.FormatChecker())
    assert heard == answered


async def test_tool_results_and_arguments_fill_the_answer() -> None:
    schema = schema_of(city=STRING, temp_c={"type": "number"}, summary=STRING)
    chat = Chat(WEATHER, format=shaped(schema))
    assert await chat.say("What is the weather in Oslo?") == 'get_weather(city="Oslo")'
    assert json.loads(await chat.give('{"now": {"temp_c": 4, "sky": "clear"}}')) == {
        "city": "Oslo",
        "temp_c": 4,
        "summary": "Oslo: now: (temp c: 4, sky: clear).",
    }


async def test_facts_of_the_conversation_fill_the_answer() -> None:
    chat = Chat(format=shaped(schema_of(cat=STRING)))
    await chat.say("my cat is Mia")
    assert json.loads(await chat.say("Give me my profile")) == {"cat": "Mia"}


async def test_a_tree_of_itself_ends() -> None:
    node: JsonValue = {"$ref": "#/$defs/node"}
    schema: JsonObject = {
        **schema_of(root=node),
        "$defs": {"node": schema_of(label=STRING, next={"anyOf": [node, {"type": "null"}]})},
    }
    assert json.loads(await Chat(format=shaped(schema)).say("hm")) == {"root": {"label": "hm", "next": None}}


async def test_the_answer_need_not_be_an_object() -> None:
    assert json.loads(await Chat(format=shaped({"type": "array", "items": STRING, "minItems": 1})).say("hm")) == [""]
    assert json.loads(await Chat(format=shaped({"type": "string"})).say("count to 2")) == "1, 2"


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        schema_of(a={"$ref": "#"}, b={"$ref": "#"}),
        schema_of(a={"type": "array", "minItems": 10**9, "items": {"type": "array", "minItems": 10**9}}),
        schema_of(a={"type": "string", "minLength": 10**9}),
        schema_of(a={"type": "string", "pattern": "^(a+)+$"}),
        schema_of(a={"type": "string", "pattern": "(?<=x)y{999999999}"}),
        schema_of(a={"type": "number", "minimum": 10**400, "maximum": 1.5}),
        schema_of(a=False),
        schema_of(a={"const": float("inf")}),  # what 1e999 in a request becomes
        {"type": 7, "properties": [], "required": "a", "enum": {}},
    ],
)
async def test_an_unkind_schema_costs_nothing_and_gets_json(schema: JsonObject) -> None:
    heard = await Chat(format=shaped(schema)).say("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!")
    json.loads(heard, parse_constant=pytest.fail)
    assert len(heard) < 200_000
