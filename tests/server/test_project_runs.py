"""/v1/runs: the runs of all threads, what happened in them, and stopping them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from agentrt.engine.events import decode_events
from agentrt.errors import ModelError
from agentrt.testing.scripts import call, failure, text
from tests.server.api import WEATHER, Api, Json, open_api
from tests.server.test_access import KEYS, key


async def ran(api: Api, assistant_id: str, thread_id: str | None = None) -> Json:
    """A run that has come to rest."""
    thread_id = thread_id or await api.thread("Hi")
    made = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant_id})
    return await api.settled(thread_id, made["id"])


async def ids(api: Api, **query: Any) -> list[str]:
    return [run["id"] for run in (await api.call("GET", "/runs", params=query))["data"]]


async def test_runs_of_all_threads_are_listed_and_filtered(api: Api) -> None:
    api.model.add(text("One."), failure(ModelError("no")), text("Three."), call("get_weather", city="Oslo"))
    first, second = [(await api.assistant(tools=[WEATHER]))["id"] for _ in range(2)]
    done, failed, other, waits = [await ran(api, assistant) for assistant in (first, first, second, second)]
    assert [run["status"] for run in (done, failed, other, waits)] == [
        "completed",
        "failed",
        "completed",
        "requires_action",
    ]
    listed = await api.call("GET", "/runs")
    assert listed["data"] == [waits, other, failed, done]
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == (waits["id"], done["id"], False)
    assert await ids(api, order="asc", limit=2) == [done["id"], failed["id"]]
    assert await ids(api, after=other["id"]) == [failed["id"], done["id"]]
    assert await ids(api, status="failed") == [failed["id"]]
    assert await ids(api, status="failed,requires_action") == [waits["id"], failed["id"]]
    assert await ids(api, status=["failed", "completed"]) == [other["id"], failed["id"], done["id"]]
    assert await ids(api, **{"status[]": "completed"}) == [other["id"], done["id"]]
    assert await ids(api, assistant_id=second) == [waits["id"], other["id"]]
    assert await ids(api, assistant_id=first, status="completed") == [done["id"]]
    assert await ids(api, thread_id=failed["thread_id"]) == [failed["id"]]
    assert await ids(api, created_before=done["created_at"]) == []
    assert await ids(api, created_after=done["created_at"], order="asc", limit=1) == [done["id"]]
    assert await ids(api, id_prefix=other["id"][:-4]) == [other["id"]]


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ({"status": "running"}, "status"),
        ({"status": "failed,"}, None),
        ({"status": "failed,x"}, "status"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"created_before": "-1"}, "created_before"),
        ({"id_prefix": "run_", "status": "failed"}, "id_prefix"),
        ({"id_prefix": "run_", "after": "run_x"}, "id_prefix"),
        ({"limit": "101"}, "limit"),
    ],
)
async def test_a_filter_that_cannot_be_read_is_refused(api: Api, query: dict[str, str], param: str | None) -> None:
    if param is None:
        assert await ids(api, **query) == []
        return
    assert (await api.refused("GET", "/runs", params=query))["param"] == param


async def test_an_unknown_thread_or_cursor_is_not_found(api: Api) -> None:
    error = await api.refused("GET", "/runs", params={"thread_id": "thread_x"}, status=404)
    assert error["message"] == "No thread found with id 'thread_x'."
    await api.refused("GET", "/runs", params={"after": "run_x"}, status=404)
    for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")):
        error = await api.refused(method, f"/runs/run_x{path}", status=404)
        assert error["message"] == "No run found with id 'run_x'."


async def test_a_run_is_read_and_cancelled_by_its_id_alone_and_without_the_beta_header(api: Api) -> None:
    api.client.headers.pop("OpenAI-Beta")
    headers = {"OpenAI-Beta": "assistants=v2"}
    pause = asyncio.Event()
    api.model.add(text("Slow.", pause=pause))
    assistant = await api.call("POST", "/assistants", {"model": "scripted"}, headers=headers)
    body = {"assistant_id": assistant["id"], "thread": {"messages": [{"role": "user", "content": "Hi"}]}}
    made = await api.call("POST", "/threads/runs", body, headers=headers)
    path = f"/runs/{made['id']}"
    assert (await api.call("GET", path))["thread_id"] == made["thread_id"]
    assert (await api.call("POST", f"{path}/cancel"))["status"] == "cancelling"
    async with asyncio.timeout(10):
        while (await api.call("GET", path))["status"] != "cancelled":
            await asyncio.sleep(0.005)
    error = await api.refused("POST", f"{path}/cancel")
    assert error["message"] == "Cannot cancel run with status 'cancelled'."


async def test_the_events_of_a_run_say_what_happened_when(api: Api) -> None:
    api.model.add(call("get_weather", city="Oslo"), text("It is cold in Oslo."))
    run = await ran(api, (await api.assistant(tools=[WEATHER]))["id"])
    path = f"/runs/{run['id']}"
    (pending,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    outputs = {"tool_outputs": [{"tool_call_id": pending["id"], "output": "4 °C"}]}
    await api.call("POST", f"/threads/{run['thread_id']}{path}/submit_tool_outputs", outputs)
    await api.settled(run["thread_id"], run["id"])

    listed = await api.call("GET", f"{path}/events")
    events = listed["data"]
    assert not listed["has_more"]
    assert [event["kind"] for event in events] == [
        "run_created", "run_queued", "run_started",
        "step_created", "step_started", "call_delta", "turn_finished", "action_required",
        "outputs_submitted", "step_completed", "run_queued", "run_started",
        "step_created", "step_started", "message_created", "message_started", "text_delta", "turn_finished",
        "message_completed", "step_completed", "run_completed",
    ]  # fmt: skip
    by_kind = {event["kind"]: event for event in events}
    assert by_kind["run_created"]["data"]["spec"]["id"] == run["id"]
    assert by_kind["outputs_submitted"]["data"]["results"] == [{"call_id": pending["id"], "output": "4 °C"}]
    assert by_kind["text_delta"]["data"]["text"] == "It is cold in Oslo."
    assert by_kind["text_delta"]["pieces"] == 5
    assert by_kind["text_delta"]["at"] is None
    times = [event["at"] for event in events if event["at"] is not None]
    assert times == sorted(times)
    numbers = [tuple(map(int, event["id"].split("."))) for event in events]
    assert numbers == sorted(numbers)
    assert numbers[0] == (0, 0)


async def test_the_events_come_in_pages_and_deltas_one_by_one_when_asked(api: Api) -> None:
    api.model.add(text("It is cold in Oslo."))
    run = await ran(api, (await api.assistant())["id"])
    path = f"/runs/{run['id']}/events"
    joined = (await api.call("GET", path))["data"]
    every = (await api.call("GET", path, params={"deltas": "all"}))["data"]
    assert len(every) == len(joined) + 4
    assert [int(event["id"].split(".")[1]) for event in every] == list(range(len(every)))
    paged: list[Json] = []
    has_more = True
    while has_more:
        query = {"limit": 3, "deltas": "all"} | ({"starting_after": paged[-1]["id"]} if paged else {})
        page = await api.call("GET", path, params=query)
        paged, has_more = paged + page["data"], page["has_more"]
    assert paged == every
    assert (await api.call("GET", path, params={"starting_after": every[-1]["id"]}))["data"] == []
    for wrong in ({"starting_after": "here"}, {"deltas": "some"}, {"limit": "1001"}):
        await api.refused("GET", path, params=wrong)
    far = "999999999999999.999999999999999"
    assert (await api.call("GET", path, params={"starting_after": far}))["data"] == []


async def test_a_failed_run_is_repeated_with_its_own_parameters(api: Api) -> None:
    api.model.add(failure(ModelError("no")), text("Now it works."))
    assistant = await api.assistant(instructions="Be kind.", temperature=0.5, tools=[WEATHER])
    thread_id = await api.thread("Hi")
    body = {
        "assistant_id": assistant["id"],
        "additional_instructions": "And brief.",
        "temperature": 0.25,
        "max_completion_tokens": 500,
        "metadata": {"k": "v"},
    }
    made = await api.call("POST", f"/threads/{thread_id}/runs", body)
    failed = await api.settled(thread_id, made["id"])
    changed = {"instructions": "Be rude.", "tools": [], "temperature": 2}
    await api.call("POST", f"/assistants/{assistant['id']}", changed)

    again = await api.call("POST", f"/runs/{failed['id']}/retry")
    assert again["status"] == "queued"
    assert again["id"] != failed["id"]
    assert again["agentrt"] == {"retry_of": failed["id"]}
    same = ("thread_id", "assistant_id", "model", "instructions", "tools", "temperature", "metadata")
    for field in (*same, "max_completion_tokens", "truncation_strategy", "tool_choice", "response_format"):
        assert again[field] == failed[field], field
    assert again["expires_at"] - again["created_at"] == made["expires_at"] - made["created_at"]
    done = await api.settled(thread_id, again["id"])
    assert done["status"] == "completed"
    assert done["agentrt"]["retry_of"] == failed["id"]
    assert "Be kind.\n\nAnd brief." in api.model.requests[-1].messages[0].text


async def test_what_a_run_did_before_it_was_cut_off_is_seen_by_the_one_that_repeats_it(api: Api) -> None:
    api.model.add(call("get_weather", city="Oslo"), text("As I was saying."))
    run = await ran(api, (await api.assistant(tools=[WEATHER]))["id"])
    await api.call("POST", f"/runs/{run['id']}/cancel")
    assert (await api.settled(run["thread_id"], run["id"]))["status"] == "cancelled"
    again = await api.call("POST", f"/runs/{run['id']}/retry", {"agentrt": {"on_busy": "reject"}})
    assert (await api.settled(run["thread_id"], again["id"]))["status"] == "completed"
    twice = await api.refused("POST", f"/runs/{again['id']}/retry")
    assert twice["message"] == "Cannot retry run with status 'completed'."


async def test_a_run_that_goes_on_or_waits_cannot_be_repeated(api: Api) -> None:
    api.model.add(call("get_weather", city="Oslo"))
    run = await ran(api, (await api.assistant(tools=[WEATHER]))["id"])
    error = await api.refused("POST", f"/runs/{run['id']}/retry")
    assert error["message"] == "Cannot retry run with status 'requires_action'."


async def test_a_busy_thread_takes_a_repeated_run_as_it_takes_any_other(api: Api) -> None:
    pause = asyncio.Event()
    api.model.add(failure(ModelError("no")), text("Slow.", pause=pause), text("At last."))
    assistant_id = (await api.assistant())["id"]
    failed = await ran(api, assistant_id)
    thread_id = failed["thread_id"]
    active = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant_id})
    error = await api.refused("POST", f"/runs/{failed['id']}/retry")
    assert error["message"] == f"Thread {thread_id} already has an active run {active['id']}."
    held = await api.call("POST", f"/runs/{failed['id']}/retry", {"agentrt": {"on_busy": "enqueue"}})
    assert held["status"] == "queued"
    pause.set()
    assert (await api.settled(thread_id, held["id"]))["status"] == "completed"
    await api.refused("POST", f"/runs/{failed['id']}/retry", {"on_busy": "enqueue"})


async def test_a_run_without_its_assistant_cannot_be_repeated(api: Api) -> None:
    api.model.add(failure(ModelError("no")))
    assistant = await api.assistant()
    failed = await ran(api, assistant["id"])
    await api.call("DELETE", f"/assistants/{assistant['id']}")
    error = await api.refused("POST", f"/runs/{failed['id']}/retry", status=404)
    assert error["message"] == f"No assistant found with id '{assistant['id']}'."


async def test_what_an_event_says_is_the_engines_own_event(api: Api) -> None:
    api.model.add(text("Hello."))
    run = await ran(api, (await api.assistant())["id"])
    events = (await api.call("GET", f"/runs/{run['id']}/events"))["data"]
    import msgspec

    plain = [{"kind": event["kind"], "at": event["at"] or 0.0, **event["data"]} for event in events]
    assert len(decode_events(msgspec.json.encode(plain))) == len(events)


async def test_a_key_sees_the_runs_of_its_project_only(tmp_path: Path) -> None:
    async with open_api(tmp_path, KEYS) as api:
        first, second = key("sk-first"), key("sk-second")
        api.model.add(text("Hello."))
        assistant = await api.call("POST", "/assistants", {"model": "scripted"}, headers=first)
        run = await api.call("POST", "/threads/runs", {"assistant_id": assistant["id"]}, headers=first)
        assert (await api.call("GET", "/runs", headers=second))["data"] == []
        assert (await api.call("GET", "/runs", headers=second, params={"id_prefix": run["id"]}))["data"] == []
        assert len((await api.call("GET", "/runs", headers=first))["data"]) == 1
        for method, path in (("GET", ""), ("GET", "/events"), ("POST", "/cancel"), ("POST", "/retry")):
            await api.refused(method, f"/runs/{run['id']}{path}", status=404, headers=second)
