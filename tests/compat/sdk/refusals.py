"""What the SDK raises when the server says no: classes, codes, messages, request ids."""

from __future__ import annotations

from collections.abc import Callable

from openai import (
    APIStatusError,
    AuthenticationError,
    BadRequestError,
    NotFoundError,
    OpenAI,
)

from tests.compat.sdk.scenario import GET_RAIN, GET_WEATHER, actor, outputs_for, scenario


def _refused(call: Callable[[], object], kind: type[APIStatusError]) -> APIStatusError:
    try:
        call()
    except kind as error:
        assert error.request_id is not None
        assert error.request_id.startswith("req_")
        assert error.response.headers["x-request-id"] == error.request_id
        assert isinstance(error.body, dict)
        assert set(error.body) == {"message", "type", "param", "code"}
        return error
    raise AssertionError("it was not refused")


@scenario
def keys_are_asked_for(client: OpenAI) -> None:
    error = _refused(
        lambda: client.with_options(api_key="sk-quite-wrong-1234").beta.threads.create(), AuthenticationError
    )
    assert error.code == "invalid_api_key"
    assert "Incorrect API key provided" in error.message
    assert "sk-quite-wrong-1234" not in error.message
    nameless = client.with_options(default_headers={"Authorization": ""})
    error = _refused(nameless.models.list, AuthenticationError)
    assert error.code is None
    assert "API key" in error.message


@scenario
def another_projects_objects_do_not_exist(client: OpenAI) -> None:
    other = client.with_options(api_key="sk-other-project")
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Secret"}])
    assistant = client.beta.assistants.create(model="demo")
    for call in (
        lambda: other.beta.threads.retrieve(thread.id),
        lambda: other.beta.threads.messages.list(thread.id),
        lambda: other.beta.threads.runs.create(thread.id, assistant_id="asst_declared"),
        lambda: other.beta.assistants.retrieve(assistant.id),
        lambda: other.beta.assistants.delete(assistant.id),
        lambda: other.beta.threads.create_and_run(assistant_id=assistant.id),
    ):
        _refused(call, NotFoundError)
    assert other.beta.assistants.retrieve("asst_declared").name == "Declared"
    assert assistant.id not in {a.id for a in other.beta.assistants.list()}


@scenario
def the_beta_header_is_needed(client: OpenAI) -> None:
    for header in ("", "assistants=v1"):
        error = _refused(
            lambda: client.beta.threads.create(extra_headers={"OpenAI-Beta": header}),  # noqa: B023 - called at once
            BadRequestError,
        )
        assert error.code == "invalid_beta"
        assert "OpenAI-Beta" in error.message
        assert "assistants=v2" in error.message
    client.beta.threads.create(extra_headers={"OpenAI-Beta": "realtime=v1, assistants=v2"})


@scenario
def wrong_bodies_are_refused_with_a_path(client: OpenAI) -> None:
    assistants, threads = client.beta.assistants, client.beta.threads
    for call, code, param in (
        (lambda: assistants.create(model="demo", extra_body={"colour": "red"}), "unknown_parameter", "colour"),
        (lambda: assistants.create(model=None), "invalid_type", "model"),  # type: ignore[arg-type]
        (lambda: assistants.create(model="demo", temperature=3), "decimal_above_max_value", "temperature"),
        (lambda: assistants.create(model="demo", name="x" * 257), "string_above_max_length", "name"),
        (
            lambda: assistants.create(model="demo", tools=[{"type": "function", "function": {}}]),  # type: ignore[typeddict-item]
            "missing_required_parameter",
            "tools[0].function.name",
        ),
        (
            lambda: threads.create(messages=[{"role": "robot", "content": "Hi"}]),  # type: ignore[typeddict-item]
            "invalid_value",
            "messages[0].role",
        ),
        (lambda: threads.create(messages=[{"role": "user", "content": []}]), "empty_array", "messages[0].content"),
        (lambda: threads.create(metadata={"k": 1}), "invalid_type", "metadata.k"),  # type: ignore[dict-item]
        (
            lambda: threads.create_and_run(assistant_id="asst_declared", max_prompt_tokens=255),
            "integer_below_min_value",
            "max_prompt_tokens",
        ),
    ):
        error = _refused(call, BadRequestError)
        assert (error.code, error.param) == (code, param), (error.code, error.param, error.message)
        assert error.type == "invalid_request_error"


@scenario
def unknown_things_are_named(client: OpenAI) -> None:
    thread = client.beta.threads.create()
    threads = client.beta.threads
    for call, message in (
        (lambda: client.beta.assistants.retrieve("asst_none"), "No assistant found with id 'asst_none'."),
        (lambda: threads.retrieve("thread_none"), "No thread found with id 'thread_none'."),
        (lambda: threads.messages.retrieve("msg_none", thread_id=thread.id), "No message found with id 'msg_none'."),
        (lambda: threads.runs.retrieve("run_none", thread_id=thread.id), "No run found with id 'run_none'."),
        (lambda: threads.runs.cancel("run_none", thread_id=thread.id), "No run found with id 'run_none'."),
        (lambda: threads.runs.create(thread.id, assistant_id="asst_none"), "No assistant found with id 'asst_none'."),
        (lambda: client.files.retrieve("file-none"), "No such File object: file-none"),
    ):
        error = _refused(call, NotFoundError)
        assert message in error.message, error.message
    error = _refused(lambda: client.post("/nowhere", cast_to=object), NotFoundError)
    assert error.code == "unknown_url"
    assert "Invalid URL (POST /v1/nowhere)" in error.message
    error = _refused(lambda: client.beta.assistants.create(model="no-such-model"), NotFoundError)
    assert (error.code, error.param) == ("model_not_found", "model")


@scenario
def a_model_without_a_key_is_refused_with_the_reason(client: OpenAI) -> None:
    error = _refused(lambda: client.beta.assistants.create(model="keyless"), NotFoundError)
    assert error.code == "model_not_found"
    assert "AGENTRT_TEST_NO_SUCH_VARIABLE" in error.message


@scenario
def a_busy_thread_refuses(client: OpenAI) -> None:
    assistant = actor(client, "one_call", GET_WEATHER)
    run = client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "Weather?"}]}
    )
    thread_id = run.thread_id
    error = _refused(
        lambda: client.beta.threads.messages.create(thread_id, role="user", content="Hurry up"), BadRequestError
    )
    assert f"Can't add messages to {thread_id} while a run {run.id} is active." in error.message
    error = _refused(lambda: client.beta.threads.runs.create(thread_id, assistant_id=assistant.id), BadRequestError)
    assert f"Thread {thread_id} already has an active run {run.id}." in error.message
    error = _refused(
        lambda: client.beta.threads.runs.create(thread_id, assistant_id=assistant.id, stream=True), BadRequestError
    )
    assert f"Thread {thread_id} already has an active run {run.id}." in error.message
    client.beta.threads.runs.cancel(run.id, thread_id=thread_id)


@scenario
def outputs_must_fit_the_calls(client: OpenAI) -> None:
    runs = client.beta.threads.runs
    run = client.beta.threads.create_and_run_poll(
        assistant_id=actor(client, "two_calls", GET_WEATHER, GET_RAIN).id,
        thread={"messages": [{"role": "user", "content": "Weather?"}]},
    )
    one, two = "call_weather_oslo", "call_rain_oslo"
    for ids in ([one], [one, two, "call_other"], [one, one], ["call_other"], [one, two, two]):
        error = _refused(
            lambda: runs.submit_tool_outputs(
                run.id,
                thread_id=run.thread_id,
                tool_outputs=[{"tool_call_id": i, "output": "x"} for i in ids],  # noqa: B023
            ),
            BadRequestError,
        )
        assert f"Expected tool outputs for call_ids ['{one}', '{two}'], got {ids}" in error.message, error.message
    assert runs.retrieve(run.id, thread_id=run.thread_id).status == "requires_action"
    run = runs.submit_tool_outputs_and_poll(run_id=run.id, thread_id=run.thread_id, tool_outputs=outputs_for(run))
    assert run.status == "completed"
    error = _refused(
        lambda: runs.submit_tool_outputs(
            run.id, thread_id=run.thread_id, tool_outputs=[{"tool_call_id": one, "output": "x"}]
        ),
        BadRequestError,
    )
    assert 'Runs in status "completed" do not accept tool outputs.' in error.message
    error = _refused(lambda: runs.cancel(run.id, thread_id=run.thread_id), BadRequestError)
    assert "Cannot cancel run with status 'completed'." in error.message


@scenario
def a_raw_answer_shows_its_headers(client: OpenAI) -> None:
    raw = client.beta.threads.with_raw_response.create()
    assert raw.headers["openai-version"] == "2020-10-01"
    assert int(raw.headers["openai-processing-ms"]) >= 0
    assert raw.request_id is not None
    thread = raw.parse()
    assert thread.id.startswith("thread_")
    assert thread._request_id == raw.request_id
