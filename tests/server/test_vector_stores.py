"""/v1/vector_stores: stores, the files in them, batches, and what a search finds and says of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from agentrt.store.vector_stores import update_vector_store
from tests.server.api import Api, Json

TEXTS = {
    "liver.txt": "The liver makes bile. Cells of the liver store sugar.",
    "heart.txt": "The heart pumps blood. A heart beats sixty times in a minute.",
    "house.txt": "A house has walls and a roof.",
}


async def upload(api: Api, name: str, text: str | bytes) -> str:
    data = text.encode() if isinstance(text, str) else text
    made = await api.call("POST", "/files", files={"file": (name, data)}, data={"purpose": "assistants"})
    return str(made["id"])


async def settled(api: Api, path: str, key: str = "status") -> Json:
    """The object, once nothing of it is in progress."""
    async with asyncio.timeout(30):
        while True:
            found = await api.call("GET", path)
            if found.get("file_counts", {}).get("in_progress", 0) == 0 and found[key] != "in_progress":
                return found
            await asyncio.sleep(0.02)


async def a_store(api: Api, texts: dict[str, str] | None = None, **fields: Any) -> Json:
    """A store in which the texts are indexed."""
    file_ids = [await upload(api, name, text) for name, text in (TEXTS if texts is None else texts).items()]
    made = await api.call("POST", "/vector_stores", {"file_ids": file_ids, **fields})
    return await settled(api, f"/vector_stores/{made['id']}")


async def search(api: Api, store: Json, query: Any, **fields: Any) -> Json:
    return await api.call("POST", f"/vector_stores/{store['id']}/search", {"query": query, **fields})


async def names(api: Api, store: Json, query: Any, **fields: Any) -> list[str]:
    return [item["filename"] for item in (await search(api, store, query, **fields))["data"]]


async def test_a_store_is_made_read_changed_and_deleted(api: Api) -> None:
    made = await api.call("POST", "/vector_stores")
    assert made["id"].startswith("vs_")
    rest = {key: value for key, value in made.items() if key not in ("id", "created_at", "last_active_at")}
    assert rest == {
        "object": "vector_store",
        "name": "",
        "usage_bytes": 0,
        "file_counts": {"in_progress": 0, "completed": 0, "failed": 0, "cancelled": 0, "total": 0},
        "status": "completed",
        "expires_after": None,
        "expires_at": None,
        "metadata": {},
    }
    path = f"/vector_stores/{made['id']}"
    expiry = {"anchor": "last_active_at", "days": 3}
    changed = await api.call("POST", path, {"name": "papers", "expires_after": expiry, "metadata": {"a": "b"}})
    assert (changed["name"], changed["metadata"], changed["expires_after"]) == ("papers", {"a": "b"}, expiry)
    assert changed["expires_at"] == changed["last_active_at"] + 3 * 86400
    cleared = await api.call("POST", path, {"name": None, "expires_after": None, "metadata": None})
    assert cleared == made
    assert await api.call("DELETE", path) == {"id": made["id"], "object": "vector_store.deleted", "deleted": True}
    error = await api.refused("GET", path, status=404)
    assert error["message"] == f"Vector store with id [{made['id']}] not found."


async def test_a_description_is_accepted_though_no_answer_has_it(api: Api) -> None:
    made = await api.call("POST", "/vector_stores", {"name": "papers", "description": "What we have published."})
    assert (made["name"], "description" in made) == ("papers", False)
    error = await api.refused("POST", "/vector_stores", {"description": 5}, status=400)
    assert error["param"] == "description"


async def test_files_given_with_a_new_store_are_indexed_and_found(api: Api) -> None:
    store = await a_store(api, name="organs")
    assert (store["status"], store["file_counts"]["completed"], store["file_counts"]["total"]) == ("completed", 3, 3)
    assert store["usage_bytes"] == sum(len(text) for text in TEXTS.values())
    found = await search(api, store, "What does the liver do?")
    assert found["search_query"] == ["What does the liver do?"]
    (result,) = found["data"]
    assert (result["filename"], result["attributes"]) == ("liver.txt", {})
    assert result["content"] == [{"type": "text", "text": TEXTS["liver.txt"]}]
    assert 0 < result["score"] <= 1
    assert (found["has_more"], found["next_page"]) == (False, None)


async def test_a_file_is_put_into_a_store_and_taken_out(api: Api) -> None:
    store = await a_store(api, {})
    file_id = await upload(api, "heart.txt", TEXTS["heart.txt"])
    path = f"/vector_stores/{store['id']}/files"
    made = await api.call("POST", path, {"file_id": file_id, "attributes": {"year": 2024, "kind": "organ", "ok": True}})
    assert (made["id"], made["object"], made["vector_store_id"]) == (file_id, "vector_store.file", store["id"])
    assert made["chunking_strategy"] == {
        "type": "static",
        "static": {"max_chunk_size_tokens": 800, "chunk_overlap_tokens": 400},
    }
    indexed = await settled(api, f"{path}/{file_id}")
    assert (indexed["status"], indexed["last_error"]) == ("completed", None)
    assert indexed["attributes"] == {"year": 2024, "kind": "organ", "ok": True}
    assert await names(api, store, "heart") == ["heart.txt"]
    content = await api.call("GET", f"{path}/{file_id}/content")
    assert content["data"] == [{"type": "text", "text": TEXTS["heart.txt"]}]
    gone = await api.call("DELETE", f"{path}/{file_id}")
    assert gone == {"id": file_id, "object": "vector_store.file.deleted", "deleted": True}
    assert await names(api, store, "heart") == []
    await api.refused("GET", f"{path}/{file_id}", status=404)
    await api.refused("DELETE", f"{path}/{file_id}", status=404)
    assert (await api.call("GET", f"/files/{file_id}"))["id"] == file_id
    assert (await api.call("GET", f"/vector_stores/{store['id']}"))["file_counts"]["total"] == 0


async def test_a_deleted_file_is_in_no_store_and_not_found(api: Api) -> None:
    store = await a_store(api)
    other = await api.call("POST", "/vector_stores")
    listed = (await api.call("GET", f"/vector_stores/{store['id']}/files"))["data"]
    found = await search(api, store, "liver")
    file_id = found["data"][0]["file_id"]
    await api.call("POST", f"/vector_stores/{other['id']}/files", {"file_id": file_id})
    await settled(api, f"/vector_stores/{other['id']}")
    await api.call("DELETE", f"/files/{file_id}")
    for at in (store, other):
        assert await names(api, at, "liver") == []
        await api.refused("GET", f"/vector_stores/{at['id']}/files/{file_id}", status=404)
    left = (await api.call("GET", f"/vector_stores/{store['id']}/files"))["data"]
    assert {item["id"] for item in left} == {item["id"] for item in listed} - {file_id}


@pytest.mark.parametrize(
    ("name", "data", "code", "words"),
    [
        ("empty.txt", b"", "invalid_file", "empty"),
        ("broken.pdf", b"%PDF-1.7 nothing", "invalid_file", "PDF"),
        ("picture.txt", b"\x89PNG\r\n\x1a\n" + bytes(100), "unsupported_file", "image"),
    ],
)
async def test_a_file_that_cannot_be_read_says_why(api: Api, name: str, data: bytes, code: str, words: str) -> None:
    store = await a_store(api, {"house.txt": TEXTS["house.txt"]})
    file_id = await upload(api, name, data)
    path = f"/vector_stores/{store['id']}/files"
    await api.call("POST", path, {"file_id": file_id})
    failed = await settled(api, f"{path}/{file_id}")
    assert (failed["status"], failed["last_error"]["code"], failed["usage_bytes"]) == ("failed", code, 0)
    assert words in failed["last_error"]["message"]
    counts = (await api.call("GET", f"/vector_stores/{store['id']}"))["file_counts"]
    assert (counts["completed"], counts["failed"], counts["total"]) == (1, 1, 2)
    error = await api.refused("GET", f"{path}/{file_id}/content")
    assert "its status is failed" in error["message"]


async def test_a_batch_is_indexed_and_its_files_are_listed_by_status(api: Api) -> None:
    store = await a_store(api, {})
    ids = {name: await upload(api, name, text) for name, text in {**TEXTS, "empty.txt": ""}.items()}
    path = f"/vector_stores/{store['id']}/file_batches"
    files = [{"file_id": id_, "attributes": {"name": name}} for name, id_ in ids.items()]
    files[0]["chunking_strategy"] = {
        "type": "static",
        "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 20},
    }
    made = await api.call("POST", path, {"files": files})
    assert made["object"] == "vector_store.files_batch"
    batch = await settled(api, f"{path}/{made['id']}")
    assert batch["status"] == "completed"
    assert batch["file_counts"] == {"in_progress": 0, "completed": 3, "failed": 1, "cancelled": 0, "total": 4}
    listed = (await api.call("GET", f"{path}/{made['id']}/files", params={"order": "asc"}))["data"]
    assert [item["id"] for item in listed] == list(ids.values())
    assert [item["attributes"]["name"] for item in listed] == list(ids)
    assert listed[0]["chunking_strategy"]["static"]["max_chunk_size_tokens"] == 100
    for where in (f"{path}/{made['id']}/files", f"/vector_stores/{store['id']}/files"):
        failed = (await api.call("GET", where, params={"filter": "failed"}))["data"]
        assert [item["id"] for item in failed] == [ids["empty.txt"]]
        page = await api.call("GET", where, params={"filter": "completed", "limit": 2, "order": "asc"})
        assert ([item["id"] for item in page["data"]], page["has_more"]) == (list(ids.values())[:2], True)
        rest = await api.call("GET", where, params={"filter": "completed", "after": page["last_id"], "order": "asc"})
        assert ([item["id"] for item in rest["data"]], rest["has_more"]) == ([ids["house.txt"]], False)
        await api.refused("GET", where, params={"filter": "done"})
        await api.refused("GET", where, params={"after": "file-none"}, status=404)
    await api.refused("POST", f"{path}/{made['id']}/cancel")


async def test_a_cancelled_batch_leaves_what_is_not_indexed_yet(api: Api) -> None:
    store = await a_store(api, {})
    ids = [await upload(api, f"{n}.txt", "A text. " * 1000) for n in range(40)]
    path = f"/vector_stores/{store['id']}/file_batches"
    made = await api.call("POST", path, {"file_ids": ids})
    cancelled = await api.call("POST", f"{path}/{made['id']}/cancel")
    assert (cancelled["status"], cancelled["file_counts"]["in_progress"]) == ("cancelled", 0)
    assert cancelled["file_counts"]["cancelled"] > 0
    assert cancelled["file_counts"]["total"] == 40
    assert await api.call("POST", f"{path}/{made['id']}/cancel") == cancelled
    left = (await api.call("GET", f"{path}/{made['id']}/files", params={"filter": "cancelled", "limit": 1}))["data"]
    again = await api.call("POST", f"/vector_stores/{store['id']}/files", {"file_id": left[0]["id"]})
    assert again["status"] == "in_progress"
    assert (await settled(api, f"/vector_stores/{store['id']}/files/{left[0]['id']}"))["status"] == "completed"


async def test_a_file_put_in_again_is_cut_anew_when_it_shall_be_cut_in_another_way(api: Api) -> None:
    text = "".join(f"Sentence number {n} tells of nothing at all. " for n in range(200))
    store = await a_store(api, {"long.txt": text})
    assert len(await names(api, store, "sentence")) == 2
    (file,) = (await api.call("GET", f"/vector_stores/{store['id']}/files"))["data"]
    path = f"/vector_stores/{store['id']}/files"
    same = await api.call("POST", path, {"file_id": file["id"], "attributes": {"a": 1}})
    assert (same["status"], same["attributes"]) == ("completed", {"a": 1})
    static = {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}
    body = {"file_id": file["id"], "chunking_strategy": {"type": "static", "static": static}}
    assert (await api.call("POST", path, body))["status"] == "in_progress"
    await settled(api, f"{path}/{file['id']}")
    assert len(await names(api, store, "sentence", max_num_results=50, filters=a_filter("eq", "a", 1))) > 8
    content = await api.call("GET", f"{path}/{file['id']}/content")
    assert "".join(part["text"] for part in content["data"]) == text


def a_filter(operator: str, key: str, value: Any) -> Json:
    return {"type": operator, "key": key, "value": value}


async def test_a_search_is_narrowed_by_attributes(api: Api) -> None:
    store = await a_store(api, {})
    path = f"/vector_stores/{store['id']}/files"
    for n in range(3):
        file_id = await upload(api, f"{n}.txt", "The liver is an organ.")
        await api.call("POST", path, {"file_id": file_id, "attributes": {"n": n, "kind": "odd" if n % 2 else "even"}})
    await settled(api, f"/vector_stores/{store['id']}")
    assert set(await names(api, store, "liver", filters=a_filter("gte", "n", 1))) == {"1.txt", "2.txt"}
    both = {"type": "and", "filters": [a_filter("eq", "kind", "even"), a_filter("ne", "n", 0)]}
    assert await names(api, store, "liver", filters=both) == ["2.txt"]
    assert set(await names(api, store, "liver", filters=a_filter("in", "n", [0, 1]))) == {"0.txt", "1.txt"}
    (found,) = (await search(api, store, "liver", filters=both))["data"]
    changed = await api.call("POST", f"{path}/{found['file_id']}", {"attributes": {"kind": "none"}})
    assert changed["attributes"] == {"kind": "none"}
    assert await names(api, store, "liver", filters=both) == []
    assert await names(api, store, "liver", filters=a_filter("eq", "kind", "none")) == ["2.txt"]
    assert (await api.call("POST", f"{path}/{found['file_id']}", {"attributes": None}))["attributes"] == {}


async def test_an_explained_search_tells_of_every_candidate(api: Api) -> None:
    text = "Blood is cleaned by the liver, and moved by the heart."
    store = await a_store(api, {**TEXTS, "blood.txt": text})
    plain = await search(api, store, "liver heart", max_num_results=1)
    assert "explain" not in plain
    found = await search(api, store, "liver heart", max_num_results=1, explain=True)
    assert found["data"] == plain["data"]
    explained = found["explain"]
    assert explained["vector_model"] is None
    first, second, third = explained["candidates"]
    assert (first["filename"], first["outcome"], first["rank"]) == ("blood.txt", "kept", 1)
    assert first["matched_terms"] == ["liver", "heart"]
    assert (first["start_index"], first["end_index"]) == (
        0,
        len(text),
    )
    assert (first["score"], first["file_id"]) == (found["data"][0]["score"], found["data"][0]["file_id"])
    assert (first["vector_score"], first["rerank_score"], first["page"]) == (None, None, None)
    assert {second["outcome"], third["outcome"]} == {"beyond_limit"}
    assert first["keyword_score"] > second["keyword_score"] >= third["keyword_score"] > 0
    threshold = (first["score"] + second["score"]) / 2
    options = {"score_threshold": threshold, "ranker": "auto"}
    above = await search(api, store, "liver heart", ranking_options=options, explain=True)
    outcomes = [candidate["outcome"] for candidate in above["explain"]["candidates"]]
    assert (len(above["data"]), outcomes) == (1, ["kept", "below_threshold", "below_threshold"])


async def test_several_queries_are_answered_together(api: Api) -> None:
    store = await a_store(api)
    found = await search(api, store, ["roof", "sugar"])
    assert found["search_query"] == ["roof", "sugar"]
    assert {item["filename"] for item in found["data"]} == {"house.txt", "liver.txt"}


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "query"),
        ({"query": 5}, "query"),
        ({"query": []}, "query"),
        ({"query": ""}, "query"),
        ({"query": " \n\t\u3000"}, "query"),
        ({"query": [""]}, "query[0]"),
        ({"query": ["liver", " "]}, "query[1]"),
        ({"query": "x", "max_num_results": 0}, "max_num_results"),
        ({"query": "x", "max_num_results": 51}, "max_num_results"),
        ({"query": "x", "ranking_options": {"score_threshold": 1.5}}, "ranking_options.score_threshold"),
        ({"query": "x", "ranking_options": {"ranker": "best"}}, "ranking_options.ranker"),
        ({"query": "x", "filters": {"type": "like", "key": "a", "value": 1}}, "filters.type"),
        ({"query": "x", "filters": {"type": "and", "filters": []}}, "filters.filters"),
        ({"query": "x", "colour": 1}, "colour"),
    ],
)
async def test_what_is_wrong_in_a_search_is_named(api: Api, body: Json, param: str) -> None:
    store = await api.call("POST", "/vector_stores")
    error = await api.refused("POST", f"/vector_stores/{store['id']}/search", body)
    assert error["param"] == param


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "file_id"),
        ({"file_id": "file-x", "attributes": {"a": [1]}}, "attributes.a"),
        ({"file_id": "file-x", "attributes": {"a": "x" * 513}}, "attributes.a"),
        ({"file_id": "file-x", "attributes": {str(n): n for n in range(17)}}, "attributes"),
        (
            {
                "file_id": "file-x",
                "chunking_strategy": {
                    "type": "static",
                    "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 51},
                },
            },
            "chunking_strategy.static.chunk_overlap_tokens",
        ),
    ],
)
async def test_what_is_wrong_with_a_file_is_named(api: Api, body: Json, param: str) -> None:
    store = await api.call("POST", "/vector_stores")
    error = await api.refused("POST", f"/vector_stores/{store['id']}/files", body)
    assert error["param"] == param


async def test_what_does_not_exist_is_not_found(api: Api) -> None:
    store = await api.call("POST", "/vector_stores")
    error = await api.refused("POST", f"/vector_stores/{store['id']}/files", {"file_id": "file-none"}, status=404)
    assert error["message"] == "No such File object: file-none"
    await api.refused("POST", "/vector_stores", {"file_ids": ["file-none"]}, status=404)
    await api.refused("POST", "/vector_stores/vs_none/search", {"query": "x"}, status=404)
    await api.refused("GET", f"/vector_stores/{store['id']}/file_batches/vsfb_none", status=404)
    both = {"file_ids": ["file-1"], "files": [{"file_id": "file-1"}]}
    await api.refused("POST", f"/vector_stores/{store['id']}/file_batches", both)
    await api.refused("POST", f"/vector_stores/{store['id']}/file_batches", {})


async def test_helpers_and_attachments_have_their_files_indexed_too(api: Api) -> None:
    liver, heart, house = [await upload(api, name, text) for name, text in TEXTS.items()]
    resources = {"file_search": {"vector_stores": [{"file_ids": [liver]}]}}
    thread = await api.call("POST", "/threads", {"tool_resources": resources})
    assistant = await api.call("POST", "/assistants", {"model": "scripted", "tool_resources": resources})
    attached = {
        "role": "user",
        "content": "Hi",
        "attachments": [{"file_id": heart, "tools": [{"type": "file_search"}]}],
    }
    await api.call("POST", f"/threads/{thread['id']}/messages", attached)
    lone = await api.call("POST", "/threads", {"messages": [attached]})
    found = []
    for holder in (thread, assistant, lone):
        (store_id,) = holder["tool_resources"]["file_search"]["vector_store_ids"]
        store = await settled(api, f"/vector_stores/{store_id}")
        found.append((store["file_counts"]["completed"], await names(api, store, ["liver", "heart"])))
    assert found == [(2, ["liver.txt", "heart.txt"]), (1, ["liver.txt"]), (1, ["heart.txt"])]
    assert house not in str(found)


async def test_nothing_can_be_attached_to_a_threads_store_that_has_expired(api: Api) -> None:
    """A run would fail, and nobody would ever find the file."""
    attachments = [{"file_id": await upload(api, "liver.txt", "liver"), "tools": [{"type": "file_search"}]}]
    message = {"role": "user", "content": "Hi", "attachments": attachments}
    thread = await api.call("POST", "/threads", {"messages": [message]})
    (store_id,) = thread["tool_resources"]["file_search"]["vector_store_ids"]
    await settled(api, f"/vector_stores/{store_id}")
    await api.runtime.store.write(lambda tx: update_vector_store(tx, store_id, {"expires_at": 1}))
    error = await api.refused("POST", f"/threads/{thread['id']}/messages", message)
    assert error["code"] == "vector_store_expired"
    await api.call("POST", f"/threads/{thread['id']}/messages", {"role": "user", "content": "Hi"})


async def test_no_beta_header_is_needed_and_another_project_sees_nothing(api: Api) -> None:
    response = await api.client.get("/vector_stores", headers={"OpenAI-Beta": ""})
    assert response.status_code == 200
    await api.call("POST", "/vector_stores", {"name": "ours"})
    listed = await api.call("GET", "/vector_stores")
    assert [item["name"] for item in listed["data"]] == ["ours"]


@pytest.mark.parametrize("deleting", ["place", "file"])
async def test_files_can_be_taken_out_while_they_are_paged_through(api: Api, deleting: str) -> None:
    store = await a_store(api, {f"{n}.txt": "liver" for n in range(7)})
    ids = [item["id"] for item in (await api.call("GET", f"/vector_stores/{store['id']}/files"))["data"]]
    batch = await api.call("POST", f"/vector_stores/{store['id']}/file_batches", {"file_ids": ids})
    for path in (
        f"/vector_stores/{store['id']}/files",
        f"/vector_stores/{store['id']}/file_batches/{batch['id']}/files",
    ):
        seen: list[str] = []
        page: Json = {"last_id": None, "has_more": True}
        while page["has_more"] and len(seen) < 4:
            after = {} if page["last_id"] is None else {"after": page["last_id"]}
            page = await api.call("GET", path, params={"limit": 2, **after})
            for item in page["data"]:
                seen.append(item["id"])
                where = f"/vector_stores/{store['id']}/files" if deleting == "place" else "/files"
                await api.call("DELETE", f"{where}/{item['id']}")
        left = await api.call("GET", path, params={"after": page["last_id"]})
        assert seen + [item["id"] for item in left["data"]] == ids
        ids = ids[4:]
