"""Estimates of tokens, against counts that o200k_base gave for these texts."""

from __future__ import annotations

from itertools import pairwise

import pytest

from agentrt.retrieval.tokens import TokenCounter, estimate_tokens

COUNTED = [
    (
        (
            "The quick brown fox jumps over the lazy dog. It was a bright cold day in April, and the clocks "
            "were striking thirteen; nobody on the street seemed to notice."
        ),
        34,
    ),
    (
        (
            "Die Würde des Menschen ist unantastbar. Sie zu achten und zu schützen ist Verpflichtung aller s"
            "taatlichen Gewalt. Das Deutsche Volk bekennt sich darum zu unverletzlichen Menschenrechten."
        ),
        40,
    ),
    (
        (
            "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de rais"
            "on et de conscience et doivent agir les uns envers les autres dans un esprit de fraternité."
        ),
        41,
    ),
    (
        (
            "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и со"
            "вестью и должны поступать в отношении друг друга в духе братства."
        ),
        41,
    ),
    (
        (
            "吾輩は猫である。名前はまだ無い。どこで生れたかとんと見当がつかぬ。何でも薄暗いじめじめした所でニャーニャ"
            "ー泣いていた事だけは記憶している。"
        ),
        61,
    ),
    (
        "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
        35,
    ),
    (
        (
            "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다. 인간은 천부적으로 이성"
            "과 양심을 부여받았으며 서로 형제애의 정신으로 행동하여야 한다."
        ),
        51,
    ),
    (
        (
            'def estimate_tokens(text: str) -> int:\n    """About how many tokens the text is."""\n    return '
            "round(TokenCounter(text).count(0, len(text)))\n"
        ),
        34,
    ),
    (
        (
            '{"id": "file-abc123", "object": "file", "bytes": 120000, "created_at": 1677610602, "filename": '
            '"salesOverview.pdf", "purpose": "assistants"}'
        ),
        47,
    ),
    (
        "id,name,price,date\n1,item 7,1.37,2024-02-02\n2,item 14,2.74,2024-03-03\n3,item 21,4.11,2024-04-04\n",
        54,
    ),
]


@pytest.mark.parametrize(("text", "n_tokens"), COUNTED)
def test_an_estimate_is_near_the_truth(text: str, n_tokens: int) -> None:
    assert estimate_tokens(text) == pytest.approx(n_tokens, rel=0.25)


def test_parts_add_up_to_the_whole() -> None:
    text = "One sentence. And, perhaps, another one!\n\nThe third has 12345 digits, and 漢字 too.\n"
    counter = TokenCounter(text)
    cuts = [0, 14, 42, 52, len(text)]
    parts = [counter.count(start, end) for start, end in pairwise(cuts)]
    assert sum(parts) == pytest.approx(counter.count(0, len(text)))
    assert estimate_tokens("") == 0


def test_the_ends_of_tokens_are_where_a_text_may_be_cut() -> None:
    text = "internationalisation of 1234567 things"
    ends = list(TokenCounter(text).ends(0, len(text)))
    assert [text[:end] for end in ends][-2:] == ["internationalisation of 1234567", text]
    assert len(ends) == estimate_tokens(text)
