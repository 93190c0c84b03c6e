"""Where every key and value of a TOML document stands.

tomllib gives values without places, so errors could not point at a line. This scanner walks a document that tomllib
has accepted and remembers offsets; it checks nothing and decodes nothing but keys. In a document that tomllib has
refused it sees what stands before the first thing that it does not understand.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import suppress
from typing import TypeAlias

import msgspec

KeyPath: TypeAlias = tuple[str | int, ...]

_BLANK = re.compile(r"[ \t]*+")
_FILLER = re.compile(r"(?:[ \t\r\n]|#[^\n]*+)*+")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]++")
_STRING = re.compile(
    r'''
      """(?:[^"\\]|\\.|"(?!""))*+"{3,5}    # up to two quotes may stand right before the closing three
    | \'\'\'(?:[^']|'(?!''))*+'{3,5}
    | "(?:[^"\\\n]|\\.)*+"
    | '[^'\n]*+'
    ''',
    re.VERBOSE | re.DOTALL,
)
_SCALAR = re.compile(r"[^,\]}#\n]++")


class Place(msgspec.Struct, frozen=True):
    """Offsets into the text: of the key's first character, of the value's first and behind its last.

    An element of an array has no key of its own: key = start. The value of a table is its [header].
    """

    key: int
    start: int
    end: int


class Spot(msgspec.Struct, frozen=True):
    """A place for people: line and column count characters from 1."""

    line: int
    column: int


class Positions:
    """The places of one document. Paths hold keys and, for arrays, indexes: `("server", "keys", 0, "name")`."""

    def __init__(self, text: str, places: Mapping[KeyPath, Place], repeated: tuple[KeyPath, ...] = ()) -> None:
        self.text = text
        self.places = places
        self.repeated = repeated
        self._line_starts = [0, *(match.end() for match in re.finditer(r"\n", text))]

    def nearest(self, path: KeyPath) -> tuple[KeyPath, Place]:
        """The place of the path, or of the closest one above it that was written down."""
        while path and path not in self.places:
            path = path[:-1]
        return path, self.places.get(path, Place(0, 0, 0))

    def spot(self, offset: int) -> Spot:
        line = bisect_right(self._line_starts, offset)
        return Spot(line, offset - self._line_starts[line - 1] + 1)

    def line(self, number: int) -> tuple[int, str]:
        """The offset and the text of a line, without its end."""
        start = self._line_starts[number - 1]
        end = self.text.find("\n", start)
        return start, self.text[start : end if end >= 0 else len(self.text)]


def scan(text: str) -> Positions:
    """Find the places of all keys and values. Line ends are \\n: give it what tomllib saw."""
    scanner = _Scanner(text)
    with suppress(_NotTomlError):  # the caller has tomllib's own message; what was seen helps to explain it
        scanner.document()
    return Positions(text, scanner.places, tuple(scanner.repeated))


class _NotTomlError(Exception):
    """The text is not TOML from here on."""


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.places: dict[KeyPath, Place] = {}
        self.repeated: list[KeyPath] = []
        self._written: set[KeyPath] = set()
        self._table: KeyPath = ()
        self._n_tables: dict[KeyPath, int] = {}

    def document(self) -> None:
        while self._skip(_FILLER) < len(self.text):
            if self.text[self.at] == "[":
                self._header()
            else:
                self._pair(self._table)

    def _header(self) -> None:
        start = self.at
        is_array = self.text.startswith("[[", start)
        self.at += 2 if is_array else 1
        keys = self._key()
        self._expect("]]" if is_array else "]")
        path: KeyPath = ()
        for part, key_at in keys[:-1]:
            path = self._into_array((*path, part))
            self.places.setdefault(path, Place(key_at, start, self.at))
        part, key_at = keys[-1]
        path = (*path, part)
        if is_array:
            self.places.setdefault(path, Place(key_at, start, self.at))
            self._n_tables[path] = self._n_tables.get(path, 0) + 1
            path = self._into_array(path)
        self._write(path, Place(key_at, start, self.at))
        self._table = path

    def _into_array(self, path: KeyPath) -> KeyPath:
        count = self._n_tables.get(path)
        return path if count is None else (*path, count - 1)

    def _pair(self, table: KeyPath) -> None:
        keys = self._key()
        self._expect("=")
        self._skip(_BLANK)
        start, path = self.at, table
        for part, key_at in keys:
            path = (*path, part)
            if path not in self.places:
                self.places[path] = Place(key_at, start, start)
        self._value(path)
        for part_number in range(1, len(keys)):  # tables that a dotted key made reach to the end of its value
            above = path[: len(table) + part_number]
            if self.places[above].end == start:
                self.places[above] = Place(self.places[above].key, start, self.at)
        self._write(path, Place(keys[-1][1], start, self.at))

    def _write(self, path: KeyPath, place: Place) -> None:
        if path in self._written:
            self.repeated.append(path)
            return
        self._written.add(path)
        self.places[path] = place

    def _key(self) -> list[tuple[str, int]]:
        parts = []
        while True:
            start = self._skip(_BLANK)
            match = _BARE_KEY.match(self.text, start) or _STRING.match(self.text, start)
            if match is None:
                raise _NotTomlError
            self.at = match.end()
            parts.append((_decode_key(match[0]), start))
            if self._skip(_BLANK) >= len(self.text) or self.text[self.at] != ".":
                return parts
            self.at += 1

    def _value(self, path: KeyPath) -> None:
        match self.text[self.at : self.at + 1]:
            case "[":
                self._array(path)
            case "{":
                self._inline_table(path)
            case '"' | "'":
                self._take(_STRING)
            case _:
                scalar = self._take(_SCALAR)
                self.at -= len(scalar) - len(scalar.rstrip())

    def _array(self, path: KeyPath) -> None:
        self.at += 1
        index = 0
        while self._peek() != "]":
            start = self.at
            self._value((*path, index))
            self._write((*path, index), Place(start, start, self.at))
            index += 1
            if self._peek() == ",":
                self.at += 1
        self.at += 1

    def _inline_table(self, path: KeyPath) -> None:
        self.at += 1
        while self._peek() != "}":
            self._pair(path)
            if self._peek() == ",":
                self.at += 1
        self.at += 1

    def _peek(self) -> str:
        self._skip(_FILLER)
        if self.at >= len(self.text):
            raise _NotTomlError
        return self.text[self.at]

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def _take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            raise _NotTomlError
        self.at = match.end()
        return match[0]

    def _expect(self, token: str) -> None:
        self._skip(_BLANK)
        if not self.text.startswith(token, self.at):
            raise _NotTomlError
        self.at += len(token)


def _decode_key(raw: str) -> str:
    if raw[0] not in "\"'":
        return raw
    try:
        decoded = tomllib.loads(f"key = {raw}")["key"]
    except tomllib.TOMLDecodeError:
        raise _NotTomlError from None
    return str(decoded)
