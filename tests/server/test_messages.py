from __future__ import annotations

from tests.server.api import Api

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)


async def test_a_message_of_the_user_is_complete(api: Api) -> None:
    thread_id = await api.thread()
    made = await api.call(
        "POST", f"/threads/{thread_id}/messages", {"role": "user", "content": "Hi", "metadata": {"a": "b"}}
    )
    assert made["id"].startswith("msg_")
    assert (made["status"], made["role"], made["run_id"], made["assistant_id"]) == ("completed", "user", None, None)
    assert made["content"] == [{"type": "text", "text": {"value": "Hi", "annotations": []}}]
    assert (made["attachments"], made["metadata"]) == ([], {"a": "b"})
    assert await api.call("GET", f"/threads/{thread_id}/messages/{made['id']}") == made


async def test_parts_come_back_as_they_were_given(api: Api) -> None:
    thread_id = await api.thread()
    file = await api.call("POST", "/files", files={"file": ("a.png", PNG)}, data={"purpose": "vision"})
    content = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "image_file", "image_file": {"file_id": file["id"]}},
    ]
    made = await api.call("POST", f"/threads/{thread_id}/messages", {"role": "user", "content": content})
    assert [part["type"] for part in made["content"]] == ["text", "image_url", "image_file"]
    assert made["content"][1]["image_url"] == {"url": "https://example.com/a.png", "detail": "low"}
    assert made["content"][2]["image_file"] == {"file_id": file["id"], "detail": "auto"}


async def test_attachments_go_to_the_thread(api: Api) -> None:
    thread_id = await api.thread()
    file = await api.call("POST", "/files", files={"file": ("a.txt", b"a")}, data={"purpose": "assistants"})
    attachments = [{"file_id": file["id"], "tools": [{"type": "code_interpreter"}, {"type": "file_search"}]}]
    body = {"role": "user", "content": "See", "attachments": attachments}
    made = await api.call("POST", f"/threads/{thread_id}/messages", body)
    assert made["attachments"] == attachments
    resources = (await api.call("GET", f"/threads/{thread_id}"))["tool_resources"]
    assert resources["code_interpreter"] == {"file_ids": [file["id"]]}
    assert len(resources["file_search"]["vector_store_ids"]) == 1


async def test_only_the_metadata_of_a_message_changes(api: Api) -> None:
    thread_id = await api.thread("Hi")
    (message,) = (await api.call("GET", f"/threads/{thread_id}/messages"))["data"]
    path = f"/threads/{thread_id}/messages/{message['id']}"
    assert await api.call("POST", path, {"metadata": {"k": "v"}}) == {**message, "metadata": {"k": "v"}}
    assert (await api.call("POST", path, {"metadata": None}))["metadata"] == {}
    error = await api.refused("POST", path, {"content": "other"})
    assert (error["code"], error["param"]) == ("unknown_parameter", "content")


async def test_a_message_is_found_in_its_own_thread_only(api: Api) -> None:
    thread_id, other = await api.thread("Hi"), await api.thread()
    (message,) = (await api.call("GET", f"/threads/{thread_id}/messages"))["data"]
    text = f"No message found with id '{message['id']}'."
    assert (await api.refused("GET", f"/threads/{other}/messages/{message['id']}", status=404))["message"] == text
    path = f"/threads/{thread_id}/messages/{message['id']}"
    deleted = {"id": message["id"], "object": "thread.message.deleted", "deleted": True}
    assert await api.call("DELETE", path) == deleted
    assert (await api.refused("DELETE", path, status=404))["message"] == text


async def test_a_message_for_an_unknown_thread_is_refused(api: Api) -> None:
    error = await api.refused("POST", "/threads/thread_x/messages", {"role": "user", "content": "Hi"}, status=404)
    assert error["message"] == "No thread found with id 'thread_x'."


async def test_messages_keep_their_order_within_a_second(api: Api) -> None:
    texts = [str(i) for i in range(7)]
    thread_id = await api.thread(*texts)
    seen: list[str] = []
    after = ""
    while True:
        query = {"order": "asc", "limit": 3} | ({"after": after} if after else {})
        page = await api.call("GET", f"/threads/{thread_id}/messages", params=query)
        seen += [message["content"][0]["text"]["value"] for message in page["data"]]
        if not page["has_more"]:
            break
        after = page["last_id"]
    assert seen == texts
