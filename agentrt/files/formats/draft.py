"""Draft: the text of a file while it is being read, with a limit on how much it may become."""

from __future__ import annotations

import re

from agentrt.errors import ExtractionError
from agentrt.files.extracted import Extracted, Page, Table

MAX_TOKENS = 5_000_000
"""Of one file in a vector store. Source: API reference, vector store files."""

MAX_CHARS = 8 * MAX_TOKENS
"""A text this long has more than MAX_TOKENS tokens in every language: reading on would be in vain."""

_UNKEEPABLE = re.compile("[\0\ud800-\udfff]")


class Draft:
    """Pieces of text in reading order."""

    def __init__(self, *, max_chars: int = MAX_CHARS) -> None:
        self._pieces: list[str] = []
        self._max_chars = max_chars
        self._n_chars = 0
        self._pages: list[Page] = []
        self._tables: list[Table] = []

    @property
    def n_chars(self) -> int:
        """How long the text is so far: the offset of what is added next."""
        return self._n_chars

    def add(self, text: str) -> None:
        """Append. Raises ExtractionError when the text gets too long."""
        self._n_chars += len(text)
        if self._n_chars > self._max_chars:
            raise too_long()
        self._pieces.append(text)

    def begin_page(self, label: str = "") -> None:
        """What is added from here on is on the next page."""
        self._pages.append(Page(len(self._pages) + 1, self._n_chars, label))

    def add_table(self, start: int, header_end: int) -> None:
        """What has been added from `start` on are rows, the header first."""
        if start < header_end < self._n_chars:
            self._tables.append(Table(start, header_end, self._n_chars))

    def finish(self, format_: str, *, is_verbatim: bool = False) -> Extracted:
        """The whole. Raises ExtractionError when there is nothing to read in it."""
        text = keepable("".join(self._pieces))
        if not text or text.isspace():
            raise ExtractionError("invalid_file", "The file has no text: there is nothing in it that can be searched.")
        return Extracted(text, format_, tuple(self._pages), tuple(self._tables), is_verbatim)


def keepable(text: str) -> str:
    """The text without what no database keeps, NUL and half surrogate pairs, each replaced by one U+FFFD."""
    try:
        text.encode()
        is_unicode = True
    except UnicodeEncodeError:
        is_unicode = False
    return text if is_unicode and "\0" not in text else _UNKEEPABLE.sub("\ufffd", text)


def too_long() -> ExtractionError:
    return ExtractionError(
        "invalid_file", f"The file has more than {MAX_TOKENS:,} tokens of text. Split it and upload the parts."
    )
