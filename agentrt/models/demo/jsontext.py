"""JSON to and from text, without surprises: nothing raises, and what is written is JSON to the letter."""

from __future__ import annotations

import json
import math

import msgspec

from agentrt.engine.message import JsonObject, JsonValue


def read_json(text: str) -> JsonValue:
    """The value of a JSON text; a text that is none stands for itself."""
    try:
        value: JsonValue = msgspec.json.decode(text)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return text
    return value


def read_object(text: str) -> JsonObject | None:
    """The value of a JSON text when it is an object, else None."""
    value = read_json(text) if "{" in text else None
    return value if isinstance(value, dict) else None


def write_json(value: JsonValue) -> str:
    """JSON text. An infinity, which a schema's `1e999` becomes, is written as 0: JSON has no word for it.

    The standard library's encoder, because msgspec refuses numbers beyond 64 bits, which users write.
    """
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except ValueError:
        return json.dumps(_finite(value), ensure_ascii=False)


def _finite(value: JsonValue) -> JsonValue:
    if isinstance(value, float) and not math.isfinite(value):
        return 0
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return value
