"""The JSON Schema of agents.toml, for editors; `agents.schema.json` beside this file is a copy of it.

Made from `document.py`, then reworked for taplo, whose messages are only clear about flat schemas: no `$ref`, no
`anyOf` with null, no `oneOf`; conditions on the provider as `if … then`.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, cast

from agentrt.config.schema import JsonObject, JsonValue

SCHEMA_FILE: Final = Path(__file__).with_name("agents.schema.json")

_VARIABLE: Final = r"\$\{"
_RENAMED: Final = {"ge": "minimum", "le": "maximum"}
_DROPPED: Final = {"title", "$defs"}
_ABOUT: Final = {"description", "default", "examples"}


def config_schema() -> JsonObject:
    """The schema, in JSON Schema draft 7."""
    from agentrt.config.document import Document

    raw = cast(JsonObject, Document.model_json_schema())
    schema = _flat(raw, cast(JsonObject, raw["$defs"]))
    assert isinstance(schema, dict)
    model = _named_table(schema, "models")
    model["required"] = ["provider"]
    model["allOf"] = [
        _needs("base_url", {"enum": ["azure", "compatible"]}),
        _needs("model", {"enum": ["openai", "azure", "ollama", "compatible"]}),
    ]
    webhooks = cast(JsonObject, cast(JsonObject, schema["properties"])["webhooks"])
    cast(JsonObject, webhooks["items"])["required"] = ["name", "url", "secret"]
    return {"$schema": "http://json-schema.org/draft-07/schema#", "title": "agents.toml of agentrt", **schema}


def write_schema(folder: Path) -> Path:
    """Put the schema where `#:schema ./.agentrt/agents.schema.json` finds it; folder is agents.toml's."""
    target = folder / ".agentrt" / SCHEMA_FILE.name
    target.parent.mkdir(exist_ok=True)
    target.write_bytes(SCHEMA_FILE.read_bytes())
    return target


def _needs(key: str, providers: JsonObject) -> JsonObject:
    condition: JsonObject = {"properties": {"provider": providers}, "required": ["provider"]}
    return {"if": condition, "then": {"required": [key]}}


def _named_table(schema: JsonObject, kind: str) -> JsonObject:
    """The schema of [kind.NAME]."""
    named = cast(JsonObject, cast(JsonObject, schema["properties"])[kind])
    return cast(JsonObject, named["additionalProperties"])


def _flat(schema: JsonValue, definitions: JsonObject) -> JsonValue:
    """The schema with its references put in, `| null` taken out and `${VAR}` allowed for every number and boolean."""
    if isinstance(schema, list):
        return [_flat(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    schema = _joined(schema, definitions)
    flat: JsonObject = {}
    for key, value in schema.items():
        match key, value:
            case ("properties", dict()):
                flat[key] = {name: _flat(below, definitions) for name, below in value.items()}
            case ("patternProperties", dict()):  # the names of tables
                [(pattern, below)] = value.items()
                flat["propertyNames"] = {"pattern": pattern}
                flat["additionalProperties"] = _flat(below, definitions)
            case ("default", None | dict()):
                pass
            case ("examples" | "default" | "enum" | "const" | "required", _):
                flat[key] = value
            case _ if key not in _DROPPED:
                flat[_RENAMED.get(key, key)] = _flat(value, definitions)
    return _with_variable(flat)


def _joined(schema: JsonObject, definitions: JsonObject) -> JsonObject:
    """The schema with what it refers to, and with the one alternative that is not null; what it says itself wins."""
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return cast(JsonObject, definitions[name]) | {key: value for key, value in schema.items() if key != "$ref"}
    alternatives = schema.get("anyOf")
    if isinstance(alternatives, list):
        [one] = [each for each in alternatives if isinstance(each, dict) and each != {"type": "null"}]
        return _joined(one, definitions) | {key: value for key, value in schema.items() if key != "anyOf"}
    return schema


def _with_variable(schema: JsonObject) -> JsonObject:
    """The schema of a number, boolean or patterned text that may also be a text with a variable in it.

    As `else`, because taplo then says what the value should have been, and not that no alternative fits.
    """
    is_plain = schema.get("type") in ("integer", "number", "boolean") and "const" not in schema
    if not is_plain and "pattern" not in schema:
        return schema
    checks = {key: value for key, value in schema.items() if key not in _ABOUT}
    about = {key: value for key, value in schema.items() if key in _ABOUT}
    return {**about, "if": {"type": "string", "pattern": _VARIABLE}, "else": checks}
