"""What pydantic found wrong in a document → problems in words: where, what is wrong, what would be right."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import UnionType
from typing import Annotated, Final, Literal, TypeAlias, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from agentrt.config.document import Document
from agentrt.config.fields import PATTERNS, Table, show_value
from agentrt.config.positions import KeyPath
from agentrt.config.report import Report
from agentrt.config.source import At, Source, format_path, is_secret_path
from agentrt.suggest import closest, listed, quoted

NAMED_TABLES: Final = ("models", "tools", "sandboxes", "vector_stores", "agents", "schedules")
NOT_YET: Final = "not available in this release"

_TABLE_LISTS: Final[tuple[KeyPath, ...]] = (("server", "keys"), ("webhooks",))
_LATER_PROVIDERS: Final = ("anthropic",)
_EXPECTED: Final[Mapping[str, str]] = {
    "int_type": "a whole number",
    "float_type": "a number",
    "string_type": "a text in quotes",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
}

Words: TypeAlias = tuple[str, str]  # what is wrong, what would be right


def explain(report: Report, source: Source, errors: Iterable[ErrorDetails]) -> None:
    """Report each error of a document."""
    found = list(errors)
    for meant in filter(None, map(_meant, found)):
        report.misspelt(source, meant)
    for error in found:
        path: KeyPath = error["loc"]
        if error["type"] == "missing":
            report.missing(source, path, fix=f"add {_example(path)}")
            continue
        at: At = "key" if error["type"] == "extra_forbidden" or path[-1] == "[key]" else "value"
        what, fix = _words(error)
        path = path[:-1] if path[-1] == "[key]" else path
        report.problem(source, path, what, fix=fix, at=at)


def _words(error: ErrorDetails) -> Words:
    path, value, facts = error["loc"], error["input"], error.get("ctx", {})
    match error["type"]:
        case "agentrt":
            return facts["what"], facts["fix"]
        case "extra_forbidden":
            return _unknown_key(path, value)
        case "literal_error":
            return _no_such_choice(path, value)
        case "greater_than_equal":
            return f"{_shown(path, value)} is too small", f"at least {facts['ge']}"
        case "less_than_equal":
            return f"{_shown(path, value)} is too large", f"at most {facts['le']}"
        case "string_too_short":
            return "this text is empty", f"such as {_example(path)}"
        case "string_too_long":
            return "this text is too long", f"at most {facts['max_length']:,} characters"
        case "too_long":
            return "these are too many", f"at most {facts['max_length']}"
        case "string_pattern_mismatch":
            noun, fix = PATTERNS[facts["pattern"]]
            return f"{_shown(path, value)} is not {noun}", fix
        case kind if kind in _EXPECTED:
            return _wrong_type(path, value, _EXPECTED[kind])
        case _:
            return f"{_shown(path, value)} cannot stand here", error["msg"]


def _wrong_type(path: KeyPath, value: object, expected: str) -> Words:
    what = f"{_shown(path, value)} is not {expected}"
    if len(path) == 2 and path[0] in NAMED_TABLES:
        return f"{path[0]} are named tables, and this is none", f"write [{path[0]}.NAME] and put the keys under it"
    if path in _TABLE_LISTS and isinstance(value, dict):
        name = format_path(path)
        return f"{name} is a list of tables", f"write [[{name}]] with two brackets"
    if expected == "a list" and isinstance(value, str):
        return what, f"put it into brackets: {path[-1]} = [{json.dumps(value, ensure_ascii=False)}]"
    if len(path) == 1 and expected == "a table":
        return what, f"write [{path[0]}.NAME]" if path[0] in NAMED_TABLES else f"write [{path[0]}]"
    return what, f"{expected}, such as {_example(path)}" if _field(path) else expected


def _unknown_key(path: KeyPath, value: object) -> Words:
    key, above = str(path[-1]), path[:-1]
    table = _table(above) or Document
    if key in table.LATER:
        return NOT_YET, "take it out; docs/agents-toml.md lists what there is"
    guess = closest(key, table.model_fields)
    if guess:
        return "unknown key", f"did you mean `{guess}`?"
    if len(path) == 3 and path[0] in NAMED_TABLES and isinstance(value, dict):
        return "unknown key", f'a name with a dot needs quotes: [{path[0]}."{path[1]}.{key}"]'
    if above and key in Document.model_fields:
        return "unknown key", f"keys after a [table] belong to it: move `{key}` above the first [table]"
    return "unknown key", f"{format_path(above) or 'the file'} has {listed(table.model_fields, last='and')}"


def _no_such_choice(path: KeyPath, value: object) -> Words:
    if path == ("version",):
        return f"this release does not read version {value}", "write version = 1, or install a newer agentrt"
    choices = [str(choice) for choice in _choices(path)]
    shown = _shown(path, value)
    if path[-1] == "provider" and value in _LATER_PROVIDERS:
        return f"provider {shown} is {NOT_YET}", f'one of {listed(choices)}; a gateway may speak "compatible"'
    guess = closest(value, choices) if isinstance(value, str) else None
    return f"{shown} is none of {listed(choices)}", f'did you mean "{guess}"?' if guess else f"write {quoted(choices)}"


def _meant(error: ErrorDetails) -> KeyPath | None:
    """The path that an unknown key was probably meant to be."""
    if error["type"] != "extra_forbidden":
        return None
    above = error["loc"][:-1]
    guess = closest(str(error["loc"][-1]), (_table(above) or Document).model_fields)
    return (*above, guess) if guess else None


def _shown(path: KeyPath, value: object) -> str:
    return "the value" if is_secret_path(path) else show_value(value)


def _example(path: KeyPath) -> str:
    """`port = 8700`"""
    field = _field(path)
    example = field.examples[0] if field and field.examples else "…"
    return f"{path[-1]} = {toml_value(example)}"


def toml_value(value: object) -> str:
    """A value in TOML's own words, on one line."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml_value(item)}" for key, item in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(toml_value(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def _table(path: KeyPath) -> type[Table] | None:
    """The class of the table at path; None where keys are free, as in metadata."""
    here: object = Document
    for part in path:
        here = _step(_plain(here), part)
    here = _plain(here)
    return here if isinstance(here, type) and issubclass(here, Table) else None


def _field(path: KeyPath) -> FieldInfo | None:
    table = _table(path[:-1])
    return table.model_fields.get(str(path[-1])) if table else None


def _choices(path: KeyPath) -> tuple[object, ...]:
    field = _field(path)
    annotation = _plain(field.annotation) if field else None
    return get_args(annotation) if get_origin(annotation) is Literal else ()


def _step(annotation: object, part: str | int) -> object:
    if isinstance(annotation, type) and issubclass(annotation, Table):
        field = annotation.model_fields.get(str(part))
        return field.annotation if field else None
    if get_origin(annotation) in (dict, list):
        return get_args(annotation)[-1]
    return None


def _plain(annotation: object) -> object:
    """The annotation without Annotated[…] and `| None`."""
    if get_origin(annotation) is Annotated:
        return _plain(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return _plain(next(part for part in get_args(annotation) if part is not type(None)))
    return annotation
