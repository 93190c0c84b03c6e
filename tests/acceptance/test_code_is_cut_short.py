"""Code that does not come to its end by itself: cancelled, out of time, killed with the service. And code that waits
for its turn. Over real HTTP, with real sandboxes; the witness holds every stream to the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.acceptance.conftest import Place
from tests.acceptance.test_kill import without_lost_attempts
from tests.compat.api import Api, Json, says
from tests.compat.deployment import Deployment
from tests.compat.story import StreamEvent, check_story, story

Deploy = Callable[..., Deployment]
Witnessed = Callable[[Deployment], str]

COUNT = """
import time
n = 0
print("counting")
while True:
    n += 1
    time.sleep(0.01)
"""
CUT = {"type": "logs", "logs": "counting\n"}


@pytest.fixture
def database(request: pytest.FixtureRequest, real_python: Place) -> str:
    """SQLite under docker, PostgreSQL under bubblewrap."""
    driver, _ = real_python
    return "" if driver == "docker" else str(request.getfixturevalue("empty_postgres_url"))


def coder(api: Api) -> str:
    return api.actor("obey", tools=[{"type": "code_interpreter"}])


def until_it_prints(events: Iterator[StreamEvent]) -> list[StreamEvent]:
    """What is heard until code has printed something."""
    heard: list[StreamEvent] = []
    for event in events:
        heard.append(event)
        if event.name == "thread.run.step.delta" and outputs_of(event.data["delta"]["step_details"]):
            return heard
    raise AssertionError(f"nothing was printed: {story(heard)}")


def outputs_of(details: Json) -> list[Json]:
    """The outputs of the first call."""
    found: list[Json] = details["tool_calls"][0]["code_interpreter"].get("outputs", [])
    return found


def says_next(api: Api, thread_id: str, code: str, assistant_id: str) -> str:
    """What code prints in one more run of the thread."""
    api.post(f"/threads/{thread_id}/messages", says(code))
    run = api.wait(api.run(thread_id, assistant_id))
    assert run["status"] == "completed", run["last_error"]
    details = api.steps(run)[0]["step_details"]
    return "".join(output["logs"] for output in outputs_of(details) if output["type"] == "logs")


def test_cancelling_stops_the_code_and_what_it_showed_stays(
    deploy: Deploy, witnessed: Witnessed, real_python: Place, database: str
) -> None:
    deployment = deploy(**real_python[1], database=database)
    deployment.start()
    with Api(witnessed(deployment)) as api:
        actor, thread = coder(api), api.thread(COUNT)
        with api.stream(f"/threads/{thread}/runs", {"assistant_id": actor}) as events:
            heard = until_it_prints(events)
            assert api.cancel(heard[0].data)["status"] in ("cancelling", "cancelled")
            heard += events

        assert story(heard[-4:]) == "run.cancelling step.cancelled run.cancelled done"
        (step,) = api.steps(heard[0].data)
        assert step == heard[-3].data
        assert step["status"] == "cancelled"
        assert outputs_of(step["step_details"]) == [CUT]
        assert api.resume(heard[0].data) == heard
        first = says_next(api, thread, "print(n)", actor)
        assert int(first) > 0, "variables are kept"
        assert says_next(api, thread, "print(n)", actor) == first, "nothing counts on"
    assert deployment.stop() == 0


def test_a_run_that_is_out_of_time_stops_its_code(
    deploy: Deploy, witnessed: Witnessed, real_python: Place, database: str
) -> None:
    deployment = deploy(**real_python[1], database=database, run_expiry="8s")
    deployment.start()
    with Api(witnessed(deployment)) as api:
        actor, thread = coder(api), api.thread(COUNT)
        heard = api.stream_run(thread, actor)

        assert story(heard[-3:]) == "step.expired run.expired done"
        (step,) = api.steps(heard[0].data)
        assert (step["status"], outputs_of(step["step_details"])) == ("expired", [CUT])
        first = says_next(api, thread, "print(n)", actor)
        assert says_next(api, thread, "print(n)", actor) == first, "nothing counts on"
    assert deployment.stop() == 0


def test_code_that_dies_with_the_service_is_not_made_again_and_what_it_showed_stays(
    deploy: Deploy, witnessed: Witnessed, real_python: Place, database: str
) -> None:
    driver, given = real_python
    deployment = deploy(**given, database=database)
    deployment.start()
    code = "before = 1\nopen('made.txt', 'w').write('made')\n" + COUNT
    with Api(witnessed(deployment)) as api:
        actor, thread = coder(api), api.thread("kept = 'kept'")
        api.wait(api.run(thread, actor))
        api.post(f"/threads/{thread}/messages", says(code))
        with api.stream(f"/threads/{thread}/runs", {"assistant_id": actor}) as events:
            heard = until_it_prints(events)
            while not any(
                event["kind"] == "call_output" for event in api.get(f"/runs/{heard[0].data['id']}/events")["data"]
            ):
                pass
            deployment.kill()

    deployment.start()
    with Api(witnessed(deployment)) as api:
        run = heard[0].data
        heard += api.resume(run, heard[-1].id)
        assert api.wait(run)["status"] == "completed"
        check_story(without_lost_attempts(heard))
        assert api.resume(run) == heard
        step = api.steps(run)[0]
        assert (step["status"], outputs_of(step["step_details"])) == ("completed", [CUT])
        there = "'kept' in globals(), __import__('os').path.exists('made.txt')"
        kept = driver == "docker"
        # What the call wrote and the service never saw is where the sandbox is.
        assert says_next(api, thread, there, actor) == f"({kept}, {kept})"
        first = says_next(api, thread, "globals().get('n')", actor)
        assert says_next(api, thread, "globals().get('n')", actor) == first, "nothing counts on"
    assert deployment.stop() == 0


def test_threads_do_not_wait_for_each_other_and_calls_of_one_do(
    deploy: Deploy, witnessed: Witnessed, real_python: Place, database: str
) -> None:
    deployment = deploy(**real_python[1], database=database)
    deployment.start()
    with Api(witnessed(deployment)) as api:
        actor, thread = coder(api), api.thread(COUNT)
        with api.stream(f"/threads/{thread}/runs", {"assistant_id": actor}) as events:
            heard = until_it_prints(events)
            in_turn = "import time; time.sleep(0.2); order = ['a']\n---\norder.append('b')\n---\nprint(order)"
            run = api.wait(api.run(api.thread(in_turn), actor))

            assert api.find(heard[0].data)["status"] == "in_progress"
            api.cancel(heard[0].data)
            assert story([*events][-2:]) == "run.cancelled done"
        calls = api.steps(run)[0]["step_details"]["tool_calls"]
        assert len(calls) == 3
        assert calls[2]["code_interpreter"]["outputs"] == [{"type": "logs", "logs": "['a', 'b']\n"}]
        assert api.find(run)["agentrt"]["code_interpreter"]["calls"] == 3
    assert deployment.stop() == 0
