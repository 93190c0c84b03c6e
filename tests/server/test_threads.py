from __future__ import annotations

import pytest

from tests.server.api import Api


async def test_a_thread_can_be_made_of_nothing(api: Api) -> None:
    made = await api.call("POST", "/threads")
    assert made["id"].startswith("thread_")
    assert (made["metadata"], made["tool_resources"]) == ({}, {})
    assert await api.call("GET", f"/threads/{made['id']}") == made


async def test_a_thread_takes_its_first_messages_along(api: Api) -> None:
    thread_id = await api.thread("one", "two")
    listed = await api.call("GET", f"/threads/{thread_id}/messages", params={"order": "asc"})
    assert [message["content"][0]["text"]["value"] for message in listed["data"]] == ["one", "two"]


async def test_an_update_replaces_the_metadata(api: Api) -> None:
    made = await api.call("POST", "/threads", {"metadata": {"a": "1", "b": "2"}})
    path = f"/threads/{made['id']}"
    assert (await api.call("POST", path, {"metadata": {"c": "3"}}))["metadata"] == {"c": "3"}
    assert (await api.call("POST", path, {}))["metadata"] == {"c": "3"}
    assert (await api.call("POST", path, {"metadata": None}))["metadata"] == {}


async def test_tool_resources_are_replaced_tool_by_tool(api: Api) -> None:
    file = await api.call("POST", "/files", files={"file": ("a.txt", b"a")}, data={"purpose": "assistants"})
    resources = {"code_interpreter": {"file_ids": [file["id"]]}}
    made = await api.call("POST", "/threads", {"tool_resources": resources})
    assert made["tool_resources"] == resources
    path = f"/threads/{made['id']}"
    assert (await api.call("POST", path, {"metadata": {}}))["tool_resources"] == resources
    cleared = await api.call("POST", path, {"tool_resources": None})
    assert cleared["tool_resources"]["code_interpreter"] == {"file_ids": []}


async def test_an_unknown_file_is_refused(api: Api) -> None:
    body = {"tool_resources": {"code_interpreter": {"file_ids": ["file-x"]}}}
    error = await api.refused("POST", "/threads", body, status=404)
    assert (error["message"], error["param"]) == ("No such File object: file-x", "id")


async def test_a_deleted_thread_is_gone_with_its_messages(api: Api) -> None:
    thread_id = await api.thread("hello")
    path = f"/threads/{thread_id}"
    assert await api.call("DELETE", path) == {"id": thread_id, "object": "thread.deleted", "deleted": True}
    for method, sub in (("DELETE", ""), ("GET", ""), ("GET", "/messages"), ("GET", "/runs")):
        error = await api.refused(method, path + sub, status=404)
        assert error["message"] == f"No thread found with id '{thread_id}'."


async def test_threads_are_listed_newest_first(api: Api) -> None:
    ids = [await api.thread() for _ in range(3)]
    listed = await api.call("GET", "/threads")
    assert [thread["id"] for thread in listed["data"]] == ids[::-1]
    assert (listed["first_id"], listed["last_id"], listed["has_more"]) == (ids[2], ids[0], False)


async def test_threads_are_found_by_their_metadata(api: Api) -> None:
    for user, topic in (("ada", "cats"), ("ada", "dogs"), ("bob", "cats")):
        await api.call("POST", "/threads", {"metadata": {"user": user, "topic": topic}})
    found = await api.call("GET", "/threads", params={"metadata[user]": "ada", "metadata[topic]": "dogs"})
    assert [thread["metadata"] for thread in found["data"]] == [{"user": "ada", "topic": "dogs"}]
    assert len((await api.call("GET", "/threads?metadata[topic]=cats"))["data"]) == 2
    assert (await api.call("GET", "/threads?metadata[user]=eve"))["data"] == []


async def test_an_empty_list_has_no_cursors(api: Api) -> None:
    assert await api.call("GET", "/threads") == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }


async def test_pages_walk_both_ways(api: Api) -> None:
    ids = [await api.thread() for _ in range(6)]

    async def page(**query: str | int) -> tuple[list[str], bool]:
        found = await api.call("GET", "/threads", params=query)
        return [thread["id"] for thread in found["data"]], found["has_more"]

    assert await page(limit=2) == ([ids[5], ids[4]], True)
    assert await page(limit=2, after=ids[4]) == ([ids[3], ids[2]], True)
    assert await page(limit=2, before=ids[0]) == ([ids[2], ids[1]], True)
    assert await page(limit=2, before=ids[4]) == ([ids[5]], False)
    assert await page(order="asc", after=ids[3]) == (ids[4:], False)
    assert await page(order="asc", limit=2, before=ids[3]) == (ids[1:3], True)


async def test_a_thread_says_its_policy_for_a_second_message(api: Api) -> None:
    made = await api.call("POST", "/threads", {"agentrt": {"on_busy": "enqueue"}})
    assert made["agentrt"] == {"on_busy": "enqueue"}


@pytest.mark.parametrize("path", ["/threads", "/threads/thread_x", "/threads/thread_x/messages"])
async def test_unknown_fields_are_named(api: Api, path: str) -> None:
    error = await api.refused("POST", path, {"nonsense": 1})
    assert error["message"].startswith(("Unknown parameter: 'nonsense'", "Missing required parameter: 'role'"))
