from __future__ import annotations

from collections.abc import Callable

import pytest

from agentrt.errors import InvalidRequestError
from agentrt.wire.pages import (
    PageQuery,
    Query,
    read_filter,
    read_metadata_filter,
    read_page_query,
    render_page,
    wants_search_content,
)

INCLUDE = "step_details.tool_calls[*].file_search.results[*].content"


def refused(read: Callable[[Query], object], *query: tuple[str, str]) -> tuple[str | None, str | None, str]:
    with pytest.raises(InvalidRequestError) as caught:
        read(query)
    return caught.value.param, caught.value.code, caught.value.message


def test_a_list_is_asked_for_newest_first_and_twenty_at_a_time() -> None:
    assert read_page_query([]) == PageQuery(20, "desc", None, None)
    assert read_page_query([], max_limit=10_000, default_limit=10_000).limit == 10_000


def test_a_caller_says_what_part_of_the_list_it_wants() -> None:
    query = [("limit", "100"), ("order", "asc"), ("after", "msg_1"), ("before", "msg_9"), ("api-version", "1")]
    assert read_page_query(query) == PageQuery(100, "asc", "msg_1", "msg_9")


def test_an_empty_cursor_is_none_and_the_last_of_two_counts() -> None:
    assert read_page_query([("after", ""), ("before", ""), ("limit", "1"), ("limit", "2")]) == PageQuery(2)


@pytest.mark.parametrize(
    ("limit", "code", "words"),
    [
        ("0", "integer_below_min_value", "integer below minimum value. Expected a value >= 1, but got 0 instead."),
        ("-5", "integer_below_min_value", "integer below minimum value. Expected a value >= 1, but got -5 instead."),
        (
            "101",
            "integer_above_max_value",
            "integer above maximum value. Expected a value <= 100, but got 101 instead.",
        ),
        ("ten", "invalid_type", "expected an integer, but got a string instead."),
        ("", "invalid_type", "expected an integer, but got a string instead."),
        ("1.0", "invalid_type", "expected an integer, but got a string instead."),
        ("١", "invalid_type", "expected an integer, but got a string instead."),
        ("9" * 5000, "invalid_type", "expected an integer, but got a string instead."),
    ],
)
def test_a_limit_out_of_range_is_refused_not_clamped(limit: str, code: str, words: str) -> None:
    param, found, message = refused(read_page_query, ("limit", limit))
    assert (param, found) == ("limit", code)
    assert message.endswith(words)


def test_files_come_in_larger_pages() -> None:
    assert read_page_query([("limit", "10000")], max_limit=10_000, default_limit=10_000).limit == 10_000
    with pytest.raises(InvalidRequestError, match="<= 10000, but got 10001"):
        read_page_query([("limit", "10001")], max_limit=10_000, default_limit=10_000)


def test_an_order_is_asc_or_desc() -> None:
    assert refused(read_page_query, ("order", "random")) == (
        "order",
        "invalid_value",
        "Invalid value: 'random'. Supported values are: 'asc' and 'desc'.",
    )


@pytest.mark.parametrize("name", ["after", "before", "run_id"])
def test_a_nul_character_never_reaches_the_database(name: str) -> None:
    read = read_page_query if name != "run_id" else (lambda query: read_filter(query, "run_id"))
    assert refused(read, (name, "msg_\0"))[:2] == (name, "invalid_value")


def test_a_filter_is_a_value_or_nothing() -> None:
    assert read_filter([("run_id", "run_1")], "run_id") == "run_1"
    assert read_filter([("run_id", "")], "run_id") is None
    assert read_filter([], "run_id") is None


def test_metadata_is_filtered_by_pairs() -> None:
    query = [("metadata[user]", "ada"), ("metadata[a[b]]", ""), ("metadata", "x"), ("metadata[]", "y"), ("limit", "1")]
    assert read_metadata_filter(query) == {"user": "ada", "a[b]": ""}
    assert read_metadata_filter([]) == {}


@pytest.mark.parametrize("name", ["include[]", "include"])
def test_a_caller_may_ask_for_the_text_of_search_results(name: str) -> None:
    assert wants_search_content([(name, INCLUDE)])
    assert wants_search_content([(name, INCLUDE), (name, INCLUDE)])
    assert refused(wants_search_content, (name, INCLUDE), (name, "usage")) == (
        name,
        "invalid_value",
        f"Invalid value: 'usage'. Supported values are: '{INCLUDE}'.",
    )


def test_without_include_the_text_of_search_results_is_left_out() -> None:
    assert not wants_search_content([("limit", "1")])


def test_a_page_names_its_first_and_last_item() -> None:
    items = [{"id": "msg_3"}, {"id": "msg_2"}, {"id": "msg_1"}]
    assert render_page(items, has_more=True) == {
        "object": "list",
        "data": items,
        "first_id": "msg_3",
        "last_id": "msg_1",
        "has_more": True,
    }


def test_an_empty_page_has_null_cursors() -> None:
    nothing: list[dict[str, object]] = []
    assert render_page(nothing, has_more=False) == {
        "object": "list",
        "data": [],
        "first_id": None,
        "last_id": None,
        "has_more": False,
    }
