"""What a model is told of file_search: the tool, its files, and what was found. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from agentrt.engine.message import JsonObject, SearchHit
from agentrt.engine.spec import FunctionTool
from agentrt.retrieval.tokens import estimate_tokens
from agentrt.runtime.file_search.library import Catalogue, FoundPassage
from agentrt.runtime.file_search.markers import without_marks
from agentrt.runtime.turn import storable

NAME: Final = "file_search"
NOTHING: Final = "Nothing was found for: {}."
NO_FILES: Final = "No files are there to search in."
_HEAD: Final = "Passages, the best first. Cite each one that you use by its marker, copied exactly."

_PARAMETERS: Final[JsonObject] = {
    "type": "object",
    "properties": {
        "queries": {
            "type": "array",
            "items": {"type": "string"},
            "description": "What to look for: one query for each thing that has to be found.",
        }
    },
    "required": ["queries"],
    "additionalProperties": False,
}
_ABOUT: Final = (
    "Searches the files that were given to you, by words and by meaning, and returns passages of them. "
    "Write each query as a full phrase that could stand in the files, and ask for different things in different "
    "queries. Search before you answer from the files, and again with other words when what you need is not there. "
    "Every passage begins with a marker such as 【4:0†source】. Put the marker of each passage that you use behind the "
    "sentence that uses it, copied exactly with its brackets; never change one or make one up."
)
_MAX_NAME_CHARS: Final = 100
_SMALLEST_CUT_TOKENS: Final = 50


class Told(NamedTuple):
    """What a model reads of a search. hits: the passages in it; n_tokens: about how many tokens it is."""

    text: str
    hits: tuple[SearchHit, ...]
    n_tokens: int


def search_function(catalogue: Catalogue) -> FunctionTool:
    """The tool as a function."""
    words = [_ABOUT]
    names = ", ".join(short_name(name) for name in catalogue.file_names)
    if not names:
        words.append("There are no files now.")
    else:
        words.append(f"Some of the files: {names}." if catalogue.has_more else f"The files: {names}.")
    return FunctionTool(NAME, " ".join([*words, *catalogue.notes]), _PARAMETERS)


def tell(
    passages: Sequence[FoundPassage],
    queries: Sequence[str],
    notes: Sequence[str],
    *,
    budget_tokens: int,
    marker_of: Callable[[FoundPassage], str],
) -> Told:
    """The passages that fit, in their order. The first one is cut when it is too long by itself."""
    head = "\n".join(f"[{note}]" for note in notes)
    if not passages:
        nothing = NOTHING.format("; ".join(f"“{query}”" for query in queries)) if queries else NO_FILES
        text = f"{nothing}\n{head}".rstrip()
        return Told(text, (), estimate_tokens(text))
    parts = [f"{head}\n{_HEAD}".lstrip()]
    n_tokens = estimate_tokens(parts[0])
    hits: list[SearchHit] = []
    for passage in passages:
        marker, shown = marker_of(passage), without_marks(storable(passage.text)).strip()
        title = f"{marker} {short_name(passage.file_name)}{f', page {passage.page}' if passage.page else ''}"
        entry = f"{title}\n{shown}"
        needed = estimate_tokens(entry) + 2
        if n_tokens + needed > budget_tokens:
            room = budget_tokens - n_tokens - estimate_tokens(title) - 4
            if hits or room < _SMALLEST_CUT_TOKENS:
                break
            shown = _cut(shown, room)
            entry = f"{title}\n{shown}"
            needed = estimate_tokens(entry) + 2
        n_tokens += needed
        parts.append(entry)
        hits.append(_hit(passage, marker, shown))
    return Told("\n\n".join(parts), tuple(hits), n_tokens)


def short_name(name: str) -> str:
    """A file's name on one line, not too long, and no marker."""
    line = without_marks(" ".join(storable(name).split()))
    return line if len(line) <= _MAX_NAME_CHARS else f"{line[: _MAX_NAME_CHARS - 1]}…"


def _hit(passage: FoundPassage, marker: str, shown: str) -> SearchHit:
    return SearchHit(
        file_id=passage.file_id,
        file_name=storable(passage.file_name),
        score=passage.score,
        text=shown,
        marker=marker,
        page=passage.page,
        start=passage.start,
        end=passage.end,
    )


def _cut(text: str, n_tokens: int) -> str:
    """The beginning of a text, of about so many tokens, to the end of a word."""
    kept = text[: len(text) * n_tokens // max(1, estimate_tokens(text))]
    while estimate_tokens(kept) > n_tokens:
        kept = kept[: len(kept) * 9 // 10]
    return f"{kept.rsplit(None, 1)[0] if ' ' in kept else kept} …"
