from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import httpx
import pytest

from agentrt.runtime.assembly import Runtime
from agentrt.secret import hash_key
from agentrt.server.app import create_app
from agentrt.testing.scripts import text
from tests.server.api import BETA, Api, open_api, write_config

KEYS = f"""
[[server.keys]]
name = "first"
hash = "{hash_key("sk-first")}"
[[server.keys]]
name = "second"
hash = "{hash_key("sk-second")}"
project = "other"
"""


@pytest.fixture
async def keyed(tmp_path: Path) -> AsyncGenerator[Api, None]:
    async with open_api(tmp_path, KEYS) as opened:
        yield opened


def key(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


async def test_no_key_is_a_401_without_a_code(keyed: Api) -> None:
    error = await keyed.refused("GET", "/models", status=401)
    assert error["code"] is None
    assert "No API key was provided" in error["message"]


async def test_a_wrong_key_is_never_echoed_whole(keyed: Api) -> None:
    error = await keyed.refused("GET", "/models", status=401, headers=key("sk-this-is-my-secret-key"))
    assert error["code"] == "invalid_api_key"
    assert error["message"].startswith("Incorrect API key provided")
    assert "sk-this-is-my-secret-key" not in error["message"]


async def test_a_key_opens_its_own_project_only(keyed: Api) -> None:
    first, second = key("sk-first"), key("sk-second")
    thread = await keyed.call("POST", "/threads", headers=first)
    path = f"/threads/{thread['id']}"
    await keyed.call("GET", path, headers=first)
    assert (await keyed.call("GET", "/threads", headers=second))["data"] == []
    for method, sub in (("GET", ""), ("POST", ""), ("DELETE", ""), ("GET", "/messages"), ("GET", "/runs")):
        await keyed.refused(method, path + sub, status=404, headers=second)
    file = await keyed.call(
        "POST", "/files", headers=first, files={"file": ("a.txt", b"a")}, data={"purpose": "assistants"}
    )
    for method, sub in (("GET", ""), ("GET", "/content"), ("DELETE", "")):
        await keyed.refused(method, f"/files/{file['id']}{sub}", status=404, headers=second)


async def test_runs_of_another_project_cannot_be_followed(keyed: Api) -> None:
    keyed.model.add(text("Hi."))
    first, second = key("sk-first"), key("sk-second")
    assistant = await keyed.call("POST", "/assistants", {"model": "scripted"}, headers=first)
    body = {"assistant_id": assistant["id"], "stream": True}
    events = await keyed.stream("POST", "/threads/runs", body, headers=first)
    run = events[1].data
    path = f"/threads/{run['thread_id']}/runs/{run['id']}"
    await keyed.stream("GET", f"{path}/stream", headers=first)
    for method, sub in (("GET", ""), ("GET", "/stream"), ("POST", "/cancel"), ("GET", "/steps")):
        await keyed.refused(method, path + sub, status=404, headers=second)


async def test_a_declared_assistant_is_seen_everywhere_and_changed_at_home(keyed: Api) -> None:
    second = key("sk-second")
    await keyed.call("GET", "/assistants/asst_helper", headers=second)
    await keyed.refused("POST", "/assistants/asst_helper", {"name": "x"}, status=403, headers=second)
    changed = await keyed.call("POST", "/assistants/asst_helper", {"name": "x"}, headers=key("sk-first"))
    assert changed["name"] == "x"


async def test_the_state_of_the_service_needs_no_key(keyed: Api) -> None:
    for path in ("/healthz", "/", "/openapi.json"):
        assert (await keyed.client.get(f"http://test{path}")).status_code == 200


async def test_azures_clients_find_the_same_api(keyed: Api) -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(keyed.app), base_url="http://test") as azure:
        query, headers = {"api-version": "2024-05-01-preview"}, {"api-key": "sk-first"}
        made = await azure.post("/openai/threads", params=query, headers=headers)
        assert made.status_code == 200
        found = await azure.get(f"/openai/v1/threads/{made.json()['id']}", headers={**headers, **BETA})
        assert found.json() == made.json()
        lost = await azure.get("/openai/nowhere", params=query, headers=headers)
        assert lost.json()["error"]["message"] == "Invalid URL (GET /openai/nowhere)"


@pytest.mark.parametrize("path", ["/threads", "/assistants", "/threads/thread_x/runs/run_x"])
async def test_the_beta_header_is_asked_for(api: Api, path: str) -> None:
    error = await api.refused("GET", path, headers={"OpenAI-Beta": ""})
    assert error["code"] == "invalid_beta"
    assert "'OpenAI-Beta: assistants=v2'" in error["message"]
    assert (await api.refused("GET", path, headers={"OpenAI-Beta": "assistants=v1"}))["code"] == "invalid_beta"


async def test_the_beta_header_may_hold_other_words_too(api: Api) -> None:
    await api.call("GET", "/threads", headers={"OpenAI-Beta": "realtime=v1, assistants=v2"})
    await api.call("GET", "/models", headers={"OpenAI-Beta": ""})


async def test_a_prefix_of_a_proxy_may_stay_or_go(tmp_path: Path) -> None:
    async with open_api(tmp_path, '[server]\nroot_path = "/ai"\n') as api:
        for path in ("/ai/v1/models", "/v1/models"):
            assert (await api.client.get(f"http://test{path}")).status_code == 200
        lost = await api.client.get("http://test/ai/v1/x")
        assert lost.json()["error"]["message"] == "Invalid URL (GET /v1/x)"


async def test_browsers_of_the_configured_origins_are_let_in(tmp_path: Path) -> None:
    async with open_api(tmp_path, f'[server]\ncors = ["http://localhost:3000"]\n{KEYS}') as api:
        origin = {"Origin": "http://localhost:3000"}
        asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,openai-beta"}
        preflight = await api.client.options("/threads", headers={**origin, **asked})
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "http://localhost:3000"
        refused = await api.client.get("/threads", headers=origin)
        assert refused.status_code == 401
        assert refused.headers["access-control-allow-origin"] == "http://localhost:3000"
        assert "x-request-id" in refused.headers["access-control-expose-headers"].lower()
        stranger = await api.client.get("/threads", headers={"Origin": "http://evil.example"})
        assert "access-control-allow-origin" not in stranger.headers


async def test_a_runtime_that_is_not_open_says_so(tmp_path: Path) -> None:
    app = create_app(Runtime(write_config(tmp_path)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        for path in ("/healthz", "/v1/models"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()["error"]["type"]) == (503, "server_error")
