"""The markers by which an answer cites passages: `【12:3†source】`. Pure.

The first number is the run's place in its thread, the second the passage's among those that the run has read: no two
runs of a thread share a marker, so that one which a later answer repeats still says which passage it was.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple, TypeAlias

from agentrt.engine.message import FileCitation

Ref: TypeAlias = tuple[int, int]
"""(run's number, passage's number)"""

# What stands behind the dagger is the model's affair: some write the file's name there.
_MARKER: Final = re.compile(r"【([^【】\n]{3,78})】")
_REF: Final = re.compile(r"([0-9]{1,15}):([0-9]{1,6})†")


class Mark(NamedTuple):
    """A marker in a text, and what it refers to: usually one passage; some models put several into one pair of
    brackets. start, end: code points."""

    text: str
    start: int
    end: int
    refs: tuple[Ref, ...]


def write_marker(ref: Ref) -> str:
    return f"【{ref[0]}:{ref[1]}†source】"


def find_marks(text: str) -> list[Mark]:
    """The markers in a text, in its order."""
    found = []
    for match in _MARKER.finditer(text):
        refs = tuple((int(ref[1]), int(ref[2])) for ref in _REF.finditer(match[1]))
        if refs:
            found.append(Mark(match[0], match.start(), match.end(), refs))
    return found


def cite(marks: Iterable[Mark], sources: Mapping[Ref, str]) -> tuple[FileCitation, ...]:
    """The markers as citations. sources: the id of each passage's file; what is not among them stays plain text."""
    found = []
    for mark in marks:
        file_ids = dict.fromkeys(sources[ref] for ref in mark.refs if ref in sources)
        found += [FileCitation(mark.text, mark.start, mark.end, file_id) for file_id in file_ids]
    return tuple(found)


def without_marks(text: str) -> str:
    """The text with other brackets around what would be taken for a marker: a document must not forge citations."""
    if "†" not in text:
        return text
    return _MARKER.sub(lambda match: f"[{match[1]}]" if _REF.search(match[1]) else match[0], text)
