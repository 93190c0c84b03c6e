"""Lists: what a caller may ask of one, and the page it gets.

Query parameters that nobody knows are let pass, unlike body fields: proxies and Azure clients add their own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Generic, Literal, TypeAlias, TypeVar, cast

import msgspec
from typing_extensions import TypedDict

from agentrt.errors import InvalidRequestError
from agentrt.wire.errors import invalid_value, nul_character, out_of_range, unsupported_value
from agentrt.wire.run_steps import INCLUDE_SEARCH_CONTENT

Order: TypeAlias = Literal["asc", "desc"]
Query: TypeAlias = Iterable[tuple[str, str]]

_ORDERS: tuple[Order, ...] = ("asc", "desc")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_PLACE = re.compile(r"(\d{1,15})\.(\d{1,15})", re.ASCII)
_METADATA_FILTER = re.compile(r"metadata\[(.+)\]", re.DOTALL)

ItemT = TypeVar("ItemT", bound=Mapping[str, object])


class PageQuery(msgspec.Struct, frozen=True):
    """Which part of a list: limit items in order, those after or directly before an id (exclusive)."""

    limit: int
    order: Order = "desc"
    after: str | None = None
    before: str | None = None


class Page(TypedDict, Generic[ItemT]):
    """One part of a list. The two ids are null when it is empty."""

    object: Literal["list"]
    data: list[ItemT]
    first_id: str | None
    last_id: str | None
    has_more: bool


def read_page_query(query: Query, *, max_limit: int = 100, default_limit: int = 20) -> PageQuery:
    """Read limit, order, after and before; the last one counts when a name is repeated, and an empty cursor is none.

    Files take max_limit=10_000, default_limit=10_000. Raises InvalidRequestError.
    """
    given = _checked(query)
    order = given.get("order", "desc")
    if order not in _ORDERS:
        raise unsupported_value("order", got=order, supported=_ORDERS)
    limit = read_limit(query, max_limit=max_limit, default_limit=default_limit)
    return PageQuery(limit, order, given.get("after") or None, given.get("before") or None)


def read_limit(query: Query, *, max_limit: int, default_limit: int) -> int:
    """How many objects are asked for. Raises InvalidRequestError."""
    given = _checked(query)
    limit = read_integer(given["limit"], param="limit") if "limit" in given else default_limit
    if not 1 <= limit <= max_limit:
        raise out_of_range("limit", got=limit, limit=1 if limit < 1 else max_limit, is_above=limit > max_limit)
    return limit


def read_filter(query: Query, name: str) -> str | None:
    """The value of one filter (`run_id`, `purpose`); None when absent or empty."""
    return _checked(query).get(name) or None


def read_choice(query: Query, name: str, supported: Sequence[str]) -> str | None:
    """The value of a filter that knows only these; None when absent or empty. Raises InvalidRequestError."""
    value = read_filter(query, name)
    if value is not None and value not in supported:
        raise unsupported_value(name, got=value, supported=supported)
    return value


def read_choices(query: Query, name: str, supported: Sequence[str]) -> tuple[str, ...]:
    """The values of a filter that takes several: `NAME=a&NAME=b`, `NAME[]=a`, or `NAME=a,b`."""
    given = [part for key, text in query if key in (name, f"{name}[]") for part in text.split(",") if part]
    for value in given:
        if value not in supported:
            raise unsupported_value(name, got=value, supported=supported)
    return tuple(given)


def read_time(query: Query, name: str) -> int | None:
    """A filter in Unix seconds; None when absent or empty."""
    text = read_filter(query, name)
    if text is None:
        return None
    seconds = read_integer(text, param=name)
    if seconds < 0:
        raise out_of_range(name, got=seconds, limit=0, is_above=False)
    return seconds


def read_place(text: str | None, *, name: str) -> tuple[int, int] | None:
    """An event's id, EPOCH.SEQ; None when there is none. name: where it stood, for the error."""
    if not text:
        return None
    match = _PLACE.fullmatch(text)
    if match is None:
        raise invalid_value(name, "expected the id of an event of this stream, such as '1.17'.")
    return int(match[1]), int(match[2])


def read_metadata_filter(query: Query) -> dict[str, str]:
    """The pairs that `metadata[KEY]=VALUE` asks for; an object must have all of them."""
    matches = ((_METADATA_FILTER.fullmatch(name), value) for name, value in _checked(query).items())
    return {match[1]: value for match, value in matches if match}


def wants_search_content(query: Query) -> bool:
    """Whether `include[]` (or plain `include`) asks for the text of search results, the one thing it can ask for."""
    wanted = False
    for name, value in query:
        if name in ("include[]", "include"):
            if value != INCLUDE_SEARCH_CONTENT:
                raise unsupported_value(name, got=value, supported=(INCLUDE_SEARCH_CONTENT,))
            wanted = True
    return wanted


def read_integer(text: str, *, param: str) -> int:
    """An integer of a query or a form, where everything is text."""
    if _INTEGER.fullmatch(text) is None:
        raise InvalidRequestError(
            f"Invalid type for '{param}': expected an integer, but got a string instead.",
            param=param,
            code="invalid_type",
        )
    return int(text)


def render_page(data: Sequence[ItemT], *, has_more: bool) -> Page[ItemT]:
    """data in the requested order; every item has an `id`."""
    return {
        "object": "list",
        "data": list(data),
        "first_id": cast("str", data[0]["id"]) if data else None,
        "last_id": cast("str", data[-1]["id"]) if data else None,
        "has_more": has_more,
    }


def _checked(query: Query) -> dict[str, str]:
    given = dict(query)
    for name, value in given.items():
        if "\0" in name or "\0" in value:
            raise nul_character(name.replace("\0", ""))
    return given
