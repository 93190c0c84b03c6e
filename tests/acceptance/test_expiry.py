"""Runs that take longer than run_expiry: whatever they are doing, they end as expired and free their thread."""

from __future__ import annotations

from collections.abc import Callable

from tests.compat.api import Api, outputs_for, says
from tests.compat.deployment import Deployment
from tests.compat.story import story


def test_runs_expire_in_every_state(deploy: Callable[..., Deployment], witnessed: Callable[[Deployment], str]) -> None:
    deployment = deploy(run_expiry="5s")
    deployment.start()
    with Api(witnessed(deployment)) as api:
        weather = api.actor("one_call", "get_weather")
        speechless = api.actor("speechless")
        asking = api.wait(api.run(api.thread("Weather?"), weather), "requires_action")
        # Its turn comes if the machine is slow: it was created later than the one that it waits for, so it ends later.
        held = api.run(asking["thread_id"], speechless, agentrt={"on_busy": "enqueue"})
        in_a_tool = api.run(api.thread("Wait."), api.actor("slow_tool", "take_time"))
        unheard = api.run(api.thread("Anybody?"), speechless)
        thinking = api.stream_run(api.thread("Think."), api.actor("endless"))

        assert story(thinking[-5:]) == "message.delta message.incomplete step.expired run.expired done"
        (message,) = (event.data for event in thinking if event.name == "thread.message.incomplete")
        assert message["incomplete_details"] == {"reason": "run_expired"}
        assert message["content"][0]["text"]["value"] == "I think "
        for run in (asking, held, in_a_tool, unheard, thinking[0].data):
            ended = api.wait(run)
            assert (ended["status"], ended["expires_at"], ended["last_error"]) == ("expired", None, None)
            assert {step["status"] for step in api.steps(run)} <= {"expired"}
            api.post(f"/threads/{run['thread_id']}/messages", says("Still there?"))
        path = f"/threads/{asking['thread_id']}/runs/{asking['id']}/submit_tool_outputs"
        error = api.post(path, {"tool_outputs": outputs_for(asking)}, status=400)["error"]
        assert error["message"] == 'Runs in status "expired" do not accept tool outputs.'
    assert deployment.stop() == 0
