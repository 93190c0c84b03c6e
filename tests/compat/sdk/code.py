"""code_interpreter through the SDK: files go in, images and files come out, streamed and polled."""

from __future__ import annotations

import io
from typing import Any

from openai import AssistantEventHandler, OpenAI
from openai.types.beta import Assistant
from openai.types.beta.threads import ImageFile, Message, Run, Text
from openai.types.beta.threads.runs import CodeInterpreterToolCall, RunStep, ToolCall, ToolCallDelta
from openai.types.beta.threads.runs.code_interpreter_tool_call import CodeInterpreterOutputLogs
from typing_extensions import override

from tests.compat.plays import CODE, CODE_ANSWER
from tests.compat.sdk.scenario import scenario

LINK = "sandbox:/mnt/data/summary.csv"
CSV = b"month,amount\njan,10\nfeb,20\nmar,30\n"


class CodeEar(AssistantEventHandler):
    """Hears what code shows."""

    def __init__(self) -> None:
        super().__init__()
        self.created: list[str] = []
        self.code = ""
        self.logs = ""
        self.images: list[str] = []
        self.done: dict[str, ToolCall] = {}
        self.shown: list[str] = []
        self.texts: list[Text] = []
        self.steps: list[RunStep] = []

    @override
    def on_tool_call_created(self, tool_call: ToolCall) -> None:
        self.created.append(tool_call.type)

    @override
    def on_tool_call_delta(self, delta: ToolCallDelta, snapshot: ToolCall) -> None:
        assert delta.type == "code_interpreter"
        if delta.code_interpreter is None:
            return
        self.code += delta.code_interpreter.input or ""
        for output in delta.code_interpreter.outputs or []:
            if output.type == "logs":
                self.logs += output.logs or ""
            elif output.image is not None:
                self.images.append(output.image.file_id or "")

    @override
    def on_tool_call_done(self, tool_call: ToolCall) -> None:
        self.done[tool_call.id] = tool_call  # told twice: the SDK does so when the run is over, too

    @override
    def on_run_step_done(self, run_step: RunStep) -> None:
        self.steps.append(run_step)

    @override
    def on_image_file_done(self, image_file: ImageFile) -> None:
        self.shown.append(image_file.file_id)

    @override
    def on_text_done(self, text: Text) -> None:
        self.texts.append(text)


def coder(client: OpenAI, **given: Any) -> Assistant:
    return client.beta.assistants.create(
        model="puppet", instructions="play: code", tools=[{"type": "code_interpreter"}], **given
    )


def upload(client: OpenAI, name: str = "sales.csv", data: bytes = CSV) -> str:
    file = io.BytesIO(data)
    file.name = name
    return client.files.create(file=file, purpose="assistants").id


def attached(file_id: str) -> Any:
    attachment = {"file_id": file_id, "tools": [{"type": "code_interpreter"}]}
    return [{"role": "user", "content": "Sum it up.", "attachments": [attachment]}]


def check_answer(client: OpenAI, message: Message) -> None:
    """The image and the file of an answer, downloaded."""
    image, words = message.content
    assert image.type == "image_file"
    assert client.files.content(image.image_file.file_id).read().startswith(b"\x89PNG")
    assert words.type == "text"
    assert words.text.value == CODE_ANSWER
    (link,) = words.text.annotations
    assert link.type == "file_path"
    assert words.text.value[link.start_index : link.end_index] == link.text == LINK
    assert client.files.content(link.file_path.file_id).read() == b"total\n60\n"
    file = client.files.retrieve(link.file_path.file_id)
    assert (file.filename, file.purpose) == ("summary.csv", "assistants_output")


@scenario
def code_is_streamed_with_what_it_prints_draws_and_writes(client: OpenAI) -> None:
    thread = client.beta.threads.create(messages=attached(upload(client)))
    ear = CodeEar()
    with client.beta.threads.runs.stream(
        thread_id=thread.id, assistant_id=coder(client).id, event_handler=ear
    ) as stream:
        stream.until_done()
        (message,) = stream.get_final_messages()

    assert ear.created == ["code_interpreter"]
    assert ear.code == CODE
    assert ear.logs == "rows: 3\n"
    (call,) = ear.done.values()
    assert isinstance(call, CodeInterpreterToolCall)
    assert call.code_interpreter.input == CODE
    assert [output.type for output in call.code_interpreter.outputs] == ["logs", "image"]
    assert ear.images == ear.shown
    check_answer(client, message)
    step = ear.steps[0]
    stored = client.beta.threads.runs.steps.retrieve(step.id, thread_id=thread.id, run_id=step.run_id)
    assert stored == step
    (kept,) = stored.step_details.tool_calls  # type: ignore[union-attr]
    assert kept.model_extra is not None
    assert kept.model_extra["agentrt"].keys() == {"wall_ms", "cpu_ms", "max_rss_bytes"}


@scenario
def files_of_an_assistant_are_there_for_every_thread(client: OpenAI) -> None:
    assistant = coder(client, tool_resources={"code_interpreter": {"file_ids": [upload(client)]}})
    for _ in range(2):
        run = client.beta.threads.create_and_run_poll(
            assistant_id=assistant.id, thread={"messages": [{"role": "user", "content": "Sum it up."}]}
        )
        assert run.status == "completed"
        _check_run(run)
        (message,) = client.beta.threads.messages.list(run.thread_id, run_id=run.id).data
        check_answer(client, message)


@scenario
def code_that_fails_is_told_in_the_logs_and_the_run_goes_on(client: OpenAI) -> None:
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "Sum it up."}])
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=coder(client).id)
    assert run.status == "completed"
    steps = client.beta.threads.runs.steps.list(run.id, thread_id=thread.id, order="asc").data
    (call,) = steps[0].step_details.tool_calls  # type: ignore[union-attr]
    assert isinstance(call, CodeInterpreterToolCall)
    (log,) = call.code_interpreter.outputs
    assert isinstance(log, CodeInterpreterOutputLogs)
    assert "FileNotFoundError" in log.logs
    message = client.beta.threads.messages.list(thread.id, run_id=run.id).data[0]
    assert [part.type for part in message.content] == ["text"]
    assert message.content[0].text.annotations == []  # type: ignore[union-attr]


@scenario
def code_is_cancelled_while_it_runs_and_what_it_printed_stays(client: OpenAI) -> None:
    endless = "import time\nprint('begun')\nwhile True:\n    time.sleep(0.01)"
    thread = client.beta.threads.create(messages=[{"role": "user", "content": endless}])
    assistant = client.beta.assistants.create(
        model="puppet", instructions="play: obey", tools=[{"type": "code_interpreter"}]
    )
    ear = CodeEar()
    with client.beta.threads.runs.stream(thread_id=thread.id, assistant_id=assistant.id, event_handler=ear) as stream:
        for event in stream:
            if event.event == "thread.run.step.delta" and ear.logs == "begun\n":
                assert ear.current_run is not None
                client.beta.threads.runs.cancel(ear.current_run.id, thread_id=thread.id)
    (step,) = ear.steps  # not the SDK's final steps: they stay in progress when one is cancelled
    said = (step.status, ear.logs, ear.code)
    assert said == ("cancelled", "begun\n", endless), said
    (call,) = step.step_details.tool_calls  # type: ignore[union-attr]
    assert isinstance(call, CodeInterpreterToolCall)
    assert call.code_interpreter.outputs == [CodeInterpreterOutputLogs(type="logs", logs="begun\n")]
    assert step == client.beta.threads.runs.steps.retrieve(step.id, thread_id=thread.id, run_id=step.run_id)
    assert client.beta.threads.runs.retrieve(step.run_id, thread_id=thread.id).status == "cancelled"


def _check_run(run: Run) -> None:
    assert run.model_extra is not None
    used = run.model_extra["agentrt"]["code_interpreter"]
    assert used["calls"] == 1
    assert used["wall_ms"] > 0
