"""One number for a segment: what goes in comes out, and order is the order of the text."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.store.segment_ids import (
    CHUNK_FILE_SHIFT,
    FILE_SHIFT,
    KEY_FILE_SHIFT,
    MAX_CODE,
    MAX_FILES,
    MAX_SEGMENTS,
    add_chunk_counts,
    chunk_id,
    chunk_of_key,
    chunks_of_segments,
    ids_of_chunk,
    ids_of_file,
    length_code,
    lengths,
    ord_of,
    segment_id,
)

files = st.integers(0, MAX_FILES - 1)
numbers = st.integers(0, MAX_SEGMENTS - 2)
codes = st.integers(0, 255)


@given(files, numbers, st.tuples(codes, codes))
def test_an_id_says_which_file_and_which_chunks_a_segment_is_of(file: int, number: int, both: tuple[int, int]) -> None:
    segment = segment_id(file, number, both)
    assert 0 <= segment < 1 << 63
    assert segment >> FILE_SHIFT == file
    first, after = ids_of_file(file)
    assert first <= segment < after
    chunks = list(dict.fromkeys(int(chunk) for [chunk] in chunks_of_segments(np.array([segment]))))
    assert [ord_of(chunk) for chunk in chunks] == ([number // 2, number // 2 + 1] if number % 2 else [number // 2])
    for chunk in chunks:
        assert chunk >> CHUNK_FILE_SHIFT == file
        assert chunk == chunk_id(file, ord_of(chunk))
        first, after = ids_of_chunk(chunk)
        assert first <= segment < after


@given(files, st.integers(0, MAX_SEGMENTS // 2 - 2), codes)
def test_a_chunk_is_its_own_segment_and_the_two_beside_it(file: int, ord_: int, code: int) -> None:
    first, after = ids_of_chunk(chunk_id(file, ord_))
    around = range(max(0, 2 * ord_ - 3), 2 * ord_ + 4)
    inside = [number for number in around if first <= segment_id(file, number, (code, code)) < after]
    assert inside == [number for number in (2 * ord_ - 1, 2 * ord_, 2 * ord_ + 1) if number >= 0]


def test_a_count_is_added_to_the_chunks_that_a_segment_is_in() -> None:
    counts: dict[int, int] = {}
    add_chunk_counts(counts, 3, [segment_id(7, 0, (11, 0)), segment_id(7, 1, (11, 12))])
    add_chunk_counts(counts, 1, [segment_id(7, 3, (12, 13)), segment_id(8, 0, (20, 0))])
    chunks = {(key >> KEY_FILE_SHIFT, ord_of(chunk_of_key(key)), key & MAX_CODE): n for key, n in counts.items()}
    assert chunks == {(7, 0, 11): 6, (7, 1, 12): 4, (7, 2, 13): 1, (8, 0, 20): 1}


@given(st.integers(0, 8000))
def test_a_length_is_kept_to_three_in_a_hundred(n: int) -> None:
    assert lengths()[length_code(n)] == pytest.approx(n, rel=0.03, abs=0.6)


def test_a_length_beyond_all_measure_is_the_longest() -> None:
    assert length_code(10**9) == 255
