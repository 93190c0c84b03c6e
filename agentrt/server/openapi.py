"""The OpenAPI document, built when somebody asks for it: at start it would cost a tenth of a second and 10 MB."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any, TypeAlias

from fastapi.routing import APIRoute
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode
from starlette.routing import BaseRoute

from agentrt.server.endpoint import Speech, speech_of
from agentrt.wire.errors import ErrorEnvelope

Json: TypeAlias = dict[str, Any]

_PATH_PARAMETER = re.compile(r"\{(\w+)(?::\w+)?\}")
_REFERENCES = "#/components/schemas/{model}"
_EVENTS = "text/event-stream"
_OPEN_PATHS = ("/", "/healthz")
_BETA_TAGS = {"Assistants", "Threads", "Messages", "Runs", "Run steps"}
_BETA_HEADER = {
    "name": "OpenAI-Beta",
    "in": "header",
    "required": True,
    "schema": {"type": "string", "enum": ["assistants=v2"]},
}
_IN_THREAD = {"thread_id": "$response.body#/thread_id"}
_IN_STORE = {"vector_store_id": "$response.body#/vector_store_id"}
_ID = "$response.body#/id"
_MADE_BY = {
    "create_assistant": {"assistant_id": _ID},
    "create_thread": {"thread_id": _ID},
    "create_message": {**_IN_THREAD, "message_id": _ID},
    "create_run": {**_IN_THREAD, "run_id": _ID},
    "create_thread_and_run": {**_IN_THREAD, "run_id": _ID},
    "upload_file": {"file_id": _ID},
    "create_vector_store": {"vector_store_id": _ID},
    "create_vector_store_file": {**_IN_STORE, "file_id": _ID},
    "create_vector_store_file_batch": {**_IN_STORE, "batch_id": _ID},
    "create_upload": {"upload_id": _ID},
    "create_schedule": {"schedule_id": _ID},
}
"""Operations that make an object, and where their answers have what the paths of others ask for."""

_REFUSALS = {400: "The request is wrong.", 401: "The key is missing or wrong.", 404: "There is no such object."}


def build_document(routes: Iterable[BaseRoute], *, version: str, needs_key: bool) -> Json:
    """The whole document, from the routes and what was said of their endpoints (endpoint.speaks)."""
    api = [(route, speech) for route in routes if isinstance(route, APIRoute) and (speech := speech_of(route.endpoint))]
    schemas = _Schemas([speech for _, speech in api])
    paths: dict[str, Json] = {}
    for route, speech in api:
        path = _PATH_PARAMETER.sub(r"{\1}", route.path)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            paths.setdefault(path, {})[method.lower()] = _operation(route, speech, schemas)
    _link(paths)
    return {
        "openapi": "3.1.0",
        "info": {"title": "agentrt", "version": version, "description": "The Assistants API, self-hosted."},
        "servers": [{"url": "."}],
        "security": [{"key": []}, {"azure_key": []}, *([] if needs_key else [{}])],
        "paths": paths,
        "components": {
            "schemas": schemas.definitions,
            "securitySchemes": {
                "key": {"type": "http", "scheme": "bearer"},
                "azure_key": {"type": "apiKey", "in": "header", "name": "api-key"},
            },
        },
    }


class _Schemas:
    """The JSON Schemas of all types, with one set of definitions."""

    def __init__(self, speeches: Iterable[Speech]) -> None:
        bodies = {speech.body for speech in speeches if speech.body is not None}
        answers = [ErrorEnvelope, *(speech.answer for speech in speeches if not isinstance(speech.answer, str))]
        # Types such as `Page[RunObject]` are objects made anew each time: known by their id, and kept alive.
        self._kept = (bodies, answers)
        inputs: list[tuple[int, JsonSchemaMode, TypeAdapter[Any]]] = [
            (id(body), "validation", TypeAdapter(body)) for body in bodies
        ]
        inputs += [(id(type_), "serialization", _adapter(type_)) for type_ in answers]
        self._schemas, definitions = TypeAdapter.json_schemas(inputs, ref_template=_REFERENCES)
        self.definitions: Json = definitions.get("$defs", {})

    def body(self, type_: object) -> Mapping[str, Any]:
        return self._schemas[id(type_), "validation"]

    def answer(self, type_: object) -> Mapping[str, Any]:
        return self._schemas[id(type_), "serialization"]


def _adapter(type_: Any) -> TypeAdapter[Any]:
    return TypeAdapter(type_)


def _operation(route: APIRoute, speech: Speech, schemas: _Schemas) -> Json:
    names = _PATH_PARAMETER.findall(route.path)
    parameters = [{"name": n, "in": "path", "required": True, "schema": {"type": "string"}} for n in names]
    parameters += [dict(parameter) for parameter in speech.query]
    if _BETA_TAGS.intersection(map(str, route.tags)):
        parameters.append(_BETA_HEADER)
    operation: Json = {
        "operationId": route.name,
        "tags": list(route.tags),
        "summary": route.description.partition("\n\n")[0].replace("\n", " "),
        "parameters": parameters,
        "responses": _responses(speech, schemas),
    }
    if route.path in _OPEN_PATHS:
        operation["security"] = []
    if speech.body is not None:
        content = {"application/json": {"schema": schemas.body(speech.body)}}
        operation["requestBody"] = {"required": bool(_required(speech, schemas)), "content": content}
    elif speech.form is not None:
        operation["requestBody"] = {"required": True, "content": {"multipart/form-data": {"schema": speech.form}}}
    return operation


def _responses(speech: Speech, schemas: _Schemas) -> Json:
    if isinstance(speech.answer, str):
        content: Json = {speech.answer: {"schema": {"type": "string"}}}
    else:
        content = {"application/json": {"schema": schemas.answer(speech.answer)}}
    if speech.streams:
        content[_EVENTS] = {"schema": {"type": "string"}}
    envelope = {"application/json": {"schema": schemas.answer(ErrorEnvelope)}}
    responses: Json = {"200": {"description": "OK", "content": content}}
    for status, description in _REFUSALS.items():
        responses[str(status)] = {"description": description, "content": envelope}
    responses["default"] = {"description": HTTPStatus.INTERNAL_SERVER_ERROR.phrase, "content": envelope}
    return responses


def _link(paths: Mapping[str, Json]) -> None:
    """Say which operations go on with what another one has made: tools walk along these."""
    names = {
        operation["operationId"]: set(_PATH_PARAMETER.findall(path))
        for path, item in paths.items()
        for operation in item.values()
    }
    for item in paths.values():
        for operation in item.values():
            made = _MADE_BY.get(operation["operationId"], {})
            operation["responses"]["200"]["links"] = {
                other: {"operationId": other, "parameters": {name: made[name] for name in sorted(wanted)}}
                for other, wanted in names.items()
                if wanted and wanted <= made.keys()
            }


def _required(speech: Speech, schemas: _Schemas) -> object:
    """The names that the body must have: a body without any may be left out."""
    schema = schemas.body(speech.body)
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return schemas.definitions.get(name, schema).get("required")
