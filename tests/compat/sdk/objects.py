"""Create, retrieve, update, delete: assistants, threads, messages, runs, run steps."""

from __future__ import annotations

from typing import Any

from openai import NotFoundError, OpenAI

from tests.compat.sdk.scenario import GET_WEATHER, actor, scenario, value_of


@scenario
def an_assistant_is_created_read_changed_and_deleted(client: OpenAI) -> None:
    assistants = client.beta.assistants
    made = assistants.create(
        model="gpt-4o-mini",
        name="Librarian",
        description="Knows where the books are.",
        instructions="Be brief.",
        tools=[
            GET_WEATHER,
            {"type": "code_interpreter"},
            {"type": "file_search", "file_search": {"max_num_results": 5}},
        ],
        temperature=0.3,
        top_p=0.9,
        metadata={"team": "books"},
        response_format={"type": "json_object"},
    )
    assert made.id.startswith("asst_")
    assert made.object == "assistant"
    assert (made.name, made.temperature, made.top_p) == ("Librarian", 0.3, 0.9)
    assert [tool.type for tool in made.tools] == ["function", "code_interpreter", "file_search"]
    assert made.metadata == {"team": "books"}
    assert assistants.retrieve(made.id) == made
    changed = assistants.update(made.id, name="Archivist", description=None, metadata={"team": "archive", "floor": "2"})
    assert (changed.name, changed.description, changed.instructions) == ("Archivist", None, "Be brief.")
    assert changed.metadata == {"team": "archive", "floor": "2"}
    assert changed.tools == made.tools
    assert assistants.retrieve(made.id) == changed
    assert assistants.update(made.id, metadata={}).metadata == {}
    deleted = assistants.delete(made.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (made.id, True, "assistant.deleted")
    for _ in range(2):
        try:
            assistants.delete(made.id)
        except NotFoundError as error:
            assert (
                error.message.endswith(
                    f"No assistant found with id '{made.id}'.",
                )
                or made.id in error.message
            )
        else:
            raise AssertionError("deleted twice")


@scenario
def an_assistant_has_the_defaults_of_the_contract(client: OpenAI) -> None:
    made = client.beta.assistants.create(model="demo")
    assert (made.name, made.description, made.instructions) == (None, None, None)
    assert (made.tools, made.metadata) == ([], {})
    assert (made.temperature, made.top_p, made.response_format) == (1.0, 1.0, "auto")
    schema: Any = {"name": "answer", "schema": {"type": "object", "properties": {}}, "strict": True}
    changed = client.beta.assistants.update(
        made.id,
        response_format={"type": "json_schema", "json_schema": schema},
    )
    assert changed.response_format is not None
    assert changed.response_format != "auto"
    assert changed.response_format.type == "json_schema"


@scenario
def a_declared_agent_is_an_assistant(client: OpenAI) -> None:
    declared = client.beta.assistants.retrieve("asst_declared")
    assert (declared.name, declared.model) == ("Declared", "demo")
    assert [tool.function.name for tool in declared.tools if tool.type == "function"] == ["add"]


@scenario
def a_thread_is_created_read_changed_and_deleted(client: OpenAI) -> None:
    threads = client.beta.threads
    empty = threads.create()
    assert empty.id.startswith("thread_")
    assert empty.metadata == {}
    made = threads.create(
        messages=[
            {"role": "user", "content": "One"},
            {"role": "assistant", "content": "Two", "metadata": {"n": "2"}},
            {"role": "user", "content": [{"type": "text", "text": "Three"}, {"type": "text", "text": "Four"}]},
        ],
        metadata={"user": "ada"},
    )
    assert threads.retrieve(made.id) == made
    messages = threads.messages.list(made.id, order="asc").data
    assert [message.role for message in messages] == ["user", "assistant", "user"]
    assert value_of(messages[1]) == "Two"
    assert messages[1].metadata == {"n": "2"}
    assert [part.text.value for part in messages[2].content if part.type == "text"] == ["Three", "Four"]
    changed = threads.update(made.id, metadata={"user": "grace"})
    assert changed.metadata == {"user": "grace"}
    assert threads.retrieve(made.id) == changed
    deleted = threads.delete(made.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (made.id, True, "thread.deleted")
    for call in (threads.retrieve, threads.delete, threads.messages.list):
        try:
            call(made.id)
        except NotFoundError as error:
            assert f"No thread found with id '{made.id}'." in error.message
        else:
            raise AssertionError("the thread is still there")


@scenario
def a_message_is_created_read_changed_and_deleted(client: OpenAI) -> None:
    messages = client.beta.threads.messages
    thread = client.beta.threads.create()
    made = messages.create(thread.id, role="user", content="Hello 👋 wörld", metadata={"a": "1"})
    assert made.id.startswith("msg_")
    assert (made.role, made.status, made.thread_id) == ("user", "completed", thread.id)
    assert (made.assistant_id, made.run_id) == (None, None)
    assert value_of(made) == "Hello 👋 wörld"
    assert messages.retrieve(made.id, thread_id=thread.id) == made
    changed = messages.update(made.id, thread_id=thread.id, metadata={"b": "2"})
    assert changed.metadata == {"b": "2"}
    assert messages.retrieve(made.id, thread_id=thread.id) == changed
    other = client.beta.threads.create()
    try:
        messages.retrieve(made.id, thread_id=other.id)
    except NotFoundError as error:
        assert f"No message found with id '{made.id}'." in error.message
    else:
        raise AssertionError("a message under the wrong thread is found")
    deleted = messages.delete(made.id, thread_id=thread.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (made.id, True, "thread.message.deleted")
    assert messages.list(thread.id).data == []


@scenario
def a_run_copies_what_counts_for_it(client: OpenAI) -> None:
    assistant = actor(client, "hello", GET_WEATHER)
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hi"}])
    run = client.beta.threads.runs.create(
        thread.id,
        assistant_id=assistant.id,
        additional_instructions="Be kind.",
        additional_messages=[{"role": "user", "content": "Are you there?"}],
        temperature=0.5,
        max_prompt_tokens=1000,
        max_completion_tokens=900,
        truncation_strategy={"type": "last_messages", "last_messages": 3},
        parallel_tool_calls=False,
        tool_choice="none",
        metadata={"n": "1"},
    )
    assert run.id.startswith("run_")
    assert (run.status, run.thread_id, run.assistant_id) == ("queued", thread.id, assistant.id)
    assert run.instructions == "play: hello\n\nBe kind."
    assert run.expires_at == run.created_at + 600
    assert (run.temperature, run.max_prompt_tokens, run.max_completion_tokens) == (0.5, 1000, 900)
    assert run.truncation_strategy is not None
    assert (run.truncation_strategy.type, run.truncation_strategy.last_messages) == ("last_messages", 3)
    assert (run.parallel_tool_calls, run.tool_choice, run.usage) == (False, "none", None)
    client.beta.assistants.update(assistant.id, instructions="play: something else", name="Renamed")
    run = client.beta.threads.runs.poll(run.id, thread_id=thread.id)
    assert run.status == "completed"
    assert run.instructions == "play: hello\n\nBe kind."
    assert run.expires_at is None
    assert run.completed_at is not None
    assert run.started_at is not None
    changed = client.beta.threads.runs.update(run.id, thread_id=thread.id, metadata={"n": "2"})
    assert changed.metadata == {"n": "2"}
    assert client.beta.threads.runs.retrieve(run.id, thread_id=thread.id) == changed
    said = [value_of(m) for m in client.beta.threads.messages.list(thread.id, order="asc")]
    assert said == ["Hi", "Are you there?", "Hello there, how are you?"]


@scenario
def the_steps_of_a_run_add_up(client: OpenAI) -> None:
    assistant = actor(client, "own_tool", {"type": "function", "function": {"name": "add"}})
    run = client.beta.threads.create_and_run_poll(
        assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "2 + 3?"}]}
    )
    assert run.status == "completed", run.last_error
    steps = client.beta.threads.runs.steps
    listed = steps.list(run.id, thread_id=run.thread_id, order="asc").data
    assert [step.type for step in listed] == ["tool_calls", "message_creation"]
    assert all(step.status == "completed" and step.completed_at is not None for step in listed)
    calls, message = (step.step_details for step in listed)
    assert calls.type == "tool_calls"
    (call,) = calls.tool_calls
    assert call.type == "function"
    assert (call.function.name, call.function.arguments, call.function.output) == ("add", '{"a": 2, "b": 3}', "5")
    assert message.type == "message_creation"
    said = client.beta.threads.messages.retrieve(message.message_creation.message_id, thread_id=run.thread_id)
    assert value_of(said) == "The sum is 5."
    assert (said.run_id, said.assistant_id, said.role) == (run.id, assistant.id, "assistant")
    assert run.usage is not None
    assert run.usage.total_tokens == sum(step.usage.total_tokens for step in listed if step.usage) == 38
    for step in listed:
        assert steps.retrieve(step.id, thread_id=run.thread_id, run_id=run.id) == step
    try:
        steps.retrieve("step_000000000000000000000000", thread_id=run.thread_id, run_id=run.id)
    except NotFoundError as error:
        assert "No run step found with id 'step_000000000000000000000000'." in error.message
    else:
        raise AssertionError("an unknown step is found")


@scenario
def models_are_listed_and_read(client: OpenAI) -> None:
    names = {model.id for model in client.models.list()}
    assert {"demo", "puppet"} <= names
    assert client.models.retrieve("puppet").id == "puppet"
