"""Text → chunks, by `chunking_strategy`. Pure.

Chunks overlap, and what overlaps is kept once: the text is cut into segments that do not. Segment 2i is chunk i's own,
segment 2i+1 is shared by chunks i and i+1; chunk i is the segments 2i-1, 2i and 2i+1. Any of them may be empty. With
the default overlap of a half this halves what has to be stored, indexed and embedded; and all segments in a row are
the text itself.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Final

import msgspec

from agentrt.errors import ExtractionError, InvalidRequestError
from agentrt.files.extracted import Extracted, Page, Table
from agentrt.files.formats.draft import MAX_TOKENS
from agentrt.retrieval.tokens import TokenCounter

MAX_SIZE_TOKENS: Final = (100, 4096)
"""The least and the most of `max_chunk_size_tokens`. Source: API reference, vector stores, chunking_strategy."""

# A segment is at least so full, of what it may have.
_LEAST_FILL: Final = 0.5
# A header that takes more of the chunk than this is not repeated.
_LARGEST_LEAD: Final = 0.25
# Sentences longer than this may be cut between words.
_UNIT_TOKENS: Final = 64
_OWN_IS_WORTH: Final = 0.1
# Longer texts need not be counted to know that they are more than one chunk.
_CHARS_PER_TOKEN_MAX: Final = 8

# One set of characters first: five times as fast as one alternative after the other.
_BOUNDARY: Final = re.compile(
    r"[\n.!?…。！？](?:(?<=\n)(?:[^\S\n]*\n)*|(?<=[。！？])[」』”]?|(?<=[.!?…])['\"”’»)\]]*[^\S\n]+)"
)
_WORD, _SENTENCE, _INDENTED_LINE, _LINE, _PARAGRAPH, _HEADING, _PAGE = range(7)
# How much of its fill a segment gives up to end there: a whole paragraph is worth a smaller chunk.
_WORTH: Final = (0.0, 0.25, 0.25, 0.3, 0.4, 0.6, 0.6)
_HEADING_MARKS: Final = ("#", "\\section", "\\chapter", "class ", "def ", "async def ", "func ", "function ", "public ")


class Chunking(msgspec.Struct, frozen=True):
    """How large chunks are, and how much of each is in the next one too. The default is what `auto` means.

    Raises InvalidRequestError for sizes that the contract forbids.
    """

    max_chunk_size_tokens: int = 800
    chunk_overlap_tokens: int = 400

    def __post_init__(self) -> None:
        low, high = MAX_SIZE_TOKENS
        if not low <= self.max_chunk_size_tokens <= high:
            raise InvalidRequestError(
                f"max_chunk_size_tokens must be between {low} and {high}.",
                param="chunking_strategy.static.max_chunk_size_tokens",
            )
        if not 0 <= self.chunk_overlap_tokens * 2 <= self.max_chunk_size_tokens:
            raise InvalidRequestError(
                "chunk_overlap_tokens must be at least 0 and at most half of max_chunk_size_tokens.",
                param="chunking_strategy.static.chunk_overlap_tokens",
            )


class Segment(msgspec.Struct, frozen=True, array_like=True):
    """Characters start to before end of the text. lead: what is put before the chunk that owns it (a table's header).

    page: the number of the page that it begins on, 0 when the format has none.
    """

    start: int
    end: int
    n_tokens: int
    lead: str = ""
    page: int = 0


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """A passage: characters start to before end of the file's text; `lead` is put before them when it is shown."""

    ord: int
    start: int
    end: int
    lead: str
    page: int


def cut(extracted: Extracted, chunking: Chunking) -> list[Segment]:
    """The segments of a text: an odd number of them. Raises ExtractionError for more than MAX_TOKENS tokens."""
    whole = _whole(extracted, chunking)
    if whole is not None:
        return [whole]
    units = _units(extracted, chunking)
    if units.n_tokens > MAX_TOKENS:
        raise ExtractionError(
            "invalid_file",
            f"The file has about {units.n_tokens:,.0f} tokens of text, and {MAX_TOKENS:,} are allowed. Split it and "
            "upload the parts.",
        )
    leads = _leads(extracted, chunking.max_chunk_size_tokens)
    size = chunking.max_chunk_size_tokens - max((n for _, _, n in leads), default=0)
    overlap = min(chunking.chunk_overlap_tokens, size / 2)
    segments: list[Segment] = []
    start = shared = 0
    while True:
        # What `shared` does not use of its share, the own part may.
        room = size - units.tokens(shared, start)
        is_last = units.tokens(start, units.n) <= room
        own = units.n if is_last else units.choose(start, room - overlap, least=_OWN_IS_WORTH * size)
        lead = _lead_at(leads, units.place(shared))
        segments.append(units.segment(start, own, extracted.pages, lead))
        if is_last:
            return segments
        end = units.choose(own, overlap, least=0)
        if end == start:  # one unit that fills no segment as it should: go on all the same
            end += 1
        segments.append(units.segment(own, end, extracted.pages, ""))
        shared, start = own, end


def chunks_of(segments: Sequence[Segment]) -> list[Chunk]:
    """The chunks of a whole text, in order."""
    return [chunk_at(segments[max(0, 2 * i - 1) : 2 * i + 2], i) for i in range((len(segments) + 1) // 2)]


def chunk_at(around: Sequence[Segment], ord_: int) -> Chunk:
    """Chunk number ord_ from its segments: two or three (the first and the last chunk lack a neighbour)."""
    own = around[0 if ord_ == 0 else 1]
    first = next((segment for segment in around if segment.start < segment.end), own)
    return Chunk(ord_, around[0].start, around[-1].end, own.lead, first.page)


def _whole(extracted: Extracted, chunking: Chunking) -> Segment | None:
    """The only segment of a text that is one chunk, as most are."""
    size = len(extracted.text)
    if size > chunking.max_chunk_size_tokens * _CHARS_PER_TOKEN_MAX:
        return None
    n = TokenCounter(extracted.text).count(0, size)
    page = extracted.pages[0].number if extracted.pages else 0
    return Segment(0, size, round(n), "", page) if n <= chunking.max_chunk_size_tokens else None


class _Units:
    """The smallest parts that are not cut, by where they end, with the tokens up to there."""

    def __init__(self, ends: list[int], strengths: list[int], totals: list[float]) -> None:
        self._ends = ends
        self._strengths = strengths
        self._totals = totals
        self.n = len(ends)

    @property
    def n_tokens(self) -> float:
        return self._totals[-1] if self._totals else 0.0

    def place(self, unit: int) -> int:
        """Where a unit begins."""
        return self._ends[unit - 1] if unit else 0

    def tokens(self, first: int, last: int) -> float:
        """How many the units from first to before last have."""
        return (self._totals[last - 1] if last else 0.0) - (self._totals[first - 1] if first else 0.0)

    def choose(self, first: int, most: float, *, least: float) -> int:
        """The unit to go on with after a segment of at most so many tokens: at the best boundary of its second half.

        The segment is empty when fewer than `least` are to be had.
        """
        if most < least or most <= 0:
            return first
        totals, strengths = self._totals, self._strengths
        before = totals[first - 1] if first else 0.0
        last = bisect_right(totals, before + most, lo=first)
        nearest = bisect_left(totals, before + most * _LEAST_FILL, lo=first, hi=last)
        places = range(max(first, min(nearest, last - 1)), last)
        return max(places, key=lambda i: ((totals[i] - before) / most + _WORTH[strengths[i]], i), default=first - 1) + 1

    def segment(self, first: int, last: int, pages: tuple[Page, ...], lead: str) -> Segment:
        start, end = self.place(first), self.place(last)
        on = bisect_right(pages, start, key=lambda page: page.start)
        return Segment(start, end, round(self.tokens(first, last)), lead, pages[on - 1].number if on else 0)


def _units(extracted: Extracted, chunking: Chunking) -> _Units:
    text = extracted.text
    counter = TokenCounter(text)
    overlap = chunking.chunk_overlap_tokens
    limit = min(_UNIT_TOKENS, max(1, overlap // 4)) if overlap else _UNIT_TOKENS
    ends: list[int] = []
    strengths: list[int] = []
    totals: list[float] = []
    start, total = 0, 0.0
    for end, strength in _boundaries(extracted):
        n = counter.count(start, end)
        if n > limit:
            for place, n_before in _words(counter, text, start, end, limit):
                ends.append(place)
                strengths.append(_WORD)
                totals.append(total + n_before)
        total += n
        ends.append(end)
        strengths.append(strength)
        totals.append(total)
        start = end
    return _Units(ends, strengths, totals)


def _words(counter: TokenCounter, text: str, start: int, end: int, limit: int) -> list[tuple[int, float]]:
    """Places to cut a long unit, and the tokens up to each: about `limit` apart, before words where there are some."""
    places: list[tuple[int, float]] = []
    last = start
    for n, place in enumerate(counter.ends(start, end), 1):
        if n % limit == 0 and place < end:
            space = text.rfind(" ", last + 1, place + 1)
            at = space + 1 if space > last else place
            if at < end:
                places.append((at, (places[-1][1] if places else 0.0) + counter.count(last, at)))
                last = at
    return places


def _boundaries(extracted: Extracted) -> list[tuple[int, int]]:
    """Where units end, in order, each with how good a place it is to cut."""
    text = extracted.text
    strong = {page.start for page in extracted.pages} | {table.end for table in extracted.tables}
    strong -= {0, len(text)}
    found = [(match.end(), _strength(text, match.start(), match.end())) for match in _BOUNDARY.finditer(text)]
    if strong:
        found = [pair for pair in found if pair[0] not in strong] + [(place, _PAGE) for place in strong]
        found.sort()
    if not found or found[-1][0] < len(text):
        found.append((len(text), _PAGE))
    return found


def _strength(text: str, start: int, end: int) -> int:
    if text[start] != "\n":
        return _SENTENCE
    if text.startswith(_HEADING_MARKS, end):
        return _HEADING
    if end - start > 1 and text.count("\n", start, end) > 1:
        return _PARAGRAPH
    return _INDENTED_LINE if text[end : end + 1] in (" ", "\t") else _LINE


def _leads(extracted: Extracted, size: int) -> list[tuple[Table, str, int]]:
    """Tables whose header is short enough to be repeated: (table, header, its tokens)."""
    counter = TokenCounter(extracted.text)
    found = []
    for table in extracted.tables:
        n = round(counter.count(table.start, table.header_end))
        if 0 < n <= size * _LARGEST_LEAD:
            found.append((table, extracted.text[table.start : table.header_end], n))
    return found


def _lead_at(leads: Sequence[tuple[Table, str, int]], place: int) -> str:
    """The header that belongs before text from here on; "" outside tables, and where it stands anyway."""
    i = bisect_right(leads, place, key=lambda lead: lead[0].start) - 1
    if i < 0:
        return ""
    table, header, _ = leads[i]
    return header if table.header_end <= place < table.end else ""
