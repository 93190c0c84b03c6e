"""/v1/schedules, which the old service did not have."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from pathlib import Path

import pytest

from agentrt.store.schedules import update_schedule
from tests.server.api import Api, Json, open_api

DECLARED = """
[agents.helper]
model = "demo"
[schedules.nightly]
cron = "0 3 * * *"
agent = "helper"
message = "Tidy up."
metadata = { team = "ops" }
"""
BODY: Json = {"cron": "0 9 * * mon-fri", "assistant_id": "asst_helper", "message": "Good morning."}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncGenerator[Api, None]:
    async with open_api(tmp_path, DECLARED) as opened:
        yield opened


async def test_a_schedule_is_made_read_changed_and_deleted(api: Api) -> None:
    made = await api.call("POST", "/schedules", BODY)
    assert made["id"].startswith("sched_")
    assert made["next_run_at"] > made["created_at"]
    rest = {key: value for key, value in made.items() if key not in ("id", "created_at", "next_run_at")}
    assert rest == {
        **BODY,
        "object": "schedule",
        "name": None,
        "timezone": "UTC",
        "thread": "new",
        "thread_id": None,
        "on_busy": None,
        "catch_up_seconds": 3600,
        "enabled": True,
        "metadata": {},
        "origin": "api",
        "last_run_at": None,
        "last_run_id": None,
        "last_error": None,
    }
    path = f"/schedules/{made['id']}"
    assert await api.call("GET", path) == made
    change = {
        "name": "hello",
        "timezone": "Europe/Oslo",
        "on_busy": "enqueue",
        "catch_up_seconds": 60,
        "enabled": False,
    }
    changed = await api.call("POST", path, change)
    assert changed == {**made, **change, "next_run_at": None}
    cleared = await api.call("POST", path, {"name": None, "on_busy": None, "metadata": None})
    assert (cleared["name"], cleared["on_busy"], cleared["timezone"]) == (None, None, "Europe/Oslo")
    assert await api.call("DELETE", path) == {"id": made["id"], "object": "schedule.deleted", "deleted": True}
    error = await api.refused("GET", path, status=404)
    assert error["message"] == f"No schedule found with id '{made['id']}'."


async def test_schedules_are_listed_in_pages(api: Api) -> None:
    ids = [(await api.call("POST", "/schedules", BODY))["id"] for _ in range(3)]
    # In one second the declared one's id may stand anywhere among the others.
    whole = [item["id"] for item in (await api.call("GET", "/schedules"))["data"]]
    assert [schedule_id for schedule_id in whole if schedule_id != "sched_nightly"] == ids[::-1]
    assert len(whole) == 4
    page = await api.call("GET", "/schedules", params={"limit": 2})
    assert ([item["id"] for item in page["data"]], page["has_more"]) == (whole[:2], True)
    page = await api.call("GET", "/schedules", params={"after": whole[1]})
    assert ([item["id"] for item in page["data"]], page["has_more"]) == (whole[2:], False)


async def test_a_run_is_made_now_and_found_by_its_schedule(api: Api) -> None:
    path = "/schedules/sched_nightly"
    run = await api.call("POST", f"{path}/run")
    assert run["metadata"] == {"team": "ops", "schedule_id": "sched_nightly"}
    ended = await api.settled(run["thread_id"], run["id"])
    assert ended["status"] == "completed"
    again = await api.call("POST", f"{path}/run", {})
    listed = await api.call("GET", f"{path}/runs", params={"order": "asc"})
    assert [item["id"] for item in listed["data"]] == [run["id"], again["id"]]
    page = await api.call("GET", f"{path}/runs", params={"limit": 1})
    assert ([item["id"] for item in page["data"]], page["has_more"]) == ([again["id"]], True)
    after = await api.call("GET", path)
    assert (after["last_run_id"], after["last_error"]) == (again["id"], None)
    threads = await api.call("GET", "/threads", params={"metadata[schedule_id]": "sched_nightly"})
    assert len(threads["data"]) == 2
    await api.refused("GET", "/schedules/sched_none/runs", status=404)


@pytest.mark.parametrize(
    ("change", "param", "words"),
    [
        ({"cron": "0 25 * * *"}, "cron", '"25" is no hour; 0 to 23'),
        ({"cron": "0 9 * *"}, "cron", "this has 4 fields; five fields: minute"),
        ({"timezone": "Europe/Olso"}, "timezone", 'did you mean "Europe/Oslo"?'),
        ({"catch_up_seconds": 5}, "catch_up_seconds", "60"),
        ({"message": ""}, "message", "empty string"),
        ({"on_busy": "wait"}, "on_busy", "wait"),
        ({"metadata": {str(i): "x" for i in range(15)}}, "metadata", "at most 14 properties"),
        ({"thread_id": "thread_1"}, "thread_id", "Unknown parameter"),
        ({"enabled": None}, "enabled", "boolean"),
    ],
)
async def test_what_is_wrong_is_named(api: Api, change: Json, param: str, words: str) -> None:
    for path, body in (("/schedules", {**BODY, **change}), ("/schedules/sched_nightly", change)):
        error = await api.refused("POST", path, body, status=403 if _is_declared_first(path, param) else 400)
        if error["type"] == "invalid_request_error" and not _is_declared_first(path, param):
            assert error["param"] == param
            assert words in error["message"]


def _is_declared_first(path: str, param: str) -> bool:
    """A body that reads well, for a schedule that cannot be changed."""
    return path.endswith("sched_nightly") and param in ("cron", "timezone")


async def test_unknown_assistants_and_threads_are_not_found(api: Api) -> None:
    error = await api.refused("POST", "/schedules", {**BODY, "assistant_id": "asst_none"}, status=404)
    assert error["message"] == "No assistant found with id 'asst_none'."
    error = await api.refused("POST", "/schedules", {**BODY, "thread": "thread_none"}, status=404)
    assert error["message"] == "No thread found with id 'thread_none'."


async def test_a_declared_schedule_can_be_disabled_and_nothing_else(api: Api) -> None:
    path = "/schedules/sched_nightly"
    declared = await api.call("GET", path)
    assert (declared["origin"], declared["name"], declared["enabled"]) == ("toml", "nightly", True)
    off = await api.call("POST", path, {"enabled": False})
    assert (off["enabled"], off["next_run_at"]) == (False, None)
    for method, body in (("POST", {"message": "Hi"}), ("DELETE", None)):
        error = await api.refused(method, path, body, status=403)
        assert "declared in agents.toml" in error["message"]


async def test_no_beta_header_is_needed(api: Api) -> None:
    response = await api.client.get("/schedules", headers={"OpenAI-Beta": ""})
    assert response.status_code == 200


async def test_why_a_run_was_not_made_is_shown(api: Api) -> None:
    made = await api.call("POST", "/schedules", {**BODY, "thread": "same"})
    note = {"error": "the thread is busy", "error_at": 5}
    await api.runtime.store.write(lambda tx: update_schedule(tx, made["id"], note))
    found = await api.call("GET", f"/schedules/{made['id']}")
    assert found["last_error"] == {"message": "the thread is busy", "at": 5}
