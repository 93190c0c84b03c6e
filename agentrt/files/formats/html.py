"""HTML → text: headings as in Markdown, rows of tables on a line each, no scripts, styles or markup.

html.parser, because it takes any nesting: the fast C parsers need half a minute for 100,000 nested elements.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Final

from agentrt.files.extracted import Extracted
from agentrt.files.formats.decode import decode
from agentrt.files.formats.draft import Draft

_SILENT: Final = {"script", "style", "template", "svg", "iframe", "noembed"}
_BLOCKS: Final = {
    *("address", "article", "aside", "blockquote", "body", "details", "dd", "div", "dl", "dt", "fieldset"),
    *("figcaption", "figure", "footer", "form", "header", "hr", "legend", "main", "nav", "ol", "option", "p", "pre"),
    *("section", "summary", "table", "tbody", "tfoot", "thead", "title", "tr", "ul"),
}
_HEADINGS: Final = {f"h{level}": "#" * level + " " for level in range(1, 7)}
_CELLS: Final = {"td", "th"}
_CHARSET: Final = re.compile(rb"""<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*["']?([\w-]+)""", re.IGNORECASE)
_CHARSET_WITHIN: Final = 4096
_SPACES: Final = re.compile(r"[ \t\r\n\f\xa0]+")


def read_html(data: bytes, draft: Draft) -> Extracted:
    """The text of a page. Raises ExtractionError."""
    declared = _CHARSET.search(data[:_CHARSET_WITHIN])
    return read_html_text(decode(data, declared=declared[1].decode() if declared else None), draft)


def read_html_text(html: str, draft: Draft) -> Extracted:
    """As read_html, for what is decoded already."""
    draft.add(text_of_html(html))
    return draft.finish("html")


def text_of_html(html: str) -> str:
    """The text that a reader of the page would see, and its title."""
    page = _Page()
    page.feed(html)
    page.close()
    return page.text()


class _Page(HTMLParser):
    """Collects lines. A block begins a new one; white space outside `pre` means nothing."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._line: list[str] = []
        self._lead = ""
        self._silent: list[str] = []
        self._n_pre = 0

    def text(self) -> str:
        self._end_line()
        return "\n".join(self._lines).strip("\n") + "\n"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self._silent or tag in _SILENT:
            if tag in _SILENT:
                self._silent.append(tag)
            return
        if tag == "br":
            self._end_line()
        elif tag in _CELLS:
            if self._line:
                self._line.append(" | ")
        elif tag in _HEADINGS:
            self._end_line(is_gap=True)
            self._lead = _HEADINGS[tag]
        elif tag == "li":
            self._end_line()
            self._lead = "- "
        elif tag in _BLOCKS:
            self._end_line(is_gap=tag in {"p", "table", "section", "article"})
            self._n_pre += tag == "pre"

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _SILENT:  # `<script/>` in XHTML: nothing is in it
            self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self._silent:
            if tag in self._silent:
                del self._silent[self._silent.index(tag) :]
        elif tag in _HEADINGS or tag in _BLOCKS or tag == "li":
            self._end_line(is_gap=tag in _HEADINGS)
            self._n_pre = max(0, self._n_pre - (tag == "pre"))

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        if self._n_pre:
            first, *others = data.split("\n")
            self._line.append(first)
            for other in others:
                self._lines.append("".join(self._line))
                self._line = [other]
            return
        text = _SPACES.sub(" ", data)
        if text != " " or (self._line and not self._line[-1].endswith(" ")):
            self._line.append(text)

    def _end_line(self, *, is_gap: bool = False) -> None:
        """End the line, if there is something in it. is_gap: an empty line shall follow what is there so far."""
        line = "".join(self._line)
        line = line.rstrip() if self._n_pre else line.strip()
        if line:
            self._lines.append(self._lead + line)
            self._lead = ""
        self._line = []
        if is_gap and self._lines and self._lines[-1]:
            self._lines.append("")
