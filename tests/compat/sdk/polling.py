"""The helpers that poll: create_and_poll, create_and_run_poll, submit_tool_outputs_and_poll, poll."""

from __future__ import annotations

import json

from openai import OpenAI

from tests.compat.sdk.scenario import ADD, GET_RAIN, GET_WEATHER, actor, outputs_for, scenario, value_of


@scenario
def create_and_poll_waits_for_the_answer(client: OpenAI) -> None:
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hello"}])
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=actor(client, "hello").id)
    assert run.status == "completed", run.last_error
    assert run.usage is not None
    assert (run.usage.prompt_tokens, run.usage.completion_tokens, run.usage.total_tokens) == (12, 7, 19)
    newest = client.beta.threads.messages.list(thread.id).data[0]
    assert value_of(newest) == "Hello there, how are you?"
    assert newest.completed_at is not None


@scenario
def the_callers_own_interval_is_obeyed(client: OpenAI) -> None:
    run = client.beta.threads.create_and_run_poll(
        assistant_id=actor(client, "hello").id,
        thread={"messages": [{"role": "user", "content": "Hello"}]},
        poll_interval_ms=20,
    )
    assert run.status == "completed"


@scenario
def create_and_run_poll_makes_the_thread(client: OpenAI) -> None:
    run = client.beta.threads.create_and_run_poll(
        assistant_id="asst_declared",
        thread={"messages": [{"role": "user", "content": "Hello"}], "metadata": {"from": "poll"}},
        metadata={"first": "yes"},
        instructions="Be nice.",
        model="demo",
    )
    assert run.status == "completed", run.last_error
    assert (run.instructions, run.model, run.metadata) == ("Be nice.", "demo", {"first": "yes"})
    assert client.beta.threads.retrieve(run.thread_id).metadata == {"from": "poll"}
    assert len(client.beta.threads.messages.list(run.thread_id).data) == 2


@scenario
def tool_outputs_are_submitted_and_polled_for(client: OpenAI) -> None:
    assistant = actor(client, "two_calls", GET_WEATHER, GET_RAIN)
    run = client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "Weather in Oslo?"}]}
    )
    assert run.status == "requires_action", run.last_error
    assert run.required_action is not None
    assert run.required_action.type == "submit_tool_outputs"
    calls = run.required_action.submit_tool_outputs.tool_calls
    assert [call.function.name for call in calls] == ["get_weather", "get_rain_probability"]
    assert json.loads(calls[0].function.arguments) == {"city": "Oslo", "unit": "c"}
    assert run.usage is None
    assert run.expires_at is not None
    run = client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id,
        thread_id=run.thread_id,
        tool_outputs=[{"tool_call_id": calls[1].id, "output": ""}, {"tool_call_id": calls[0].id, "output": "4 °C"}],
    )
    assert run.status == "completed", run.last_error
    assert run.required_action is None
    assert run.usage is not None
    assert run.usage.total_tokens == 19 + 49
    (step, message) = client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id, order="asc").data
    assert step.step_details.type == "tool_calls"
    outputs = [call.function.output for call in step.step_details.tool_calls if call.type == "function"]
    assert outputs == ["4 °C", ""]
    assert message.type == "message_creation"


@scenario
def a_run_asks_for_tools_more_than_once(client: OpenAI) -> None:
    run = client.beta.threads.create_and_run_poll(
        assistant_id=actor(client, "two_rounds", GET_WEATHER, GET_RAIN).id,
        thread={"messages": [{"role": "user", "content": "Weather in Oslo?"}]},
    )
    names = []
    while run.status == "requires_action":
        assert run.required_action is not None
        names += [call.function.name for call in run.required_action.submit_tool_outputs.tool_calls]
        run = client.beta.threads.runs.submit_tool_outputs_and_poll(
            run_id=run.id, thread_id=run.thread_id, tool_outputs=outputs_for(run)
        )
    assert run.status == "completed"
    assert names == ["get_weather", "get_rain_probability"]
    assert value_of(client.beta.threads.messages.list(run.thread_id).data[0]) == "Cold and wet."


@scenario
def broken_arguments_reach_the_caller_as_they_are(client: OpenAI) -> None:
    run = client.beta.threads.create_and_run_poll(
        assistant_id=actor(client, "broken_arguments", GET_WEATHER).id,
        thread={"messages": [{"role": "user", "content": "Weather?"}]},
    )
    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    assert call.function.arguments == '{"city": "Os'
    run = client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=run.thread_id, tool_outputs=outputs_for(run, "no such city")
    )
    assert run.status == "completed"


@scenario
def the_servers_functions_and_the_callers_share_a_turn(client: OpenAI) -> None:
    run = client.beta.threads.create_and_run_poll(
        assistant_id=actor(client, "mixed", ADD, GET_WEATHER).id,
        thread={"messages": [{"role": "user", "content": "2 + 3, and the weather?"}]},
    )
    assert run.status == "requires_action"
    assert run.required_action is not None
    (call,) = run.required_action.submit_tool_outputs.tool_calls
    assert call.function.name == "get_weather", "the caller is asked for its own function only"
    (step,) = client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id).data
    assert step.status == "in_progress"
    assert step.step_details.type == "tool_calls"
    outputs = {c.function.name: c.function.output for c in step.step_details.tool_calls if c.type == "function"}
    assert outputs == {"add": "5", "get_weather": None}, "the server's own call is finished first"
    run = client.beta.threads.runs.submit_tool_outputs_and_poll(
        run_id=run.id, thread_id=run.thread_id, tool_outputs=outputs_for(run)
    )
    assert run.status == "completed"


@scenario
def what_goes_wrong_in_a_servers_tool_is_read_by_the_model(client: OpenAI) -> None:
    tools = [ADD]
    for name in ("explode", "fly_to_the_moon"):
        if name == "explode":
            tools.append({"type": "function", "function": {"name": name}})
    run = client.beta.threads.create_and_run_poll(
        assistant_id=actor(client, "bad_calls", *tools).id,
        thread={"messages": [{"role": "user", "content": "Go."}]},
    )
    assert run.status == "completed", run.last_error
    (step, _) = client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id, order="asc").data
    assert step.step_details.type == "tool_calls"
    outputs = [c.function.output or "" for c in step.step_details.tool_calls if c.type == "function"]
    assert len(outputs) == 4
    assert "JSON" in outputs[0], outputs[0]
    assert "integer" in outputs[1], outputs[1]
    assert "boom" in outputs[2], outputs[2]
    assert "fly_to_the_moon" in outputs[3], outputs[3]
