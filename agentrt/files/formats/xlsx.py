"""Excel workbooks: each sheet a page, each row a line with tabs between its cells, dates as dates."""

from __future__ import annotations

import string

from agentrt.files.extracted import Extracted
from agentrt.files.formats.archive import Archive
from agentrt.files.formats.cells import Book, cell_text, read_book
from agentrt.files.formats.draft import Draft
from agentrt.files.formats.xml import Attributes, parse_xml

_COLUMNS_MAX = 16_384
_LETTERS = {letter: i for i, letter in enumerate(string.ascii_uppercase, 1)}
_VALUES = {"v", "t"}


def read_xlsx(archive: Archive, draft: Draft) -> Extracted:
    """The values of every cell, as they were when the workbook was saved. Raises ExtractionError."""
    book = read_book(archive)
    for name, part in book.sheets:
        draft.begin_page(name)
        before = draft.n_chars
        sheet = _Sheet(book, draft, f"# {name}\n")
        parse_xml(archive.pieces(part), start=sheet.start, end=sheet.end, text=sheet.text)
        if draft.n_chars > before:
            draft.add_table(sheet.begins_at, sheet.header_end)
            draft.add("\n")
    return draft.finish("xlsx")


class _Sheet:
    """Adds a line for each row that has something in it; the first is taken for the header."""

    def __init__(self, book: Book, draft: Draft, title: str) -> None:
        self._book = book
        self._draft = draft
        self._title = title
        self.begins_at = self.header_end = 0
        self._row: list[str] = []
        self._column = 0
        self._kind = self._style = ""
        self._value: list[str] = []
        self._is_value = False

    def start(self, name: str, attributes: Attributes) -> None:
        if name == "c":
            self._column = _column(attributes.get("r", "")) or self._column + 1
            self._kind = attributes.get("t", "n")
            self._style = attributes.get("s", "")
        elif name in _VALUES:
            self._is_value = True

    def text(self, data: str) -> None:
        if self._is_value:
            self._value.append(data)

    def end(self, name: str) -> None:
        if name in _VALUES:
            self._is_value = False
        elif name == "c":
            self._end_cell()
        elif name == "row":
            self._end_row()

    def _end_cell(self) -> None:
        if self._value:
            text = cell_text("".join(self._value), self._kind, self._style, self._book)
            self._value = []
            if text and len(self._row) < self._column <= _COLUMNS_MAX:
                self._row += [""] * (self._column - 1 - len(self._row))
                self._row.append(text)

    def _end_row(self) -> None:
        self._column = 0
        if not self._row:
            return
        is_first = not self.header_end
        if is_first:
            self._draft.add(self._title)
            self.begins_at = self._draft.n_chars
        self._draft.add("\t".join(self._row) + "\n")
        if is_first:
            self.header_end = self._draft.n_chars
        self._row = []


def _column(reference: str) -> int:
    """28 for `AB7`; 0 for what is no reference."""
    number = 0
    for letter in reference:
        value = _LETTERS.get(letter)
        if value is None:
            break
        number = number * 26 + value
    return number
