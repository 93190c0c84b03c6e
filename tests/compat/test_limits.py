"""Token limits over the whole run, truncation, incomplete runs, and what the model is shown."""

from __future__ import annotations

import pytest

from tests.compat.api import Api, says
from tests.compat.fixtures import Told


def test_what_the_first_call_used_is_missing_to_the_next(api: Api, told: Told) -> None:
    run = api.run(api.thread("Go."), api.actor("thirsty", "get_weather"), max_completion_tokens=256)
    for _ in range(3):
        run = api.wait(run, "requires_action")
        api.submit(run)
    run = api.wait(run)

    assert run["status"] == "incomplete"
    assert run["incomplete_details"] == {"reason": "max_completion_tokens"}
    assert run["usage"]["completion_tokens"] == 270
    caps = [body.get("max_completion_tokens") or body.get("max_tokens") for body in told.bodies()]
    assert caps == [256, 166, 76], "a call gets what the ones before it have left"


def test_the_prompts_of_a_run_share_their_limit(api: Api) -> None:
    run = api.run(api.thread("Go."), api.actor("thirsty", "get_weather"), max_prompt_tokens=300)
    for _ in range(2):
        run = api.wait(run, "requires_action")
        api.submit(run)
    run = api.wait(run)

    assert (run["status"], run["incomplete_details"]) == ("incomplete", {"reason": "max_prompt_tokens"})
    assert run["usage"]["prompt_tokens"] == 400
    assert sum(step["usage"]["prompt_tokens"] for step in api.steps(run)) == 400


def test_a_cut_answer_keeps_what_was_said(api: Api) -> None:
    thread = api.thread("Tell me all.")
    run = api.wait(api.run(thread, api.actor("cut")))

    assert (run["status"], run["incomplete_details"]) == ("incomplete", {"reason": "max_completion_tokens"})
    assert (run["last_error"], run["expires_at"]) == (None, None)
    message = api.messages(thread)[1]
    assert (message["status"], message["incomplete_details"]) == ("incomplete", {"reason": "max_tokens"})
    assert api.talk(thread)[1] == ("assistant", "This answer is too lo")
    (step,) = api.steps(run)
    assert step["status"] == "completed"
    assert step["usage"] == run["usage"]
    api.post(f"/threads/{thread}/messages", says("Go on."))


def test_the_newest_messages_are_kept(api: Api, told: Told) -> None:
    thread = api.thread(*(str(n) for n in range(9)))
    strategy = {"type": "last_messages", "last_messages": 3}
    run = api.wait(api.run(thread, api.actor("hello"), truncation_strategy=strategy))

    assert run["status"] == "completed"
    assert told.last()[1:] == [("user", "6"), ("user", "7"), ("user", "8")]
    assert told.last()[0] == ("system", "play: hello")


def test_a_long_thread_is_cut_to_the_models_window(api: Api, told: Told) -> None:
    thread = api.thread(*(f"{n} " + "word " * 60 for n in range(30)))
    run = api.wait(api.run(thread, api.actor("hello", model="narrow")))

    assert run["status"] == "completed", run["last_error"]
    kept = told.last()
    assert kept[0] == ("system", "play: hello")
    assert [text.split()[0] for _, text in kept[1:]] == [str(n) for n in range(31 - len(kept), 30)]
    assert 1 < len(kept) < 10


def test_a_message_that_is_longer_than_the_window_fails_the_run(api: Api) -> None:
    run = api.wait(api.run(api.thread("word " * 5000), api.actor("hello", model="narrow")))

    assert (run["status"], run["last_error"]["code"]) == ("failed", "invalid_prompt")


@pytest.mark.parametrize("choice", ["none", "auto", "required", {"type": "function", "function": {"name": "add"}}])
def test_a_forced_choice_binds_the_first_call_only(api: Api, told: Told, choice: object) -> None:
    run = api.wait(api.run(api.thread("Go."), api.actor("own_tool", "add"), tool_choice=choice))

    assert run["status"] == "completed"
    assert run["tool_choice"] == choice
    first, *rest = [body.get("tool_choice") for body in told.bodies()]
    assert first == (None if choice == "auto" else choice)
    assert all(later == ("none" if choice == "none" else None) for later in rest)


def test_formats_and_parameters_reach_the_model(api: Api, told: Told) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": {"type": "object"}, "strict": True}}
    run = api.wait(
        api.run(
            api.thread("Go."),
            api.actor("hello", "get_weather", temperature=0.2),
            response_format=wanted,
            top_p=0.5,
            parallel_tool_calls=False,
        )
    )

    assert run["response_format"] == wanted
    body = told.bodies()[-1]
    assert (body["temperature"], body["top_p"], body["parallel_tool_calls"]) == (0.2, 0.5, False)
    assert body["response_format"] == wanted
