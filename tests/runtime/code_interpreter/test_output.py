"""What code prints: shown as it comes, never too much of it, and kept as it was shown."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.engine.message import Image, Logs
from agentrt.runtime.code_interpreter.output import MAX_IN_BURST, Transcript, bursts
from agentrt.runtime.hosted import Piece

_pieces = st.lists(st.text(st.characters(), max_size=30) | st.none(), max_size=12)


@given(_pieces, st.integers(2, 200))
def test_what_was_shown_is_what_is_kept(pieces: list[str | None], max_bytes: int) -> None:
    transcript = Transcript(max_bytes)
    shown: list[Piece | None] = []
    for i, piece in enumerate(pieces):
        shown.append(transcript.draw(f"file-{i}") if piece is None else transcript.print(piece))
    shown.append(transcript.end())

    glued: dict[int, object] = {}
    for found in shown:
        if found is None:
            continue
        if isinstance(found.output, Logs):
            before = glued.get(found.position, "")
            assert isinstance(before, str)
            glued[found.position] = before + found.output.text
        else:
            assert found.position not in glued
            glued[found.position] = found.output
    assert list(glued) == list(range(len(glued)))
    kept = [output.text if isinstance(output, Logs) else output for output in transcript.outputs]
    assert kept == list(glued.values())
    assert transcript.text == "".join(text for text in kept if isinstance(text, str))
    transcript.text.encode()
    assert "\0" not in transcript.text


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30), max_size=12))
def test_nothing_is_left_out_of_what_fits(pieces: list[str]) -> None:
    transcript = Transcript(2 * len("".join(pieces).encode()) + 2)
    for piece in pieces:
        transcript.print(piece)
    transcript.end()

    assert transcript.text == "".join(pieces)


@given(st.lists(st.integers(1, 3000), min_size=1, max_size=20))
def test_of_too_much_the_beginning_and_the_end_are_shown_and_the_gap_is_told(sizes: list[int]) -> None:
    whole = "".join(chr(ord("a") + i % 26) * size for i, size in enumerate(sizes))
    transcript = Transcript(1000)
    place = 0
    for size in sizes:
        transcript.print(whole[place : place + size])
        place += size
    transcript.end()

    if len(whole) <= 1000:
        assert transcript.text == whole
    else:
        gap = f"\n[… {len(whole) - 1000:,} bytes cut out …]\n"
        assert transcript.text == whole[:500] + gap + whole[-500:]


def test_the_beginning_is_shown_at_once_and_the_end_at_the_end() -> None:
    transcript = Transcript(10)

    assert transcript.print("12345") == Piece(0, Logs("12345"))
    assert transcript.print("é789") is None
    assert transcript.draw("file-1") == Piece(1, Image("file-1"))
    assert transcript.print("abc") is None
    assert transcript.end() == Piece(2, Logs("\n[… 3 bytes cut out …]\n89abc"))


def test_a_gap_that_the_sandbox_made_is_told_too() -> None:
    transcript = Transcript(1000)
    transcript.print("begin")
    transcript.print("end", n_missing_bytes=123_456)
    transcript.end()

    assert transcript.text == "begin\n[… 123,456 bytes cut out …]\nend"


async def ticks(n: int, every_s: float) -> AsyncGenerator[int, None]:
    for i in range(n):
        yield i
        await asyncio.sleep(every_s)


async def test_bursts_lose_nothing_and_keep_the_order() -> None:
    found = [burst async for burst in bursts(ticks(200, 0.0005), every_s=0.02)]

    assert [i for burst in found for i in burst] == list(range(200))
    assert found[0] == [0]
    assert len(found) < 60


async def test_the_end_does_not_wait_for_the_next_burst() -> None:
    async with asyncio.timeout(5):
        assert [burst async for burst in bursts(ticks(1, 0.0), every_s=60)] == [[0]]


async def test_an_error_comes_behind_what_was_said_before_it() -> None:
    async def fails() -> AsyncGenerator[int, None]:
        yield 1
        yield 2
        raise ValueError("boom")

    found: list[int] = []

    async def read() -> None:
        async for burst in bursts(fails()):
            found.extend(burst)

    with pytest.raises(ValueError, match="boom"):
        await read()
    assert found == [1, 2]


async def test_whoever_stops_closes_the_source() -> None:
    closed = asyncio.Event()

    async def endless() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            closed.set()

    async with asyncio.timeout(5):
        async with aclosing(bursts(endless())) as found:
            async for _ in found:
                break
        await closed.wait()
        closed.clear()

        async def read() -> None:
            async for _ in bursts(endless()):
                pass

        reader = asyncio.ensure_future(read())
        await asyncio.sleep(0.01)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        await closed.wait()


async def test_a_source_that_gives_too_much_waits_for_its_reader() -> None:
    n_given = 0

    async def flood() -> AsyncGenerator[int, None]:
        nonlocal n_given
        while n_given < 10 * MAX_IN_BURST:
            n_given += 1
            yield n_given

    found: list[int] = []
    async with aclosing(bursts(flood(), every_s=0.001)) as source:
        async for burst in source:
            assert n_given - len(found) <= 2 * MAX_IN_BURST
            found += burst
            await asyncio.sleep(0.01)
    assert found == list(range(1, 10 * MAX_IN_BURST + 1))
