"""Documents with damage anywhere in them are read or refused: nothing else comes out of a reader."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentrt.errors import ExtractionError
from agentrt.files.formats.read import read_file
from tests.files.documents import docx_parts, epub, odf, paragraph, pptx, shape, xlsx, zipped
from tests.files.test_formats import MAIL, PAGE, SHEET, SHEET_STYLES, STYLES

WHOLE = {
    "a.docx": zipped(docx_parts(paragraph("Hello", "berschrift2") * 3, styles=STYLES, footnotes=paragraph("A note."))),
    "a.pptx": pptx([shape("First"), shape("Second")], {1: "Notes"}),
    "a.xlsx": xlsx({"Prices": SHEET}, shared=["<t>a</t>", "<t>b</t>"], styles=SHEET_STYLES),
    "a.epub": epub("<h1>One</h1>", "<p>two"),
    "a.odt": odf("text", '<text:h text:outline-level="2">Head</text:h><text:p>a<text:s text:c="3"/></text:p>'),
    "a.eml": MAIL.encode(),
    "a.html": PAGE.encode(),
    "a.txt": "Größe und Länge, 漢字".encode("utf-16"),
    "a.json": b'{"a": "\\u00e9\\ud83d\\ude00"}',
}


def damaged(data: bytes, place: float, junk: bytes) -> bytes:
    start = int(place * len(data))
    return data[:start] + junk + data[start + len(junk) :]


def damaged_inside(data: bytes, place: float, junk: bytes) -> bytes:
    """An archive that is whole, around one member that is not."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        parts: dict[str, str | bytes] = {name: archive.read(name) for name in archive.namelist()}
    names = sorted(parts)
    name = names[int(place * len(names))]
    whole = parts[name]
    assert isinstance(whole, bytes)
    parts[name] = damaged(whole, place * len(names) % 1, junk)
    return zipped(parts)


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 0.999), junk=st.binary(min_size=1, max_size=30), is_inside=st.booleans())
def test_a_damaged_document_is_read_or_refused(
    tmp_path: Path, name: str, place: float, junk: bytes, is_inside: bool
) -> None:
    data = WHOLE[name]
    is_archive = data.startswith(b"PK")
    path = tmp_path / "blob"
    path.write_bytes((damaged_inside if is_inside and is_archive else damaged)(data, place, junk))
    with suppress(ExtractionError):
        assert read_file(path, name).text.strip()


@pytest.mark.parametrize("name", WHOLE)
@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(end=st.floats(0, 1))
def test_a_document_that_was_cut_off_is_read_or_refused(tmp_path: Path, name: str, end: float) -> None:
    path = tmp_path / "blob"
    path.write_bytes(WHOLE[name][: int(end * len(WHOLE[name]))])
    with suppress(ExtractionError):
        assert read_file(path, name).text.strip()
