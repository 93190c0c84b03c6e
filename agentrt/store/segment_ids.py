"""The id of a segment: one number that says which file it is of, where in it, and how long its chunks are. Pure.

Chunk i of a file is its segments 2i-1, 2i and 2i+1: segment 2i belongs to it alone, 2i+1 is shared with chunk i+1
(agentrt/retrieval/chunk.py). The lengths are there so that ranking needs the keyword index alone: reading them from
the rows of 10,000 hits would cost more than all the rest.

    bits   file 29 · segment 18 · length of the first chunk 8 · of the second (of a shared segment) 8
"""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SEGMENT_BITS: Final = 18
_LENGTH_BITS: Final = 8
FILE_SHIFT: Final = _SEGMENT_BITS + 2 * _LENGTH_BITS
"""`segment_id >> FILE_SHIFT` is the key of the segment's file."""

_SEGMENT_SHIFT: Final = 2 * _LENGTH_BITS
_ODD_SEGMENT: Final = 1 << _SEGMENT_SHIFT

MAX_SEGMENTS: Final = 1 << _SEGMENT_BITS
"""Of one file. (5,000,000 tokens in chunks of 100 that overlap by half are 200,000.)"""

MAX_FILES: Final = 1 << 63 - FILE_SHIFT

CHUNK_FILE_SHIFT: Final = _SEGMENT_BITS - 1
"""`chunk_id >> CHUNK_FILE_SHIFT` is the key of the chunk's file."""

# Length n has the code 25.5 · log2(1 + n / 8): 0 to 8,192 in steps of 3 %.
_LENGTH_UNIT: Final = 8
_STEPS: Final = 25.5
MAX_CODE: Final = (1 << _LENGTH_BITS) - 1
"""`key & MAX_CODE`, of a key of add_chunk_counts: the length code of the chunk."""

KEY_FILE_SHIFT: Final = _SEGMENT_BITS + _LENGTH_BITS
"""`key >> KEY_FILE_SHIFT`, of such a key: the key of the chunk's file."""


def segment_id(file_key: int, segment: int, lengths: tuple[int, int]) -> int:
    """lengths: the codes of the chunk that the segment belongs to, and of the next one if it is shared, else 0."""
    assert 0 <= segment < MAX_SEGMENTS
    assert 0 <= file_key < MAX_FILES
    return file_key << FILE_SHIFT | segment << _SEGMENT_SHIFT | lengths[0] << _LENGTH_BITS | lengths[1]


def ids_of_file(file_key: int) -> tuple[int, int]:
    """The first id that a segment of the file may have, and the first that none has."""
    return file_key << FILE_SHIFT, (file_key + 1) << FILE_SHIFT


def chunk_id(file_key: int, ord_: int) -> int:
    """One number for chunk number ord_ of a file."""
    return file_key << CHUNK_FILE_SHIFT | ord_


def ord_of(chunk: int) -> int:
    """Which chunk of its file this is (by its id)."""
    return chunk & (1 << CHUNK_FILE_SHIFT) - 1


def ids_of_chunk(chunk: int) -> tuple[int, int]:
    """The first id that a segment of the chunk may have, and the first after them."""
    own = chunk << _SEGMENT_SHIFT + 1
    return max(own - _ODD_SEGMENT, chunk >> CHUNK_FILE_SHIFT << FILE_SHIFT), own + 2 * _ODD_SEGMENT


def chunks_of_segments(segments: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The id of the chunk that each segment is in, and of the second one if it is shared, else of the same."""
    chunks = segments >> _SEGMENT_SHIFT + 1
    return chunks, chunks + (segments >> _SEGMENT_SHIFT & 1)


def chunks_of_segment(segment: int) -> tuple[int, ...]:
    """The ids of the chunks that a segment is in: one, or two when it is shared."""
    chunk = segment >> _SEGMENT_SHIFT + 1
    return (chunk, chunk + 1) if segment & _ODD_SEGMENT else (chunk,)


def is_shared(segment: int) -> bool:
    """Whether a segment is in two chunks."""
    return bool(segment & _ODD_SEGMENT)


def length_code(n_terms: int) -> int:
    """A chunk's length in eight bits."""
    return min(MAX_CODE, round(_STEPS * math.log2(1 + n_terms / _LENGTH_UNIT)))


@cache
def lengths() -> tuple[float, ...]:
    """The length that each code stands for."""
    return tuple(_LENGTH_UNIT * (2 ** (code / _STEPS) - 1) for code in range(MAX_CODE + 1))


def add_chunk_counts(counts: dict[int, int], tf: int, segments: list[int]) -> None:
    """Add a term's count in segments to that in their chunks. Keys: see chunk_of_key, MAX_CODE, KEY_FILE_SHIFT."""
    get = counts.get
    for segment in segments:
        if segment & _ODD_SEGMENT:
            # Between the chunks' own segments: the one before it, and the one after it with the second length.
            key = segment - _ODD_SEGMENT >> _LENGTH_BITS
            counts[key] = get(key, 0) + tf
            key = (segment >> _SEGMENT_SHIFT) + 1 << _LENGTH_BITS | segment & MAX_CODE
        else:
            key = segment >> _LENGTH_BITS
        counts[key] = get(key, 0) + tf


def chunk_of_key(key: int) -> int:
    """The id of the chunk that a key of add_chunk_counts is of."""
    return key >> _LENGTH_BITS + 1
