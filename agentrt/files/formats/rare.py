"""Formats that the base install does not read: Word 97–2003, RTF, Outlook … The home of kreuzberg, an extra.

Only these: of plain text in other encodings it makes rubbish, for code it wants to download a grammar.
"""

from __future__ import annotations

from pathlib import Path

from agentrt.errors import ExtractionError
from agentrt.files.extracted import Extracted
from agentrt.files.formats.draft import Draft
from agentrt.files.formats.sniff import PROMISES, not_as_named, suffix_of

# Kind → what people call it, its media type, and what to save it as instead.
_KINDS = {
    "doc": ("a Word 97–2003 document (.doc)", "application/msword", "docx"),
    "xls": ("an Excel 97–2003 workbook (.xls)", "application/vnd.ms-excel", "xlsx"),
    "ppt": ("a PowerPoint 97–2003 presentation (.ppt)", "application/vnd.ms-powerpoint", "pptx"),
    "msg": ("an Outlook message (.msg)", "application/vnd.ms-outlook", "eml"),
    "rtf": ("a Rich Text document (.rtf)", "application/rtf", "docx"),
    "pages": ("an Apple Pages document", "application/x-iwork-pages-sffpages", "docx"),
}

# The old Office kinds are all the same container; the names of its streams, in UTF-16, tell them apart.
_STREAMS = (
    ("EncryptedPackage", "locked"),
    ("WordDocument", "doc"),
    ("Workbook", "xls"),
    ("PowerPoint Document", "ppt"),
    ("__substg1.0_", "msg"),
)


def read_ole(path: Path, filename: str, draft: Draft) -> Extracted:
    """An Office file of before 2007, or a newer one behind a password. Raises ExtractionError."""
    data = path.read_bytes()
    kind = next((kind for stream, kind in _STREAMS if stream.encode("utf-16-le") in data), None)
    if kind == "locked":
        raise ExtractionError(
            "invalid_file", "The document needs a password to be opened. Remove the password and upload it again."
        )
    suffix = suffix_of(filename)
    if kind is None:
        if suffix in PROMISES:
            raise not_as_named(suffix, "something else")
        raise ExtractionError(
            "unsupported_file", "The file is a Microsoft container of a kind that is not known here. Upload it as PDF."
        )
    return read_rare(path, kind, draft)


def read_rare(path: Path, kind: str, draft: Draft) -> Extracted:
    """What kreuzberg finds in the file, if it is installed. Raises ExtractionError."""
    name, media_type, instead = _KINDS[kind]
    try:
        from kreuzberg import extract_bytes_sync  # type: ignore[import-not-found,unused-ignore]
    except ImportError:
        raise ExtractionError(
            "unsupported_file",
            f"The file is {name}. To read it, install the extra `formats` on the server "
            f"(pip install 'agentrt[formats]'), or save it as {instead} or PDF and upload that.",
        ) from None
    try:
        content = extract_bytes_sync(path.read_bytes(), media_type).content
    except Exception as error:  # its own classes, of which there are many
        raise ExtractionError(
            "invalid_file", f"The file is {name}, and cannot be read. Save it as {instead} or PDF and upload that."
        ) from error
    draft.add(str(content))
    return draft.finish(kind)
