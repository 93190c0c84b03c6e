"""Files that come in parts."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

import pytest

from agentrt.runtime import uploads as runtime_uploads
from agentrt.runtime.uploads import UPLOADS_LIVE_S
from agentrt.testing.clocks import FakeClock
from tests.server.api import Api, Json, open_api

PARTS = (b"first ", b"second ", b"third")
WHOLE = b"".join(PARTS)


async def begin(api: Api, n_bytes: int = len(WHOLE), **more: object) -> Json:
    new = {"filename": "notes.txt", "purpose": "assistants", "bytes": n_bytes, "mime_type": "text/plain", **more}
    return await api.call("POST", "/uploads", new)


async def add(api: Api, upload: Json, data: bytes) -> str:
    made = await api.call("POST", f"/uploads/{upload['id']}/parts", files={"data": ("upload", data)})
    assert (made["object"], made["upload_id"]) == ("upload.part", upload["id"])
    part_id: str = made["id"]
    assert part_id.startswith("part_")
    return part_id


async def complete(api: Api, upload: Json, part_ids: list[str], **more: object) -> Json:
    return await api.call("POST", f"/uploads/{upload['id']}/complete", {"part_ids": part_ids, **more})


async def refuse(api: Api, upload: Json, part_ids: list[str], **more: object) -> Json:
    return await api.refused("POST", f"/uploads/{upload['id']}/complete", {"part_ids": part_ids, **more})


def kept(folder: Path) -> list[str]:
    return [path.name for path in (folder / "data" / "blobs").rglob("*") if path.is_file()]


async def test_parts_become_a_file_in_the_order_of_their_ids(api: Api, tmp_path: Path) -> None:
    upload = await begin(api)
    assert upload["id"].startswith("upload_")
    assert (upload["object"], upload["status"], upload["file"]) == ("upload", "pending", None)
    assert (upload["bytes"], upload["filename"], upload["purpose"]) == (len(WHOLE), "notes.txt", "assistants")
    assert upload["expires_at"] == upload["created_at"] + 3600
    third, first, second = await asyncio.gather(*(add(api, upload, PARTS[i]) for i in (2, 0, 1)))
    done = await complete(api, upload, [first, second, third], md5=hashlib.md5(WHOLE).hexdigest().upper())
    assert done["status"] == "completed"
    file = done["file"]
    assert await api.call("GET", f"/files/{file['id']}") == file
    assert (file["filename"], file["bytes"], file["purpose"]) == ("notes.txt", len(WHOLE), "assistants")
    response = await api.client.get(f"/files/{file['id']}/content")
    assert (response.content, response.headers["content-type"]) == (WHOLE, "text/plain")
    assert len(kept(tmp_path)) == 1, "the parts are gone"


async def test_one_part_is_enough_and_so_is_none(api: Api, tmp_path: Path) -> None:
    upload = await begin(api, expires_after={"anchor": "created_at", "seconds": 3600})
    file = (await complete(api, upload, [await add(api, upload, WHOLE)]))["file"]
    assert file["expires_at"] == file["created_at"] + 3600
    assert (await api.client.get(f"/files/{file['id']}/content")).content == WHOLE
    assert len(kept(tmp_path)) == 1
    empty = await begin(api, 0)
    assert (await complete(api, empty, []))["file"]["bytes"] == 0


async def test_a_part_that_is_not_named_is_left_out(api: Api, tmp_path: Path) -> None:
    upload = await begin(api)
    part_ids = [await add(api, upload, part) for part in PARTS]
    await add(api, upload, b"sent twice, because the answer was lost")
    file = (await complete(api, upload, part_ids))["file"]
    assert (await api.client.get(f"/files/{file['id']}/content")).content == WHOLE
    assert len(kept(tmp_path)) == 1


async def test_parts_that_do_not_fit_are_refused_and_can_be_mended(api: Api) -> None:
    upload = await begin(api)
    one, two, three = [await add(api, upload, part) for part in PARTS]
    error = await refuse(api, upload, [one, two])
    assert (error["param"], "13 bytes" in error["message"], "18" in error["message"]) == ("part_ids", True, True)
    assert (await refuse(api, upload, [one, "part_none", three]))["param"] == "part_ids[1]"
    assert (await refuse(api, upload, [one, two, two]))["param"] == "part_ids[2]"
    error = await refuse(api, upload, [one, two, three], md5="0" * 32)
    assert (error["param"], hashlib.md5(WHOLE).hexdigest() in error["message"]) == ("md5", True)
    assert (await complete(api, upload, [one, two, three]))["status"] == "completed"


async def test_a_completed_upload_is_given_again_to_who_asks_for_the_same(api: Api, tmp_path: Path) -> None:
    upload = await begin(api)
    part_ids = [await add(api, upload, part) for part in PARTS]
    one, two = await asyncio.gather(complete(api, upload, part_ids), complete(api, upload, part_ids))
    assert one == two == await complete(api, upload, part_ids)
    assert [file["id"] for file in (await api.call("GET", "/files"))["data"]] == [one["file"]["id"]]
    assert len(kept(tmp_path)) == 1
    error = await refuse(api, upload, part_ids[::-1])
    assert "has status 'completed'" in error["message"]
    await api.call("DELETE", f"/files/{one['file']['id']}")
    path = f"/uploads/{upload['id']}/complete"
    error = await api.refused("POST", path, {"part_ids": part_ids}, status=404)
    assert error["message"] == f"No such File object: {one['file']['id']}"
    assert kept(tmp_path) == []


async def test_a_cancelled_upload_forgets_its_parts(api: Api, tmp_path: Path) -> None:
    upload = await begin(api)
    part_id = await add(api, upload, WHOLE)
    path = f"/uploads/{upload['id']}"
    cancelled = await api.call("POST", f"{path}/cancel")
    assert (cancelled["status"], kept(tmp_path)) == ("cancelled", [])
    assert await api.call("POST", f"{path}/cancel") == cancelled
    assert "has status 'cancelled'" in (await refuse(api, upload, [part_id]))["message"]
    error = await api.refused("POST", f"{path}/parts", files={"data": ("a", b"x")})
    assert "Create a new upload" in error["message"]
    assert kept(tmp_path) == []


async def test_an_upload_has_an_hour(tmp_path: Path) -> None:
    clock = FakeClock()
    async with open_api(tmp_path, clock=clock) as api:
        upload = await begin(api)
        part_id = await add(api, upload, WHOLE)
        done = await begin(api, 1)
        done = await complete(api, done, [await add(api, done, b"x")])
        await clock.advance(UPLOADS_LIVE_S + 1)
        assert "has status 'expired'" in (await refuse(api, upload, [part_id]))["message"]
        await api.runtime.uploads.expire()
        assert len(kept(tmp_path)) == 1, "the file of the other one"
        assert "has status 'expired'" in (await refuse(api, upload, [part_id]))["message"]
        await api.refused("POST", f"/uploads/{upload['id']}/cancel")
        await clock.advance(24 * 3600)
        await api.runtime.uploads.expire()
        error = await api.refused("POST", f"/uploads/{upload['id']}/cancel", status=404)
        assert error["message"] == f"No upload found with id '{upload['id']}'."
        await api.call("GET", f"/files/{done['file']['id']}")


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"filename": ""}, "string_below_min_length", "filename"),
        ({"filename": "folder/"}, "invalid_value", "filename"),
        ({"filename": "é" * 200}, "invalid_value", "filename"),
        ({"purpose": "fun"}, "invalid_value", "purpose"),
        ({"bytes": -1}, "integer_below_min_value", "bytes"),
        ({"bytes": "7"}, "invalid_type", "bytes"),
        ({"mime_type": "text"}, "invalid_value", "mime_type"),
        ({"mime_type": "text/plain\r\nx: y"}, "invalid_value", "mime_type"),
        ({"expires_after": {"anchor": "created_at", "seconds": 5}}, "integer_below_min_value", "expires_after.seconds"),
        ({"colour": "red"}, "unknown_parameter", "colour"),
    ],
)
async def test_a_wrong_upload_is_refused(api: Api, changes: Json, code: str, param: str) -> None:
    new = {"filename": "a.txt", "purpose": "assistants", "bytes": 7, "mime_type": "text/plain", **changes}
    error = await api.refused("POST", "/uploads", new)
    assert (error["code"], error["param"]) == (code, param)


@pytest.mark.parametrize("missing", ["filename", "purpose", "bytes", "mime_type"])
async def test_what_is_needed_is_said(api: Api, missing: str) -> None:
    new = {"filename": "a.txt", "purpose": "assistants", "bytes": 7, "mime_type": "text/plain"}
    del new[missing]
    error = await api.refused("POST", "/uploads", new)
    assert (error["code"], error["param"]) == ("missing_required_parameter", missing)


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"files": {"other": ("a", b"x")}}, "missing_required_parameter", "data"),
        ({"files": {"data": ("a", b"x")}, "data": {"x": "y"}}, "unknown_parameter", "x"),
        ({"files": [("data", ("a", b"x")), ("data", ("b", b"y"))]}, None, "data"),
        ({"json": {"data": "x"}}, None, None),
    ],
)
async def test_a_wrong_part_leaves_nothing_behind(
    api: Api, tmp_path: Path, given: Json, code: str | None, param: str | None
) -> None:
    upload = await begin(api)
    error = await api.refused("POST", f"/uploads/{upload['id']}/parts", **given)
    assert (error["code"], error["param"]) == (code, param)
    assert kept(tmp_path) == []


async def test_a_part_may_come_without_a_file_name(api: Api) -> None:
    upload = await begin(api, 1)
    made = await api.call("POST", f"/uploads/{upload['id']}/parts", files={"data": (None, b"x")})
    assert (await complete(api, upload, [made["id"]]))["file"]["bytes"] == 1


async def test_no_limit_is_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_uploads, "MAX_PART_BYTES", 10)
    async with open_api(tmp_path, "[files]\nmax_upload_size = 15\n") as api:
        new = {"filename": "a", "purpose": "assistants", "bytes": 16, "mime_type": "text/plain"}
        error = await api.refused("POST", "/uploads", new, status=413)
        assert (error["message"], error["param"]) == ("The file is too large: at most 15 bytes.", "bytes")
        upload = await begin(api, 15)
        path = f"/uploads/{upload['id']}/parts"
        error = await api.refused("POST", path, status=413, files={"data": ("a", b"x" * 11)})
        assert error["message"] == "The part is too large: at most 10 bytes."
        parts = [await add(api, upload, b"x" * n) for n in (10, 5)]
        await api.refused("POST", path, status=413, files={"data": ("a", b"x")})
        await complete(api, upload, parts)
    assert len(kept(tmp_path)) == 1


async def test_uploads_of_others_are_not_there(tmp_path: Path) -> None:
    keys = "".join(
        f'[[server.keys]]\nname = "{name}"\nkey = "sk-of-{name}-1234567"\nproject = "{name}"\n' for name in "ab"
    )
    async with open_api(tmp_path, keys) as api:
        api.client.headers["Authorization"] = "Bearer sk-of-a-1234567"
        upload = await begin(api)
        api.client.headers["Authorization"] = "Bearer sk-of-b-1234567"
        path = f"/uploads/{upload['id']}"
        for sub, given in (
            ("cancel", {}),
            ("complete", {"body": {"part_ids": []}}),
            ("parts", {"files": {"data": b"x"}}),
        ):
            error = await api.refused("POST", f"{path}/{sub}", status=404, **given)
            assert error["message"] == f"No upload found with id '{upload['id']}'."
