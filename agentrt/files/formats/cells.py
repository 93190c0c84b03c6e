"""What a workbook keeps apart from its sheets: shared texts, formats that make a number a date, the order of sheets."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

import msgspec

from agentrt.files.formats.archive import Archive
from agentrt.files.formats.parts import main_part, relations
from agentrt.files.formats.xml import Attributes, parse_xml

_DATE_FORMATS = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}
# A custom format for dates, once its quoted words, colours and escaped letters are out.
_NOT_CODE = re.compile(r'"[^"]*"|\[[^\]]*\]|\\.')
_DATE_LETTERS = re.compile(r"[ymdhs]", re.IGNORECASE)
_DIGITS_SHOWN = 15
# Day 60 is 29 February 1900, which Excel believes in: counting from here is right for every day after it.
_EPOCH_1900 = datetime(1899, 12, 30)
_EPOCH_1904 = datetime(1904, 1, 1)
_LAST_DAY = 2_958_466


class Book(msgspec.Struct):
    """sheets: name and part of each, in order. date_styles: the `s` of cells whose numbers are dates."""

    sheets: list[tuple[str, str]]
    shared: list[str]
    date_styles: set[str]
    epoch: datetime


def read_book(archive: Archive) -> Book:
    """Everything but the sheets themselves. Raises ExtractionError."""
    main = main_part(archive, "xl/workbook.xml")
    related = relations(archive, main)
    parts = {kind: place for kind, place in related.values() if place in archive.names}
    book = Book(sheets=[], shared=[], date_styles=set(), epoch=_EPOCH_1900)

    def start(name: str, attributes: Attributes) -> None:
        if name == "sheet":
            ids = [value for key, value in attributes.items() if key.endswith(" id")]
            place = related.get(ids[0], ("", ""))[1] if ids else ""
            if place in archive.names and related[ids[0]][0] == "worksheet":
                book.sheets.append((attributes.get("name", ""), place))
        elif name == "workbookPr" and attributes.get("date1904") in {"1", "true"}:
            book.epoch = _EPOCH_1904

    parse_xml(archive.pieces(main), start=start)
    if "sharedStrings" in parts:
        book.shared = _shared_texts(archive, parts["sharedStrings"])
    if "styles" in parts:
        book.date_styles = _date_styles(archive, parts["styles"])
    return book


def cell_text(value: str, kind: str, style: str, book: Book) -> str:
    """What a cell shows, on one line. kind: the cell's `t`; style: its `s`."""
    match kind:
        case "s":
            value = book.shared[int(value)] if value.isdecimal() and int(value) < len(book.shared) else ""
        case "b":
            return "TRUE" if value == "1" else "FALSE"
        case "n":
            return _number(value, is_date=style in book.date_styles, epoch=book.epoch)
    return " ".join(value.split())


def _number(value: str, *, is_date: bool, epoch: datetime) -> str:
    try:
        number = float(value)
    except ValueError:
        return value.strip()
    if is_date and 0 <= number < _LAST_DAY:
        moment = epoch + timedelta(seconds=round(number * 86_400))
        if number < 1:
            return moment.strftime("%H:%M:%S")
        return moment.strftime("%Y-%m-%d" if number.is_integer() else "%Y-%m-%d %H:%M:%S")
    # What a double cannot keep shows as 0.30000000000000004; Excel shows 15 digits.
    return value if len(value) <= _DIGITS_SHOWN else f"{number:.{_DIGITS_SHOWN}g}"


def _shared_texts(archive: Archive, part: str) -> list[str]:
    texts: list[str] = []
    pieces: list[str] = []
    is_text = is_reading_aid = False

    def start(name: str, _: Attributes) -> None:
        nonlocal is_text, is_reading_aid
        if name == "rPh":  # how a Japanese name is pronounced, beside the name
            is_reading_aid = True
        elif name == "t":
            is_text = not is_reading_aid

    def end(name: str) -> None:
        nonlocal is_text, is_reading_aid
        if name == "t":
            is_text = False
        elif name == "rPh":
            is_reading_aid = False
        elif name == "si":
            texts.append("".join(pieces))
            pieces.clear()

    def text(data: str) -> None:
        if is_text:
            pieces.append(data)

    parse_xml(archive.pieces(part), start=start, end=end, text=text)
    return texts


def _date_styles(archive: Archive, part: str) -> set[str]:
    custom: dict[str, bool] = {}
    styles: set[str] = set()
    n_formats = 0
    is_inside = False

    def start(name: str, attributes: Attributes) -> None:
        nonlocal n_formats, is_inside
        if name == "numFmt":
            code = _NOT_CODE.sub("", attributes.get("formatCode", ""))
            custom[attributes.get("numFmtId", "")] = bool(_DATE_LETTERS.search(code))
        elif name == "cellXfs":
            is_inside = True
        elif name == "xf" and is_inside:
            number = attributes.get("numFmtId", "0")
            if custom.get(number, number.isdecimal() and int(number) in _DATE_FORMATS):
                styles.add(str(n_formats))
            n_formats += 1

    def end(name: str) -> None:
        nonlocal is_inside
        if name == "cellXfs":
            is_inside = False

    parse_xml(archive.pieces(part), start=start, end=end)
    return styles
