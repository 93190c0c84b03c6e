"""The code in the arguments of a code_interpreter call, read piece by piece as a model writes them.

Models write `{"code": "…"}`. Some write the code itself: what does not begin like an object is taken for that. Some
write JSON that is none, with real line breaks or with a `\\d` of a regular expression: both stay what they mean.
"""

from __future__ import annotations

import json

_NAME = "code"
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", '"': '"', "\\": "\\", "/": "/"}
_HEX = frozenset("0123456789abcdefABCDEF")


class CodeInput:
    """Feed it the fragments of the arguments; it gives back the pieces of the code."""

    def __init__(self) -> None:
        self._rest = ""  # of the JSON that was fed and not read yet
        self._is_plain = False
        self._is_inside = False
        self._is_over = False
        self._surrogate = ""

    def feed(self, fragment: str) -> str:
        """The code that this fragment adds."""
        if self._is_over:
            return ""
        self._rest += fragment
        if not self._is_inside and not self._find_value():
            return ""
        return self._read()

    def _find_value(self) -> bool:
        """Whether the code begins in what was fed so far; what stands before it is dropped."""
        text = self._rest.lstrip()
        if not text:
            return False
        if text[0] != "{":
            self._is_plain = self._is_inside = True
            return True
        begins = _value_of(text, _NAME)
        if begins is None:
            return False
        self._rest, self._is_inside = text[begins:], True
        return True

    def _read(self) -> str:
        if self._is_plain:
            found, self._rest = self._rest, ""
            return found
        pieces: list[str] = []
        place, text = 0, self._rest
        while place < len(text):
            character = text[place]
            if character == '"':
                self._is_over = True
                break
            if character != "\\":
                pieces.append(character)
                place, self._surrogate = place + 1, ""
                continue
            size = 6 if text[place + 1 : place + 2] == "u" else 2
            if place + size > len(text):
                break
            if size == 6 and not _HEX.issuperset(text[place + 2 : place + 6]):
                size = 2
            pieces.append(self._unescape(text[place + 1 : place + size]))
            place += size
        self._rest = text[place:]
        return "".join(pieces)

    def _unescape(self, escape: str) -> str:
        high, self._surrogate = self._surrogate, ""
        if len(escape) == 1:
            return _ESCAPES.get(escape, "\\" + escape)
        unit = chr(int(escape[1:], 16))
        if "\ud800" <= unit <= "\udbff":
            self._surrogate = unit
            return ""
        if "\udc00" <= unit <= "\udfff":
            return (high + unit).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        return unit


def read_code(arguments: str) -> str:
    """The code in whole arguments."""
    return CodeInput().feed(arguments)


def _value_of(text: str, name: str) -> int | None:
    """Where the string value of a name begins in the beginning of a JSON object; None while it is not there."""
    decoder = json.JSONDecoder()
    place = 1
    while True:
        place = _skip(text, place, " \t\r\n,")
        try:
            key, place = decoder.raw_decode(text, place)
            place = _skip(text, place, " \t\r\n")
            if text[place] != ":":
                return None
            place = _skip(text, place + 1, " \t\r\n")
            if key == name and text[place] == '"':
                return place + 1
            _, place = decoder.raw_decode(text, place)
        except (ValueError, IndexError):
            return None


def _skip(text: str, place: int, characters: str) -> int:
    while place < len(text) and text[place] in characters:
        place += 1
    return place
