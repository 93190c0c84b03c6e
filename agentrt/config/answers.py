"""`response_format` as agents.toml writes it: a word, a file with a schema, or the API's own object."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, JsonValue, WithJsonSchema

from agentrt.config.fields import Table, Text


class ResponseFormatTable(Table):
    """The API's `response_format`, or a file with the schema."""

    type: Literal["auto", "text", "json_object", "json_schema"] | None = None
    file: Text | None = None
    json_schema: dict[str, JsonValue] | None = None


def _as_table(value: object) -> object:
    return {"type": str(value)} if isinstance(value, str) else value


ResponseFormat = Annotated[
    ResponseFormatTable,
    BeforeValidator(_as_table),
    WithJsonSchema(
        {
            "type": ["string", "object"],
            "additionalProperties": False,
            "properties": {
                "file": {"type": "string", "description": "A JSON file with the schema of the answer."},
                "type": {"enum": ["auto", "text", "json_object", "json_schema"]},
                "json_schema": {"type": "object", "required": ["name", "schema"]},
            },
            "if": {"type": "string"},
            "then": {"enum": ["auto", "text", "json_object"]},
        }
    ),
]
