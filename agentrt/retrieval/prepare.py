"""A file → what the index of a store takes of it: segments and their terms. This runs in a process of its own.

Chunking and analysing cost more CPU than parsing, and would hold up whoever asks the service something meanwhile.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import msgspec

from agentrt.errors import ExtractionError
from agentrt.files.extracted import Extracted
from agentrt.files.formats.read import Refusal, read_file
from agentrt.retrieval.analyser import ANALYSER_VERSION, Analyser
from agentrt.retrieval.chunk import Chunking, cut
from agentrt.retrieval.languages import detect_language
from agentrt.store.segment_ids import length_code
from agentrt.store.written_terms import written_terms


class PreparedSegment(msgspec.Struct, frozen=True, array_like=True):
    """A segment (see chunk.Segment) with its text and its terms (see SegmentTerms).

    lengths: the codes of how many terms the chunk has that it belongs to, and, if it is shared, the next one.
    """

    start: int
    end: int
    n_tokens: int
    page: int
    lead: str
    text: str
    terms: str
    lengths: tuple[int, int]


class Prepared(msgspec.Struct, frozen=True, tag=True):
    """n_chunks, n_terms: of all chunks together, what they share counted twice. analyser: ANALYSER_VERSION."""

    format: str
    language: str
    analyser: int
    n_chunks: int
    n_terms: int
    segments: list[PreparedSegment]


class PrepareRequest(msgspec.Struct, frozen=True, array_like=True):
    """filename: what its owner calls the file at `path`."""

    path: str
    filename: str
    chunking: Chunking


_decode: Callable[[bytes], PrepareRequest] = msgspec.msgpack.Decoder(PrepareRequest).decode
_encode = msgspec.msgpack.Encoder().encode


def answer(request: bytes) -> bytes:
    """The entry of the process: a PrepareRequest → Prepared or a Refusal, all as MessagePack."""
    asked = _decode(request)
    try:
        return _encode(prepare(read_file(Path(asked.path), asked.filename), asked.chunking))
    except ExtractionError as error:
        return _encode(Refusal(error.reason, error.message))


def prepare(extracted: Extracted, chunking: Chunking) -> Prepared:
    """Cut and analyse a text. Raises ExtractionError when it is too long."""
    segments = cut(extracted, chunking)
    text = extracted.text
    language = detect_language(text)
    terms_of = _analyser(language).terms
    texts = [text[segment.start : segment.end] for segment in segments]
    counts = [Counter(terms_of(segment.lead + own)) for segment, own in zip(segments, texts, strict=True)]
    sizes = [count.total() for count in counts]
    chunk_sizes = [sum(sizes[max(0, i - 1) : i + 2]) for i in range(0, len(sizes), 2)]
    codes = [length_code(size) for size in chunk_sizes]
    return Prepared(
        format=extracted.format,
        language=language,
        analyser=ANALYSER_VERSION,
        n_chunks=len(chunk_sizes),
        n_terms=sum(chunk_sizes),
        segments=[
            PreparedSegment(
                segment.start,
                segment.end,
                segment.n_tokens,
                segment.page,
                segment.lead,
                texts[i],
                written_terms(counts[i]),
                (codes[i // 2], codes[i // 2 + 1] if i % 2 else 0),
            )
            for i, segment in enumerate(segments)
        ],
    )


@lru_cache(maxsize=4)
def _analyser(language: str) -> Analyser:
    return Analyser(language)
