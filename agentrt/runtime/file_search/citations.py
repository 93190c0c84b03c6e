"""Citation: where an answer has something from, down to the place in the file. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from agentrt.engine.message import FileCitation, Message, SearchHit, SearchShown, TextPart
from agentrt.runtime.file_search.markers import Ref, find_marks


@dataclass(frozen=True, slots=True)
class Citation:
    """marker: what the answer cites by: `text[start:end] == marker`, in characters of the whole answer.

    file_name, page, source_start, source_end, passage: of the passage that the model read; the place counts characters
    of the file's text. page: None when the file has none. All of them are empty for a passage that an earlier run was
    shown of which only the file is known.
    """

    marker: str
    start: int
    end: int
    file_id: str
    file_name: str = ""
    page: int | None = None
    source_start: int = 0
    source_end: int = 0
    passage: str = ""


def citations_of(answer: Message, searches: Iterable[SearchShown]) -> tuple[Citation, ...]:
    """The citations in an answer, in its order. searches: what was found for it, and before."""
    hits = {(hit.marker, hit.file_id): hit for shown in searches for hit in shown.hits}
    found: list[Citation] = []
    offset = 0
    for part in answer.parts:
        if isinstance(part, TextPart):
            notes = [note for note in part.annotations if isinstance(note, FileCitation)]
            found += [_citation(note, offset, _hit(note, hits)) for note in notes]
            offset += len(part.text)
    return tuple(found)


def _hit(note: FileCitation, hits: dict[tuple[str, str], SearchHit]) -> SearchHit | None:
    """By the marker; a model may write several into one pair of brackets, or something of its own behind the dagger."""
    exact = hits.get((note.text, note.file_id))
    if exact is not None:
        return exact
    refs = {ref for mark in find_marks(note.text) for ref in mark.refs}
    same = (hit for (marker, id_), hit in hits.items() if id_ == note.file_id and refs & _refs(marker))
    return next(same, None)


def _refs(marker: str) -> set[Ref]:
    return {ref for mark in find_marks(marker) for ref in mark.refs}


def _citation(note: FileCitation, offset: int, hit: SearchHit | None) -> Citation:
    if hit is None:
        return Citation(note.text, note.start + offset, note.end + offset, note.file_id)
    return Citation(
        marker=note.text,
        start=note.start + offset,
        end=note.end + offset,
        file_id=note.file_id,
        file_name=hit.file_name,
        page=hit.page or None,
        source_start=hit.start,
        source_end=hit.end,
        passage=hit.text,
    )
