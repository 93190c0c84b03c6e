"""Files and vector stores of one project are not there for another, whichever way it asks."""

from __future__ import annotations

from pathlib import Path

from tests.server.api import Api, Json, open_api
from tests.server.test_vector_stores import a_store

KEYS = "".join(f'[[server.keys]]\nname = "{name}"\nkey = "sk-of-{name}-1234567"\nproject = "{name}"\n' for name in "ab")


def speak_as(api: Api, project: str) -> None:
    api.client.headers["Authorization"] = f"Bearer sk-of-{project}-1234567"


async def test_stores_and_files_of_others_are_not_there(tmp_path: Path) -> None:
    async with open_api(tmp_path, KEYS) as api:
        speak_as(api, "a")
        theirs = await a_store(api, {"liver.txt": "The liver makes bile."})
        store = f"/vector_stores/{theirs['id']}"
        (file,) = (await api.call("GET", f"{store}/files"))["data"]
        batch = await api.call("POST", f"{store}/file_batches", {"file_ids": [file["id"]]})

        speak_as(api, "b")
        own = await a_store(api, {"heart.txt": "The heart pumps blood."})
        asked: list[tuple[str, str, Json | None]] = [
            ("GET", store, None),
            ("POST", store, {"name": "mine"}),
            ("DELETE", store, None),
            ("POST", f"{store}/search", {"query": "liver"}),
            ("GET", f"{store}/files", None),
            ("POST", f"{store}/files", {"file_id": file["id"]}),
            ("GET", f"{store}/files/{file['id']}", None),
            ("POST", f"{store}/files/{file['id']}", {"attributes": {}}),
            ("GET", f"{store}/files/{file['id']}/content", None),
            ("DELETE", f"{store}/files/{file['id']}", None),
            ("POST", f"{store}/file_batches", {"file_ids": [file["id"]]}),
            ("GET", f"{store}/file_batches/{batch['id']}", None),
            ("GET", f"{store}/file_batches/{batch['id']}/files", None),
            ("POST", f"{store}/file_batches/{batch['id']}/cancel", None),
            # Their things by way of one's own.
            ("GET", f"/vector_stores/{own['id']}/file_batches/{batch['id']}", None),
            ("GET", f"/vector_stores/{own['id']}/file_batches/{batch['id']}/files", None),
            ("POST", f"/vector_stores/{own['id']}/files", {"file_id": file["id"]}),
            ("POST", f"/vector_stores/{own['id']}/file_batches", {"files": [{"file_id": file["id"]}]}),
            ("POST", "/vector_stores", {"file_ids": [file["id"]]}),
            *names_of(theirs["id"], file["id"]),
            ("GET", f"/files/{file['id']}", None),
            ("GET", f"/files/{file['id']}/content", None),
            ("DELETE", f"/files/{file['id']}", None),
        ]
        for method, path, body in asked:
            await api.refused(method, path, body, status=404)
        assert [item["id"] for item in (await api.call("GET", "/vector_stores"))["data"]] == [own["id"]]
        assert [item["filename"] for item in (await api.call("GET", "/files"))["data"]] == ["heart.txt"]

        speak_as(api, "a")
        found = await api.call("POST", f"{store}/search", {"query": "liver"})
        assert [item["filename"] for item in found["data"]] == ["liver.txt"]


def names_of(store_id: str, file_id: str) -> list[tuple[str, str, Json | None]]:
    """Requests that name a store or a file for a tool."""
    search = {"file_search": {"vector_store_ids": [store_id]}}
    helper = {"file_search": {"vector_stores": [{"file_ids": [file_id]}]}}
    attached = {
        "role": "user",
        "content": "Hi",
        "attachments": [{"file_id": file_id, "tools": [{"type": "file_search"}]}],
    }
    return [
        *(("POST", "/threads", {"tool_resources": resources}) for resources in (search, helper)),
        *(
            ("POST", "/assistants", {"model": "scripted", "tool_resources": resources})
            for resources in (search, helper)
        ),
        ("POST", "/threads", {"messages": [attached]}),
    ]
