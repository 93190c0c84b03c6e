"""Chunks: whole texts, true offsets, the sizes that were asked for, and ends where a reader would stop."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.errors import ExtractionError, InvalidRequestError
from agentrt.files.extracted import Extracted, Page, Table
from agentrt.retrieval.chunk import Chunk, Chunking, Segment, chunks_of, cut
from agentrt.retrieval.tokens import estimate_tokens

PROSE = "".join(
    f"Chapter {n} begins here. It has a sentence about {word}, and another one. The third is a little longer than "
    f"the others, so that {word} comes twice! Does it end?\n\n"
    for n, word in enumerate(["rivers", "mountains", "lakes", "cities", "people", "birds", "trees", "winds"] * 12)
)


def chunked(text: str, size: int = 100, overlap: int = 0, **fields: object) -> list[Chunk]:
    extracted = Extracted(text, "text", **fields)  # type: ignore[arg-type]
    return chunks_of(cut(extracted, Chunking(size, overlap)))


def texts_of(text: str, chunks: list[Chunk]) -> list[str]:
    return [text[chunk.start : chunk.end] for chunk in chunks]


chunkings = st.integers(100, 600).flatmap(lambda size: st.builds(Chunking, st.just(size), st.integers(0, size // 2)))
letters = st.sampled_from("abcdefg    \n\n.!?#,,0123_éß漢字。あ한ไ😀\t{}()")
documents = st.one_of(
    st.text(letters, max_size=6000),
    st.lists(st.sampled_from(PROSE.split(" ")), max_size=900).map(" ".join),
    st.sampled_from(["x", "x ", "漢", "。", "\n", "😀"]).flatmap(
        lambda part: st.integers(1, 5000).map(lambda n: part * n)
    ),
)


@settings(max_examples=150, deadline=None)
@given(text=documents, chunking=chunkings)
def test_chunks_hold_the_whole_text_and_no_more_than_they_may(text: str, chunking: Chunking) -> None:
    segments = cut(Extracted(text, "text"), chunking)
    assert len(segments) % 2 == 1
    assert "".join(text[segment.start : segment.end] for segment in segments) == text
    chunks = chunks_of(segments)
    assert chunks[0].start == 0
    assert chunks[-1].end == len(text)
    for chunk in chunks:
        assert estimate_tokens(text[chunk.start : chunk.end]) <= chunking.max_chunk_size_tokens + 1
    for chunk, after in pairwise(chunks):
        assert chunk.start < after.start <= chunk.end < after.end or not text.strip()
        assert estimate_tokens(text[after.start : chunk.end]) <= chunking.chunk_overlap_tokens + 1
    for chunk, later in zip(chunks, chunks[2:], strict=False):
        assert chunk.end <= later.start  # so that no character is in three of them


@pytest.mark.parametrize(("size", "overlap"), [(800, 400), (400, 100), (200, 0), (150, 75)])
def test_prose_fills_its_chunks(size: int, overlap: int) -> None:
    chunks = chunked(PROSE, size, overlap)
    sizes = [estimate_tokens(text) for text in texts_of(PROSE, chunks)]
    assert min(sizes[:-1]) >= 0.7 * size
    shared = [estimate_tokens(PROSE[after.start : chunk.end]) for chunk, after in pairwise(chunks)]
    assert min(shared) >= 0.7 * overlap


def test_a_short_text_is_one_chunk() -> None:
    text = PROSE[:1500]
    assert texts_of(text, chunked(text, 800, 400)) == [text]
    assert chunked("", 800, 400) == [Chunk(0, 0, 0, "", 0)]


def test_chunks_end_with_a_paragraph_where_they_can() -> None:
    for text in texts_of(PROSE, chunked(PROSE, 200, 0))[:-1]:
        assert text.endswith("\n\n")


def test_chunks_begin_with_a_heading_where_they_can() -> None:
    text = "".join(f"# Heading {n}\n" + "Some words stand below it.\n" * 4 for n in range(20))
    assert all(part.startswith("# Heading") for part in texts_of(text, chunked(text, 120, 0)))


def test_chunks_of_prose_without_lines_end_with_a_sentence() -> None:
    text = " ".join(PROSE.split())
    parts = texts_of(text, chunked(text, 100, 50))
    assert sum(part.rstrip()[-1] in ".!?" for part in parts) > 0.95 * len(parts)


def test_chunks_of_code_begin_with_a_definition_where_they_can() -> None:
    code = "".join(
        f"def function_{n}(value):\n    if value:\n        return {n}\n    return value\n\n\n" for n in range(60)
    )
    assert all(part.startswith("def ") for part in texts_of(code, chunked(code, 120, 0)))


def test_words_without_end_are_cut_between_words() -> None:
    text = "word " * 2000
    for part in texts_of(text, chunked(text, 100, 30)):
        assert part.startswith("word")
        assert part.endswith("word ")


def test_a_chunk_knows_the_page_that_it_begins_on() -> None:
    pages = tuple(Page(n + 1, place) for n, place in enumerate(range(0, len(PROSE), 1000)))
    for chunk in chunked(PROSE, 100, 50, pages=pages):
        assert chunk.page == chunk.start // 1000 + 1


def test_a_text_without_pages_has_none() -> None:
    assert {chunk.page for chunk in chunked(PROSE)} == {0}


def test_a_page_is_a_good_place_to_end() -> None:
    slides = [f"Slide {n}\n" + "A point is made here.\n" * 4 for n in range(20)]
    starts = [sum(map(len, slides[:n])) for n in range(len(slides))]
    pages = tuple(Page(n + 1, start) for n, start in enumerate(starts))
    assert all(
        part.startswith("Slide") for part in texts_of("".join(slides), chunked("".join(slides), 100, 0, pages=pages))
    )


# Tables --------------------------------------------------------------------------------------------------------------

HEADER = "name,town,age\n"
ROWS = HEADER + "".join(f"Ada {n},London,{n}\n" for n in range(500))


def test_rows_are_never_cut_and_carry_their_header() -> None:
    chunks = chunked(ROWS, 100, 20, tables=(Table(0, len(HEADER), len(ROWS)),))
    assert len(chunks) > 20
    for chunk, text in zip(chunks, texts_of(ROWS, chunks), strict=True):
        assert (chunk.lead + text).startswith(HEADER)
        assert text.endswith("\n")
        assert estimate_tokens(chunk.lead + text) <= 100
    assert chunks[0].lead == ""


def test_a_header_that_would_fill_the_chunk_is_not_repeated() -> None:
    header = ",".join(f"column{n}" for n in range(100)) + "\n"
    text = header + "1,2,3\n" * 500
    assert {chunk.lead for chunk in chunked(text, 100, 0, tables=(Table(0, len(header), len(text)),))} == {""}


def test_each_table_has_its_own_header() -> None:
    sheets = ["a\tb\n" + "1\t2\n" * 200, "c\td\n" + "3\t4\n" * 200]
    text = "".join(sheets)
    tables = (Table(0, 4, len(sheets[0])), Table(len(sheets[0]), len(sheets[0]) + 4, len(text)))
    for chunk in chunked(text, 100, 0, tables=tables):
        assert chunk.lead in ("", "a\tb\n" if chunk.start < len(sheets[0]) else "c\td\n")
        assert chunk.lead or text.startswith(("a", "c"), chunk.start)


# Limits --------------------------------------------------------------------------------------------------------------


def test_auto_is_eight_hundred_with_half_of_it_shared() -> None:
    assert Chunking() == Chunking(max_chunk_size_tokens=800, chunk_overlap_tokens=400)


@pytest.mark.parametrize(
    ("size", "overlap", "key"),
    [
        (99, 0, "max_chunk_size_tokens"),
        (4097, 0, "max_chunk_size_tokens"),
        (100, 51, "chunk_overlap_tokens"),
        (100, -1, "chunk_overlap_tokens"),
    ],
)
def test_sizes_that_the_contract_forbids_are_refused(size: int, overlap: int, key: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        Chunking(size, overlap)
    assert caught.value.param == f"chunking_strategy.static.{key}"


def test_more_tokens_than_a_file_may_have_are_refused() -> None:
    with pytest.raises(ExtractionError, match="5,000,000 are allowed"):
        cut(Extracted("a b c d e f g h i j\n" * 500_001, "text"), Chunking())


def test_segments_are_stored_as_they_are() -> None:
    segments = cut(Extracted(PROSE, "text"), Chunking(800, 400))
    assert all(isinstance(segment, Segment) for segment in segments)
    # With an overlap of a half, nothing but the first and the last chunk has a part of its own.
    assert [segment.start == segment.end for segment in segments[2:-1:2]] == [True] * ((len(segments) - 3) // 2)
