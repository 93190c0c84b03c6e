"""Files that harm, lie or cannot be read, put into a store of the real service with the official SDK: each costs itself
its status and nobody else anything. What each of them is, and what one reader says of it, is in tests/files/."""

from __future__ import annotations

import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Final

import httpx
import pytest
from openai import OpenAI
from openai.types.vector_stores import VectorStoreFile, VectorStoreFileBatch

from tests.compat.deployment import KEY, Deployment
from tests.files.documents import docx, docx_parts, paragraph, xlsx, zipped
from tests.files.pdfs import inflating_pdf, pdf, pdf_of
from tests.files.test_bad_files import BAD, ENTITIES, FILES, TEXT, bomb, docx_with

Deploy = Callable[..., Deployment]
Witnessed = Callable[[Deployment], str]

MB: Final = 1 << 20
MAY_GROW_BY: Final = 60 * MB
CHILD_LIMIT: Final = 1 << 30

GOOD: Final = {
    "letter.pdf": pdf("The good word of the letter is marmalade."),
    "report.docx": docx("The good word of the report is zeppelin."),
    "prices.xlsx": xlsx({"Prices": '<row><c t="inlineStr"><is><t>chandelier</t></is></c><c><v>4</v></c></row>'}),
    "notes.md": "# Notes\nThe good word of the notes is kaleidoscope.\n".encode("utf-16"),
    "page.html": b"<div>" * 100_000 + b"The good word of the page is tambourine.",
    "deep.docx": zipped(docx_parts("<w:r>" * 100_000 + paragraph("It says obelisk.") + "</w:r>" * 100_000)),
    "../../../etc/passwd": b"root says gargoyle",
    "C:\\windows\\..\\boot.ini": b"boot says harpsichord",
    "locked.pdf": pdf("Its owner says xylophone.", owner="secret"),
}
"""Name → what is read, however odd it is; a word of each is in WORDS."""

WORDS: Final = [
    "marmalade",
    "zeppelin",
    "chandelier",
    "kaleidoscope",
    "tambourine",
    "obelisk",
    "gargoyle",
    "harpsichord",
    "xylophone",
    "millipede",
]


@cache
def long_pdf() -> bytes:
    """10,000 pages."""
    stream = b"BT /F1 11 Tf 72 720 Td (This page has a millipede) Tj ET"
    return pdf_of([stream], page_streams=[0] * 10_000)


@cache
def huge_docx() -> bytes:
    """A gigabyte in less than five megabytes."""
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, data in docx_parts("").items():
            if name != "word/document.xml":
                archive.writestr(name, data)
        with archive.open("word/document.xml", "w", force_zip64=True) as member:
            piece = b" " * MB
            for _ in range(1024):
                member.write(piece)
    assert len(out.getvalue()) < 5 * MB
    return out.getvalue()


def bad_files() -> list[tuple[str, bytes, str, str]]:
    """(name, bytes, code, words of the message) of each; names are made different."""
    found = [(f"{n}-{name}", data, code, words) for n, (data, name, code, words) in enumerate(BAD.values())]
    small = inflating_pdf(1 << 30)
    assert len(small) < 5_000
    found += [
        ("gigabyte.pdf", small, "invalid_file", "memory"),
        ("gigabyte.docx", huge_docx(), "invalid_file", "inflate"),
        ("liar.docx", bomb(declared_bytes=5000), "invalid_file", ""),
        ("entities.docx", docx_with(ENTITIES, "&b;"), "invalid_file", "entities"),
        ("external.docx", docx_with(FILES, "&a;"), "invalid_file", "entities"),
        ("long.txt", TEXT.encode() * 8_000, "invalid_file", "5,000,000 tokens"),
    ]
    return found


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    """A URL, empty for SQLite in the deployment's own folder."""
    return "" if request.param == "sqlite" else str(request.getfixturevalue("empty_postgres_url"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the memory from /proc")
def test_bad_files_cost_only_themselves(deploy: Deploy, witnessed: Witnessed, database: str) -> None:
    deployment = deploy(database=database)
    deployment.start()
    url = witnessed(deployment)
    bad = bad_files()
    good = [*GOOD.items(), ("pages.pdf", long_pdf())]
    # Not through the witness: it would keep what is uploaded.
    with client_of(url) as client, client_of(deployment.url) as uploader:
        warm = client.vector_stores.create()
        put(uploader, warm.id, [("warm.pdf", pdf("It is warm here."))])
        before = deployment.peak_bytes
        store = client.vector_stores.create()
        odd = upload_as(url, b'"\xed\xa0\x80.txt"', b"a name that is no text")
        files = [(name, data) for name, data, _, _ in bad] + good
        with watched(deployment) as peaks, ThreadPoolExecutor(1) as beside:
            batch = beside.submit(put, uploader, store.id, files, [odd])
            n_searches = search_until(client, warm.id, batch)
        counts = batch.result().file_counts
        ended = {file_name(client, file): file for file in client.vector_stores.files.list(store.id, limit=100)}

        assert [name for name, _ in good if ended[kept_name(name)].status != "completed"] == []
        wrong = [complaint for case in bad if (complaint := complain(ended[case[0]], *case[2:]))]
        assert wrong == [], "\n".join(wrong)
        n_files = len(files) + 1
        assert (counts.completed, counts.failed, counts.total) == (len(good) + 1, len(bad), n_files)
        for word, (name, _) in zip(WORDS, good, strict=True):
            assert client.vector_stores.search(store.id, query=word).data[0].filename == kept_name(name)
        assert client.vector_stores.search(store.id, query="ha").data == []
    assert n_searches > 5
    assert max(peaks.values()) <= CHILD_LIMIT
    assert deployment.peak_bytes - before < MAY_GROW_BY
    assert [path for path in deployment.folder.parent.rglob("*") if path.name in ("passwd", "boot.ini", "x")] == []
    assert deployment.stop() == 0


@contextmanager
def client_of(url: str) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key=KEY, max_retries=0) as client:
        yield client


def put(
    client: OpenAI, store_id: str, files: Sequence[tuple[str, bytes]], file_ids: Sequence[str] = ()
) -> VectorStoreFileBatch:
    return client.vector_stores.file_batches.upload_and_poll(
        vector_store_id=store_id, files=files, file_ids=list(file_ids), max_concurrency=4, poll_interval_ms=100
    )


def upload_as(url: str, quoted_name: bytes, data: bytes) -> str:
    """Upload under a name that no SDK would send; the file's id."""
    body = (
        b'--b\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nassistants\r\n'
        b'--b\r\nContent-Disposition: form-data; name="file"; filename=%b\r\n\r\n%b\r\n--b--\r\n' % (quoted_name, data)
    )
    headers = {"authorization": f"Bearer {KEY}", "content-type": "multipart/form-data; boundary=b"}
    answer = httpx.post(f"{url}/v1/files", content=body, headers=headers)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["id"])


def search_until(client: OpenAI, store_id: str, batch: Future[VectorStoreFileBatch]) -> int:
    """Search until the batch is done; how many times it was answered."""
    n_searches = 0
    while not batch.done():
        (found,) = client.vector_stores.search(store_id, query="warm").data
        assert found.filename == "warm.pdf"
        n_searches += 1
        time.sleep(0.05)
    return n_searches


def kept_name(name: str) -> str:
    """What is kept of a file's name: no folder."""
    return name.replace("\\", "/").rpartition("/")[2]


def file_name(client: OpenAI, file: VectorStoreFile) -> str:
    return client.files.retrieve(file.id).filename


def complain(file: VectorStoreFile, code: str, words: str) -> str | None:
    """What is wrong with how a bad file ended."""
    error = file.last_error
    if file.status != "failed" or error is None:
        return f"{file.id}: {file.status}, not failed with {words!r}"
    is_right = error.code == code and words in error.message and error.message.endswith(".")
    return None if is_right else f"{error.code}: {error.message} (not {code} … {words!r})"


@contextmanager
def watched(deployment: Deployment) -> Iterator[dict[int, int]]:
    """The most memory of each process that the service starts meanwhile, in bytes by process id."""
    peaks: dict[int, int] = {}
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.wait(0.05):
            for pid in deployment.children():
                peaks[pid] = max(peaks.get(pid, 0), resident_bytes(pid))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peaks
    finally:
        is_over.set()
        thread.join()


def resident_bytes(pid: int) -> int:
    """0 for a process that is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:")), 0)
