"""Markdown that is still being written is cut into blocks that never change again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from agentrt.cli.blocks import Blocks

_LINES = st.sampled_from(
    ["", "", "text", "more **text**", "# Head", "- item", "  - inner", "1. one", "```", "```python", "~~~", "| a | b |",
     "|---|---|", "    indented", "> quote", "  goes on", "---"]
)  # fmt: skip


def blocks(text: str, *, size: int = 3) -> list[str]:
    cutter = Blocks()
    found = [block for i in range(0, len(text), size) for block in cutter.add(text[i : i + size])]
    rest = cutter.finish()
    return [*found, rest] if rest.strip() else found


def test_paragraphs_end_at_an_empty_line() -> None:
    assert blocks("one\ntwo\n\nthree") == ["one\ntwo\n", "three"]


def test_a_heading_is_a_block_of_its_own() -> None:
    assert blocks("text\n# Head\nmore\n") == ["text\n", "# Head\n", "more\n"]


def test_code_stays_together_with_its_empty_lines() -> None:
    assert blocks("see:\n\n```python\na = 1\n\nb = 2\n```\nafter\n") == [
        "see:\n",
        "```python\na = 1\n\nb = 2\n```\n",
        "after\n",
    ]


def test_a_longer_fence_holds_shorter_ones() -> None:
    assert blocks("````\n```\ncode\n```\n````\nafter") == ["````\n```\ncode\n```\n````\n", "after"]


def test_a_list_goes_on_after_an_empty_line() -> None:
    assert blocks("1. one\n\n2. two\n\n   more of two\n\nafter\n") == [
        "1. one\n\n2. two\n\n   more of two\n\n",
        "after\n",
    ]


def test_the_open_block_is_what_is_not_finished() -> None:
    cutter = Blocks()
    assert cutter.add("done\n\nnot y") == ["done\n"]
    assert cutter.open == "not y"
    assert cutter.add("et") == []
    assert cutter.open == "not yet"


@given(st.lists(_LINES, max_size=25).map("\n".join), st.integers(1, 7))
def test_blocks_do_not_depend_on_how_the_text_comes_in_pieces(text: str, size: int) -> None:
    assert blocks(text, size=size) == blocks(text, size=len(text) + 1)


@given(st.lists(_LINES, max_size=25).map("\n".join))
def test_nothing_is_lost_but_empty_lines(text: str) -> None:
    def lines(whole: str) -> list[str]:
        return [line for line in whole.split("\n") if line.strip()]

    assert lines("\n".join(blocks(text))) == lines(text)
