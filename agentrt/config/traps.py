"""What people get wrong in TOML: tomllib's terse message → what is wrong and what would be right."""

from __future__ import annotations

import re
from collections.abc import Callable

_BOOLEANS = {"true": "true", "yes": "true", "on": "true", "false": "false", "no": "false", "off": "false"}
_NULLS = {"null", "none", "nil"}
_CURLY_QUOTES = "“”„‘’«»"


def explain_syntax(message: str, line: str, column: int) -> tuple[str, str]:
    """What is wrong and what would be right, for tomllib's message at a column (from 1) of a line."""
    rest = line[column - 1 :]
    for begin, explain in _EXPLAINERS:
        if message.startswith(begin):
            found = explain(line, rest)
            if found:
                return found
    return message[:1].lower() + message[1:], ""


def _bad_value(line: str, rest: str) -> tuple[str, str] | None:
    word = re.split(r"[\s,\]}#]", rest, maxsplit=1)[0]
    key = line.partition("=")[0].strip()
    if not word:
        return f"the value of `{key}` is missing", f'write {key} = "…", or take the line out'
    if word.lower() in _BOOLEANS:
        return "this is not a TOML boolean", f"write {_BOOLEANS[word.lower()]}, in small letters"
    if word.lower() in _NULLS:
        return "TOML has no null", "leave the key out"
    if word[0] in _CURLY_QUOTES:
        return "typographic quotes are not quotes in TOML", f'write {key} = "…" with the plain quotes " or \''
    if word.startswith("${"):
        return "a variable must stand inside a text", f'write {key} = "${{…}}"'
    return "this value needs quotes", f'write {key} = "…"'


def _bad_key_part(line: str, rest: str) -> tuple[str, str] | None:
    if "{" not in line:
        return None
    if rest.startswith("}"):
        return "a comma before the closing } is not allowed", "take the last comma out"
    if not rest.strip() or rest.lstrip().startswith("#"):
        return "an inline table { … } must stand on one line", "put it on one line, or write it as a [table]"
    return None


def _open_inline_table(_line: str, rest: str) -> tuple[str, str]:
    if not rest.strip() or rest.lstrip().startswith("#"):
        return "an inline table { … } must stand on one line", "put it on one line, or write it as a [table]"
    return "an inline table is not closed, or a comma is missing in it", "write { key = value, other = value }"


def _no_equals_sign(line: str, rest: str) -> tuple[str, str] | None:
    if rest.lstrip().startswith(":"):
        return "a key and its value are joined by =, not by a colon", "write key = value"
    if line.lstrip().startswith("- "):
        return "TOML has no list lines", 'write key = ["one", "two"]'
    return "this line is neither `key = value` nor `[table]`", "a key with spaces or dots in it needs quotes"


def _after_statement(line: str, rest: str) -> tuple[str, str] | None:
    if rest.startswith(","):
        return "there is no comma at the end of a line", "take the comma out"
    return "something follows the value", f'if it is one text, quote it: {line.partition("=")[0].strip()} = "…"'


def _same(what: str, fix: str) -> Callable[[str, str], tuple[str, str]]:
    return lambda _line, _rest: (what, fix)


_backslash = _same(
    'a backslash in "…" begins an escape', "write the text in single quotes, '…', or the backslash twice"
)
_EXPLAINERS: tuple[tuple[str, Callable[[str, str], tuple[str, str] | None]], ...] = (
    ("Invalid value", _bad_value),
    ("Invalid initial character for a key part", _bad_key_part),
    ("Expected '=' after a key", _no_equals_sign),
    ("Expected newline or end of document", _after_statement),
    ("Illegal character '\\n'", _same('a text in "…" must end on its line', 'several lines stand in """…"""')),
    ("Unescaped '\\'", _backslash),
    ("Invalid hex value", _backslash),
    ("Unclosed array", _same("an array is not closed, or a comma is missing in it", "write [ first, second ]")),
    ("Unclosed inline table", _open_inline_table),
    ("Duplicate inline table key", _same("this key stands twice in the inline table", "keep one of the two")),
    ("Cannot overwrite a value", _same("this name already has a value above", "keep one of the two, or merge them")),
    ("Expected \"'''\"", _same("a text is not closed", "look for a ''' without its partner")),
    ("Unterminated string", _same("a text is not closed", "look for a \"\"\" or ''' without its partner")),
    ("Expected ']", _same("a table's header is not closed", "write [table], or [[table]] for a list of tables")),
)
