"""The text of a file, and where its pages and tables are. Values only; who makes them is in extract.py."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import msgspec


class Page(msgspec.Struct, frozen=True, array_like=True):
    """A page, slide, sheet or chapter. number counts from 1; its text begins at character `start` of the whole.

    label: what it is called in the file (a sheet's name, a chapter's title), or "".
    """

    number: int
    start: int
    label: str = ""


class Table(msgspec.Struct, frozen=True, array_like=True):
    """Characters start to before end are lines that are rows; those before header_end say what the columns mean."""

    start: int
    header_end: int
    end: int


class Extracted(msgspec.Struct, frozen=True):
    """The text of a file. Offsets count characters of `text`.

    format: how it was read: `pdf`, `docx`, `text` … pages are in order; empty when the format has none.
    is_verbatim: `text` is the decoded file itself, so that offsets are offsets in the source too. (A character that no
    database can keep has been replaced by U+FFFD, one for one.)
    """

    text: str
    format: str
    pages: tuple[Page, ...] = ()
    tables: tuple[Table, ...] = ()
    is_verbatim: bool = False


def page_at(pages: Sequence[Page], offset: int) -> Page | None:
    """The page that the character is on; None where there are no pages, or none has begun."""
    i = bisect_right(pages, offset, key=lambda page: page.start)
    return pages[i - 1] if i else None
