"""Text as it is: prose, Markdown, code, CSV, JSON. Nothing is changed, so that offsets are those of the source."""

from __future__ import annotations

import re

from agentrt.files.extracted import Extracted
from agentrt.files.formats.draft import Draft

_ROWS = (".csv", ".tsv")
_JSON = (".json", ".jsonl", ".ndjson", ".ipynb", ".geojson", ".jsonld")
_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\u(?:[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|[0-9a-fA-F]{4})")


def read_plain(text: str, suffix: str, draft: Draft) -> Extracted:
    """The text itself. Rows know their header; letters that JSON has written as `\\u00e9` become letters."""
    if suffix in _JSON:
        shown = _ESCAPE.sub(_letter, text)
        draft.add(shown)
        return draft.finish("json", is_verbatim=shown == text)
    draft.add(text)
    if suffix in _ROWS:
        draft.add_table(0, _end_of_first_line(text))
        return draft.finish("csv", is_verbatim=True)
    return draft.finish("text", is_verbatim=True)


def _end_of_first_line(text: str) -> int:
    start = len(text) - len(text.lstrip())
    end = text.find("\n", start)
    return len(text) if end < 0 else end + 1


def _letter(match: re.Match[str]) -> str:
    """The letter that an escape stands for; escapes of ASCII and half pairs stay, as JSON needs them."""
    backslashes, _, digits = match[0].partition("\\u")
    if "\\u" in digits:
        high, low = digits.split("\\u")
        code = 0x10000 + ((int(high, 16) - 0xD800) << 10) + (int(low, 16) - 0xDC00)
    else:
        code = int(digits, 16)
    return match[0] if code < 0xA0 or 0xD800 <= code < 0xE000 else backslashes + chr(code)
