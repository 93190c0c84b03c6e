"""`${VAR}`, `${VAR:-default}` and `$${` in the string values of a parsed document; never in keys.

After parsing, so that a variable cannot add tables or break the syntax, whatever it holds.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import msgspec

from agentrt.config.environment import FromText
from agentrt.config.positions import KeyPath

_REFERENCE = re.compile(
    r"""
      \$\$\{                                                    # a literal ${
    | \$\{ (?P<name>[A-Za-z_][A-Za-z0-9_]*) (?: :- (?P<default>[^{}]*) )? \}
    | (?P<malformed> \$\{ [^}\n]* \}? )
    """,
    re.VERBOSE,
)


class Missing(msgspec.Struct, frozen=True):
    """A variable without a value and without a default: `not set` is an error in most places, `empty` in few."""

    path: KeyPath
    variable: str
    state: Literal["not set", "empty"]


class Malformed(msgspec.Struct, frozen=True):
    """Something that begins like a reference and is none."""

    path: KeyPath
    text: str


class Filled(msgspec.Struct, frozen=True):
    """A document with its variables filled in, and what was wrong with them."""

    tree: dict[str, object]
    missing: tuple[Missing, ...]
    malformed: tuple[Malformed, ...]


def interpolate(tree: Mapping[str, object], environ: Mapping[str, str]) -> Filled:
    """Fill in all references. Text that held one becomes `FromText`; a missing variable leaves its text as it was."""
    missing: list[Missing] = []
    malformed: list[Malformed] = []

    def fill(value: object, path: KeyPath) -> object:
        match value:
            case dict():
                return {key: fill(item, (*path, key)) for key, item in value.items()}
            case list():
                return [fill(item, (*path, index)) for index, item in enumerate(value)]
            case str() if "${" in value:
                return FromText(_REFERENCE.sub(lambda match: one(match, path), value))
            case _:
                return value

    def one(match: re.Match[str], path: KeyPath) -> str:
        if match["malformed"]:
            malformed.append(Malformed(path, match["malformed"]))
            return match[0]
        name = match["name"]
        if name is None:
            return "${"
        found = environ.get(name)
        if match["default"] is not None:
            return found or match["default"]
        if not found:
            missing.append(Missing(path, name, "not set" if found is None else "empty"))
        return match[0] if found is None else found

    filled = {key: fill(value, (key,)) for key, value in tree.items()}
    return Filled(filled, tuple(missing), tuple(malformed))
