"""A second message or run while a run is active: reject, enqueue, interrupt."""

from __future__ import annotations

from typing import Any

from tests.compat.api import Api, says
from tests.compat.fixtures import Told
from tests.compat.plays import STORY

ENQUEUE: dict[str, Any] = {"agentrt": {"on_busy": "enqueue"}}
INTERRUPT: dict[str, Any] = {"agentrt": {"on_busy": "interrupt"}}


def test_by_default_both_are_refused_and_nothing_is_left_of_them(api: Api) -> None:
    thread, actor = api.thread("Think."), api.actor("endless")
    run = api.wait(api.run(thread, actor), "in_progress")

    api.post(f"/threads/{thread}/messages", says("Hurry."), status=400)
    api.run(thread, actor, status=400)
    api.run(thread, actor, additional_messages=[says("Hurry.")], status=400)
    api.cancel(run)
    assert api.wait(run)["status"] == "cancelled"
    assert [text for role, text in api.talk(thread) if role == "user"] == ["Think."]
    assert len(api.get(f"/threads/{thread}/runs")["data"]) == 1


def test_enqueued_runs_wait_their_turn_in_order(api: Api) -> None:
    thread, slow, quick = api.thread("First."), api.actor("slow_story"), api.actor("hello")
    runs = [api.run(thread, slow)]
    for text in ("Second.", "Third."):
        api.post(f"/threads/{thread}/messages", says(text) | ENQUEUE)
        runs.append(api.run(thread, quick, **ENQUEUE))

    assert [run["status"] for run in runs] == ["queued", "queued", "queued"]
    ended = [api.wait(run) for run in runs]
    assert {run["status"] for run in ended} == {"completed"}
    started = [run["started_at"] for run in ended]
    assert started == sorted(started)
    assert ended[0]["completed_at"] <= ended[1]["started_at"]
    hello = "Hello there, how are you?"
    said = api.talk(thread)
    assert [text for role, text in said if role == "assistant"] == [STORY, hello, hello]
    assert [text for role, text in said if role == "user"] == ["First.", "Second.", "Third."]


def test_an_enqueued_runs_stream_waits_and_then_tells_all(api: Api) -> None:
    thread = api.thread("First.")
    first = api.run(thread, api.actor("slow_story"))
    events = api.stream_run(thread, api.actor("hello"), **ENQUEUE)

    assert events[-2].name == "thread.run.completed"
    assert api.find(first)["status"] == "completed"


def test_a_waiting_run_is_held_until_the_caller_has_answered(api: Api) -> None:
    thread = api.thread("Weather?")
    first = api.wait(api.run(thread, api.actor("one_call", "get_weather")), "requires_action")
    second = api.run(thread, api.actor("hello"), **ENQUEUE)
    assert api.find(second)["status"] == "queued"

    api.submit(first)
    assert api.wait(first)["status"] == "completed"
    assert api.wait(second)["status"] == "completed"


def test_a_held_run_is_cancelled_without_the_active_one(api: Api) -> None:
    thread, actor = api.thread("Think."), api.actor("endless")
    first = api.wait(api.run(thread, actor), "in_progress")
    held = api.run(thread, actor, **ENQUEUE)
    api.cancel(held)

    assert api.wait(held)["status"] == "cancelled"
    assert api.find(first)["status"] == "in_progress"
    api.cancel(first)
    api.wait(first)


def test_interrupting_cancels_the_active_run_first(api: Api) -> None:
    thread, hello = api.thread("Think."), api.actor("hello")
    first = api.wait(api.run(thread, api.actor("endless")), "in_progress")
    events = api.stream_run(thread, hello, additional_messages=[says("Never mind.")], **INTERRUPT)

    assert events[-2].name == "thread.run.completed"
    assert api.find(first)["status"] == "cancelled"
    api.post(f"/threads/{thread}/messages", says("Weather?"))
    waiting = api.wait(api.run(thread, api.actor("one_call", "get_weather")), "requires_action")
    message = api.post(f"/threads/{thread}/messages", says("Stop that.") | INTERRUPT)
    assert api.wait(waiting)["status"] == "cancelled"
    assert api.get(f"/threads/{thread}/messages/{message['id']}")["role"] == "user"


def test_the_nearest_word_wins(api: Api) -> None:
    thread, actor = api.thread("Think.", **ENQUEUE), api.actor("endless")
    assert api.get(f"/threads/{thread}")["agentrt"] == {"on_busy": "enqueue"}
    first = api.wait(api.run(thread, actor), "in_progress")

    api.run(thread, actor, agentrt={"on_busy": "reject"}, status=400)
    held = api.run(thread, api.actor("hello"))
    assert held["status"] == "queued"
    last = api.run(thread, api.actor("hello"), **INTERRUPT)
    assert api.wait(first)["status"] == "cancelled"
    assert api.wait(held)["status"] == "completed"
    assert api.wait(last)["status"] == "completed"


def test_a_run_knows_only_what_stood_there_when_it_was_created(api: Api, told: Told) -> None:
    thread, actor = api.thread("First."), api.actor("slow_story")
    runs = [api.run(thread, actor), api.run(thread, actor, additional_messages=[says("Second.")], **ENQUEUE)]
    api.post(f"/threads/{thread}/messages", says("Third.") | ENQUEUE)
    for run in runs:
        assert api.wait(run)["status"] == "completed"

    first, second = told.talks()
    assert [text for role, text in first if role == "user"] == ["First."]
    assert [text for role, text in second if role == "user"] == ["First.", "Second."]
    assert [text for role, text in second if role == "assistant"] == [STORY]
