from __future__ import annotations

from pathlib import Path

import pytest

from agentrt.runtime.health import NOT_TRIED
from tests.server.api import Api, open_api

MODELS = """
answers_to = ["gpt-4o*"]
[models.cloud]
provider = "openai"
model = "gpt-5-mini"
"""


async def test_health_says_what_is_on_and_what_is_off_and_why(tmp_path: Path) -> None:
    async with open_api(tmp_path, MODELS) as api:
        health = (await api.client.get("http://test/healthz")).json()
    assert health["status"] == "ok"
    assert health["models"]["demo"]["on"] is True
    assert health["models"]["cloud"]["on"] is False
    assert health["models"]["cloud"]["why"]
    assert health["tools"]["file_search"] == {"on": True, "why": "by words; [search] names no embedding model"}
    assert health["tools"]["code_interpreter"] == {"on": True, "why": NOT_TRIED}
    assert health["sandboxes"] == {"python": {"on": True, "why": NOT_TRIED}}


async def test_health_says_what_isolates_code_or_why_nothing_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    boxes = '[sandboxes.python]\ndriver = "unsafe-local"\n[sandboxes.box]\ndriver = "docker"\n'
    async with open_api(tmp_path, MODELS + boxes) as api:
        await api.runtime.prepare_code(timeout_s=20)
        health = (await api.client.get("http://test/healthz")).json()

    assert health["status"] == "ok"
    assert health["tools"]["code_interpreter"] == health["sandboxes"]["python"]
    assert health["sandboxes"]["python"]["why"].startswith("unsafe-local: Python 3.")
    assert health["sandboxes"]["box"]["on"] is False
    assert "run Docker or set DOCKER_HOST" in health["sandboxes"]["box"]["why"]


async def test_health_answers_head(api: Api) -> None:
    response = await api.client.head("http://test/healthz")
    assert response.status_code == 200


async def test_the_root_points_the_way(api: Api) -> None:
    pointer = (await api.client.get("http://test/")).json()
    assert (pointer["service"], pointer["api"]) == ("agentrt", "/v1")


async def test_models_that_can_be_called_are_listed(tmp_path: Path) -> None:
    async with open_api(tmp_path, MODELS) as api:
        listed = await api.call("GET", "/models")
        assert {model["id"]: model["owned_by"] for model in listed["data"]} == {"scripted": "agentrt", "demo": "demo"}
        assert (await api.call("GET", "/models/demo"))["id"] == "demo"
        assert await api.call("GET", "/models/gpt-4o-mini") == {
            "id": "gpt-4o-mini",
            "object": "model",
            "created": 0,
            "owned_by": "demo",
        }
        error = await api.refused("GET", "/models/org/unknown", status=404)
        assert (error["code"], error["param"]) == ("model_not_found", "model")
        assert "org/unknown" in error["message"]
        assert (await api.refused("GET", "/models/cloud", status=404))["code"] == "model_not_found"
