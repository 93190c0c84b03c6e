"""EPUB books: the chapters in the order of reading; a chapter is a page here."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote

from agentrt.errors import ExtractionError
from agentrt.files.extracted import Extracted
from agentrt.files.formats.archive import Archive
from agentrt.files.formats.decode import decode
from agentrt.files.formats.draft import Draft
from agentrt.files.formats.html import text_of_html
from agentrt.files.formats.xml import Attributes, parse_xml

_ENCRYPTION = "META-INF/encryption.xml"
_CHAPTERS = ("application/xhtml+xml", "text/html", "application/x-dtbook+xml")
_TITLE_CHARS = 200


def read_epub(archive: Archive, draft: Draft) -> Extracted:
    """The text of every chapter. Raises ExtractionError, also for books whose chapters are encrypted."""
    chapters = _chapters(archive)
    if not chapters:
        raise ExtractionError(
            "invalid_file", "The EPUB is incomplete: it does not say which chapters it has. Upload the original."
        )
    if _ENCRYPTION in archive.names and _is_locked(archive, set(chapters)):
        raise ExtractionError(
            "invalid_file", "The EPUB is protected against copying (DRM): upload a copy without protection."
        )
    for chapter in chapters:
        text = text_of_html(decode(archive.read(chapter)))
        draft.begin_page(_title(text))
        draft.add(text + "\n")
    return draft.finish("epub")


def _chapters(archive: Archive) -> list[str]:
    package = ""
    items: dict[str, tuple[str, str]] = {}
    spine: list[str] = []

    def on_container(name: str, attributes: Attributes) -> None:
        nonlocal package
        if name == "rootfile" and not package:
            package = attributes.get("full-path", "")

    def on_package(name: str, attributes: Attributes) -> None:
        if name == "item":
            place = posixpath.join(posixpath.dirname(package), unquote(attributes.get("href", "")))
            items[attributes.get("id", "")] = (posixpath.normpath(place), attributes.get("media-type", ""))
        elif name == "itemref":
            spine.append(attributes.get("idref", ""))

    parse_xml(archive.pieces("META-INF/container.xml"), start=on_container)
    parse_xml(archive.pieces(package), start=on_package)
    found = [items[ref] for ref in spine if ref in items]
    return [place for place, media_type in found if media_type in _CHAPTERS and place in archive.names]


def _is_locked(archive: Archive, chapters: set[str]) -> bool:
    """Whether a chapter is encrypted. (Fonts often are, which hides nothing.)"""
    locked: set[str] = set()

    def start(name: str, attributes: Attributes) -> None:
        if name == "CipherReference":
            locked.add(unquote(attributes.get("URI", "")))

    parse_xml(archive.pieces(_ENCRYPTION), start=start)
    return bool(locked & chapters)


def _title(text: str) -> str:
    first = text.lstrip().partition("\n")[0]
    return first.lstrip("# ")[:_TITLE_CHARS]
