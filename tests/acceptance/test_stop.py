"""SIGTERM: what is in flight ends, what cannot end goes on at the next start, and nobody is left hanging."""

from __future__ import annotations

from collections.abc import Callable

from tests.compat.api import Api, run_of, says
from tests.compat.deployment import Deployment
from tests.compat.plays import STORY
from tests.compat.story import check_story, text_of

Deploy = Callable[..., Deployment]
Witnessed = Callable[[Deployment], str]


def test_a_run_in_flight_ends_before_the_process_does(deploy: Deploy, witnessed: Witnessed) -> None:
    deployment = deploy()
    deployment.start()
    with Api(witnessed(deployment)) as api:
        thread = api.thread("Tell me a story.")
        polled = api.run(api.thread("Tell me a story."), api.actor("slow_story"))
        with api.stream(f"/threads/{thread}/runs", {"assistant_id": api.actor("slow_story")}) as events:
            heard = [next(events)]
            while not text_of(heard):
                heard.append(next(events))
            deployment.ask_to_stop()
            heard += events
    assert deployment.wait() == 0
    assert heard[-1].name == "done", "the stream is not cut off: its run ends in time"
    assert text_of(heard) == STORY

    deployment.start()
    with Api(witnessed(deployment)) as api:
        assert [api.find(run)["status"] for run in (heard[0].data, polled)] == ["completed", "completed"]
        assert len(api.steps(polled)) == 1, "it ended in the first process"
        assert api.talk(thread)[1] == ("assistant", STORY)
    assert deployment.stop() == 0


def test_a_run_that_does_not_end_in_time_goes_on_later(deploy: Deploy, witnessed: Witnessed) -> None:
    deployment = deploy()
    deployment.start()
    with Api(witnessed(deployment)) as api:
        waiting = api.wait(api.run(api.thread("Weather?"), api.actor("one_call", "get_weather")), "requires_action")
        thread = api.thread("Think.")
        with api.stream(f"/threads/{thread}/runs", {"assistant_id": api.actor("endless")}) as events:
            run = run_of(events)
            heard = [next(event for event in events if event.name == "thread.message.delta")]
            deployment.ask_to_stop()
            heard += events
    assert deployment.wait() == 0
    assert heard[-1].name == "error"
    assert "Last-Event-ID" in heard[-1].data["message"]

    deployment.start()
    with Api(witnessed(deployment)) as api:
        assert api.find(waiting)["status"] == "requires_action"
        assert api.wait(run, "in_progress")
        api.cancel(run)
        assert api.wait(run)["status"] == "cancelled"
        check_story(api.resume(run))
        api.post(f"/threads/{thread}/messages", says("Enough."))
    assert deployment.stop() == 0
