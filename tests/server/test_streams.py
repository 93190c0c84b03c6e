from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest

from agentrt.engine.events import TextDelta
from agentrt.errors import ModelError
from agentrt.store.database import Tx
from agentrt.store.run_events import NumberedEvent, delete_events
from agentrt.store.runs import mark_events_gone
from agentrt.testing.scripts import call, failure, text
from tests.server.api import BETA, WEATHER, Api, Json, names, on_port, open_api, read_events, text_of

ANSWER = [
    "run.step.created",
    "run.step.in_progress",
    "message.created",
    "message.in_progress",
    "message.delta",
    "message.completed",
    "run.step.completed",
    "run.completed",
    "done",
]


async def _run_body(api: Api, **fields: object) -> Json:
    return {"assistant_id": (await api.assistant(**fields))["id"], "stream": True}


async def test_a_plain_stream_tells_its_events_in_order(api: Api) -> None:
    api.model.add(text("Hello to you."))
    thread_id = await api.thread("Hi")
    events = await api.stream("POST", f"/threads/{thread_id}/runs", await _run_body(api))
    assert names(events) == ["run.created", "run.queued", "run.in_progress", *ANSWER]
    assert text_of(events) == "Hello to you."
    by_name = {event.name: event.data for event in events}
    assert by_name["thread.message.created"]["content"] == []
    assert by_name["thread.message.completed"]["content"][0]["text"]["value"] == "Hello to you."
    assert by_name["thread.run.completed"]["usage"]["total_tokens"] == 15
    deltas = [e.data["delta"]["content"][0]["text"] for e in events if e.name == "thread.message.delta"]
    assert deltas[0] == {"value": "Hello ", "annotations": []}
    assert deltas[1] == {"value": "to "}


async def test_every_event_but_done_has_an_id_that_grows(api: Api) -> None:
    api.model.add(text("Hello."))
    thread_id = await api.thread("Hi")
    events = await api.stream("POST", f"/threads/{thread_id}/runs", await _run_body(api))
    assert events[-1].place is None
    places = [tuple(map(int, event.place.split("."))) for event in events[:-1] if event.place]
    assert len(places) == len(events) - 1
    assert places == sorted(set(places))


async def test_create_thread_and_run_begins_with_the_thread(api: Api) -> None:
    api.model.add(text("Hello."))
    body = {**await _run_body(api), "thread": {"messages": [{"role": "user", "content": "Hi"}]}}
    events = await api.stream("POST", "/threads/runs", body)
    assert names(events)[:3] == ["created", "run.created", "run.queued"]
    assert events[0].data["id"] == events[1].data["thread_id"]


async def test_a_function_call_ends_the_stream_and_the_submit_stream_goes_on(api: Api) -> None:
    api.model.add(call("get_weather", city="Oslo"), text("Cold."))
    thread_id = await api.thread("Weather?")
    events = await api.stream("POST", f"/threads/{thread_id}/runs", await _run_body(api, tools=[WEATHER]))
    assert names(events)[2:] == [
        "run.in_progress",
        "run.step.created",
        "run.step.in_progress",
        "run.step.delta",
        "run.requires_action",
        "done",
    ]
    by_name = {event.name: event.data for event in events}
    assert by_name["thread.run.step.created"]["step_details"] == {"type": "tool_calls", "tool_calls": []}
    deltas = [
        event.data["delta"]["step_details"]["tool_calls"][0]
        for event in events
        if event.name == "thread.run.step.delta"
    ]
    assert deltas[0]["id"] == "call_1"
    assert (deltas[0]["function"]["name"], deltas[0]["function"]["output"]) == ("get_weather", None)
    assert all(set(delta) == {"index", "type", "function"} for delta in deltas[1:])
    assert "".join(delta["function"]["arguments"] for delta in deltas) == '{"city":"Oslo"}'
    run = by_name["thread.run.requires_action"]
    assert run["required_action"]["submit_tool_outputs"]["tool_calls"][0]["id"] == "call_1"

    body = {"tool_outputs": [{"tool_call_id": "call_1", "output": "4 °C"}], "stream": True}
    events = await api.stream("POST", f"/threads/{thread_id}/runs/{run['id']}/submit_tool_outputs", body)
    assert names(events) == ["run.step.completed", "run.queued", "run.in_progress", *ANSWER]
    (made,) = events[0].data["step_details"]["tool_calls"]
    assert made["function"] == {"name": "get_weather", "arguments": '{"city":"Oslo"}', "output": "4 °C"}
    assert events[1].data["required_action"] is None
    assert text_of(events) == "Cold."


async def test_a_tool_of_the_server_runs_without_a_stop(tmp_path: Path) -> None:
    def get_weather(city: str) -> str:
        """Weather of a city."""
        return f"{city}: 4 °C"

    async with open_api(tmp_path, tools=[get_weather]) as api:
        api.model.add(call("get_weather", city="Oslo"), text("Cold."))
        thread_id = await api.thread("Weather?")
        events = await api.stream("POST", f"/threads/{thread_id}/runs", await _run_body(api, tools=[WEATHER]))
    assert names(events)[2:] == [
        "run.in_progress",
        "run.step.created",
        "run.step.in_progress",
        "run.step.delta",
        "run.step.completed",
        *ANSWER,
    ]
    deltas = [event.data for event in events if event.name == "thread.run.step.delta"]
    assert deltas[-1]["delta"]["step_details"]["tool_calls"] == [
        {"index": 0, "type": "function", "function": {"output": "Oslo: 4 °C"}}
    ]
    completed = next(event.data for event in events if event.name == "thread.run.step.completed")
    assert completed["step_details"]["tool_calls"][0]["function"]["output"] == "Oslo: 4 °C"


async def test_a_failed_run_is_an_event_of_its_run(api: Api) -> None:
    api.model.add(failure(ModelError("It is on fire.")))
    thread_id = await api.thread("Hi")
    events = await api.stream("POST", f"/threads/{thread_id}/runs", await _run_body(api))
    assert names(events)[-2:] == ["run.failed", "done"]
    assert events[-2].data["last_error"] == {"code": "server_error", "message": "It is on fire."}


async def test_an_incomplete_run_closes_its_message_first(api: Api) -> None:
    api.model.add(text("Cut", finish="length"))
    thread_id = await api.thread("Hi")
    events = await api.stream("POST", f"/threads/{thread_id}/runs", await _run_body(api))
    assert names(events)[-4:] == ["message.incomplete", "run.step.completed", "run.incomplete", "done"]
    assert events[-4].data["incomplete_details"] == {"reason": "max_tokens"}
    assert events[-4].data["content"][0]["text"]["value"] == "Cut"


async def test_a_cancelled_run_says_so_on_the_way(api: Api) -> None:
    api.model.add(text("Never ending", pause=asyncio.Event()))
    body = await _run_body(api)
    thread_id = await api.thread("Hi")
    async with asyncio.TaskGroup() as group:
        streaming = group.create_task(api.stream("POST", f"/threads/{thread_id}/runs", body))
        await api.until(lambda: bool(api.model.requests))
        (run,) = (await api.call("GET", f"/threads/{thread_id}/runs"))["data"]
        await api.call("POST", f"/threads/{thread_id}/runs/{run['id']}/cancel")
    assert names(streaming.result())[-5:] == [
        "run.cancelling",
        "message.incomplete",
        "run.step.cancelled",
        "run.cancelled",
        "done",
    ]


async def test_errors_before_the_first_event_are_ordinary(api: Api) -> None:
    body = {"assistant_id": "asst_x", "stream": True}
    error = await api.refused("POST", f"/threads/{await api.thread()}/runs", body, status=404)
    assert error["message"] == "No assistant found with id 'asst_x'."


async def test_a_stream_can_be_resumed_at_every_place(api: Api) -> None:
    api.model.add(text("Let me see.") + call("get_weather", city="Oslo"), text("It is cold."))
    body = {**await _run_body(api, tools=[WEATHER]), "thread": {"messages": [{"role": "user", "content": "Weather?"}]}}
    whole = await api.stream("POST", "/threads/runs", body)
    thread_id, run_id = whole[0].data["id"], whole[1].data["id"]
    outputs = {"tool_outputs": [{"tool_call_id": "call_1", "output": "4 °C"}], "stream": True}
    path = f"/threads/{thread_id}/runs/{run_id}"
    whole[-1:] = await api.stream("POST", f"{path}/submit_tool_outputs", outputs)
    assert await api.stream("GET", f"{path}/stream") == whole
    for i, event in enumerate(whole[:-1]):
        resumed = await api.stream("GET", f"{path}/stream", headers={"Last-Event-ID": event.place})
        assert resumed == whole[i + 1 :]
    query = {"starting_after": whole[5].place}
    assert await api.stream("GET", f"{path}/stream", params=query) == whole[6:]


async def test_a_resumed_stream_goes_on_live(api: Api) -> None:
    pause = asyncio.Event()
    api.model.add(text("One two", pause=pause))
    thread_id = await api.thread("Hi")
    run_id = (await api.call("POST", f"/threads/{thread_id}/runs", {**await _run_body(api), "stream": False}))["id"]
    await api.until(lambda: bool(api.model.requests))
    async with asyncio.TaskGroup() as group:
        following = group.create_task(api.stream("GET", f"/threads/{thread_id}/runs/{run_id}/stream"))
        await asyncio.sleep(0.05)
        pause.set()
    assert names(following.result()) == ["run.created", "run.queued", "run.in_progress", *ANSWER]


async def test_a_stream_can_be_resumed_behind_events_that_are_not_stored_yet(api: Api) -> None:
    pause = asyncio.Event()
    api.model.add(text("One two", pause=pause))
    thread_id = await api.thread("Hi")
    path = f"/threads/{thread_id}/runs"
    run_id = (await api.call("POST", path, {**await _run_body(api), "stream": False}))["id"]
    last: NumberedEvent | None = None
    async with aclosing(api.runtime.runs.follow(run_id)) as bursts:
        async for burst in bursts:
            last = burst[-1]
            if isinstance(last.event, TextDelta):
                break
    assert last is not None
    headers = {"Last-Event-ID": f"{last.epoch}.{last.seq}"}
    async with asyncio.TaskGroup() as group:
        following = group.create_task(api.stream("GET", f"{path}/{run_id}/stream", headers=headers))
        await asyncio.sleep(0.05)
        pause.set()
    assert names(following.result()) == ["message.completed", "run.step.completed", "run.completed", "done"]


@pytest.mark.parametrize("place", ["x", "1", "1.x", "-1.2", "1.2.3", "1." + "9" * 40])
async def test_a_place_that_is_none_is_refused(api: Api, place: str) -> None:
    api.model.add(text("Hi."))
    thread_id = await api.thread("Hi")
    events = await api.stream("POST", f"/threads/{thread_id}/runs", await _run_body(api))
    path = f"/threads/{thread_id}/runs/{events[0].data['id']}/stream"
    error = await api.refused("GET", path, params={"starting_after": place})
    assert (error["code"], error["param"]) == ("invalid_value", "starting_after")


async def test_a_stream_of_another_threads_run_is_not_found(api: Api) -> None:
    error = await api.refused("GET", f"/threads/{await api.thread()}/runs/run_x/stream", status=404)
    assert error["message"] == "No run found with id 'run_x'."


async def test_a_client_that_leaves_does_not_stop_the_run(api: Api) -> None:
    pause = asyncio.Event()
    api.model.add(text("One two three", pause=pause))
    thread_id = await api.thread("Hi")
    body = await _run_body(api)
    async with on_port(api.app) as (_, address), httpx.AsyncClient(base_url=f"{address}/v1", headers=BETA) as client:
        async with client.stream("POST", f"/threads/{thread_id}/runs", json=body) as response:
            async for line in response.aiter_lines():
                if line == "event: thread.message.delta":
                    break
        run = (await client.get(f"/threads/{thread_id}/runs")).json()["data"][0]
        await api.until(lambda: not api.app.state.streams.n_open)
        pause.set()
        assert (await api.settled(thread_id, run["id"]))["status"] == "completed"


async def test_a_server_that_stops_ends_its_streams_with_an_error(api: Api) -> None:
    api.runtime.drain_grace_s = 0.1
    pause = asyncio.Event()
    api.model.add(text("One two", pause=pause))
    thread_id = await api.thread("Hi")
    body = await _run_body(api)
    received = b""
    async with (
        on_port(api.app) as (server, address),
        httpx.AsyncClient(headers=BETA, timeout=60) as client,
        client.stream("POST", f"{address}/v1/threads/{thread_id}/runs", json=body) as response,
    ):
        async for chunk in response.aiter_raw():
            received += chunk
            server.should_exit = b"message.delta" in received
    events = read_events(received.decode())
    pause.set()
    assert (events[-1].name, events[-1].place) == ("error", None)
    assert "Last-Event-ID" in events[-1].data["message"]
    assert events[-1].data["type"] == "server_error"


async def test_words_arrive_while_the_model_is_still_talking(api: Api) -> None:
    pause = asyncio.Event()
    api.model.add(text("One two", pause=pause))
    thread_id = await api.thread("Hi")
    body = await _run_body(api)
    received = b""
    async with (
        on_port(api.app) as (_, address),
        httpx.AsyncClient(headers=BETA) as client,
        client.stream("POST", f"{address}/v1/threads/{thread_id}/runs", json=body) as response,
    ):
        async for chunk in response.aiter_raw():
            received += chunk
            if b'"two"' in received:
                pause.set()
    assert text_of(read_events(received.decode())) == "One two"


async def test_a_deleted_thread_breaks_its_stream_off(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    api.model.add(text("One two", pause=asyncio.Event()))
    thread_id = await api.thread("Hi")
    body = await _run_body(api)
    with caplog.at_level(logging.CRITICAL):
        async with asyncio.TaskGroup() as group:
            streaming = group.create_task(api.stream("POST", f"/threads/{thread_id}/runs", body))
            await api.until(lambda: bool(api.model.requests))
            await api.call("DELETE", f"/threads/{thread_id}")
    assert streaming.result()[-1].name == "error"


@pytest.mark.parametrize("headers", [{}, {"Last-Event-ID": "1.2"}, {"Last-Event-ID": "1.900"}])
async def test_a_stream_of_a_run_whose_events_are_gone_is_its_last_event(api: Api, headers: dict[str, str]) -> None:
    thread_id = await api.thread("Hi")
    api.model.add(text("Hello."))
    assistant = await api.assistant()
    run = await api.call("POST", f"/threads/{thread_id}/runs", {"assistant_id": assistant["id"]})
    path = f"/threads/{thread_id}/runs/{run['id']}"
    await api.settled(thread_id, run["id"])
    await api.call("POST", path, {"metadata": {"kind": "greeting"}})

    def forget(tx: Tx) -> None:
        delete_events(tx, run["id"])
        mark_events_gone(tx, run["id"], now=1.0)

    await api.runtime.store.write(forget)
    ended = await api.call("GET", path)
    events = await api.stream("GET", f"{path}/stream", headers=headers)
    assert [event.name for event in events] == ["thread.run.completed", "done"]
    assert events[0].data == ended
    assert ended["metadata"] == {"kind": "greeting"}
