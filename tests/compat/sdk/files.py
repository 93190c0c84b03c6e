"""Files, also in parts, images by URL and by file, attachments and tool_resources."""

from __future__ import annotations

import hashlib

from openai import BadRequestError, NotFoundError, OpenAI

from tests.compat.sdk.scenario import scenario, value_of

PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6260f8cf00000002000181e2"
    "25550000000049454e44ae426082"
)


@scenario
def a_file_is_kept_and_given_back(client: OpenAI) -> None:
    made = client.files.create(file=("notes.txt", b"some notes\n"), purpose="assistants")
    assert made.id.startswith("file-")
    assert (made.filename, made.bytes, made.purpose, made.object) == ("notes.txt", 11, "assistants", "file")
    assert client.files.retrieve(made.id) == made
    assert made.id in {file.id for file in client.files.list(purpose="assistants")}
    assert client.files.content(made.id).read() == b"some notes\n"
    deleted = client.files.delete(made.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (made.id, True, "file")
    try:
        client.files.retrieve(made.id)
    except NotFoundError as error:
        assert f"No such File object: {made.id}" in error.message
        assert error.param == "id"
    else:
        raise AssertionError("the file is still there")


@scenario
def a_file_comes_in_parts(client: OpenAI) -> None:
    data = b"0123456789" * 100_000
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    done = client.uploads.upload_file_chunked(
        file=data,
        filename="numbers.txt",
        bytes=len(data),
        mime_type="text/plain",
        purpose="assistants",
        part_size=300_000,
        md5=md5,
    )
    assert (done.status, done.object, done.bytes) == ("completed", "upload", len(data))
    assert done.file is not None
    assert client.files.retrieve(done.file.id) == done.file
    assert (done.file.filename, done.file.bytes, done.file.purpose) == ("numbers.txt", len(data), "assistants")
    assert client.files.content(done.file.id).read() == data
    client.files.delete(done.file.id)


@scenario
def an_upload_goes_step_by_step_and_can_be_cancelled(client: OpenAI) -> None:
    upload = client.uploads.create(filename="a.txt", bytes=6, mime_type="text/plain", purpose="assistants")
    assert (upload.status, upload.file) == ("pending", None)
    second = client.uploads.parts.create(upload.id, data=b"def")
    first = client.uploads.parts.create(upload.id, data=b"abc")
    assert (first.object, first.upload_id) == ("upload.part", upload.id)
    try:
        client.uploads.complete(upload.id, part_ids=[first.id])
    except BadRequestError as error:
        assert "3 bytes" in error.message
        assert error.param == "part_ids"
    else:
        raise AssertionError("half of a file was taken")
    done = client.uploads.complete(upload.id, part_ids=[first.id, second.id])
    assert done.file is not None
    assert client.files.content(done.file.id).read() == b"abcdef"
    other = client.uploads.create(filename="b.txt", bytes=6, mime_type="text/plain", purpose="assistants")
    assert client.uploads.cancel(other.id).status == "cancelled"
    try:
        client.uploads.parts.create(other.id, data=b"abc")
    except BadRequestError as error:
        assert "cancelled" in error.message
    else:
        raise AssertionError("a cancelled upload takes parts")
    client.files.delete(done.file.id)


@scenario
def files_are_paged_through(client: OpenAI) -> None:
    made = [client.files.create(file=(f"{n}.txt", b"x"), purpose="user_data").id for n in range(5)]
    listed = [file.id for file in client.files.list(limit=2, purpose="user_data", order="asc")]
    assert [file_id for file_id in listed if file_id in made] == made
    for file_id in made:
        client.files.delete(file_id)


@scenario
def images_are_shown_to_the_model(client: OpenAI) -> None:
    image = client.files.create(file=("dot.png", PNG), purpose="vision")
    assistant = client.beta.assistants.create(model="puppet", instructions="play: hello")
    thread = client.beta.threads.create(
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "What is this?"},
                    {"type": "image_url", "image_url": {"url": "https://example.com/cat.png", "detail": "low"}},
                    {"type": "image_file", "image_file": {"file_id": image.id, "detail": "high"}},
                ],
            }
        ]
    )
    (message,) = client.beta.threads.messages.list(thread.id).data
    _, by_url, by_file = message.content
    assert by_url.type == "image_url"
    assert (by_url.image_url.url, by_url.image_url.detail) == ("https://example.com/cat.png", "low")
    assert by_file.type == "image_file"
    assert (by_file.image_file.file_id, by_file.image_file.detail) == (image.id, "high")
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    assert run.status == "completed", run.last_error
    # The image goes: the thread is still good to talk on.
    client.files.delete(image.id)
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id)
    assert run.status == "completed", run.last_error
    blind = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id=assistant.id, model="blind")
    assert blind.status == "completed", blind.last_error


@scenario
def attachments_join_the_threads_resources(client: OpenAI) -> None:
    data = client.files.create(file=("data.csv", b"a,b\n1,2\n"), purpose="assistants")
    text = client.files.create(file=("text.txt", b"words"), purpose="assistants")
    thread = client.beta.threads.create()
    message = client.beta.threads.messages.create(
        thread.id,
        role="user",
        content="Look at these.",
        attachments=[
            {"file_id": data.id, "tools": [{"type": "code_interpreter"}]},
            {"file_id": text.id, "tools": [{"type": "file_search"}]},
        ],
    )
    assert message.attachments is not None
    assert [attachment.file_id for attachment in message.attachments] == [data.id, text.id]
    resources = client.beta.threads.retrieve(thread.id).tool_resources
    assert resources is not None
    assert resources.code_interpreter is not None
    assert resources.code_interpreter.file_ids == [data.id]
    assert resources.file_search is not None
    assert resources.file_search.vector_store_ids is not None
    (store,) = resources.file_search.vector_store_ids
    assert store.startswith("vs_")
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id="asst_declared")
    assert run.status == "completed", run.last_error
    client.files.delete(data.id)
    resources = client.beta.threads.retrieve(thread.id).tool_resources
    assert resources is not None
    assert resources.code_interpreter is not None
    assert resources.code_interpreter.file_ids == [], "a deleted file leaves all lists"


@scenario
def resources_stand_on_assistants_and_threads(client: OpenAI) -> None:
    data = client.files.create(file=("data.csv", b"a,b\n1,2\n"), purpose="assistants")
    assistant = client.beta.assistants.create(
        model="demo",
        tools=[{"type": "code_interpreter"}, {"type": "file_search"}],
        tool_resources={
            "code_interpreter": {"file_ids": [data.id]},
            "file_search": {"vector_stores": [{"file_ids": [data.id], "metadata": {"a": "b"}}]},
        },
    )
    assert assistant.tool_resources is not None
    assert assistant.tool_resources.code_interpreter is not None
    assert assistant.tool_resources.code_interpreter.file_ids == [data.id]
    assert assistant.tool_resources.file_search is not None
    assert assistant.tool_resources.file_search.vector_store_ids is not None
    assert len(assistant.tool_resources.file_search.vector_store_ids) == 1
    thread = client.beta.threads.create(tool_resources={"code_interpreter": {"file_ids": [data.id]}})
    assert thread.tool_resources is not None
    assert thread.tool_resources.code_interpreter is not None
    thread = client.beta.threads.update(thread.id, tool_resources={"code_interpreter": {"file_ids": []}})
    assert thread.tool_resources is not None
    assert thread.tool_resources.code_interpreter is not None
    assert thread.tool_resources.code_interpreter.file_ids == []
    for wrong in (
        {"code_interpreter": {"file_ids": ["file-none"]}},
        {"file_search": {"vector_store_ids": ["vs_none"]}},
    ):
        try:
            client.beta.threads.create(tool_resources=wrong)  # type: ignore[arg-type]
        except (BadRequestError, NotFoundError) as error:
            assert "none" in error.message
        else:
            raise AssertionError("unknown files and stores are let pass")


@scenario
def the_demo_model_answers_and_remembers(client: OpenAI) -> None:
    thread = client.beta.threads.create(messages=[{"role": "user", "content": "My name is Ada."}])
    client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id="asst_declared")
    client.beta.threads.messages.create(thread.id, role="user", content="What is my name?")
    run = client.beta.threads.runs.create_and_poll(thread_id=thread.id, assistant_id="asst_declared")
    assert run.status == "completed"
    assert "Ada" in value_of(client.beta.threads.messages.list(thread.id).data[0])
