"""Streams through the SDK's event handlers: every callback, and snapshots that are right at the end."""

from __future__ import annotations

from openai import AssistantEventHandler, OpenAI
from openai.types.beta import AssistantStreamEvent
from openai.types.beta.threads import Message, MessageDelta, Run, Text, TextDelta
from openai.types.beta.threads.runs import RunStep, RunStepDelta, ToolCall, ToolCallDelta
from typing_extensions import override

from tests.compat.sdk.scenario import ADD, GET_RAIN, GET_WEATHER, actor, outputs_for, scenario, value_of


class Ear(AssistantEventHandler):
    """Hears everything. heard: the callbacks in order, a run of the same ones as one."""

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[str] = []
        self.events: list[str] = []
        self.text = ""
        self.text_snapshot = ""
        self.done_texts: list[str] = []
        self.done_calls: dict[str, tuple[str, str]] = {}
        self.done_messages: list[Message] = []
        self.done_steps: list[RunStep] = []
        self.errors: list[Exception] = []

    def _hear(self, name: str) -> None:
        if self.heard[-1:] != [name]:
            self.heard.append(name)

    @override
    def on_event(self, event: AssistantStreamEvent) -> None:
        self.events.append(event.event)

    @override
    def on_end(self) -> None:
        self._hear("end")

    @override
    def on_exception(self, exception: Exception) -> None:
        self.errors.append(exception)

    @override
    def on_run_step_created(self, run_step: RunStep) -> None:
        self._hear("step_created")

    @override
    def on_run_step_delta(self, delta: RunStepDelta, snapshot: RunStep) -> None:
        self._hear("step_delta")

    @override
    def on_run_step_done(self, run_step: RunStep) -> None:
        self._hear("step_done")
        self.done_steps.append(run_step)

    @override
    def on_tool_call_created(self, tool_call: ToolCall) -> None:
        self._hear("call_created")
        assert tool_call.type == "function"
        assert tool_call.id
        assert tool_call.function.name

    @override
    def on_tool_call_delta(self, delta: ToolCallDelta, snapshot: ToolCall) -> None:
        self._hear("call_delta")

    @override
    def on_tool_call_done(self, tool_call: ToolCall) -> None:
        assert tool_call.type == "function"
        self.done_calls[tool_call.id] = (tool_call.function.name, tool_call.function.arguments)

    @override
    def on_message_created(self, message: Message) -> None:
        self._hear("message_created")
        assert message.content == []

    @override
    def on_message_delta(self, delta: MessageDelta, snapshot: Message) -> None:
        self._hear("message_delta")

    @override
    def on_message_done(self, message: Message) -> None:
        self._hear("message_done")
        self.done_messages.append(message)

    @override
    def on_text_created(self, text: Text) -> None:
        self._hear("text_created")

    @override
    def on_text_delta(self, delta: TextDelta, snapshot: Text) -> None:
        self._hear("text_delta")
        self.text += delta.value or ""
        self.text_snapshot = snapshot.value

    @override
    def on_text_done(self, text: Text) -> None:
        self._hear("text_done")
        self.done_texts.append(text.value)


HELLO = "Hello there, how are you?"
ONE_MESSAGE = ["step_created", "message_created", "text_created", "text_delta", "message_delta"]


@scenario
def a_handler_hears_a_plain_answer(client: OpenAI) -> None:
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hello"}])
    ear = Ear()
    with client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=actor(client, "hello").id, event_handler=ear
    ) as stream:
        stream.until_done()
    assert ear.errors == []
    assert ear.heard[:5] == ONE_MESSAGE
    assert ear.heard[-4:] == ["text_done", "message_done", "step_done", "end"]
    assert ear.text == ear.text_snapshot == HELLO
    assert ear.done_texts == [HELLO]
    assert 1 <= ear.events.count("thread.message.delta") <= 8  # what arrives together is one delta
    run, (message,), (step,) = ear.get_final_run(), ear.get_final_messages(), ear.done_steps
    assert run.status == "completed"
    assert value_of(message) == HELLO
    assert message == client.beta.threads.messages.retrieve(message.id, thread_id=thread.id)
    assert run == client.beta.threads.runs.retrieve(run.id, thread_id=thread.id)
    assert step == client.beta.threads.runs.steps.retrieve(step.id, thread_id=thread.id, run_id=run.id)


@scenario
def text_deltas_are_the_text(client: OpenAI) -> None:
    with client.beta.threads.create_and_run_stream(
        assistant_id=actor(client, "hello").id, thread={"messages": [{"role": "user", "content": "Hello"}]}
    ) as stream:
        assert "".join(stream.text_deltas) == HELLO
    assert stream.current_run is not None
    assert stream.current_run.status == "completed"


@scenario
def a_handler_hears_calls_and_submits_their_outputs(client: OpenAI) -> None:
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Weather in Oslo?"}])
    assistant = actor(client, "two_calls", GET_WEATHER, GET_RAIN)
    ear = Ear()
    with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id, event_handler=ear) as stream:
        stream.until_done()
    run = ear.get_final_run()
    assert run.status == "requires_action"
    assert ear.events[-1] == "thread.run.requires_action"
    assert ear.done_calls == {
        "call_weather_oslo": ("get_weather", '{"city": "Oslo", "unit": "c"}'),
        "call_rain_oslo": ("get_rain_probability", '{"city": "Oslo"}'),
    }
    (step,) = ear.get_final_run_steps()
    assert step.step_details.type == "tool_calls"
    assert [call.id for call in step.step_details.tool_calls] == list(ear.done_calls)
    after = Ear()
    with client.beta.threads.runs.submit_tool_outputs_stream(
        run_id=run.id, thread_id=thread.id, tool_outputs=outputs_for(run), event_handler=after
    ) as stream:
        stream.until_done()
    assert after.errors == []
    assert after.events[:3] == ["thread.run.step.completed", "thread.run.queued", "thread.run.in_progress"]
    (closed,) = after.done_steps[:1]
    assert closed.step_details.type == "tool_calls"
    assert [c.function.output for c in closed.step_details.tool_calls if c.type == "function"] == ["4 °C", "4 °C"]
    assert closed.usage is not None
    assert after.text == "It is 4 °C, and it may rain."
    final = after.get_final_run()
    assert final.status == "completed"
    assert final.usage is not None
    assert final.usage.total_tokens == 19 + 49


@scenario
def outputs_are_submitted_inside_of_a_handler(client: OpenAI) -> None:
    """As the guides have it: the handler opens the second stream while the first one is still open."""
    said: list[str] = []

    class Answering(AssistantEventHandler):
        @override
        def on_event(self, event: AssistantStreamEvent) -> None:
            if event.event == "thread.run.requires_action":
                self._answer(event.data)

        @override
        def on_text_delta(self, delta: TextDelta, snapshot: Text) -> None:
            said.append(delta.value or "")

        def _answer(self, run: Run) -> None:
            with client.beta.threads.runs.submit_tool_outputs_stream(
                thread_id=run.thread_id, run_id=run.id, tool_outputs=outputs_for(run), event_handler=Answering()
            ) as stream:
                stream.until_done()

    with client.beta.threads.create_and_run_stream(
        assistant_id=actor(client, "two_rounds", GET_WEATHER, GET_RAIN).id,
        thread={"messages": [{"role": "user", "content": "Weather?"}]},
        event_handler=Answering(),
    ) as stream:
        stream.until_done()
    assert "".join(said) == "Cold and wet."


@scenario
def arguments_are_put_together_from_pieces(client: OpenAI) -> None:
    ear = Ear()
    with client.beta.threads.create_and_run_stream(
        assistant_id=actor(client, "pieces", GET_WEATHER).id,
        thread={"messages": [{"role": "user", "content": "Weather?"}]},
        event_handler=ear,
    ) as stream:
        stream.until_done()
    assert ear.done_calls == {
        "call_a": ("get_weather", '{"city": "Oslo"}'),
        "call_b": ("get_weather", '{"city": "Bergen"}'),
    }
    assert ear.events.count("thread.run.step.delta") >= 6
    run = ear.get_final_run()
    assert run.required_action is not None
    pending = {
        call.id: (call.function.name, call.function.arguments)
        for call in run.required_action.submit_tool_outputs.tool_calls
    }
    assert pending == ear.done_calls


@scenario
def words_before_a_call_are_a_message_of_their_own(client: OpenAI) -> None:
    ear = Ear()
    with client.beta.threads.create_and_run_stream(
        assistant_id=actor(client, "words_and_call", GET_WEATHER).id,
        thread={"messages": [{"role": "user", "content": "Weather?"}]},
        event_handler=ear,
    ) as stream:
        stream.until_done()
    run = ear.get_final_run()
    assert ear.done_texts == ["Let me look."]
    assert [step.type for step in ear.get_final_run_steps()] == ["message_creation", "tool_calls"]
    after = Ear()
    with client.beta.threads.runs.submit_tool_outputs_stream(
        thread_id=run.thread_id, run_id=run.id, tool_outputs=outputs_for(run), event_handler=after
    ) as stream:
        stream.until_done()
    assert after.get_final_run().status == "completed"
    messages = client.beta.threads.messages.list(run.thread_id, order="asc").data
    assert [value_of(message) for message in messages] == ["Weather?", "Let me look.", "It is 4 °C."]


@scenario
def words_after_a_call_are_a_message_when_it_has_its_output(client: OpenAI) -> None:
    ear = Ear()
    with client.beta.threads.create_and_run_stream(
        assistant_id=actor(client, "call_and_words", GET_WEATHER).id,
        thread={"messages": [{"role": "user", "content": "Weather?"}]},
        event_handler=ear,
    ) as stream:
        stream.until_done()
    run = ear.get_final_run()
    assert run.status == "requires_action", run.last_error
    assert ear.done_calls == {"call_first": ("get_weather", '{"city": "Oslo"}')}
    after = Ear()
    with client.beta.threads.runs.submit_tool_outputs_stream(
        thread_id=run.thread_id, run_id=run.id, tool_outputs=outputs_for(run), event_handler=after
    ) as stream:
        stream.until_done()
    assert after.done_texts == ["I am looking it up.", "It is 4 °C."]
    messages = client.beta.threads.messages.list(run.thread_id, order="asc").data
    assert [value_of(message) for message in messages] == ["Weather?", "I am looking it up.", "It is 4 °C."]


@scenario
def the_servers_own_tools_show_in_the_stream(client: OpenAI) -> None:
    ear = Ear()
    with client.beta.threads.create_and_run_stream(
        assistant_id=actor(client, "own_tools", ADD).id,
        thread={"messages": [{"role": "user", "content": "Add."}]},
        event_handler=ear,
    ) as stream:
        stream.until_done()
    assert ear.get_final_run().status == "completed"
    (calls, message) = ear.get_final_run_steps()
    assert calls.step_details.type == "tool_calls"
    outputs = [call.function.output for call in calls.step_details.tool_calls if call.type == "function"]
    assert outputs == ["5", "11"]
    assert set(ear.done_calls) == {"call_add", "call_add_more"}
    assert [step.id for step in ear.done_steps] == [calls.id, message.id]
    assert {step.status for step in ear.done_steps} == {"completed"}
    assert ear.text == "5 and 11."


@scenario
def an_empty_answer_is_a_message(client: OpenAI) -> None:
    ear = Ear()
    with client.beta.threads.create_and_run_stream(
        assistant_id=actor(client, "empty").id,
        thread={"messages": [{"role": "user", "content": "Say nothing."}]},
        event_handler=ear,
    ) as stream:
        stream.until_done()
    assert ear.get_final_run().status == "completed"
    assert [value_of(message) for message in ear.get_final_messages()] == [""]


@scenario
def a_refusal_is_a_part_of_the_message(client: OpenAI) -> None:
    run = client.beta.threads.create_and_run_poll(
        assistant_id=actor(client, "refusal").id, thread={"messages": [{"role": "user", "content": "Do it."}]}
    )
    (part,) = client.beta.threads.messages.list(run.thread_id).data[0].content
    assert part.type == "refusal"
    assert part.refusal == "I will not do that."


@scenario
def a_run_is_cancelled_in_the_middle_of_its_stream(client: OpenAI) -> None:
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Think."}])
    ear = Ear()
    with client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=actor(client, "endless").id, event_handler=ear
    ) as stream:
        for event in stream:
            if event.event == "thread.message.delta" and ear.text == "I think ":
                assert ear.current_run is not None
                answered = client.beta.threads.runs.cancel(ear.current_run.id, thread_id=thread.id)
                assert answered.status in ("cancelling", "cancelled")
    assert ear.errors == []
    assert ear.events[-5:] == [
        "thread.message.delta",
        "thread.run.cancelling",
        "thread.message.incomplete",
        "thread.run.step.cancelled",
        "thread.run.cancelled",
    ]
    run, (message,) = ear.get_final_run(), ear.get_final_messages()
    assert (run.status, run.cancelled_at is not None, run.expires_at) == ("cancelled", True, None)
    assert message.status == "incomplete"
    assert message.incomplete_details is not None
    assert message.incomplete_details.reason == "run_cancelled"
    assert value_of(message) == "I think "
    assert message == client.beta.threads.messages.retrieve(message.id, thread_id=thread.id)
    client.beta.threads.messages.create(thread.id, role="user", content="The thread is free again.")


@scenario
def a_run_that_waits_is_cancelled(client: OpenAI) -> None:
    run = client.beta.threads.create_and_run_poll(
        assistant_id=actor(client, "one_call", GET_WEATHER).id,
        thread={"messages": [{"role": "user", "content": "Weather?"}]},
    )
    assert run.status == "requires_action"
    client.beta.threads.runs.cancel(run.id, thread_id=run.thread_id)
    run = client.beta.threads.runs.poll(run.id, thread_id=run.thread_id)
    assert (run.status, run.required_action) == ("cancelled", None)
    (step,) = client.beta.threads.runs.steps.list(run.id, thread_id=run.thread_id).data
    assert (step.status, step.cancelled_at is not None) == ("cancelled", True)


@scenario
def raw_events_are_iterated(client: OpenAI) -> None:
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Hello"}])
    stream = client.beta.threads.runs.create(thread.id, assistant_id=actor(client, "hello").id, stream=True)
    events = list(stream)
    assert [event.event for event in events[:3]] == [
        "thread.run.created",
        "thread.run.queued",
        "thread.run.in_progress",
    ]
    assert events[-1].event == "thread.run.completed"
    assert stream.response.headers["x-request-id"].startswith("req_")
    made = client.beta.threads.create_and_run(
        assistant_id=actor(client, "one_call", GET_WEATHER).id,
        thread={"messages": [{"role": "user", "content": "Weather?"}], "metadata": {"a": "b"}},
        stream=True,
    )
    first, *_, last = list(made)
    assert first.event == "thread.created"
    assert first.data.metadata == {"a": "b"}
    assert last.event == "thread.run.requires_action"
    rest = client.beta.threads.runs.submit_tool_outputs(
        last.data.id, thread_id=last.data.thread_id, tool_outputs=outputs_for(last.data), stream=True
    )
    assert [event.event for event in rest][-1] == "thread.run.completed"


@scenario
def a_failed_run_ends_its_stream(client: OpenAI) -> None:
    ear = Ear()
    with client.beta.threads.create_and_run_stream(
        assistant_id=actor(client, "hang_up_in_mid_answer").id,
        thread={"messages": [{"role": "user", "content": "Hello"}]},
        event_handler=ear,
    ) as stream:
        stream.until_done()
    assert ear.errors == [], "a failed run is no broken stream"
    run = ear.get_final_run()
    assert (run.status, run.failed_at is not None) == ("failed", True)
    assert run.last_error is not None
    assert run.last_error.code == "server_error"
    assert ear.events[-3:] == ["thread.message.incomplete", "thread.run.step.failed", "thread.run.failed"]


@scenario
def a_cut_answer_is_incomplete(client: OpenAI) -> None:
    ear = Ear()
    with client.beta.threads.create_and_run_stream(
        assistant_id=actor(client, "cut").id,
        thread={"messages": [{"role": "user", "content": "Tell me all."}]},
        max_completion_tokens=300,
        event_handler=ear,
    ) as stream:
        stream.until_done()
    run, (message,) = ear.get_final_run(), ear.get_final_messages()
    assert run.status == "incomplete"
    assert run.incomplete_details is not None
    assert run.incomplete_details.reason == "max_completion_tokens"
    assert message.incomplete_details is not None
    assert message.incomplete_details.reason == "max_tokens"
    assert ear.events[-3:] == ["thread.message.incomplete", "thread.run.step.completed", "thread.run.incomplete"]
