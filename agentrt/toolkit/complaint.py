"""What is wrong with a call's arguments, in words that a model can act on: where, what, and what would do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from agentrt.engine.message import JsonObject
from agentrt.suggest import perhaps

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

_SHOWN_VALUE = 60
_SHOWN_CHOICES = 20
_SHOWN_MESSAGE = 200
_SHOWN_OUTLINE = 800
_OUTLINE_DEPTH = 3


def complain(errors: Iterable[ValidationError]) -> str:
    """The most telling of a schema's errors. errors must not be empty."""
    from jsonschema.exceptions import best_match

    error: Any = best_match(errors)
    path = _path(error.absolute_path)
    return f"{path}: {_what(error)}" if path else _what(error)


def outline(schema: JsonObject) -> str:
    """An arguments schema as one readable line: `{"city": string, "days"?: integer}`."""
    return shorten(_outline(schema, schema, _OUTLINE_DEPTH), _SHOWN_OUTLINE)


def show(value: object) -> str:
    """A JSON value on one short line."""
    return shorten(json.dumps(value, ensure_ascii=False, default=str), _SHOWN_VALUE)


def _what(error: ValidationError) -> str:
    wanted: Any = error.validator_value
    match error.validator:
        case "required":
            missing = [name for name in wanted if name not in _mapping(error.instance)]
            return f"missing {', '.join(repr(name) for name in missing)}"
        case "additionalProperties" if isinstance(error.schema, Mapping) and wanted is False:
            known = list(error.schema.get("properties", {}))
            unknown = [name for name in _mapping(error.instance) if name not in known]
            if not unknown:
                return shorten(error.message, _SHOWN_MESSAGE)
            allowed = f"Allowed: {', '.join(known)}" if known else "It takes no arguments"
            return f"unknown argument {show(unknown[0])}. {perhaps(unknown[0], known)}{allowed}"
        case "type":
            return f"expected {_kinds(wanted)}, got {show(error.instance)}"
        case "enum":
            return f"expected {_choices(wanted, ' or ')}, got {show(error.instance)}"
        case "const":
            return f"expected {show(wanted)}, got {show(error.instance)}"
        case _:
            return shorten(error.message, _SHOWN_MESSAGE)


def _outline(schema: Any, root: JsonObject, depth: int) -> str:
    if not isinstance(schema, Mapping) or not schema:
        return "any"
    if isinstance(reference := schema.get("$ref"), str) and reference.startswith("#/$defs/"):
        definitions: Any = root.get("$defs", {})
        return _outline(definitions.get(reference.removeprefix("#/$defs/")), root, depth)
    if "enum" in schema:
        return _choices(schema["enum"], " | ")
    if members := schema.get("anyOf") or schema.get("oneOf"):
        return " | ".join(dict.fromkeys(_outline(member, root, depth) for member in members))
    if properties := schema.get("properties"):
        if depth == 0:
            return "object"
        required = schema.get("required", ())
        fields = (
            f'"{name}"{"" if name in required else "?"}: {_outline(field, root, depth - 1)}'
            for name, field in properties.items()
        )
        return f"{{{', '.join(fields)}}}"
    if schema.get("type") == "object" and schema.get("additionalProperties") is False:
        return "{}"
    if schema.get("type") == "array" and "items" in schema:
        return f"array of {_outline(schema['items'], root, depth)}"
    return f"{_kinds(schema.get('type', 'any'), ' | ')}{_format(schema)}"


def _format(schema: Mapping[str, object]) -> str:
    return f" ({schema['format']})" if isinstance(schema.get("format"), str) else ""


def _kinds(kinds: str | Sequence[str], separator: str = " or ") -> str:
    return kinds if isinstance(kinds, str) else separator.join(kinds)


def _choices(values: Sequence[object], separator: str) -> str:
    shown = [show(value) for value in values[:_SHOWN_CHOICES]]
    return separator.join((*shown, "…") if len(values) > _SHOWN_CHOICES else shown)


def _path(parts: Iterable[str | int]) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)
    return text.removeprefix(".")


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}


def shorten(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
