"""kill -9, and a new process on the same folder: nothing is lost, doubled, or active for ever."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from tests.compat.api import Api, Json, outputs_for, says
from tests.compat.deployment import Deployment
from tests.compat.plays import STORY
from tests.compat.story import StreamEvent, check_story, text_of

Deploy = Callable[..., Deployment]
Witnessed = Callable[[Deployment], str]

ENQUEUE: dict[str, Any] = {"agentrt": {"on_busy": "enqueue"}}


def without_lost_attempts(events: Sequence[StreamEvent]) -> list[StreamEvent]:
    """The events without those of steps and messages that a crash cut off (they end as run_failed, and the run went
    on)."""
    lost = {
        part
        for event in events
        if event.name == "thread.run.step.failed"
        for part in (event.data["id"], event.data["step_details"].get("message_creation", {}).get("message_id"))
    }
    return [event for event in events if event.data == "[DONE]" or event.data["id"] not in lost]


def heard_until_killed(deployment: Deployment, events: Iterator[StreamEvent], n_characters: int) -> list[StreamEvent]:
    """What a client hears that has so much of the story when the process dies."""
    heard: list[StreamEvent] = []
    for event in events:
        heard.append(event)
        if len(text_of(heard)) > n_characters:
            break
    deployment.kill()
    return heard + list(events)


def test_a_streamed_run_comes_to_its_end_however_often_the_process_dies(deploy: Deploy, witnessed: Witnessed) -> None:
    deployment = deploy()
    deployment.start()
    with Api(witnessed(deployment)) as api:
        thread, actor = api.thread("Tell me a story."), api.actor("slow_story")
        with api.stream(f"/threads/{thread}/runs", {"assistant_id": actor}) as events:
            heard = heard_until_killed(deployment, events, 40)
    run = heard[0].data
    assert heard[-1].name == "thread.message.delta", "the client saw the stream break off"
    deployment.start()
    with Api(witnessed(deployment)) as api, api.following(run, heard[-1].id) as events:
        heard += heard_until_killed(deployment, events, 20)
    assert heard[-1].name == "thread.message.delta"

    deployment.start()
    with Api(witnessed(deployment)) as api:
        heard += api.resume(run, heard[-1].id)
        assert api.wait(run)["status"] == "completed"
        told = without_lost_attempts(heard)
        check_story(told)
        assert text_of(told) == STORY
        # What is stored now is the same story; deltas that nobody stored are gone with their attempt.
        assert without_lost_attempts(api.resume(run)) == told
        assert api.talk(thread) == [("user", "Tell me a story."), ("assistant", STORY)]
        assert [step["status"] for step in api.steps(run)] == ["failed", "failed", "completed"]
        api.post(f"/threads/{thread}/messages", says("And then?"))
        assert api.wait(api.run(thread, actor))["status"] == "completed"
        assert [role for role, _ in api.talk(thread)] == ["user", "assistant", "user", "assistant"]


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    """A URL, empty for SQLite in the deployment's own folder."""
    return "" if request.param == "sqlite" else str(request.getfixturevalue("empty_postgres_url"))


def test_runs_in_every_state_survive(deploy: Deploy, witnessed: Witnessed, database: str) -> None:
    deployment = deploy(database=database)
    deployment.start()
    notes = deployment.folder / "notes.txt"
    with Api(witnessed(deployment)) as api:
        story, weather = api.actor("slow_story"), api.actor("one_call", "get_weather")
        asking = [api.wait(api.run(api.thread("Weather?"), weather), "requires_action") for _ in range(3)]
        held = [api.run(run["thread_id"], weather, additional_messages=[says("And now?")], **ENQUEUE) for run in asking]
        done = api.wait(api.run(api.thread("Hi"), api.actor("hello")))
        answered = api.wait(api.run(api.thread("Weather?"), api.actor("slow_call", "get_weather")), "requires_action")
        noting = api.run(api.thread("Note this."), api.actor("note", "note"))
        while not notes.exists() or not notes.read_text():
            api.wait(noting, "in_progress")
        telling = [api.run(api.thread(f"Story {n}."), story) for n in range(6)]
        path = f"/threads/{answered['thread_id']}/runs/{answered['id']}/submit_tool_outputs"
        with api.stream(path, {"tool_outputs": outputs_for(answered)}) as events:
            next(event for event in events if event.name == "thread.message.delta")
            api.submit(asking[1])
            api.cancel(asking[2])
            deployment.kill()

    deployment.start()
    with Api(witnessed(deployment)) as api:
        assert api.find(done) == done
        the_stories_are_told_once(api, telling)
        the_waiting_one_still_waits(api, asking[0], held[0])
        assert [api.wait(run)["status"] for run in asking] == ["completed", "completed", "cancelled"]
        for run in held:
            api.submit(api.wait(run, "requires_action"))
            assert api.wait(run)["status"] == "completed"
        assert [role for role, _ in api.talk(asking[0]["thread_id"])] == ["user", "user", "assistant", "assistant"]
        the_tool_is_not_run_again(api, noting)
        assert notes.read_text() == "once\n"
        the_outputs_are_not_asked_for_again(api, answered)


def the_stories_are_told_once(api: Api, runs: Sequence[Json]) -> None:
    assert [api.wait(run)["status"] for run in runs] == ["completed"] * len(runs)
    for run in runs:
        assert [role for role, _ in api.talk(run["thread_id"])] == ["user", "assistant"]


def the_waiting_one_still_waits(api: Api, run: Json, held: Json) -> None:
    waiting = api.wait(run, "requires_action")
    assert waiting["required_action"] == run["required_action"]
    assert api.find(held)["status"] == "queued"
    api.submit(waiting)


def the_tool_is_not_run_again(api: Api, run: Json) -> None:
    assert api.wait(run)["status"] == "completed"
    (step, _) = api.steps(run)
    (call,) = step["step_details"]["tool_calls"]
    assert call["function"]["output"] == "interrupted, outcome unknown"
    assert api.talk(run["thread_id"])[1] == ("assistant", "It is noted.")
    check_story(api.resume(run))


def the_outputs_are_not_asked_for_again(api: Api, run: Json) -> None:
    assert api.wait(run)["status"] == "completed"
    steps = api.steps(run)
    assert [step["type"] for step in steps] == ["tool_calls"] + ["message_creation"] * (len(steps) - 1)
    assert steps[0]["step_details"]["tool_calls"][0]["function"]["output"] == "4 °C"
    assert api.talk(run["thread_id"])[1:] == [("assistant", STORY)]
    check_story(api.resume(run))


def test_time_goes_on_while_nobody_runs(deploy: Deploy, witnessed: Witnessed) -> None:
    deployment = deploy(run_expiry="4s")
    deployment.start()
    with Api(witnessed(deployment)) as api:
        thread = api.thread("Weather?")
        run = api.wait(api.run(thread, api.actor("one_call", "get_weather")), "requires_action")
        deployment.kill()

    deployment.start()
    with Api(witnessed(deployment)) as api:
        assert api.wait(run)["status"] == "expired"
        (step,) = api.steps(run)
        assert step["status"] == "expired"
        api.post(f"/threads/{thread}/messages", says("Still there?"))
