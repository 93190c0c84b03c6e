"""OpenDocument (odt, ods, odp): paragraphs and rows on a line each; a sheet or a slide is a page."""

from __future__ import annotations

from collections.abc import Callable

from agentrt.errors import ExtractionError
from agentrt.files.extracted import Extracted
from agentrt.files.formats.archive import Archive
from agentrt.files.formats.draft import Draft
from agentrt.files.formats.xml import Attributes, attribute, parse_xml

_MANIFEST = "META-INF/manifest.xml"
_DEEPEST_HEADING = 6
_SPACES_MAX = 100
_REPEATS_MAX = 256


def read_odf(archive: Archive, kind: str, draft: Draft) -> Extracted:
    """kind: `odt`, `ods` or `odp`. Raises ExtractionError, also for documents behind a password."""
    if _MANIFEST in archive.names and b"encryption-data" in archive.read(_MANIFEST):
        raise ExtractionError(
            "invalid_file", "The document needs a password to be opened. Remove the password and upload it again."
        )
    reader = _Body(draft, pages={"ods": "table", "odp": "page"}.get(kind, ""))
    parse_xml(archive.pieces("content.xml"), start=reader.start, end=reader.end, text=reader.text)
    return draft.finish(kind)


class _Body:
    """pages: the element that is a page of its own."""

    def __init__(self, draft: Draft, *, pages: str) -> None:
        self._draft = draft
        self._pages = pages
        self._line: list[str] = []
        self._lead = ""
        self._n_texts = self._n_skipped = 0
        self._cells: list[str] = []
        self._n_rows = self._n_repeats = 0
        self._table_start = self._header_end = 0
        self._starts: dict[str, Callable[[Attributes], None]] = {
            "h": self._start_heading,
            "p": self._start_paragraph,
            "tab": lambda _: self._line.append("\t"),
            "line-break": lambda _: self._line.append("\n"),
            "s": self._start_spaces,
            "table-row": self._start_row,
            "table-cell": self._start_cell,
            "covered-table-cell": self._start_cell,
        }

    def start(self, name: str, attributes: Attributes) -> None:
        if self._n_skipped or name in {"tracked-changes", "annotation"}:
            self._n_skipped += 1
            return
        if name == self._pages:
            label = attribute(attributes, "name") or ""
            self._draft.begin_page(label)
            if name == "table":
                self._draft.add(f"# {label}\n")
                self._table_start = self._header_end = self._draft.n_chars
        elif handler := self._starts.get(name):
            handler(attributes)

    def end(self, name: str) -> None:
        if self._n_skipped:
            self._n_skipped -= 1
        elif name in {"p", "h"}:
            self._end_paragraph()
        elif name in {"table-cell", "covered-table-cell"}:
            self._cells += [" ".join("".join(self._line).split())] * self._n_repeats
            self._line = []
        elif name == "table-row":
            self._end_row()
        elif name == self._pages:
            self._draft.add_table(self._table_start, self._header_end)

    def text(self, data: str) -> None:
        if self._n_texts and not self._n_skipped:
            self._line.append(data)

    def _start_heading(self, attributes: Attributes) -> None:
        level = attribute(attributes, "outline-level") or "1"
        self._lead = "#" * min(int(level) if level.isdecimal() else 1, _DEEPEST_HEADING) + " "
        self._n_texts += 1

    def _start_paragraph(self, _: Attributes) -> None:
        self._n_texts += 1

    def _start_spaces(self, attributes: Attributes) -> None:
        count = attribute(attributes, "c") or "1"
        self._line.append(" " * min(int(count) if count.isdecimal() else 1, _SPACES_MAX))

    def _start_row(self, _: Attributes) -> None:
        self._n_rows += 1
        self._cells = []

    def _start_cell(self, attributes: Attributes) -> None:
        # The last cell of a row is often "repeated" to the end of the sheet.
        count = attribute(attributes, "number-columns-repeated") or "1"
        self._n_repeats = min(int(count) if count.isdecimal() else 1, _REPEATS_MAX)

    def _end_paragraph(self) -> None:
        self._n_texts -= 1
        if self._n_rows:
            self._line.append(" ")
            return
        text = "".join(self._line).strip()
        if text:
            self._draft.add(f"\n{self._lead}{text}\n" if self._lead else f"{text}\n")
        self._line, self._lead = [], ""

    def _end_row(self) -> None:
        self._n_rows -= 1
        while self._cells and not self._cells[-1]:
            self._cells.pop()
        if not self._cells:
            return
        is_first = self._header_end == self._table_start == self._draft.n_chars
        self._draft.add(("\t" if self._pages == "table" else " | ").join(self._cells) + "\n")
        if is_first:
            self._header_end = self._draft.n_chars
        self._cells = []
