"""Files → segments and terms, in a process of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agentrt.errors import ExtractionError
from agentrt.files.extracted import Extracted, Table
from agentrt.files.processes import ProcessLimits
from agentrt.retrieval.analyser import ANALYSER_VERSION
from agentrt.retrieval.chunk import Chunking
from agentrt.retrieval.prepare import prepare
from agentrt.retrieval.preparer import Preparer
from agentrt.store.segment_ids import lengths
from agentrt.store.written_terms import read_terms, written_terms
from tests.files.documents import docx
from tests.files.pdfs import inflating_pdf, pdf

TEXT = "".join(f"Sentence {n} tells of apples and of pears, and of nothing else at all. " for n in range(200))


async def test_a_file_is_prepared_in_another_process(tmp_path: Path) -> None:
    (tmp_path / "blob").write_bytes(pdf("The first page tells of apples.", "The second page tells of pears."))
    async with Preparer() as preparer:
        prepared = await preparer.prepare(tmp_path / "blob", "fruit.pdf", Chunking())
    assert (prepared.format, prepared.language, prepared.analyser) == ("pdf", "english", ANALYSER_VERSION)
    (segment,) = prepared.segments
    assert segment.text == "The first page tells of apples.\nThe second page tells of pears.\n"
    assert dict(read_terms(segment.terms))["appl"] == 1
    assert dict(read_terms(segment.terms))["the"] == 2
    assert (segment.page, prepared.n_chunks, prepared.n_terms) == (1, 1, 12)


async def test_a_bad_file_fails_as_it_does_when_it_is_read(tmp_path: Path) -> None:
    bad, bomb, good = tmp_path / "bad", tmp_path / "bomb", tmp_path / "good"
    bad.write_bytes(b"%PDF-1.7 rubbish")
    bomb.write_bytes(inflating_pdf(1 << 29))
    good.write_bytes(docx("Hello"))
    async with Preparer(limits=ProcessLimits(memory_bytes=300 << 20)) as preparer:
        for path in (bad, bomb):
            with pytest.raises(ExtractionError) as caught:
                await preparer.prepare(path, "a.pdf", Chunking())
            assert caught.value.reason == "invalid_file"
        assert (await preparer.prepare(good, "a.docx", Chunking())).segments[0].text == "Hello\n"


def test_what_chunks_share_is_there_once() -> None:
    prepared = prepare(Extracted(TEXT, "text"), Chunking(200, 100))
    assert "".join(segment.text for segment in prepared.segments) == TEXT
    assert prepared.n_chunks == (len(prepared.segments) + 1) // 2
    n_once = sum(n for segment in prepared.segments for _, n in read_terms(segment.terms))
    assert prepared.n_terms > 1.8 * n_once * 0.9


def test_every_segment_knows_how_long_its_chunks_are() -> None:
    prepared = prepare(Extracted(TEXT, "text"), Chunking(200, 80))
    segments = prepared.segments
    for ord_ in range(prepared.n_chunks):
        around = segments[max(0, 2 * ord_ - 1) : 2 * ord_ + 2]
        n_words = len("".join(segment.text for segment in around).replace(",", "").replace(".", "").split())
        codes = {segments[2 * ord_].lengths[0]}
        if ord_:
            codes.add(segments[2 * ord_ - 1].lengths[1])
        if ord_ + 1 < prepared.n_chunks:
            codes.add(segments[2 * ord_ + 1].lengths[0])
        (code,) = codes
        assert lengths()[code] == pytest.approx(n_words, rel=0.04)


def test_the_header_of_a_table_is_found_in_every_chunk_of_it() -> None:
    header = "name,town,age\n"
    text = header + "".join(f"Ada{n},London,{n}\n" for n in range(300))
    prepared = prepare(Extracted(text, "csv", tables=(Table(0, len(header), len(text)),)), Chunking(100, 20))
    for ord_ in range(prepared.n_chunks):
        around = prepared.segments[max(0, 2 * ord_ - 1) : 2 * ord_ + 2]
        assert "town" in {term for segment in around for term, _ in read_terms(segment.terms)}


def test_terms_are_written_down_with_their_counts() -> None:
    written = written_terms({"liver": 1, "cell": 3, "of": 100, "the": 7, "sugar": 1})
    assert written == "liver cell^3 of^24 the^6 sugar"
    assert dict(read_terms(written)) == {"liver": 1, "sugar": 1, "cell": 3, "of": 24, "the": 6}
    assert dict(read_terms(written_terms({}))) == {}


def test_the_process_imports_no_database_and_no_event_loop() -> None:
    code = "import sys, agentrt.retrieval.prepare; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"sqlalchemy", "asyncio", "numpy", "pydantic", "pypdfium2"} & set(done.stdout.split())


def test_searching_without_vectors_imports_no_numpy() -> None:
    code = "import sys, agentrt.retrieval.search, agentrt.retrieval.index; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "Stemmer", "pypdfium2"} & set(done.stdout.split())
