"""Files that harm, lie or cannot be read: each ends with the right code, a message that helps, and nobody else hurt."""

from __future__ import annotations

import asyncio
import io
import os
import resource
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentrt.errors import ExtractionError
from agentrt.files.formats.read import read_file
from agentrt.files.processes import ProcessLimits
from tests.files.conftest import Read, Refuse
from tests.files.documents import docx, docx_parts, epub, odf, ole, paragraph, xlsx, zipped
from tests.files.extractor import Extractor
from tests.files.pdfs import inflating_pdf, pdf, pdf_of

TEXT = "".join(f"Line {n} of an ordinary text.\n" for n in range(200))
PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20
ELF = b"\x7fELF\x02\x01\x01" + bytes(1000)
NOISE = bytes((i * i * 31 + i * 7) % 251 for i in range(5000))

BAD = {
    # What it is: (bytes, name, code, words of the message)
    "empty": (b"", "a.txt", "invalid_file", "empty"),
    "empty PDF": (b"", "a.pdf", "invalid_file", "empty"),
    "blank": (b" \n\t\n ", "a.txt", "invalid_file", "no text"),
    "PDF behind a password": (pdf("Hello", password="secret"), "a.pdf", "invalid_file", "password"),
    "truncated PDF": (pdf("Hello")[:300], "a.pdf", "invalid_file", "damaged or cut off"),
    "garbage named PDF": (NOISE, "a.pdf", "invalid_file", "not a PDF"),
    "PDF of garbage": (b"%PDF-1.7\n" + NOISE, "a.pdf", "invalid_file", "damaged"),
    "text named PDF": (TEXT.encode(), "a.pdf", "invalid_file", "not a PDF"),
    "program named PDF": (ELF, "a.pdf", "invalid_file", "a program"),
    "image named docx": (PNG, "a.docx", "invalid_file", "a PNG image"),
    "scan": (pdf("", ""), "scan.pdf", "unsupported_file", "no text layer"),
    "image": (PNG, "a.png", "unsupported_file", "a PNG image"),
    "image named txt": (PNG, "a.txt", "unsupported_file", "a PNG image"),
    "program": (ELF, "a", "unsupported_file", "a program"),
    "noise named txt": (NOISE, "a.txt", "unsupported_file", "binary data"),
    "zeros": (bytes(5000), "a.txt", "unsupported_file", "binary data"),
    "many control characters": (b"ab\1\2" * 1000, "a.txt", "unsupported_file", "binary data"),
    "half of a surrogate pair": (b"abc \xed\xa0\x80 def", "a.txt", "invalid_file", "at byte 4"),
    "half of a pair in UTF-16": ("ab".encode("utf-16") + b"\x00\xd8c\0", "a.txt", "invalid_file", "surrogate pair"),
    "unknown encoding": (bytes([0x81, 0x8D, 0x8F, 0x90, 0x9D]) * 300, "a.txt", "unsupported_file", "Save it as UTF-8"),
    "truncated docx": (docx("Hello")[:-40], "a.docx", "invalid_file", "damaged or cut off"),
    "docx behind a password": (ole("EncryptedPackage"), "a.docx", "invalid_file", "password"),
    "docx without its text": (
        zipped({"[Content_Types].xml": "", "word/x": ""}),
        "a.docx",
        "invalid_file",
        "incomplete",
    ),
    "docx of broken XML": (zipped(docx_parts("<w:p>")), "a.docx", "invalid_file", "not well-formed"),
    "docx without words": (docx(""), "a.docx", "invalid_file", "no text"),
    "docx that climbs out": (
        zipped({**docx_parts(paragraph("Hi")), "../../etc/cron.d/x": "boo"}),
        "a.docx",
        "invalid_file",
        "lead out of it",
    ),
    "ZIP": (zipped({"a.txt": "Hello"}), "a.zip", "unsupported_file", "not unpacked"),
    "ZIP named docx": (zipped({"a.txt": "Hello"}), "a.docx", "invalid_file", "not a Word document"),
    "empty ZIP": (zipped({}), "a.xlsx", "invalid_file", "not an Excel workbook"),
    "workbook without values": (xlsx({"A": ""}), "a.xlsx", "invalid_file", "no text"),
    "book against copying": (epub("x", encrypted="OPS/text/0.xhtml"), "a.epub", "invalid_file", "DRM"),
    "book without chapters": (epub(), "a.epub", "invalid_file", "incomplete"),
    "ODT behind a password": (odf("text", "", manifest="<encryption-data/>"), "a.odt", "invalid_file", "password"),
    "no mail": (b"just a text\nof two lines\n", "a.eml", "invalid_file", "no mail"),
    "old Word": (ole("WordDocument"), "a.doc", "unsupported_file", "agentrt[formats]"),
    "Rich Text": (rb"{\rtf1\ansi Hello}", "a.rtf", "unsupported_file", "agentrt[formats]"),
    "old Word named docx": (ole("WordDocument"), "a.docx", "unsupported_file", "save it as docx"),
    "unknown container": (ole("Something"), "a.dat", "unsupported_file", "Upload it as PDF"),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_file_fails_with_its_code_and_a_message_that_helps(refuse: Refuse, case: str) -> None:
    data, name, code, words = BAD[case]
    error = await refuse(data, name)
    assert (error.reason, words in error.message) == (code, True), error.message
    assert error.message.endswith(".")
    assert "Traceback" not in error.message


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/shadow", "C:\\boot.ini", "a\0b", "\ud800", "." * 3000, ""]
)
async def test_a_name_is_only_a_name(read: Read, name: str) -> None:
    assert (await read(TEXT, name.encode(errors="replace").decode())).text == TEXT


# What wants to inflate -----------------------------------------------------------------------------------------------

ENTITIES = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">]>'
FILES = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]>'
REMOTE = '<!DOCTYPE x SYSTEM "http://127.0.0.1:1/x.dtd">'


def docx_with(doctype: str, text: str) -> bytes:
    parts = docx_parts(paragraph(text))
    parts["word/document.xml"] = str(parts["word/document.xml"]).replace("<w:document", f"{doctype}<w:document", 1)
    return zipped(parts)


@pytest.mark.parametrize("doctype", [ENTITIES, FILES])
async def test_a_document_with_entities_is_refused(refuse: Refuse, doctype: str) -> None:
    error = await refuse(docx_with(doctype, "&a;"), "a.docx")
    assert (error.reason, "entities" in error.message) == ("invalid_file", True)


async def test_nothing_is_fetched_for_a_document(read: Read) -> None:
    assert (await read(docx_with(REMOTE, "Hello"), "a.docx")).text == "Hello\n"


def bomb(declared_bytes: int | None = None) -> bytes:
    """A docx of 300 MB of spaces, packed into 300 KB. declared_bytes: what its headers say."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in docx_parts("").items():
            if name != "word/document.xml":
                archive.writestr(name, data)
        with archive.open("word/document.xml", "w") as member:
            for _ in range(300):
                member.write(b" " * (1 << 20))
        if declared_bytes is not None:
            archive.getinfo("word/document.xml").file_size = declared_bytes
    return out.getvalue()


@pytest.mark.parametrize("declared_bytes", [None, 5000])
async def test_an_archive_that_inflates_is_refused(refuse: Refuse, declared_bytes: int | None) -> None:
    error = await refuse(bomb(declared_bytes), "a.docx")
    assert error.reason == "invalid_file"
    assert "inflate" in error.message or "damaged" in error.message


async def test_elements_nested_without_end_cost_no_memory(read: Read) -> None:
    deep = "<w:p>" + "<w:r>" * 200_000 + "<w:t>deep</w:t>" + "</w:r>" * 200_000 + "</w:p>"
    assert (await read(zipped(docx_parts(deep)), "a.docx")).text == "deep\n"


async def test_mail_nested_without_end_ends(refuse: Refuse) -> None:
    head = "From: a@b\nMIME-Version: 1.0\n"
    parts = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(5000))
    error = await refuse(head + parts + "\nhello", "a.eml")
    assert error.reason == "invalid_file"


# Limits --------------------------------------------------------------------------------------------------------------


def limited(**limits: float) -> Extractor:
    return Extractor(limits=ProcessLimits(**limits))  # type: ignore[arg-type]


@pytest.fixture
async def small() -> AsyncIterator[Extractor]:
    async with limited(memory_bytes=300 << 20) as extractor:
        yield extractor


async def failure(extractor: Extractor, path: Path, name: str = "a.pdf") -> ExtractionError:
    with pytest.raises(ExtractionError) as caught:
        await extractor.extract(path, name)
    return caught.value


async def test_a_small_pdf_that_takes_all_memory_ends_alone(small: Extractor, tmp_path: Path) -> None:
    bad, good = tmp_path / "bad", tmp_path / "good"
    bad.write_bytes(inflating_pdf(1 << 29))
    good.write_text(TEXT)
    assert bad.stat().st_size < 10_000
    error = await failure(small, bad)
    assert (error.reason, "300 MB of memory" in error.message) == ("invalid_file", True)
    assert (await small.extract(good, "a.txt")).text == TEXT


async def test_more_text_than_a_file_may_have_is_refused(small: Extractor, tmp_path: Path) -> None:
    with (tmp_path / "blob").open("wb") as file:
        file.truncate(400 << 20)
    error = await failure(small, tmp_path / "blob", "a.txt")
    assert (error.reason, "5,000,000 tokens" in error.message) == ("invalid_file", True)


def test_text_that_grows_while_it_is_read_is_refused_on_the_way(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(pdf(*["a page of text"] * 20))
    with pytest.raises(ExtractionError, match="5,000,000 tokens"):
        read_file(path, "a.pdf", max_chars=150)


async def test_the_parents_memory_stays_flat(small: Extractor, tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(inflating_pdf(1 << 29))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(2):
        await failure(small, path)
    path.write_bytes(bomb())
    await failure(small, path, "a.docx")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 20_000  # KB


async def test_a_pdf_of_ten_thousand_pages_is_read(read: Read) -> None:
    stream = b"BT /F1 11 Tf 72 720 Td (Page after page) Tj ET"
    extracted = await read(pdf_of([stream], page_streams=[0] * 10_000), "a.pdf")
    assert (extracted.pages[-1].number, extracted.text.count("Page after page\n")) == (10_000, 10_000)


async def test_a_page_tree_that_leads_back_to_itself_ends(refuse: Refuse) -> None:
    data = pdf("Hello").replace(b"/Kids [5 0 R]", b"/Kids [2 0 R]")
    assert (await refuse(data, "a.pdf")).reason in {"invalid_file", "unsupported_file"}


async def test_arrays_nested_without_end_crash_nobody(read: Read) -> None:
    nested = b"[" * 200_000 + b"]" * 200_000
    data = pdf("Hello").replace(b"/MediaBox [0 0 612 792]", b"/MediaBox [0 0 612 792] /Deep " + nested)
    assert (await read(data, "a.pdf")).text == "Hello\n"


async def test_a_pipe_in_place_of_a_file_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "blob")
    async with limited(wall_s=0.5) as extractor:
        error = await failure(extractor, tmp_path / "blob")
    assert (error.reason, "0.5 seconds" in error.message) == ("invalid_file", True)


async def test_a_file_that_is_gone_is_the_servers_fault(extractor: Extractor, tmp_path: Path) -> None:
    error = await failure(extractor, tmp_path / "gone")
    assert error.reason == "server_error"


async def test_bad_files_at_once_do_not_disturb_a_good_one(tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    good.write_bytes(pdf("Hello"))
    bad.write_bytes(b"%PDF-1.7\n" + NOISE)
    async with Extractor(size=3) as extractor:
        results = await asyncio.gather(
            *(extractor.extract(good if n % 2 else bad, "a.pdf") for n in range(20)), return_exceptions=True
        )
    assert [getattr(result, "text", None) for result in results] == [None, "Hello\n"] * 10
