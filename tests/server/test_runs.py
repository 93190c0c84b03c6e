from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from agentrt.engine.message import Usage
from agentrt.errors import ModelError
from agentrt.testing.scripts import call, failure, raw_call, text
from tests.server.api import WEATHER, Api, open_api


async def test_a_run_goes_from_queued_to_its_answer(api: Api) -> None:
    api.model.add(text("Hello there."))
    assistant = await api.assistant(instructions="Be kind.", metadata={"a": "b"})
    thread_id = await api.thread("Hi")
    body = {"assistant_id": assistant["id"], "additional_instructions": "And brief.", "metadata": {"k": "v"}}
    made = await api.call("POST", f"/threads/{thread_id}/runs", body)
    assert (made["status"], made["usage"], made["started_at"]) == ("queued", None, None)
    assert made["expires_at"] == made["created_at"] + 600
    assert (made["instructions"], made["model"], made["metadata"]) == (
        "Be kind.\n\nAnd brief.",
        "scripted",
        {"k": "v"},
    )
    run = await api.settled(thread_id, made["id"])
    assert (run["status"], run["expires_at"]) == ("completed", None)
    assert run["completed_at"] >= run["started_at"] >= run["created_at"]
    assert run["usage"] == {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
    newest = (await api.call("GET", f"/threads/{thread_id}/messages"))["data"][0]
    assert (newest["role"], newest["run_id"], newest["assistant_id"]) == ("assistant", run["id"], assistant["id"])
    assert newest["content"][0]["text"]["value"] == "Hello there."


async def test_a_run_without_instructions_has_an_empty_text(api: Api) -> None:
    api.model.add(text("Hi."))
    thread_id = await api.thread("Hi")
    made = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": (await api.assistant())["id"]})
    assert made["instructions"] == ""
    await api.settled(thread_id, made["id"])


async def test_thread_and_run_are_made_in_one_request(api: Api) -> None:
    api.model.add(text("Hello."))
    thread = {"messages": [{"role": "user", "content": "Hi"}], "metadata": {"t": "1"}}
    body = {"assistant_id": (await api.assistant())["id"], "thread": thread}
    made = await api.call("POST", "/threads/runs", body)
    assert (await api.call("GET", f"/threads/{made['thread_id']}"))["metadata"] == {"t": "1"}
    assert (await api.settled(made["thread_id"], made["id"]))["status"] == "completed"
    messages = await api.call("GET", f"/threads/{made['thread_id']}/messages", params={"run_id": made["id"]})
    assert [message["role"] for message in messages["data"]] == ["assistant"]


async def test_a_function_waits_for_its_caller(api: Api) -> None:
    api.model.add(call("get_weather", city="Oslo") + call("get_weather", city="Rome"), text("Cold and warm."))
    assistant = await api.assistant(tools=[WEATHER])
    thread_id = await api.thread("Weather?")
    made = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant["id"]})
    path = f"/threads/{thread_id}/runs/{made['id']}"
    run = await api.settled(thread_id, made["id"])
    assert run["status"] == "requires_action"
    action = run["required_action"]
    assert action["type"] == "submit_tool_outputs"
    assert [c["function"] for c in action["submit_tool_outputs"]["tool_calls"]] == [
        {"name": "get_weather", "arguments": '{"city":"Oslo"}'},
        {"name": "get_weather", "arguments": '{"city":"Rome"}'},
    ]
    error = await api.refused("POST", f"{path}/submit_tool_outputs", {"tool_outputs": [{"tool_call_id": "call_1"}]})
    assert error["message"] == "Expected tool outputs for call_ids ['call_1', 'call_2'], got ['call_1']"
    outputs = [{"tool_call_id": "call_2", "output": "30 °C"}, {"tool_call_id": "call_1", "output": ""}]
    after = await api.call("POST", f"{path}/submit_tool_outputs", {"tool_outputs": outputs})
    assert (after["status"], after["required_action"]) == ("queued", None)
    assert (await api.settled(thread_id, made["id"]))["status"] == "completed"
    error = await api.refused("POST", f"{path}/submit_tool_outputs", {"tool_outputs": outputs})
    assert error["message"] == 'Runs in status "completed" do not accept tool outputs.'
    steps = (await api.call("GET", f"{path}/steps", params={"order": "asc"}))["data"]
    assert [step["type"] for step in steps] == ["tool_calls", "message_creation"]
    calls = steps[0]["step_details"]["tool_calls"]
    assert [c["function"]["output"] for c in calls] == ["", "30 °C"]
    assert steps[0]["usage"]["total_tokens"] == 15
    assert await api.call("GET", f"{path}/steps/{steps[0]['id']}") == steps[0]


async def test_arguments_are_the_models_own_text(api: Api) -> None:
    api.model.add(raw_call("get_weather", '{"city": Oslo'))
    thread_id = await api.thread("Weather?")
    assistant = await api.assistant(tools=[WEATHER])
    made = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant["id"]})
    run = await api.settled(thread_id, made["id"])
    (pending,) = run["required_action"]["submit_tool_outputs"]["tool_calls"]
    assert pending["function"]["arguments"] == '{"city": Oslo'


async def test_a_busy_thread_takes_nothing(api: Api) -> None:
    pause = asyncio.Event()
    api.model.add(text("Slow.", pause=pause))
    body = {"assistant_id": (await api.assistant())["id"]}
    thread_id = await api.thread("Hi")
    run_id = (await api.call("POST", f"/threads/{thread_id}/runs", body))["id"]
    error = await api.refused("POST", f"/threads/{thread_id}/runs", body)
    assert error["message"] == f"Thread {thread_id} already has an active run {run_id}."
    error = await api.refused("POST", f"/threads/{thread_id}/messages", {"role": "user", "content": "?"})
    assert error["message"] == f"Can't add messages to {thread_id} while a run {run_id} is active."
    pause.set()
    assert (await api.settled(thread_id, run_id))["status"] == "completed"


async def test_a_second_run_can_wait_its_turn(api: Api) -> None:
    pause = asyncio.Event()
    api.model.add(text("One.", pause=pause), text("Two."))
    assistant_id = (await api.assistant())["id"]
    thread_id = await api.thread("Hi")
    first = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant_id})
    body = {"assistant_id": assistant_id, "agentrt": {"on_busy": "enqueue"}}
    second = await api.call("POST", f"/threads/{thread_id}/runs", body)
    said = {"role": "user", "content": "More", "agentrt": {"on_busy": "enqueue"}}
    await api.call("POST", f"/threads/{thread_id}/messages", said)
    assert second["status"] == "queued"
    pause.set()
    assert (await api.settled(thread_id, first["id"]))["status"] == "completed"
    assert (await api.settled(thread_id, second["id"]))["status"] == "completed"


async def test_a_run_may_be_given_days_to_wait_for_its_caller(api: Api) -> None:
    api.model.add(call("ask"), text("Thanks."))
    function = {"type": "function", "function": {"name": "ask", "parameters": {"type": "object", "properties": {}}}}
    thread_id = await api.thread("Hi")
    body = {"assistant_id": (await api.assistant())["id"], "tools": [function], "agentrt": {"action_ttl": 3 * 86_400}}
    made = await api.call("POST", f"/threads/{thread_id}/runs", body)
    waiting = await api.settled(thread_id, made["id"])
    assert made["expires_at"] - made["created_at"] == 600
    assert 3 * 86_400 <= waiting["expires_at"] - made["created_at"] < 3 * 86_400 + 60
    for wrong in (0, -1, "3d", 10**9):
        body["agentrt"] = {"action_ttl": wrong}
        error = await api.refused("POST", f"/threads/{thread_id}/runs", body)
        assert error["param"] == "agentrt.action_ttl"


async def test_cancel_says_cancelling_and_ends_cancelled(api: Api) -> None:
    api.model.add(text("Never", pause=asyncio.Event()))
    thread_id = await api.thread("Hi")
    made = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": (await api.assistant())["id"]})
    path = f"/threads/{thread_id}/runs/{made['id']}"
    assert (await api.call("POST", f"{path}/cancel"))["status"] == "cancelling"
    run = await api.settled(thread_id, made["id"])
    assert (run["status"], run["cancelled_at"] is not None) == ("cancelled", True)
    error = await api.refused("POST", f"{path}/cancel")
    assert error["message"] == "Cannot cancel run with status 'cancelled'."


async def test_a_cancel_is_heard_while_the_run_is_being_taken_up(api: Api) -> None:
    assistant_id = (await api.assistant())["id"]
    for n_ticks in range(20):
        never = asyncio.Event()
        api.model.add(text("Never", pause=never))
        thread_id = await api.thread("Hi")
        made = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant_id})
        for _ in range(n_ticks):
            await asyncio.sleep(0)
        await api.call("POST", f"/threads/{thread_id}/runs/{made['id']}/cancel")
        assert (await api.settled(thread_id, made["id"]))["status"] == "cancelled"


async def test_a_failed_run_says_what_really_happened(api: Api) -> None:
    api.model.add(failure(ModelError("The key of model X was refused.", http_status=401)))
    thread_id = await api.thread("Hi")
    made = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": (await api.assistant())["id"]})
    run = await api.settled(thread_id, made["id"])
    assert (run["status"], run["failed_at"] is not None) == ("failed", True)
    assert run["last_error"] == {"code": "server_error", "message": "The key of model X was refused."}


async def test_a_token_limit_makes_a_run_incomplete(api: Api) -> None:
    api.model.add(text("Cut", finish="length"))
    thread_id = await api.thread("Hi")
    body = {"assistant_id": (await api.assistant())["id"], "max_completion_tokens": 300}
    made = await api.call("POST", f"/threads/{thread_id}/runs", body)
    run = await api.settled(thread_id, made["id"])
    assert (run["status"], run["incomplete_details"]) == ("incomplete", {"reason": "max_completion_tokens"})
    assert run["max_completion_tokens"] == 300
    newest = (await api.call("GET", f"/threads/{thread_id}/messages"))["data"][0]
    assert (newest["status"], newest["incomplete_details"]) == ("incomplete", {"reason": "max_tokens"})


async def test_a_run_that_never_stops_calling_says_why_it_was_stopped(tmp_path: Path) -> None:
    def spin() -> str:
        """Turn once more."""
        return "again"

    tool = {"type": "function", "function": {"name": "spin"}}
    async with open_api(tmp_path, "[runtime.limits]\nmax_steps = 2\n", tools=[spin]) as api:
        api.model.add(call("spin"), call("spin"))
        thread_id = await api.thread("Go")
        body = {"assistant_id": (await api.assistant(tools=[tool]))["id"]}
        made = await api.call("POST", f"/threads/{thread_id}/runs", body)
        run = await api.settled(thread_id, made["id"])
    assert (run["status"], run["incomplete_details"]) == ("incomplete", None)
    assert "max_steps" in run["last_error"]["message"]


async def test_a_run_echoes_what_it_was_asked(api: Api) -> None:
    said = {
        "model": "scripted",
        "instructions": "Only this.",
        "tools": [WEATHER],
        "temperature": 0,
        "top_p": 0.5,
        "max_prompt_tokens": 1000,
        "truncation_strategy": {"type": "last_messages", "last_messages": 4},
        "tool_choice": {"type": "function", "function": {"name": "get_weather"}},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_object"},
        "reasoning_effort": "high",
    }
    api.model.add(text("{}"))
    thread_id = await api.thread("Hi")
    body = {"assistant_id": (await api.assistant(instructions="Not this."))["id"], **said}
    made = await api.call("POST", f"/threads/{thread_id}/runs", body)
    assert {key: made[key] for key in said} == said
    await api.settled(thread_id, made["id"])
    assert api.model.requests[0].temperature == 0


async def test_a_later_change_of_the_assistant_leaves_its_runs_alone(api: Api) -> None:
    api.model.add(text("Hi."))
    assistant = await api.assistant(instructions="Before.")
    thread_id = await api.thread("Hi")
    made = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant["id"]})
    await api.call("POST", f"/assistants/{assistant['id']}", {"instructions": "After."})
    assert (await api.settled(thread_id, made["id"]))["instructions"] == "Before."


async def test_only_the_metadata_of_a_run_changes(api: Api) -> None:
    api.model.add(text("Hi."))
    thread_id = await api.thread("Hi")
    made = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": (await api.assistant())["id"]})
    path = f"/threads/{thread_id}/runs/{made['id']}"
    assert (await api.call("POST", path, {"metadata": {"k": "v"}}))["metadata"] == {"k": "v"}
    assert (await api.settled(thread_id, made["id"]))["metadata"] == {"k": "v"}
    error = await api.refused("POST", path, {"status": "completed"})
    assert (error["code"], error["param"]) == ("unknown_parameter", "status")


async def test_runs_and_steps_are_found_under_their_own_parents_only(api: Api) -> None:
    api.model.add(text("Hi."))
    thread_id, other = await api.thread("Hi"), await api.thread()
    made = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": (await api.assistant())["id"]})
    await api.settled(thread_id, made["id"])
    path = f"/threads/{thread_id}/runs/{made['id']}"
    assert [run["id"] for run in (await api.call("GET", f"/threads/{thread_id}/runs"))["data"]] == [made["id"]]
    assert (await api.call("GET", f"/threads/{other}/runs"))["data"] == []
    error = await api.refused("GET", f"/threads/{other}/runs/{made['id']}", status=404)
    assert error["message"] == f"No run found with id '{made['id']}'."
    assert (await api.refused("GET", f"{path}/steps/step_x", status=404))["message"] == (
        "No run step found with id 'step_x'."
    )
    await api.refused("GET", f"/threads/{other}/runs/{made['id']}/steps", status=404)


async def test_an_unknown_assistant_is_not_found(api: Api) -> None:
    thread_id = await api.thread("Hi")
    error = await api.refused("POST", f"/threads/{thread_id}/runs", {"assistant_id": "asst_x"}, status=404)
    assert error["message"] == "No assistant found with id 'asst_x'."
    await api.refused("POST", "/threads/runs", {"assistant_id": "asst_x"}, status=404)
    assert (await api.call("GET", "/threads"))["data"][0]["id"] == thread_id


async def test_polling_helpers_learn_when_to_ask_again(api: Api) -> None:
    api.model.add(text("Hi."))
    thread_id = await api.thread("Hi")
    made = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": (await api.assistant())["id"]})
    response = await api.client.get(f"/threads/{thread_id}/runs/{made['id']}")
    assert response.headers["openai-poll-after-ms"] == "50"
    await api.settled(thread_id, made["id"])


@pytest.mark.parametrize("name", ["include[]", "include"])
async def test_include_knows_one_value(api: Api, name: str) -> None:
    api.model.add(text("Hi."))
    thread_id = await api.thread("Hi")
    made = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": (await api.assistant())["id"]})
    await api.settled(thread_id, made["id"])
    steps = f"/threads/{thread_id}/runs/{made['id']}/steps"
    known = "step_details.tool_calls[*].file_search.results[*].content"
    assert len((await api.call("GET", steps, params={name: known}))["data"]) == 1
    error = await api.refused("GET", steps, params={name: "all"})
    assert (error["code"], error["param"]) == ("invalid_value", name)


async def test_text_beside_calls_is_a_step_of_its_own(api: Api) -> None:
    api.model.add(text("Let me see.") + call("get_weather", city="Oslo"))
    assistant = await api.assistant(tools=[WEATHER])
    thread_id = await api.thread("Weather?")
    made = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant["id"]})
    await api.settled(thread_id, made["id"])
    steps = await api.call("GET", f"/threads/{thread_id}/runs/{made['id']}/steps", params={"order": "asc"})
    assert [(step["type"], step["status"]) for step in steps["data"]] == [
        ("message_creation", "completed"),
        ("tool_calls", "in_progress"),
    ]
    assert steps["data"][0]["usage"] == {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}
    assert steps["data"][1]["usage"] is None


async def test_usage_counts_every_model_call(api: Api) -> None:
    api.model.add(call("get_weather", city="Oslo"), text("Cold."))
    assistant = await api.assistant(tools=[WEATHER])
    thread_id = await api.thread("Weather?")
    made = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant["id"]})
    waiting = await api.settled(thread_id, made["id"])
    assert waiting["usage"] is None
    path = f"/threads/{thread_id}/runs/{made['id']}/submit_tool_outputs"
    await api.call("POST", path, {"tool_outputs": [{"tool_call_id": "call_1", "output": "4"}]})
    total = Usage(10, 5) + Usage(10, 5)
    assert (await api.settled(thread_id, made["id"]))["usage"]["total_tokens"] == total.total_tokens
