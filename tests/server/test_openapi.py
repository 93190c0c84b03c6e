from __future__ import annotations

from typing import Any

import pytest
from fastapi.routing import APIRoute

from tests.compat.contract import is_own, needs_contract, template_of
from tests.server.api import Api

Document = dict[str, Any]


@pytest.fixture
async def document(api: Api) -> Document:
    found: Document = (await api.client.get("http://test/openapi.json")).json()
    return found


async def test_every_route_is_described(api: Api, document: Document) -> None:
    routes = {
        (route.path.replace(":path", ""), method.lower())
        for route in api.app.routes
        if isinstance(route, APIRoute)
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = {(path, method) for path, item in document["paths"].items() for method in item}
    assert described == routes


async def test_no_two_operations_share_a_name(document: Document) -> None:
    ids = [operation["operationId"] for item in document["paths"].values() for operation in item.values()]
    assert len(ids) == len(set(ids))


async def test_every_reference_leads_somewhere(document: Document) -> None:
    known = document["components"]["schemas"]

    def walk(value: object) -> None:
        if isinstance(value, dict):
            if isinstance(reference := value.get("$ref"), str):
                assert reference.removeprefix("#/components/schemas/") in known
            for item in value.values():
                walk(item)
        elif isinstance(value, list):
            for item in value:
                walk(item)

    walk(document)


@needs_contract
async def test_our_paths_are_the_contracts(document: Document) -> None:
    for path in document["paths"]:
        if path.startswith("/v1/") and not is_own(path):
            assert template_of(path.replace("{", "").replace("}", ""))


async def test_bodies_answers_and_beta_header_are_in_the_document(document: Document) -> None:
    create = document["paths"]["/v1/threads/{thread_id}/runs"]["post"]
    reference = create["requestBody"]["content"]["application/json"]["schema"]["$ref"]
    schema = document["components"]["schemas"][reference.rpartition("/")[2]]
    assert schema["required"] == ["assistant_id"]
    assert set(create["responses"]["200"]["content"]) == {"application/json", "text/event-stream"}
    assert {parameter["name"] for parameter in create["parameters"]} == {"thread_id", "include[]", "OpenAI-Beta"}
    upload = document["paths"]["/v1/files"]["post"]
    assert "multipart/form-data" in upload["requestBody"]["content"]
    assert document["paths"]["/v1/threads"]["post"]["requestBody"]["required"] is False


async def test_no_page_of_documentation_is_loaded_from_elsewhere(api: Api) -> None:
    for path in ("/docs", "/redoc"):
        assert (await api.client.get(f"http://test{path}")).status_code == 404
