from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.responses import Response

from agentrt.errors import RateLimitError
from agentrt.server import endpoint
from agentrt.server.errors import error_response
from tests.server.api import BETA, Api, on_port, open_api


async def test_every_answer_has_its_own_request_id(api: Api) -> None:
    seen = set()
    for method, path in (("GET", "/threads"), ("GET", "/nowhere"), ("PUT", "/threads"), ("POST", "/assistants")):
        headers = (await api.client.request(method, path)).headers
        assert headers["x-request-id"].startswith("req_")
        assert headers["openai-version"] == "2020-10-01"
        assert headers["openai-processing-ms"].isdecimal()
        assert headers["openai-organization"] == "default"
        seen.add(headers["x-request-id"])
    assert len(seen) == 4


async def test_an_unknown_url_is_named(api: Api) -> None:
    error = await api.refused("GET", "/nowhere", status=404)
    assert (error["message"], error["code"]) == ("Invalid URL (GET /v1/nowhere)", "unknown_url")
    assert error["type"] == "invalid_request_error"
    for path in ("/x", "/v1", "/v1/threads/"):
        response = await api.client.get(f"http://test{path}")
        assert (response.status_code, response.json()["error"]["code"]) == (404, "unknown_url")


async def test_a_wrong_method_is_told_the_right_ones(api: Api) -> None:
    response = await api.client.put("/assistants/asst_x")
    assert response.status_code == 405
    assert response.headers["allow"] == "DELETE, GET, POST"
    assert response.json()["error"]["message"].startswith("Not allowed to PUT on /v1/assistants/asst_x")


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{", None, None),
        (b"[]", "invalid_type", None),
        (b'{"model": "m", "nonsense": 1}', "unknown_parameter", "nonsense"),
        (b"{}", "missing_required_parameter", "model"),
        (b'{"model": 5}', "invalid_type", "model"),
        (b'{"model": "m", "temperature": 3}', "decimal_above_max_value", "temperature"),
        (b'{"model": "m", "tools": [{"type": "function", "function": {"name": 1}}]}', "invalid_type", None),
    ],
)
async def test_a_wrong_body_is_explained(api: Api, body: bytes, code: str | None, param: str | None) -> None:
    error = await api.refused("POST", "/assistants", content=body)
    assert error["code"] == code
    if param:
        assert error["param"] == param


async def test_unknown_fields_can_be_let_pass(tmp_path: Path) -> None:
    async with open_api(tmp_path, '[server]\nunknown_fields = "ignore"\n') as api:
        await api.call("POST", "/assistants", {"model": "scripted", "nonsense": 1})


@pytest.mark.parametrize("path", ["/assistants/a%00b", "/threads/a%00b/runs/c", "/models/a%00"])
async def test_a_nul_in_a_path_is_refused(api: Api, path: str) -> None:
    assert (await api.refused("GET", path))["code"] == "invalid_value"


async def test_a_body_that_is_too_large_is_not_read(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "MAX_BODY_BYTES", 1000)
    response = await api.client.post("/threads", content=b" " * 1001)
    assert response.status_code == 413
    assert response.json()["error"]["message"] == "The request body is too large: at most 1000 bytes."

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b" " * 500

    assert (await api.client.post("/threads", content=pieces())).status_code == 413
    assert (await api.client.post("/threads", content=b" " * 999)).status_code == 200


async def test_a_bug_is_logged_under_its_request_and_shown_to_nobody(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(call: endpoint.Call) -> Response:
        raise ZeroDivisionError("secret detail")

    api.app.router.routes.append(endpoint.ApiRoute("/v1/broken", broken))
    response = await api.client.get("/broken")
    request_id = response.headers["x-request-id"]
    error = response.json()["error"]
    assert (response.status_code, error["type"]) == (500, "server_error")
    assert request_id in error["message"]
    assert "secret" not in response.text
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert (record.getMessage(), vars(record)["request"]) == ("request.failed", request_id)
    assert record.exc_info is not None


async def test_a_client_that_leaves_in_mid_body_is_no_error(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    async def endless() -> AsyncGenerator[bytes, None]:
        yield b'{"metadata": {'
        raise ConnectionError

    async with on_port(api.app) as (_, address), httpx.AsyncClient(headers=BETA) as client:
        with pytest.raises(ConnectionError):
            await client.post(f"{address}/v1/threads", content=endless())
        assert (await client.get(f"{address}/v1/threads")).json()["data"] == []
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_limit_says_when_to_come_back() -> None:
    response = error_response(RateLimitError("Slow down.", retry_after_s=1.2))
    assert response.status_code == 429
    assert (response.headers["retry-after"], response.headers["retry-after-ms"]) == ("2", "1200")
