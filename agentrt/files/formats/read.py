"""Read a file: find out what it is, and give it to the reader of its kind. This runs in a process of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

import msgspec

from agentrt.errors import ExtractionError
from agentrt.files.extracted import Extracted
from agentrt.files.formats.draft import MAX_CHARS, Draft, too_long
from agentrt.files.formats.sniff import HEAD_BYTES, sniff, suffix_of

_BYTES_PER_CHAR_MAX = 4

_HTML = re.compile(r"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b", re.IGNORECASE | re.DOTALL)
_HTML_SUFFIXES = (".html", ".htm", ".xhtml")
_MAIL = re.compile(
    r"(?:(?:[A-Za-z][A-Za-z0-9-]*): .*(?:\r?\n[ \t].*)*\r?\n)*?(?:MIME-Version|Message-ID|Received): ", re.IGNORECASE
)


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """An ExtractionError on its way to the parent process."""

    reason: Literal["invalid_file", "unsupported_file", "server_error"]
    message: str

    def to_error(self) -> ExtractionError:
        return ExtractionError(self.reason, self.message)


def read_file(path: Path, filename: str, *, max_chars: int = MAX_CHARS) -> Extracted:
    """The text of a file. Raises ExtractionError, and whatever a parser raises on what its author did not expect.

    Limits nothing but the length of the text: call it where memory and time are limited.
    """
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise ExtractionError("invalid_file", "The file is empty: it has 0 bytes.")
    try:
        return _read_as(sniff(head, filename), path, filename, max_chars)
    except RecursionError:
        message = "The file is nested more deeply than anybody could read. Simplify it."
        raise ExtractionError("invalid_file", message) from None


def _read_as(kind: str, path: Path, filename: str, max_chars: int) -> Extracted:
    draft = Draft(max_chars=max_chars)
    match kind:
        case "pdf":
            from agentrt.files.formats.pdf import read_pdf

            return read_pdf(path, draft)
        case "zip":
            from agentrt.files.formats.zipped import read_archive

            return read_archive(path, filename, draft)
        case "ole":
            from agentrt.files.formats.rare import read_ole

            return read_ole(path, filename, draft)
        case "rtf":
            from agentrt.files.formats.rare import read_rare

            return read_rare(path, "rtf", draft)
    return _read_text(path, filename, draft, max_chars)


def _read_text(path: Path, filename: str, draft: Draft, max_chars: int) -> Extracted:
    if path.stat().st_size > max_chars * _BYTES_PER_CHAR_MAX:
        raise too_long()
    data = path.read_bytes()
    suffix = suffix_of(filename)
    if suffix == ".eml":
        from agentrt.files.formats.mail import read_mail

        return read_mail(data, draft)
    if suffix in _HTML_SUFFIXES:
        from agentrt.files.formats.html import read_html

        return read_html(data, draft)
    from agentrt.files.formats.decode import decode

    text = decode(data)
    if _HTML.match(text):
        from agentrt.files.formats.html import read_html_text

        return read_html_text(text, draft)
    if _MAIL.match(text):
        from agentrt.files.formats.mail import read_mail

        return read_mail(data, draft)
    from agentrt.files.formats.plain import read_plain

    return read_plain(text, suffix, draft)
