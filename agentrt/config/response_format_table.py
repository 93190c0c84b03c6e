"""`response_format` of an agent as it is written: a word, a table, or a file; in a module of its own because
`document.py` is full."""

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
