"""Bytes of an answer, read by read → chunks: what comes apart stays apart, what comes together goes on together."""

from __future__ import annotations

import msgspec
import pytest

from agentrt.errors import ModelError
from agentrt.models.client import CallChunk, Chunk, EndChunk, ReasoningChunk, TextChunk
from agentrt.models.completion_body import AnswerBody
from agentrt.models.failures import ModelServer
from agentrt.testing.model_answers import delta


def new_body() -> AnswerBody:
    return AnswerBody(ModelServer("http://127.0.0.1/v1/chat/completions", "small", "", False, ()))


def data(*payloads: object) -> bytes:
    return b"".join(b"data: " + msgspec.json.encode(payload) + b"\n\n" for payload in payloads)


def test_a_text_is_handed_on_as_soon_as_it_is_read() -> None:
    body = new_body()
    assert list(body.feed(data(delta(content="Hel")))) == [TextChunk("Hel")]
    assert list(body.feed(data(delta(content="lo"), delta("stop")))) == [TextChunk("lo")]
    assert list(body.end(is_delimited=True)) == [EndChunk("stop")]


def test_texts_of_one_read_are_one_chunk() -> None:
    assert list(new_body().feed(data(*(delta(content=word) for word in ("a", "b", "c"))))) == [TextChunk("abc")]


def test_only_texts_that_follow_each_other_are_joined() -> None:
    call = {"index": 0, "id": "call_1", "function": {"name": "weather", "arguments": "{}"}}
    read = data(
        delta(reasoning="Hm."), delta(content="I "), delta(content="look"), delta(tool_calls=[call]), delta(content="!")
    )
    chunks: list[Chunk] = [
        ReasoningChunk("Hm."), TextChunk("I look"), CallChunk(0, "call_1", "weather", "{}"), TextChunk("!")
    ]  # fmt: skip
    assert list(new_body().feed(read)) == chunks


def test_what_stands_before_a_fault_in_the_same_read_comes_out_before_the_error() -> None:
    chunks = new_body().feed(data(delta(content="a"), delta(content="b"), {"error": {"message": "out of memory"}}))
    assert next(chunks) == TextChunk("ab")
    with pytest.raises(ModelError, match="out of memory"):
        next(chunks)


def test_nothing_behind_the_end_mark_counts() -> None:
    body = new_body()
    read = data(delta(content="a")) + b"data: [DONE]\n\n" + data(delta(content="b"))
    assert list(body.feed(read)) == [TextChunk("a")]
    assert body.is_done
