"""Streams that are left, followed by many, and resumed."""

from __future__ import annotations

import threading

import pytest

from tests.compat.api import Api, outputs_for, run_of, says
from tests.compat.plays import STORY
from tests.compat.story import StreamEvent, check_story, story, text_of


def test_the_order_is_the_contracts(api: Api) -> None:
    plain = api.stream_run(api.thread("Hi"), api.actor("hello"))
    assert story(plain) == (
        "run.created run.queued run.in_progress step.created step.in_progress message.created message.in_progress "
        "message.delta message.completed step.completed run.completed done"
    )
    thread = api.thread("Hi")
    asked = api.stream_run(thread, api.actor("one_call", "get_weather"))
    assert story(asked) == (
        "run.created run.queued run.in_progress step.created step.in_progress step.delta run.requires_action done"
    )
    run = asked[-2].data
    path = f"/threads/{thread}/runs/{run['id']}/submit_tool_outputs"
    with api.stream(path, {"tool_outputs": outputs_for(run)}) as events:
        assert story(events) == (
            "step.completed run.queued run.in_progress step.created step.in_progress message.created "
            "message.in_progress message.delta message.completed step.completed run.completed done"
        )
    own = api.stream_run(api.thread("Hi"), api.actor("own_tool", "add"))
    assert story(own) == (
        "run.created run.queued run.in_progress step.created step.in_progress step.delta step.completed "
        "step.created step.in_progress message.created message.in_progress message.delta message.completed "
        "step.completed run.completed done"
    )


def test_a_client_that_leaves_does_not_stop_the_run(api: Api) -> None:
    thread = api.thread("Tell me a story.")
    with api.stream(f"/threads/{thread}/runs", {"assistant_id": api.actor("slow_story")}) as events:
        run = run_of(events)
        next(e for e in events if e.name == "thread.message.delta")

    assert api.wait(run)["status"] == "completed"
    assert api.talk(thread) == [("user", "Tell me a story."), ("assistant", STORY)]


def test_everybody_who_follows_a_run_hears_the_same(api: Api) -> None:
    thread = api.thread("Tell me a story.")
    heard: list[list[StreamEvent]] = []
    with api.stream(f"/threads/{thread}/runs", {"assistant_id": api.actor("slow_story")}) as events:
        first = [next(events)]
        run = first[0].data
        followers = [threading.Thread(target=lambda: heard.append(api.resume(run))) for _ in range(4)]
        for follower in followers[:2]:
            follower.start()
        while text_of(first) == "":
            first.append(next(events))
        for follower in followers[2:]:
            follower.start()
        first += events
    for follower in followers:
        follower.join()

    check_story(first)
    assert text_of(first) == STORY
    assert heard == [first] * 4


def test_a_stream_is_resumed_from_each_of_its_ids(api: Api) -> None:
    whole = api.stream_run(api.thread("Hi"), api.actor("hello"))
    run = whole[0].data

    assert api.resume(run) == whole
    for n, event in enumerate(whole[:-1]):
        assert api.resume(run, event.id) == whole[n + 1 :]


def test_a_story_with_tools_is_resumed_past_its_waits(api: Api) -> None:
    thread = api.thread("Weather?")
    heard = api.stream_run(thread, api.actor("two_rounds", "get_weather", "get_rain_probability"))[:-1]
    while heard[-1].name == "thread.run.requires_action":
        run = heard[-1].data
        waiting = api.resume(run)
        assert waiting[:-1] == heard, "a resumed stream ends where the run waits now"
        path = f"/threads/{thread}/runs/{run['id']}/submit_tool_outputs"
        with api.stream(path, {"tool_outputs": outputs_for(run)}) as events:
            heard += list(events)[:-1]
    whole = api.resume(heard[0].data)

    assert whole[:-1] == heard
    check_story(whole)
    for n, event in enumerate(heard):
        assert api.resume(heard[0].data, event.id) == whole[n + 1 :]


def test_a_stream_is_resumed_live(api: Api) -> None:
    thread = api.thread("Tell me a story.")
    with api.stream(f"/threads/{thread}/runs", {"assistant_id": api.actor("slow_story")}) as events:
        first: list[StreamEvent] = []
        while len(text_of(first)) < 20:
            first.append(next(events))

    heard = [*first, *api.resume(first[0].data, first[-1].id)]
    check_story(heard)
    assert text_of(heard) == STORY
    assert heard == api.resume(first[0].data)


def test_starting_after_says_the_same_as_the_header(api: Api) -> None:
    whole = api.stream_run(api.thread("Hi"), api.actor("hello"))
    run = whole[0].data
    path = f"/threads/{run['thread_id']}/runs/{run['id']}/stream"

    answer = api.http.get(path, params={"starting_after": whole[4].id})
    assert answer.text.count("event: ") == len(whole) - 5
    both = api.http.get(path, params={"starting_after": whole[4].id}, headers={"last-event-id": str(whole[6].id)})
    assert both.text.count("event: ") == len(whole) - 7


@pytest.mark.parametrize("place", ["x", "1", "-1.2", "1.2.3", "9" * 30])
def test_a_place_that_is_none_is_refused(api: Api, place: str) -> None:
    run = api.stream_run(api.thread("Hi"), api.actor("hello"))[0].data
    path = f"/threads/{run['thread_id']}/runs/{run['id']}/stream"

    error = api.get(path, starting_after=place, status=400)["error"]
    assert (error["param"], error["code"]) == ("starting_after", "invalid_value")


def test_refusals_come_before_the_stream_as_json(api: Api) -> None:
    thread = api.thread("Hi")
    error = api.run(thread, "asst_none", stream=True, status=404)["error"]
    assert error["message"] == "No assistant found with id 'asst_none'."
    error = api.run("thread_none", api.actor("hello"), stream=True, status=404)["error"]
    assert error["message"] == "No thread found with id 'thread_none'."
    api.get(f"/threads/{thread}/runs/run_none/stream", status=404)


def test_the_stream_of_a_deleted_threads_run_ends(api: Api) -> None:
    thread = api.thread("Think.")
    with api.stream(f"/threads/{thread}/runs", {"assistant_id": api.actor("endless")}) as events:
        run_of(events)
        next(e for e in events if e.name == "thread.message.delta")
        api.delete(f"/threads/{thread}")
        rest = list(events)

    assert rest[-1].name in ("error", "done")
    api.get(f"/threads/{thread}", status=404)


def test_messages_of_a_stream_are_what_is_stored(api: Api) -> None:
    thread = api.thread("Weather?")
    events = api.stream_run(thread, api.actor("own_tools", "add"))
    run = events[-2].data
    done = {e.data["id"]: e.data for e in events if e.name in ("thread.message.completed", "thread.run.step.completed")}

    assert api.find(run) == run
    assert [done[step["id"]] for step in api.steps(run)] == api.steps(run)
    assert [done[m["id"]] for m in api.messages(thread)[1:]] == api.messages(thread)[1:]
    api.post(f"/threads/{thread}/messages", says("Thanks."))


ODD = {
    "refusal_and_words": "completed",
    "words_and_refusal": "completed",
    "reasoning": "completed",
    "empty": "completed",
    "cut": "incomplete",
    "cut_call": "incomplete",
    "cut_call_and_words": "incomplete",
    "cut_words_and_call": "incomplete",
    "hang_up_in_a_call": "failed",
    "filtered_call": "failed",
    "call_and_words": "requires_action",
    "same_ids": "requires_action",
    "late_name": "requires_action",
    "bad_calls": "completed",
}


@pytest.mark.parametrize("play", ODD)
def test_whatever_a_model_sends_the_stream_keeps_its_order(api: Api, play: str) -> None:
    """The witness judges it: steps do not overlap, deltas add up to the objects, usage to the run's."""
    events = api.stream_run(api.thread("Hello"), api.actor(play, "get_weather", "add", "explode"))
    run = events[-2].data
    assert run["status"] == ODD[play]
    while run["status"] == "requires_action":
        path = f"/threads/{run['thread_id']}/runs/{run['id']}/submit_tool_outputs"
        with api.stream(path, {"tool_outputs": outputs_for(run)}) as rest:
            run = list(rest)[-2].data
    steps = api.steps(run)
    assert all(step["status"] != "in_progress" for step in steps)
    used = [step["usage"]["total_tokens"] for step in steps if step["usage"] is not None]
    assert sum(used) == run["usage"]["total_tokens"], "the steps' usage is the run's"
    check_story(api.resume(run))
