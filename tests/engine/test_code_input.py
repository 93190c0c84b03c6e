"""Code read out of a call's arguments while a model writes them."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentrt.engine.code_input import CodeInput, read_code

# Without what UTF-8 has no place for: no model server can send it, except escaped.
_texts = st.text(st.characters(exclude_categories=["Cs"]))
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | _texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3),
    max_leaves=5,
)
_others = st.dictionaries(_texts.filter(lambda name: name != "code"), _values, max_size=3)


def read_in_pieces(text: str, cuts: list[int]) -> str:
    """What a reader gives back of a text that comes cut at these places."""
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    reader = CodeInput()
    return "".join(reader.feed(text[begin:end]) for begin, end in pairwise(places))


@given(
    code=_texts,
    before=_others,
    after=_others,
    cuts=st.lists(st.integers(0, 10_000), max_size=8),
    is_ascii=st.booleans(),
    indent=st.sampled_from([None, 0, 2]),
)
def test_however_it_is_cut_the_code_is_what_json_says(
    code: str, before: dict[str, object], after: dict[str, object], cuts: list[int], is_ascii: bool, indent: int | None
) -> None:
    arguments = json.dumps({**before, "code": code, **after}, ensure_ascii=is_ascii, indent=indent)

    assert read_in_pieces(arguments, cuts) == code
    assert read_code(arguments) == code


@given(code=_texts.filter(lambda code: not code.lstrip().startswith("{")), cuts=st.lists(st.integers(0, 10_000)))
def test_code_that_is_no_json_is_the_code_itself(code: str, cuts: list[int]) -> None:
    assert read_in_pieces(code, cuts).strip() == code.strip()


@given(code=_texts, size=st.integers(0, 500), cuts=st.lists(st.integers(0, 10_000), max_size=5))
def test_of_arguments_that_break_off_the_beginning_is_read(code: str, size: int, cuts: list[int]) -> None:
    arguments = json.dumps({"code": code})[:size]

    assert code.startswith(read_in_pieces(arguments, cuts))


@given(st.text(), st.lists(st.integers(0, 10_000), max_size=8))
def test_no_text_at_all_makes_it_stumble_and_cuts_change_nothing(text: str, cuts: list[int]) -> None:
    assert read_in_pieces(text, cuts) == read_code(text)


@pytest.mark.parametrize("lone", ["\\ud83d", "\\ude00", "\\ud83dx\\ude00", "\\ud83d\\n", "\\ud83d\\ud83d\\ude00"])
def test_half_a_character_does_not_get_through(lone: str) -> None:
    found = read_code('{"code": "a' + lone + 'b"}')

    assert found.encode()  # what a lone surrogate cannot be
    assert (found[0], found[-1]) == ("a", "b")


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ('{"code": "re.match(\'\\d+\', text)"}', "re.match('\\d+', text)"),
        ('{"code": "a = 1\nb = 2"}', "a = 1\nb = 2"),
        ('{"code": "print(\'\\u00e9\\x41\')"}', "print('é\\x41')"),
        ('{"code": "\\u12"}', "\\u12"),
        ("print(6 * 7)", "print(6 * 7)"),
        ('  \n {"code":"1"} trailing words', "1"),
    ],
)
def test_what_models_write_in_place_of_json_keeps_its_meaning(arguments: str, code: str) -> None:
    assert read_code(arguments).strip() == code


@pytest.mark.parametrize("arguments", ["", "{}", '{"code": 5}', '{"input": "1"}', "{code: 1}", '{"code"', "{1, 2}"])
def test_an_object_without_code_has_none(arguments: str) -> None:
    assert read_code(arguments) == ""
