"""Documents that are ZIP archives: which kind one is, and its text."""

from __future__ import annotations

from pathlib import Path

from agentrt.errors import ExtractionError
from agentrt.files.extracted import Extracted
from agentrt.files.formats.archive import Archive, opened
from agentrt.files.formats.draft import Draft
from agentrt.files.formats.sniff import PROMISES, not_as_named, suffix_of


def read_archive(path: Path, filename: str, draft: Draft) -> Extracted:
    """The text of a docx, pptx, xlsx or epub. Raises ExtractionError, and so for every other archive."""
    with opened(path) as archive:
        match _kind_of(archive):
            case "docx":
                from agentrt.files.formats.docx import read_docx

                return read_docx(archive, draft)
            case "pptx":
                from agentrt.files.formats.pptx import read_pptx

                return read_pptx(archive, draft)
            case "xlsx":
                from agentrt.files.formats.xlsx import read_xlsx

                return read_xlsx(archive, draft)
            case "epub":
                from agentrt.files.formats.epub import read_epub

                return read_epub(archive, draft)
            case "odt" | "ods" | "odp" as kind:
                from agentrt.files.formats.odf import read_odf

                return read_odf(archive, kind, draft)
            case "pages":
                from agentrt.files.formats.rare import read_rare

                return read_rare(path, "pages", draft)
    suffix = suffix_of(filename)
    if suffix in PROMISES:
        raise not_as_named(suffix, "a ZIP archive without a document in it")
    raise ExtractionError(
        "unsupported_file", "The file is a ZIP archive. Archives are not unpacked: upload the files that are in it."
    )


def _kind_of(archive: Archive) -> str | None:
    """`docx`, `pptx`, `xlsx`, `epub`, `odt`, `ods`, `odp`, `pages`; None for an archive that is no document."""
    names = archive.names
    for kind, part in (("docx", "word/"), ("pptx", "ppt/"), ("xlsx", "xl/")):
        if "[Content_Types].xml" in names and any(name.startswith(part) for name in names):
            return kind
    if "META-INF/container.xml" in names:
        return "epub"
    if "mimetype" in names:
        media_type = archive.read("mimetype").decode("latin-1").strip()
        for kind, word in (("odt", "opendocument.text"), ("ods", ".spreadsheet"), ("odp", ".presentation")):
            if word in media_type:
                return kind
    return "pages" if "Index/Document.iwa" in names else None
