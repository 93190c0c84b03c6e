"""What a file is, by its first bytes. A name only helps where the bytes leave it open, and is checked against them."""

from __future__ import annotations

from pathlib import PurePath

from agentrt.errors import ExtractionError

HEAD_BYTES = 4096

_PDF = b"%PDF-"
# A PDF may have rubbish before it: what sends it (mail gateways, web servers) leaves lines there.
_PDF_WITHIN = 1024

# First bytes → kind: what formats/read.py has a reader for.
_READABLE = (
    (_PDF, "pdf"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PK\x07\x08", "zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"{\\rtf", "rtf"),
)

# First bytes → what it is called in a message: known, and not text.
_FOREIGN = (
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"II*\0", "a TIFF image"),
    (b"MM\0*", "a TIFF image"),
    (b"8BPS", "a Photoshop image"),
    (b"\0\0\1\0", "an icon"),
    (b"%!PS", "a PostScript program"),
    (b"\x7fELF", "a program"),
    (b"MZ", "a program"),
    (b"\xca\xfe\xba\xbe", "a program"),
    (b"\xcf\xfa\xed\xfe", "a program"),
    (b"\xfe\xed\xfa", "a program"),
    (b"\0asm", "a program"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ\0", "an xz archive"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x28\xb5\x2f\xfd", "a Zstandard archive"),
    (b"SQLite format 3\0", "a SQLite database"),
    (b"PAR1", "a Parquet file"),
    (b"ID3", "a sound recording"),
    (b"OggS", "a sound recording"),
    (b"fLaC", "a sound recording"),
    (b"\x1aE\xdf\xa3", "a video"),
    (b"wOFF", "a font"),
    (b"wOF2", "a font"),
)
_RIFF = {b"WEBP": "a WebP image", b"WAVE": "a sound recording", b"AVI ": "a video"}
# Letters that a text may begin with too: then only what follows tells.
_LETTERS_ONLY = {b"MZ", b"BZh", b"ID3", b"PAR1", b"8BPS", b"wOFF", b"wOF2", b"OggS", b"fLaC"}

_CONTROLS = bytes(code for code in (*range(32), 0x7F) if code not in b"\t\n\r\f\x1b")

PROMISES = {
    ".pdf": "a PDF",
    ".docx": "a Word document",
    ".pptx": "a PowerPoint presentation",
    ".xlsx": "an Excel workbook",
    ".epub": "an EPUB book",
}
"""Endings that nobody gives to a plain text: the file is damaged, or not what its name says."""


def suffix_of(filename: str) -> str:
    """`.pdf` of `Report.PDF`; "" without one."""
    return PurePath(filename.replace("\\", "/")).suffix.lower()


def sniff(head: bytes, filename: str) -> str:
    """The kind of a file: `pdf`, `zip`, `ole`, `rtf`, or `text` for what has to be decoded to be known.

    head: the first HEAD_BYTES of the file. Raises ExtractionError for what is known not to be readable.
    """
    for magic, kind in _READABLE:
        if head.startswith(magic):
            return kind
    suffix = suffix_of(filename)
    if suffix == ".pdf" and _PDF in head[:_PDF_WITHIN]:
        return "pdf"
    foreign = _foreign(head)
    if suffix in PROMISES:
        raise not_as_named(suffix, foreign or "something else")
    if foreign is not None:
        raise ExtractionError("unsupported_file", f"The file is {foreign}: there is no text in it to be read.")
    return "text"


def not_as_named(suffix: str, found: str) -> ExtractionError:
    """The error for a file that does not begin as one of its name must."""
    return ExtractionError(
        "invalid_file",
        f"The file is named {suffix} and is not {PROMISES[suffix]}: it begins like {found}. It may be damaged, or "
        "have a wrong name; upload the original.",
    )


def has_control_characters(data: bytes | str) -> bool:
    """Whether more than one in a hundred is a control character that no text has."""
    if isinstance(data, bytes):
        n = len(data) - len(data.translate(None, _CONTROLS))
    else:
        n = sum(map(data.count, _CONTROLS.decode()))
    return n * 100 > len(data)


def _foreign(head: bytes) -> str | None:
    for magic, name in _FOREIGN:
        if head.startswith(magic) and not (magic in _LETTERS_ONLY and not has_control_characters(head)):
            return name
    if head.startswith(b"RIFF"):
        return _RIFF.get(head[8:12])
    return "a video or a photo" if head[4:8] == b"ftyp" else None
