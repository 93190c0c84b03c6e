"""Word documents: paragraphs on a line each, headings as in Markdown, rows of tables on a line each, then the notes."""

from __future__ import annotations

from collections.abc import Callable

from agentrt.files.extracted import Extracted
from agentrt.files.formats.archive import Archive
from agentrt.files.formats.draft import Draft
from agentrt.files.formats.parts import main_part, relations
from agentrt.files.formats.xml import Attributes, attribute, parse_xml

_NOTES = ("footnotes", "endnotes")
_DEEPEST_HEADING = 6


def read_docx(archive: Archive, draft: Draft) -> Extracted:
    """The text of a document, with pages where Word has noted them. Raises ExtractionError."""
    main = main_part(archive, "word/document.xml")
    related = {kind: place for kind, place in relations(archive, main).values() if place in archive.names}
    levels = _heading_levels(archive, related["styles"]) if "styles" in related else {}
    story = _Story(draft, levels)
    draft.begin_page()
    story.read(archive, main)
    for kind in _NOTES:
        if kind in related:
            story.read(archive, related[kind])
    extracted = draft.finish("docx")
    # One page only: Word has not noted where pages begin, and a number would be wrong.
    return extracted if len(extracted.pages) > 1 else Extracted(extracted.text, extracted.format)


class _Story:
    """The running text of one part after the other."""

    def __init__(self, draft: Draft, levels: dict[str, int]) -> None:
        self._draft = draft
        self._levels = levels
        self._line: list[str] = []
        self._is_text = False
        self._n_skipped = 0
        self._lead = ""
        self._n_tables = 0
        self._cells: list[str] = []
        self._starts: dict[str, Callable[[Attributes], None]] = {
            "t": self._start_text,
            "tab": lambda _: self._line.append("\t"),
            "cr": lambda _: self._line.append("\n"),
            "br": lambda _: self._line.append("\n"),
            "noBreakHyphen": lambda _: self._line.append("-"),
            "pStyle": self._start_style,
            "lastRenderedPageBreak": lambda _: self._begin_page(),
            "tbl": self._start_table,
        }
        self._ends: dict[str, Callable[[], None]] = {
            "t": self._end_text,
            "p": self._end_paragraph,
            "tc": self._end_cell,
            "tr": self._end_row,
            "tbl": self._end_table,
        }

    def read(self, archive: Archive, part: str) -> None:
        parse_xml(archive.pieces(part), start=self._start, end=self._end, text=self._text)

    def _start(self, name: str, attributes: Attributes) -> None:
        # A text box comes twice: as Choice, and as Fallback for programs of old.
        if name == "Fallback" or self._n_skipped:
            self._n_skipped += 1
        elif handler := self._starts.get(name):
            handler(attributes)

    def _end(self, name: str) -> None:
        if self._n_skipped:
            self._n_skipped -= 1
        elif handler := self._ends.get(name):
            handler()

    def _text(self, data: str) -> None:
        if self._is_text and not self._n_skipped:
            self._line.append(data)

    def _start_text(self, _: Attributes) -> None:
        self._is_text = True

    def _end_text(self) -> None:
        self._is_text = False

    def _start_style(self, attributes: Attributes) -> None:
        level = self._levels.get(attribute(attributes, "val") or "")
        if level is not None and not self._n_tables:
            self._lead = "#" * level + " "

    def _start_table(self, _: Attributes) -> None:
        self._n_tables += 1

    def _end_paragraph(self) -> None:
        if self._n_tables:
            self._line.append(" ")
            return
        text = "".join(self._line).strip()
        if text:
            self._draft.add(f"\n{self._lead}{text}\n" if self._lead else f"{text}\n")
        self._line, self._lead = [], ""

    def _end_cell(self) -> None:
        self._cells.append(" ".join("".join(self._line).split()))
        self._line = []

    def _end_row(self) -> None:
        if any(self._cells):
            self._draft.add(" | ".join(self._cells) + "\n")
        self._cells = []

    def _end_table(self) -> None:
        self._n_tables = max(0, self._n_tables - 1)

    def _begin_page(self) -> None:
        """Word notes where pages began when it showed them last, often in the middle of a paragraph."""
        if not self._n_tables:
            self._draft.add("".join(self._line))
            self._line = []
        self._draft.begin_page()


def _heading_levels(archive: Archive, part: str) -> dict[str, int]:
    """Style id → level. Ids are in the language of Word, names of built-in styles are `heading 1` in all of them."""
    levels: dict[str, int] = {}
    style = ""

    def start(name: str, attributes: Attributes) -> None:
        nonlocal style
        if name == "style":
            style = attribute(attributes, "styleId") or ""
        elif name == "name" and style:
            words = (attribute(attributes, "val") or "").lower().split()
            if words == ["title"]:
                levels[style] = 1
            elif len(words) == 2 and words[0] == "heading" and words[1].isdigit():
                levels[style] = min(max(int(words[1]), 1), _DEEPEST_HEADING)

    parse_xml(archive.pieces(part), start=start)
    return levels
