"""Is an answer, or the data of a stream event, what the official API document says?

The document is read as the contract page says (section 6), because it contradicts itself: `nullable: true` means "or
null" wherever it stands, optional means "or null", `oneOf` means `anyOf`; cursors of an empty list may be null, a
file's purpose may be `evals`, and a run may have as many tools as an assistant. Everything else holds as written.

The document is not part of the repository: without it (see DOCUMENT) tests marked `needs_contract` are skipped.
Requests are not checked here; bodies of status 400 and more always are error envelopes.
"""

from __future__ import annotations

import json
import os
from functools import cache
from pathlib import Path
from typing import TypeAlias, cast

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

Schema: TypeAlias = "dict[str, object]"

DOCUMENT = Path(
    os.environ.get("AGENTRT_CONTRACT")  # noqa: TID251 - says where a test's own input is, not how agentrt behaves
    or Path(__file__).resolve().parents[2].parent / "shared" / "contract" / "openapi.json"
)
needs_contract = pytest.mark.skipif(not DOCUMENT.is_file(), reason=f"the official API document is not at {DOCUMENT}")

_KEPT = (
    *("type", "enum", "const", "required", "pattern", "uniqueItems"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
    *("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
)
_NULL: Schema = {"type": "null"}
_ID_OR_NULL: Schema = {"type": ["string", "null"]}
_MOST_TOOLS = 128
# Fields that agentrt adds to official objects, apart from `agentrt` itself, which may stand in any.
_OWN_FIELDS = {
    "AssistantObject": ("reasoning_effort",),
    "RunObject": ("reasoning_effort",),
    "VectorStoreSearchResultsPage": ("explain",),  # when the request asks for it
}


def _page_of(item: Schema) -> Schema:
    """A list's answer."""
    return {
        "type": "object",
        "properties": {
            "object": {"type": "string", "enum": ["list"]},
            "data": {"type": "array", "items": item},
            "first_id": {"type": "string"},
            "last_id": {"type": "string"},
            "has_more": {"type": "boolean"},
        },
        "required": ["object", "data", "first_id", "last_id", "has_more"],
    }


_RUN: Schema = {"$ref": "#/components/schemas/RunObject"}
_RUN_EVENT: Schema = {
    "type": "object",
    "properties": {
        "id": {"type": "string", "pattern": r"^\d+\.\d+$"},
        "object": {"type": "string", "enum": ["thread.run.event"]},
        "kind": {"type": "string"},
        "at": {"type": "number", "nullable": True},
        "data": {"type": "object", "additionalProperties": True},
        "pieces": {"type": "integer", "minimum": 1},
    },
    "required": ["id", "object", "kind", "at", "data"],
}
# Answers of endpoints that the old service did not have.
_OWN_ENDPOINTS: dict[tuple[str, str], Schema] = {
    ("get", "/threads"): _page_of({"$ref": "#/components/schemas/ThreadObject"}),
    ("get", "/runs"): _page_of(_RUN),
    ("get", "/runs/{run_id}"): _RUN,
    ("get", "/runs/{run_id}/events"): _page_of(_RUN_EVENT),
    ("post", "/runs/{run_id}/cancel"): _RUN,
    ("post", "/runs/{run_id}/retry"): _RUN,
    ("get", "/vector_stores/{vector_store_id}/folders"): {"type": "object"},
    ("post", "/schedules"): {"type": "object"},
    ("get", "/schedules"): _page_of({"type": "object"}),
    ("get", "/schedules/{schedule_id}"): {"type": "object"},
    ("post", "/schedules/{schedule_id}"): {"type": "object"},
    ("delete", "/schedules/{schedule_id}"): {"type": "object"},
    ("post", "/schedules/{schedule_id}/run"): _RUN,
    ("get", "/schedules/{schedule_id}/runs"): _page_of(_RUN),
}
_OWN_PATHS = ("/threads/{thread_id}/runs/{run_id}/stream",)
_OWN_FAMILIES = ("/v1/webhooks",)


class ContractError(AssertionError):
    """Not what the document says."""


def validate_response(method: str, path_template: str, status: int, body: object, *, closed: bool = False) -> None:
    """Check the JSON body of an answer; path_template is without `/v1` (see template_of).

    closed also refuses keys that the document does not name, but for agentrt's own. Raises ContractError.
    """
    where = f"{method.upper()} {path_template} {status}"
    validator = _error_validator() if status >= 400 else _response_validator(method.lower(), path_template, closed)
    _check(validator, body, where)


def validate_event(event_name: str, data: object, *, closed: bool = False) -> None:
    """Check the data of a stream event: the decoded JSON, and the text `[DONE]` itself of `done`."""
    _check(_event_validator(event_name, closed), data, f"event {event_name}")


def is_own(path: str) -> bool:
    """Whether the document has no word for anything there: our own OpenAPI document is what holds."""
    return any(path == family or path.startswith(f"{family}/") for family in _OWN_FAMILIES)


def template_of(path: str) -> str:
    """`/v1/threads/thread_1/runs?limit=2` → `/threads/{thread_id}/runs`. ContractError if there is none."""
    parts = path.partition("?")[0].removeprefix("/v1").removeprefix("/").split("/")
    found = [template for template in _templates() if _matches(template, parts)]
    if not found:
        raise ContractError(f"no endpoint has the path {path}")
    # `/threads/runs` fits `/threads/{thread_id}` too: the template with the fewest names in it is meant.
    return min(found, key=lambda template: template.count("{"))


def official_schema(name: str) -> Schema:
    """One of the document's component schemas, as written."""
    return _schemas()[name]


def event_names() -> set[str]:
    """All events of a run's stream."""
    return set(_event_schemas())


@cache
def _document() -> dict[str, dict[str, dict[str, Schema]]]:
    return cast("dict[str, dict[str, dict[str, Schema]]]", json.loads(DOCUMENT.read_bytes()))


def _schemas() -> dict[str, Schema]:
    return _document()["components"]["schemas"]


@cache
def _templates() -> tuple[str, ...]:
    return (*_document()["paths"], *(path for _, path in _OWN_ENDPOINTS), *_OWN_PATHS)


def _matches(template: str, parts: list[str]) -> bool:
    names = template.strip("/").split("/")
    return len(names) == len(parts) and all(
        name == part or (name.startswith("{") and part != "") for name, part in zip(names, parts, strict=True)
    )


def _check(validator: Draft202012Validator, body: object, where: str) -> None:
    # Each error's own best match: of a union only the branch that comes nearest is worth reading.
    errors = [best_match([error]) for error in validator.iter_errors(body)]
    if errors:
        raise ContractError(
            f"{where}: " + "; ".join(f"{error.json_path}: {error.message}" for error in errors if error)
        )


@cache
def _response_validator(method: str, path_template: str, closed: bool) -> Draft202012Validator:
    own = _OWN_ENDPOINTS.get((method, path_template))
    if own is not None:
        return _validator(own, closed)
    try:
        operation = cast("dict[str, dict[str, Schema]]", _document()["paths"][path_template][method])
    except KeyError:
        raise ContractError(f"the document has no {method.upper()} {path_template}") from None
    content = cast("dict[str, dict[str, Schema]]", operation["responses"]["200"]["content"])
    return _validator(content["application/json"]["schema"], closed)


@cache
def _error_validator() -> Draft202012Validator:
    return _validator({"$ref": "#/components/schemas/ErrorResponse"}, closed=True)


@cache
def _event_validator(event_name: str, closed: bool) -> Draft202012Validator:
    events = _event_schemas()
    if event_name not in events:
        raise ContractError(f"the document has no event {event_name}")
    return _validator(events[event_name], closed)


@cache
def _event_schemas() -> dict[str, Schema]:
    found = {}
    rest = [official_schema("AssistantStreamEvent")]
    while rest:
        schema = rest.pop()
        branches = cast("list[Schema]", schema.get("oneOf", []))
        rest.extend(official_schema(_name_of(branch)) if "$ref" in branch else branch for branch in branches)
        properties = cast("dict[str, Schema]", schema.get("properties", {}))
        if "event" in properties:
            (name,) = cast("list[str]", properties["event"]["enum"])
            found[name] = properties["data"]
    return found


def _name_of(reference: Schema) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _validator(schema: Schema, closed: bool) -> Draft202012Validator:
    read = _read(schema, closed=closed)
    names = _reachable(schema)
    return Draft202012Validator(read | {"$defs": {name: _read_named(name, closed) for name in names}})


def _reachable(schema: object) -> set[str]:
    names: set[str] = set()
    rest = [schema]
    while rest:
        value = rest.pop()
        if isinstance(value, list):
            rest.extend(value)
        elif isinstance(value, dict):
            rest.extend(value.values())
            if isinstance(value.get("$ref"), str) and _name_of(value) not in names:
                names.add(_name_of(value))
                rest.append(official_schema(_name_of(value)))
    return names


@cache
def _read_named(name: str, closed: bool) -> Schema:
    schema = official_schema(name)
    properties = cast("dict[str, Schema]", schema.get("properties", {}))
    changed = dict(properties)
    if name == "OpenAIFile":
        changed["purpose"] = properties["purpose"] | {
            "enum": [*cast("list[str]", properties["purpose"]["enum"]), "evals"]
        }
    if name == "RunObject":
        changed["tools"] = properties["tools"] | {"maxItems": _MOST_TOOLS}
    if name == "Embedding":  # a base64 text if that was asked for
        changed["embedding"] = {"oneOf": [properties["embedding"], {"type": "string"}]}
    if closed or schema.get("additionalProperties") is False:
        changed.update((field, {}) for field in _OWN_FIELDS.get(name, ()) if field not in properties)
    return _read(schema | {"properties": changed} if properties else schema, closed=closed)


def _read(schema: Schema, *, closed: bool) -> Schema:
    """The document's schema as JSON Schema 2020-12, with the page's readings. Annotations are left out."""
    read: Schema = {key: schema[key] for key in _KEPT if key in schema}
    if "$ref" in schema:
        read["$ref"] = f"#/$defs/{_name_of(schema)}"
    if "items" in schema:
        read["items"] = _read(cast("Schema", schema["items"]), closed=closed)
    parts = cast("list[Schema]", schema.get("allOf", []))
    is_alone = len([part for part in parts if part.keys() - {"nullable"}]) == 1
    both = [_read(part, closed=closed) if is_alone or not closed else _read_open(part) for part in parts]
    for choice in ("oneOf", "anyOf"):
        if choice in schema:
            branches = cast("list[Schema]", schema[choice])
            both.append({"anyOf": [_read(branch, closed=closed) for branch in branches]})
    if both:
        read["allOf"] = both
    if "additionalProperties" in schema:
        others = schema["additionalProperties"]
        read["additionalProperties"] = (
            _read(cast("Schema", others), closed=closed) if isinstance(others, dict) else others
        )
    if "properties" in schema:
        read.update(_read_properties(schema, closed=closed))
    is_nullable = any(part.get("nullable") is True for part in (schema, *parts))
    return {"anyOf": [_NULL, read]} if is_nullable else read


def _read_open(part: Schema) -> Schema:
    # Several objects in one allOf know nothing of each other's keys: none of them can be closed, also behind a $ref.
    return _read(official_schema(_name_of(part)) if "$ref" in part else part, closed=False)


def _read_properties(schema: Schema, *, closed: bool) -> Schema:
    properties = cast("dict[str, Schema]", schema["properties"])
    required = cast("list[str]", schema.get("required", []))
    read: dict[str, Schema] = {}
    for name, value in properties.items():
        value_read = _read(value, closed=closed)
        read[name] = value_read if name in required else {"anyOf": [_NULL, value_read]}
    keywords: Schema = {"properties": read}
    if {"data", "first_id", "last_id"} <= properties.keys():
        keywords["if"] = {"properties": {"data": {"minItems": 1}}}
        keywords["then"] = {"properties": {name: read[name] for name in ("first_id", "last_id")}}
        keywords["properties"] = read | {"first_id": _ID_OR_NULL, "last_id": _ID_OR_NULL}
    if closed and "additionalProperties" not in schema:
        keywords["properties"] = {"agentrt": {}} | cast("Schema", keywords["properties"])
        keywords["additionalProperties"] = False
    return keywords
