"""Attribute filters: which files they let in, by looking at each and by look-ups; and what is no filter."""

from __future__ import annotations

import operator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.errors import InvalidRequestError
from agentrt.retrieval.filters import Value, matches, parse_filter, select_files

FILE: dict[str, Value] = {"year": 2024, "score": 0.5, "name": "report", "draft": True}


def eq(key: str, value: object) -> dict[str, object]:
    return {"type": "eq", "key": key, "value": value}


@pytest.mark.parametrize(
    ("raw", "is_in"),
    [
        (eq("year", 2024), True),
        (eq("year", 2024.0), True),
        (eq("year", "2024"), False),
        (eq("draft", True), True),
        (eq("draft", 1), False),
        (eq("year", True), False),
        (eq("none", None or 0), False),
        ({"type": "ne", "key": "year", "value": 2023}, True),
        ({"type": "ne", "key": "year", "value": "2024"}, True),
        ({"type": "ne", "key": "none", "value": 1}, False),
        ({"type": "gt", "key": "year", "value": 2023.5}, True),
        ({"type": "gte", "key": "year", "value": 2024}, True),
        ({"type": "lt", "key": "score", "value": 0.5}, False),
        ({"type": "lte", "key": "score", "value": 0.5}, True),
        ({"type": "gt", "key": "name", "value": "a"}, True),
        ({"type": "gt", "key": "name", "value": 1}, False),
        ({"type": "lt", "key": "draft", "value": 2}, False),
        ({"type": "in", "key": "name", "value": ["x", "report"]}, True),
        ({"type": "in", "key": "name", "value": []}, False),
        ({"type": "nin", "key": "name", "value": ["x"]}, True),
        ({"type": "nin", "key": "none", "value": ["x"]}, False),
        ({"type": "and", "filters": [eq("year", 2024), eq("draft", True)]}, True),
        ({"type": "and", "filters": [eq("year", 2024), eq("draft", False)]}, False),
        ({"type": "or", "filters": [eq("year", 1), {"type": "and", "filters": [eq("name", "report")]}]}, True),
    ],
)
def test_a_filter_lets_a_file_in_or_not(raw: dict[str, object], is_in: bool) -> None:
    assert matches(parse_filter(raw), FILE) is is_in


@pytest.mark.parametrize(
    ("raw", "param"),
    [
        ("year", "filters"),
        (None, "filters"),
        ({"type": "like", "key": "a", "value": "b"}, "filters.type"),
        ({"key": "a", "value": "b"}, "filters.type"),
        ({"type": "eq", "value": "b"}, "filters.key"),
        ({"type": "eq", "key": "", "value": "b"}, "filters.key"),
        ({"type": "eq", "key": "a"}, "filters.value"),
        ({"type": "eq", "key": "a", "value": ["b"]}, "filters.value"),
        ({"type": "in", "key": "a", "value": "b"}, "filters.value"),
        ({"type": "in", "key": "a", "value": [None]}, "filters.value"),
        ({"type": "gt", "key": "a", "value": True}, "filters.value"),
        ({"type": "eq", "key": "a", "value": "b", "valeu": 1}, "filters.valeu"),
        ({"type": "and", "filters": []}, "filters.filters"),
        ({"type": "and", "filters": {}}, "filters.filters"),
        ({"type": "or", "filters": [eq("a", 1), {"type": "eq", "key": 5, "value": 1}]}, "filters.filters[1].key"),
    ],
)
def test_what_is_no_filter_is_refused_with_its_place(raw: object, param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        parse_filter(raw)
    assert caught.value.param == param


def test_a_filter_with_more_values_than_anybody_needs_is_refused() -> None:
    many = {"type": "in", "key": "a", "value": list(range(1000))}
    assert parse_filter({"type": "or", "filters": [many] * 5})
    with pytest.raises(InvalidRequestError, match="5000 values, all together"):
        parse_filter({"type": "or", "filters": [many, {"type": "and", "filters": [many] * 5}]})


def test_filters_nested_without_end_are_refused() -> None:
    raw = eq("a", 1)
    for _ in range(5000):
        raw = {"type": "and", "filters": [raw]}
    with pytest.raises(InvalidRequestError, match="32 deep"):
        parse_filter(raw)


values = st.one_of(st.sampled_from(["a", "b", "é"]), st.sampled_from([0, 1, 1.0, 2.5, -3]), st.booleans())
keys = st.sampled_from(["x", "y"])
comparisons = st.one_of(
    st.builds(lambda op, k, v: {"type": op, "key": k, "value": v}, st.sampled_from(["eq", "ne"]), keys, values),
    st.builds(
        lambda op, k, v: {"type": op, "key": k, "value": v},
        st.sampled_from(["gt", "gte", "lt", "lte"]),
        keys,
        values.filter(lambda value: not isinstance(value, bool)),
    ),
    st.builds(
        lambda op, k, v: {"type": op, "key": k, "value": v},
        st.sampled_from(["in", "nin"]),
        keys,
        st.lists(values, max_size=3),
    ),
)
filters = st.recursive(
    comparisons,
    lambda inner: st.builds(
        lambda op, parts: {"type": op, "filters": parts},
        st.sampled_from(["and", "or"]),
        st.lists(inner, min_size=1, max_size=3),
    ),
    max_leaves=6,
)
OPERATORS = {"eq": operator.eq, "gt": operator.gt, "gte": operator.ge, "lt": operator.lt, "lte": operator.le}


def kind(value: Value) -> str:
    return "s" if isinstance(value, str) else "b" if isinstance(value, bool) else "n"


@settings(max_examples=300)
@given(filters, st.lists(st.dictionaries(keys, values), max_size=8))
def test_look_ups_let_the_same_files_in_as_looking_at_each(raw: dict[str, Any], files: list[dict[str, Any]]) -> None:
    def having(key: str) -> set[int]:
        return {i for i, file in enumerate(files) if key in file}

    def where(key: str, comparing: str, value: Value) -> set[int]:
        return {
            i
            for i, file in enumerate(files)
            if key in file and kind(file[key]) == kind(value) and OPERATORS[comparing](file[key], value)
        }

    parsed = parse_filter(raw)
    expected = {i for i, file in enumerate(files) if matches(parsed, file)}
    assert select_files(parsed, having=having, where=where) == expected
