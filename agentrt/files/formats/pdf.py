"""PDF → text, page by page. The home of pypdfium2."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from agentrt.errors import ExtractionError
from agentrt.files.extracted import Extracted
from agentrt.files.formats.draft import Draft

if TYPE_CHECKING:
    from pypdfium2 import PdfDocument  # type: ignore[import-untyped]

_PASSWORD_ERROR = 4  # FPDF_ERR_PASSWORD
_SECURITY_ERROR = 5  # FPDF_ERR_SECURITY
# A word that was divided at the end of a line: pdfium writes U+FFFE (or 0x02) for its hyphen.
_DIVIDED = re.compile("[\ufffe\x02](?:\r?\n)?")


def read_pdf(path: Path, draft: Draft) -> Extracted:
    """The text of every page. Raises ExtractionError for damaged and locked files, and for scans."""
    from pypdfium2 import PdfDocument, PdfiumError

    try:
        document = PdfDocument(path)
    except PdfiumError as error:
        raise _unreadable(getattr(error, "err_code", None)) from error
    n_pages = len(document)
    try:
        for number in range(n_pages):
            draft.begin_page()
            draft.add(_text_of_page(document, number))
    finally:
        document.close()
    try:
        return draft.finish("pdf")
    except ExtractionError:
        raise _scan(n_pages) from None


def _text_of_page(document: PdfDocument, number: int) -> str:
    from pypdfium2 import PdfiumError

    try:
        page = document[number]
    except PdfiumError:  # this page is damaged; the others may be whole
        return ""
    textpage = page.get_textpage()
    text = str(textpage.get_text_range())
    textpage.close()
    page.close()
    text = _DIVIDED.sub("", text).replace("\r\n", "\n").replace("\xa0", " ")
    return text if text.endswith("\n") or not text else text + "\n"


def _unreadable(code: int | None) -> ExtractionError:
    if code == _PASSWORD_ERROR:
        return ExtractionError(
            "invalid_file", "The PDF needs a password to be opened. Remove the password and upload it again."
        )
    if code == _SECURITY_ERROR:
        return ExtractionError(
            "unsupported_file", "The PDF is protected in a way that is not known here. Upload it without protection."
        )
    return ExtractionError(
        "invalid_file",
        "The PDF is damaged or cut off: it cannot be opened. Upload the original, or print it to a new PDF.",
    )


def _scan(n_pages: int) -> ExtractionError:
    return ExtractionError(
        "unsupported_file",
        f"The PDF has no text layer: its {n_pages} page(s) hold images only, as scans do. OCR is not built in: run the "
        "file through an OCR program (for example ocrmypdf) and upload the result.",
    )
