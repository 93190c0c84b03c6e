"""Large files, killed processes and shared buckets, with the real service."""

from __future__ import annotations

import hashlib
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from openai import OpenAI

from tests.compat.deployment import KEY, Deployment
from tests.s3 import Bucket

Deploy = Callable[..., Deployment]

MB = 1024 * 1024
HEAD = (
    b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="large.bin"\r\n\r\n'
)
TAIL = b"\r\n--b--\r\n"
MAY_GROW_BY = 120 * MB


def client_of(deployment: Deployment) -> httpx.Client:
    return httpx.Client(base_url=f"{deployment.url}/v1", headers={"Authorization": f"Bearer {KEY}"}, timeout=300)


def megabyte(i: int) -> bytes:
    return hashlib.sha256(str(i).encode()).digest() * (MB // 32)


def form(n_mb: int) -> Iterator[bytes]:
    yield HEAD
    for i in range(n_mb):
        yield megabyte(i)
    yield TAIL


def upload(client: httpx.Client, n_mb: int) -> str:
    length = len(HEAD) + n_mb * MB + len(TAIL)
    headers = {"Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(length)}
    made = client.post("/files", content=form(n_mb), headers=headers)
    assert made.status_code == 200, made.text
    assert made.json()["bytes"] == n_mb * MB
    file_id: str = made.json()["id"]
    return file_id


def check_content(client: httpx.Client, file_id: str, n_mb: int) -> None:
    """That it comes back as it went in, never held whole here either."""
    expected, got = hashlib.sha256(), hashlib.sha256()
    for i in range(n_mb):
        expected.update(megabyte(i))
    with client.stream("GET", f"/files/{file_id}/content") as answer:
        for piece in answer.iter_raw():
            got.update(piece)
    assert got.digest() == expected.digest()


def files_in(deployment: Deployment) -> list[Path]:
    data = deployment.folder / "data"
    return [path for place in ("blobs", "spool") for path in (data / place).rglob("*") if path.is_file()]


def wait_until(is_so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not is_so():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.005)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the memory from /proc")
def test_half_a_gigabyte_never_stands_in_memory(deploy: Deploy) -> None:
    deployment = deploy()
    deployment.start()
    with client_of(deployment) as client:
        check_content(client, upload(client, 1), 1)
        before = deployment.peak_bytes
        file_id = upload(client, 512)
        check_content(client, file_id, 512)
        client.delete(f"/files/{file_id}").raise_for_status()
        assert deployment.peak_bytes - before < MAY_GROW_BY
        assert len(files_in(deployment)) == 1


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the memory from /proc")
def test_neither_do_parts_nor_what_goes_into_a_bucket(deploy: Deploy, bucket: Bucket) -> None:
    deployment = deploy(more=bucket.toml())
    deployment.start()
    with client_of(deployment) as client:
        check_content(client, upload(client, 1), 1)
        before = deployment.peak_bytes
        new = {"filename": "a", "purpose": "user_data", "bytes": 128 * MB, "mime_type": "application/pdf"}
        upload_id = client.post("/uploads", json=new).json()["id"]
        part_ids = []
        for part in range(2):
            data = b"".join(megabyte(i) for i in range(part * 64, part * 64 + 64))
            made = client.post(f"/uploads/{upload_id}/parts", files={"data": data}).json()
            part_ids.append(made["id"])
        done = client.post(f"/uploads/{upload_id}/complete", json={"part_ids": part_ids}).json()
        check_content(client, done["file"]["id"], 128)
        assert deployment.peak_bytes - before < MAY_GROW_BY
    assert len(bucket.names()) == 2
    assert files_in(deployment) == []


@pytest.mark.parametrize("path", ["/v1/files", "/v1/uploads/{upload_id}/parts"])
def test_an_upload_that_a_kill_cuts_off_leaves_nothing(deploy: Deploy, path: str) -> None:
    deployment = deploy()
    deployment.start()
    with client_of(deployment) as client:
        new = {"filename": "a", "purpose": "user_data", "bytes": 20 * MB, "mime_type": "application/pdf"}
        upload_id = client.post("/uploads", json=new).json()["id"]
    head = HEAD if path == "/v1/files" else HEAD[HEAD.index(b"\r\n--b", 1) + 2 :].replace(b'"file"', b'"data"')
    with socket.create_connection(("127.0.0.1", deployment.port)) as connection:
        connection.sendall(
            f"POST {path.format(upload_id=upload_id)} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {KEY}\r\n"
            f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {20 * MB}\r\n\r\n".encode()
        )
        connection.sendall(head)
        for i in range(10):
            connection.sendall(megabyte(i))
        wait_until(lambda: any(found.stat().st_size >= 5 * MB for found in files_in(deployment)))
        deployment.kill()
    assert len(files_in(deployment)) == 1
    deployment.start()
    assert files_in(deployment) == []
    with client_of(deployment) as client:
        assert client.get("/files").json()["data"] == []
        client.post(f"/uploads/{upload_id}/cancel").raise_for_status()


def test_two_machines_share_a_bucket(deploy: Deploy, bucket: Bucket, postgres_url: str) -> None:
    one, two = (deploy(database=postgres_url, more=bucket.toml()) for _ in range(2))
    one.start()
    two.start()
    here = OpenAI(base_url=f"{one.url}/v1", api_key=KEY)
    there = OpenAI(base_url=f"{two.url}/v1", api_key=KEY)
    data = megabyte(1) * 10
    file = here.files.create(file=("a.bin", data), purpose="user_data")
    again = there.uploads.upload_file_chunked(
        file=data, filename="b.bin", bytes=len(data), mime_type="text/plain", purpose="assistants", part_size=4 * MB
    )
    assert again.file is not None
    assert len(bucket.names()) == 1, "the same bytes are kept once"
    here.files.delete(file.id)
    assert here.files.content(again.file.id).read() == data
    there.files.delete(again.file.id)
    assert bucket.names() == []
    assert bucket.unfinished() == []
    here.close()
    there.close()
