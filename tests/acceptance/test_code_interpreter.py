"""The whole way with real sandboxes: a file goes in through the official SDK, an image and a file come out.

A kill -9 in between two turns costs the variables only where a driver cannot keep them.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from openai import OpenAI
from openai.types.beta.threads import Message
from openai.types.beta.threads.runs import CodeInterpreterToolCall

from tests.acceptance.conftest import Place
from tests.compat.deployment import KEY, Deployment

pytestmark = pytest.mark.filterwarnings("ignore:.*deprecated:DeprecationWarning")

Deploy = Callable[..., Deployment]
LINK = "sandbox:/mnt/data/summary.csv"


class App:
    """What an application does with the SDK."""

    def __init__(self, deployment: Deployment) -> None:
        self.client = OpenAI(base_url=f"{deployment.url}/v1", api_key=KEY, max_retries=0)

    def __enter__(self) -> App:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

    def begin(self) -> str:
        """A thread with a file for code."""
        data = io.BytesIO(b"month,amount\njan,10\nfeb,20\nmar,30\n")
        data.name = "sales.csv"
        file = self.client.files.create(file=data, purpose="assistants")
        attachment: Any = {"file_id": file.id, "tools": [{"type": "code_interpreter"}]}
        message: Any = {"role": "user", "content": "Sum it up.", "attachments": [attachment]}
        return self.client.beta.threads.create(messages=[message]).id

    def ask(self, thread_id: str, play: str) -> tuple[CodeInterpreterToolCall, Message]:
        """A run in which the model calls code once; the call and the answer."""
        assistant = self.client.beta.assistants.create(
            model="puppet", instructions=f"play: {play}", tools=[{"type": "code_interpreter"}]
        )
        run = self.client.beta.threads.runs.create_and_poll(
            thread_id=thread_id,
            assistant_id=assistant.id,
            additional_messages=[{"role": "user", "content": "Please."}],  # a play begins anew with it
        )
        assert run.status == "completed", run.last_error
        steps = self.client.beta.threads.runs.steps.list(run.id, thread_id=thread_id, order="asc").data
        assert steps[0].step_details.type == "tool_calls"
        (call,) = steps[0].step_details.tool_calls
        assert isinstance(call, CodeInterpreterToolCall)
        (message,) = self.client.beta.threads.messages.list(thread_id, run_id=run.id).data
        return call, message

    def linked(self, message: Message) -> bytes:
        """What the answer's link leads to."""
        words = message.content[-1]
        assert words.type == "text"
        (link,) = words.text.annotations
        assert link.type == "file_path"
        assert link.text == LINK
        return self.client.files.content(link.file_path.file_id).read()


def logs_of(call: CodeInterpreterToolCall) -> str:
    return "".join(output.logs for output in call.code_interpreter.outputs if output.type == "logs")


def test_an_analysis_survives_the_service(deploy: Deploy, place: Place) -> None:
    driver, given = place
    deployment = deploy(**given)
    deployment.start()
    with App(deployment) as app:
        thread_id = app.begin()
        call, message = app.ask(thread_id, "plot" if driver == "docker" else "analyse")

        assert logs_of(call).startswith("total: 60\n")
        assert app.linked(message) == b"total\n60\n"
        if driver == "docker":
            images = [output for output in call.code_interpreter.outputs if output.type == "image"]
            assert images[0].image.file_id == message.content[0].image_file.file_id  # type: ignore[union-attr]
            assert app.client.files.content(images[0].image.file_id).read().startswith(b"\x89PNG")
        call, _ = app.ask(thread_id, "go_on") if driver != "monty" else app.ask(thread_id, "analyse")
        if driver != "monty":
            assert logs_of(call) == "total is 60\n['sales.csv', 'summary.csv']\n"
    deployment.kill()

    deployment.start()
    with App(deployment) as app:
        if driver == "monty":
            call, message = app.ask(thread_id, "analyse")
            assert logs_of(call).startswith("total: 60\n")
        else:
            call, message = app.ask(thread_id, "go_on")
            kept = "total is 60" if driver == "docker" else "total is gone"
            assert logs_of(call) == f"{kept}\n['sales.csv', 'summary.csv']\n"
        assert app.linked(message) == b"total\n60\n"


def test_the_health_page_names_the_driver(deploy: Deploy, place: Place) -> None:
    driver, given = place
    deployment = deploy(**given)
    deployment.start()
    with App(deployment) as app:
        app.ask(app.begin(), "analyse")  # waits until it is known
        health: Any = app.client.with_options(base_url=deployment.url).get("/healthz", cast_to=object)

    assert health["tools"]["code_interpreter"]["on"] is True
    assert health["tools"]["code_interpreter"]["why"].startswith(f"{driver}: ")
