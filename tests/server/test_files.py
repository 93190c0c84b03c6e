from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from agentrt.testing.clocks import FakeClock
from tests.server.api import Api, Json, on_port, open_api

DATA = bytes(range(256)) * 1000
_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


async def _upload(api: Api, name: str = "data.bin", data: bytes = DATA, **fields: Any) -> Json:
    return await api.call("POST", "/files", files={"file": (name, data)}, data={"purpose": "assistants", **fields})


def _blobs(folder: Path) -> list[Path]:
    return [path for path in (folder / "data" / "blobs").rglob("*") if path.is_file()]


async def test_a_file_comes_back_as_it_went_in(api: Api) -> None:
    made = await _upload(api)
    assert made["id"].startswith("file-")
    assert (made["bytes"], made["filename"], made["purpose"]) == (len(DATA), "data.bin", "assistants")
    assert (made["status"], made["expires_at"]) == ("processed", None)
    assert await api.call("GET", f"/files/{made['id']}") == made
    response = await api.client.get(f"/files/{made['id']}/content")
    assert response.content == DATA
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.headers["content-length"] == str(len(DATA))
    assert response.headers["content-disposition"] == "attachment; filename*=utf-8''data.bin"


async def test_an_empty_file_is_a_file(api: Api) -> None:
    made = await _upload(api, data=b"")
    assert made["bytes"] == 0
    assert (await api.client.get(f"/files/{made['id']}/content")).content == b""


@pytest.mark.parametrize(
    ("asked", "status", "span"),
    [
        ("bytes=0-9", 206, (0, 10)),
        ("bytes=100-", 206, (100, len(DATA))),
        ("bytes=-5", 206, (len(DATA) - 5, len(DATA))),
        ("bytes=0-", 206, (0, len(DATA))),
        (f"bytes=0-{len(DATA) * 2}", 206, (0, len(DATA))),
        (f"bytes=-{len(DATA) * 2}", 206, (0, len(DATA))),
        ("bytes=9-3", 200, (0, len(DATA))),
        ("bytes=0-1,5-6", 200, (0, len(DATA))),
        ("lines=1-2", 200, (0, len(DATA))),
    ],
)
async def test_a_part_of_a_file_can_be_had(api: Api, asked: str, status: int, span: tuple[int, int]) -> None:
    made = await _upload(api)
    response = await api.client.get(f"/files/{made['id']}/content", headers={"Range": asked})
    start, stop = span
    assert (response.status_code, response.content) == (status, DATA[start:stop])
    assert response.headers["content-length"] == str(stop - start)
    if status == 206:
        assert response.headers["content-range"] == f"bytes {start}-{stop - 1}/{len(DATA)}"


async def test_a_part_behind_the_end_is_refused(api: Api) -> None:
    made = await _upload(api)
    response = await api.client.get(f"/files/{made['id']}/content", headers={"Range": f"bytes={len(DATA)}-"})
    assert (response.status_code, response.headers["content-range"]) == (416, f"bytes */{len(DATA)}")

    empty = await _upload(api, data=b"")
    response = await api.client.get(f"/files/{empty['id']}/content", headers={"Range": "bytes=-1"})
    assert (response.status_code, response.headers["content-range"]) == (416, "bytes */0")


async def test_a_part_is_given_only_of_what_the_caller_has_already(api: Api) -> None:
    made = await _upload(api)
    path = f"/files/{made['id']}/content"
    whole = await api.client.get(path)
    tag, changed = whole.headers["etag"], whole.headers["last-modified"]
    for known, status in ((tag, 206), (changed, 206), ('"another"', 200), ("Mon, 01 Jan 2001 00:00:00 GMT", 200)):
        response = await api.client.get(path, headers={"Range": "bytes=0-9", "If-Range": known})
        assert (response.status_code, response.content) == (status, DATA[:10] if status == 206 else DATA)
    for known, status in ((tag, 304), (f'"x", W/{tag}', 304), ("*", 304), ('"x"', 200)):
        response = await api.client.get(path, headers={"If-None-Match": known})
        assert (response.status_code, len(response.content)) == (status, 0 if status == 304 else len(DATA))


async def test_the_head_of_a_download_can_be_had_alone(api: Api) -> None:
    made = await _upload(api, name="notes.md")
    async with on_port(api.app) as (_, address), httpx.AsyncClient(base_url=f"{address}/v1") as client:
        head = await client.head(f"/files/{made['id']}/content")
        part = await client.head(f"/files/{made['id']}/content", headers={"Range": "bytes=5-9"})
        got = await client.get(f"/files/{made['id']}/content")
    ours = ("content-type", "content-length", "etag", "accept-ranges", "content-disposition", "last-modified")
    assert {name: head.headers[name] for name in ours} == {name: got.headers[name] for name in ours}
    assert (part.status_code, part.headers["content-length"], part.content) == (206, "5", b"")


@pytest.mark.parametrize(
    ("name", "said", "media_type"),
    [
        ("a.pdf", "application/octet-stream", "application/pdf"),
        ("a.DOCX", "application/octet-stream", _WORD),
        ("a.md", "text/markdown; charset=utf-16", "text/markdown"),
        ("a.bin", "text/csv", "text/csv"),
        ("a.html", "text/html", "text/html"),
        ("a.unheard", "", "application/octet-stream"),
        ("data:text/html,x", "not a type", "application/octet-stream"),
        ("no suffix", "text/html, x: y", "application/octet-stream"),
    ],
)
async def test_a_download_has_the_files_media_type_and_is_never_shown(
    api: Api, name: str, said: str, media_type: str
) -> None:
    made = await api.call("POST", "/files", files={"file": (name, b"x", said)}, data={"purpose": "user_data"})
    headers = (await api.client.get(f"/files/{made['id']}/content")).headers
    assert headers["content-type"] == media_type
    assert headers["content-disposition"].startswith("attachment;")
    assert (headers["x-content-type-options"], headers["content-security-policy"]) == ("nosniff", "sandbox")


@pytest.mark.parametrize("name", ["Übersicht 2024.pdf", 'a"b.txt', "日本.txt", "a;b.txt"])
async def test_a_name_keeps_its_letters(api: Api, name: str) -> None:
    made = await _upload(api, name=name)
    assert made["filename"] == name.replace('"', "%22")


async def test_a_name_loses_its_folders(api: Api) -> None:
    assert (await _upload(api, name="../../etc/passwd"))["filename"] == "passwd"


async def test_old_clients_may_name_their_file_in_rfc_5987(api: Api) -> None:
    form = (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
        b"--b\r\nContent-Disposition: form-data; name=\"file\"; filename*=utf-8''%C3%BCber.txt\r\n\r\nx\r\n--b--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    made = await api.call("POST", "/files", content=form, headers=headers)
    assert made["filename"] == "über.txt"


async def test_the_fields_may_come_in_any_order(api: Api) -> None:
    form = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nhello\r\n'
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nvision\r\n--b--\r\n'
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}

    async def bytewise() -> AsyncIterator[bytes]:
        for i in range(len(form)):
            yield form[i : i + 1]

    made = await api.call("POST", "/files", content=bytewise(), headers=headers)
    assert (made["purpose"], made["bytes"]) == ("vision", 5)


async def test_a_file_can_have_an_end(tmp_path: Path) -> None:
    clock = FakeClock()
    fields: Json = {"expires_after[anchor]": "created_at", "expires_after[seconds]": 3600}
    async with open_api(tmp_path, clock=clock) as api:
        made = await _upload(api, **fields)
        batch = await _upload(api, purpose="batch")
        assert made["expires_at"] == made["created_at"] + 3600
        assert batch["expires_at"] == batch["created_at"] + 30 * 24 * 3600
        await clock.advance(3601)
        await api.runtime.files.expire()
        await api.refused("GET", f"/files/{made['id']}", status=404)
        await api.call("GET", f"/files/{batch['id']}")


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"data": {"purpose": "assistants"}, "files": {"other": (None, b"x")}}, "missing_required_parameter", "file"),
        ({"files": {"file": ("a", b"x")}}, "missing_required_parameter", "purpose"),
        ({"data": {"purpose": "fun"}, "files": {"file": ("a", b"x")}}, "invalid_value", "purpose"),
        ({"data": {"purpose": "batch", "x": "y"}, "files": {"file": ("a", b"x")}}, "unknown_parameter", "x"),
        ({"json": {"purpose": "assistants"}}, None, None),
        ({"content": b"--b\r\nnonsense", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, None, None),
        ({"content": b"--b\r\n", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, None, None),
        ({"content": b"x", "headers": {"Content-Type": f"multipart/form-data; boundary={'b' * 300}"}}, None, None),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, None, None),
        ({"data": {"purpose": "x" * 70_000}, "files": {"file": ("a", b"x")}}, None, "purpose"),
        ({"data": {str(i): "" for i in range(40)}, "files": {"file": ("a", b"x")}}, None, None),
        ({"files": [("file", ("a", b"x")), ("file", ("b", b"y"))]}, None, "file"),
    ],
)
async def test_a_wrong_form_leaves_nothing_behind(
    api: Api, tmp_path: Path, given: Json, code: str | None, param: str | None
) -> None:
    error = await api.refused("POST", "/files", **given)
    assert (error["code"], error["param"]) == (code, param)
    assert _blobs(tmp_path) == []
    assert (await api.call("GET", "/files"))["data"] == []


async def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    async with open_api(tmp_path, "[files]\nmax_size = 1000\n") as api:
        await _upload(api, data=b"x" * 1000)
        # The longer one is refused for what its Content-Length says.
        for n_bytes in (1001, 3_000_000):
            given = {"files": {"file": ("a", b"x" * n_bytes)}, "data": {"purpose": "batch"}}
            error = await api.refused("POST", "/files", status=413, **given)
            assert (error["message"], error["param"]) == ("The file is too large: at most 1000 bytes.", "file")
    assert len(_blobs(tmp_path)) == 1


async def test_files_are_listed_by_purpose(api: Api) -> None:
    ids = [(await _upload(api, purpose=purpose))["id"] for purpose in ("assistants", "vision", "assistants")]
    listed = await api.call("GET", "/files", params={"purpose": "assistants"})
    assert [file["id"] for file in listed["data"]] == [ids[2], ids[0]]
    page = await api.call("GET", "/files", params={"limit": 2, "order": "asc"})
    assert ([file["id"] for file in page["data"]], page["has_more"]) == (ids[:2], True)
    assert (await api.refused("GET", "/files?limit=10001"))["code"] == "integer_above_max_value"
    assert (await api.refused("GET", f"/files?before={ids[0]}"))["param"] == "before"


async def test_a_deleted_file_is_gone_everywhere(api: Api, tmp_path: Path) -> None:
    made, kept = await _upload(api), await _upload(api, data=b"other")
    resources = {
        "code_interpreter": {"file_ids": [made["id"], kept["id"]]},
        "file_search": {"vector_stores": [{"file_ids": [made["id"]]}]},
    }
    assistant = await api.assistant(tool_resources=resources)
    thread = await api.call("POST", "/threads", {"tool_resources": resources})
    path = f"/files/{made['id']}"
    assert await api.call("DELETE", path) == {"id": made["id"], "object": "file", "deleted": True}
    for sub in ("", "/content"):
        error = await api.refused("GET", path + sub, status=404)
        assert (error["message"], error["param"]) == (f"No such File object: {made['id']}", "id")
    await api.refused("DELETE", path, status=404)
    for owner in (f"/assistants/{assistant['id']}", f"/threads/{thread['id']}"):
        found = (await api.call("GET", owner))["tool_resources"]["code_interpreter"]
        assert found == {"file_ids": [kept["id"]]}
    (left,) = _blobs(tmp_path)
    assert left.name.startswith(hashlib.sha256(b"other").hexdigest())


async def test_twins_share_their_bytes_until_the_last_is_gone(api: Api, tmp_path: Path) -> None:
    one, two = await _upload(api), await _upload(api, name="twin.bin")
    assert len(_blobs(tmp_path)) == 1
    await api.call("DELETE", f"/files/{one['id']}")
    assert (await api.client.get(f"/files/{two['id']}/content")).content == DATA
    await api.call("DELETE", f"/files/{two['id']}")
    assert _blobs(tmp_path) == []


async def test_a_file_without_its_bytes_says_so(api: Api, tmp_path: Path) -> None:
    made = await _upload(api)
    for path in _blobs(tmp_path):
        path.unlink()
    error = await api.refused("GET", f"/files/{made['id']}/content", status=503)
    assert "missing" in error["message"]


async def test_a_large_upload_goes_through_a_real_socket(api: Api) -> None:
    data = b"0123456789abcdef" * 300_000
    async with on_port(api.app) as (_, address), httpx.AsyncClient(base_url=f"{address}/v1") as client:
        made = (await client.post("/files", files={"file": ("big", data)}, data={"purpose": "vision"})).json()
        assert (await client.get(f"/files/{made['id']}/content")).content == data
