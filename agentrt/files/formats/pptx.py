"""PowerPoint presentations: each slide in its order, its tables by rows, its notes after it."""

from __future__ import annotations

import re

from agentrt.files.extracted import Extracted
from agentrt.files.formats.archive import Archive
from agentrt.files.formats.draft import Draft
from agentrt.files.formats.parts import main_part, relations
from agentrt.files.formats.xml import Attributes, attribute, parse_xml

_SLIDE = re.compile(r"ppt/slides/slide(\d+)\.xml")
# Placeholders that every slide repeats.
_REPEATED = {"sldNum", "dt", "ftr", "hdr", "sldImg"}


def read_pptx(archive: Archive, draft: Draft) -> Extracted:
    """The text of every slide; a slide is a page. Raises ExtractionError."""
    for slide in _slides(archive):
        draft.begin_page()
        for line in _lines(archive, slide):
            draft.add(line + "\n")
        for kind, place in relations(archive, slide).values():
            if kind == "notesSlide" and place in archive.names and (lines := _lines(archive, place)):
                draft.add("Notes: " + "\n".join(lines) + "\n")
        draft.add("\n")
    return draft.finish("pptx")


def _slides(archive: Archive) -> list[str]:
    """The names of the slides in the order of the show; by their numbers where it is not said."""
    main = main_part(archive, "ppt/presentation.xml")
    related = relations(archive, main)
    order: list[str] = []

    def start(name: str, attributes: Attributes) -> None:
        # `id` comes twice: the slide's own number, and the relationship, which has a namespace.
        if name == "sldId":
            order.extend(value for key, value in attributes.items() if key.endswith(" id"))

    if main in archive.names:
        parse_xml(archive.pieces(main), start=start)
    slides = [related[rel][1] for rel in order if rel in related and related[rel][1] in archive.names]
    if slides:
        return slides
    found = [(int(match[1]), name) for name in archive.names if (match := _SLIDE.fullmatch(name))]
    return [name for _, name in sorted(found)]


def _lines(archive: Archive, part: str) -> list[str]:
    """The paragraphs and table rows of a slide, or of its notes."""
    reader = _Shapes()
    parse_xml(archive.pieces(part), start=reader.start, end=reader.end, text=reader.text)
    return reader.lines


class _Shapes:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self._line: list[str] = []
        self._cells: list[str] | None = None
        self._is_text = False
        self._is_repeated = False
        self._n_skipped = 0

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "Fallback" or self._n_skipped:
            self._n_skipped += 1
        elif name == "ph":
            self._is_repeated = attribute(attributes, "type") in _REPEATED
        elif name == "t":
            self._is_text = True
        elif name == "br":
            self._line.append("\n")
        elif name == "tr":
            self._cells = []

    def end(self, name: str) -> None:
        if self._n_skipped:
            self._n_skipped -= 1
        elif name == "t":
            self._is_text = False
        elif name == "sp":
            self._is_repeated = False
        elif name == "p":
            self._end_paragraph()
        elif name == "tc" and self._cells is not None:
            self._cells.append(" ".join("".join(self._line).split()))
            self._line = []
        elif name == "tr" and self._cells is not None:
            if any(self._cells):
                self.lines.append(" | ".join(self._cells))
            self._cells = None

    def text(self, data: str) -> None:
        if self._is_text and not self._is_repeated and not self._n_skipped:
            self._line.append(data)

    def _end_paragraph(self) -> None:
        if self._cells is not None:
            self._line.append(" ")
            return
        line = "".join(self._line).strip()
        if line:
            self.lines.append(line)
        self._line = []
