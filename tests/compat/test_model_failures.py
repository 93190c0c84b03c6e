"""Model servers that fail: the run fails with the true reason, and the thread is free again."""

from __future__ import annotations

import pytest

from tests.compat.api import Api, says

FAILURES = {
    "unauthorized": ("server_error", "Incorrect API key provided"),
    "unknown_model": ("server_error", "does not exist"),
    "busy": ("rate_limit_exceeded", "Rate limit reached for puppet."),
    "no_money": ("rate_limit_exceeded", "exceeded your current quota"),
    "broken_server": ("server_error", "The server had an error."),
    "too_long": ("invalid_prompt", "maximum context length"),
    "hang_up": ("server_error", ""),
    "hang_up_in_mid_answer": ("server_error", ""),
    "malformed": ("server_error", ""),
    "web_page": ("server_error", "502"),
    "filtered": ("invalid_prompt", "content filter"),
}


@pytest.mark.parametrize("play", FAILURES)
def test_a_failing_model_server_fails_the_run_with_the_reason(api: Api, play: str) -> None:
    thread = api.thread("Hello")
    run = api.wait(api.run(thread, api.actor(play)))
    code, words = FAILURES[play]

    assert (run["status"], run["last_error"]["code"]) == ("failed", code)
    assert words in run["last_error"]["message"]
    assert run["last_error"]["message"]
    assert (run["expires_at"], run["failed_at"] >= run["created_at"]) == (None, True)
    assert all(step["status"] == "failed" for step in api.steps(run))
    assert "sk-puppet" not in run["last_error"]["message"]
    api.post(f"/threads/{thread}/messages", says("Once more."))
    assert api.wait(api.run(thread, api.actor("hello")))["status"] == "completed"


@pytest.mark.parametrize("play", FAILURES)
def test_a_failing_run_streams_its_end(api: Api, play: str) -> None:
    events = api.stream_run(api.thread("Hello"), api.actor(play))

    assert [event.name for event in events[-2:]] == ["thread.run.failed", "done"]
    assert events[-2].data["last_error"]["code"] == FAILURES[play][0]


def test_nobody_listens_where_the_model_should_be(api: Api) -> None:
    run = api.wait(api.run(api.thread("Hello"), api.actor("hello", model="gone")))

    assert (run["status"], run["last_error"]["code"]) == ("failed", "server_error")
    assert "127.0.0.1:9" in run["last_error"]["message"]


def test_what_was_said_before_the_hang_up_stays(api: Api) -> None:
    thread = api.thread("Hello")
    run = api.wait(api.run(thread, api.actor("hang_up_in_mid_answer")))

    (_, message) = api.messages(thread)
    assert (message["status"], message["incomplete_details"]) == ("incomplete", {"reason": "run_failed"})
    assert message["content"][0]["text"]["value"] == "I was about to"
    (step,) = api.steps(run)
    assert step["last_error"]["code"] == "server_error"


def test_a_busy_server_is_asked_again_when_it_said(api: Api) -> None:
    thread = api.thread("Hello")
    run = api.wait(api.run(thread, api.actor("busy_once", model="stubborn")))

    assert run["status"] == "completed", run["last_error"]
    assert api.talk(thread)[1] == ("assistant", "Thank you for your patience.")


def test_a_tools_failure_is_no_dead_run(api: Api) -> None:
    run = api.wait(api.run(api.thread("Go."), api.actor("bad_calls", "add", "explode")))

    assert run["status"] == "completed"
    calls = api.steps(run)[0]["step_details"]["tool_calls"]
    outputs = {call["id"]: call["function"]["output"] for call in calls}
    assert "boom" in outputs["call_boom"]
    assert "fly_to_the_moon" in outputs["call_unknown"]


def test_a_choice_of_a_tool_that_is_not_there_is_refused(api: Api) -> None:
    choice = {"type": "function", "function": {"name": "nobody"}}
    answer = api.http.post(
        f"/threads/{api.thread('Go.')}/runs", json={"assistant_id": api.actor("hello"), "tool_choice": choice}
    )
    assert answer.status_code in (200, 400)
    if answer.status_code == 200:
        assert api.wait(answer.json())["status"] in ("completed", "failed")
