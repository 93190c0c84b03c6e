"""Keyset pages: `after` and `before` by object id, right even when many objects share a second."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from sqlalchemy import ColumnElement, FromClause, Table, TextClause, bindparam, select, tuple_

from agentrt.errors import NotFoundError
from agentrt.ids import time_of
from agentrt.store.database import Record, Tx
from agentrt.store.records import fetch_all
from agentrt.store.statements import Statement

R = TypeVar("R", bound=Record)
Where: TypeAlias = tuple[ColumnElement[bool] | TextClause, ...]
"""Conditions with bindparams, made once and kept: statements are found again by them."""

FindGone: TypeAlias = Callable[[Tx, Mapping[str, Any], str], tuple[Any, ...] | None]


@dataclass(frozen=True, slots=True)
class PageQuery:
    """What a list request asks for. after and before are object ids; order is by creation."""

    limit: int = 20
    order: Literal["asc", "desc"] = "desc"
    after: str | None = None
    before: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[R]):
    """Objects in the requested order; has_more: more follow in the direction that was paged."""

    items: list[R]
    has_more: bool


@dataclass(frozen=True, slots=True, eq=False)
class Listing(Generic[R]):
    """A table that is read in pages. kind: as NotFoundError names an object. prefix: how our ids of it begin.

    key: the columns of `source` that order it, unique together. has_time_key: they are a creation time and an id.
    cursor: the column that cursors name a row by. find_gone: where a row stood that is gone, for (tx, values, cursor),
    None if it never was there; without it, our ids tell.
    """

    model: type[R]
    table: Table
    source: FromClause
    key: tuple[ColumnElement[Any], ...]
    kind: str
    prefix: str
    has_time_key: bool
    cursor: ColumnElement[Any]
    find_gone: FindGone | None


def listing(
    model: type[R],
    table: Table,
    *,
    kind: str,
    prefix: str,
    source: FromClause | None = None,
    key: tuple[ColumnElement[Any], ...] | None = None,
    has_time_key: bool = True,
    cursor: ColumnElement[Any] | None = None,
    find_gone: FindGone | None = None,
) -> Listing[R]:
    """A Listing; ordered by creation, its rows named by their ids, unless told otherwise."""
    key = key or (table.c.created_at, table.c.id)
    cursor = table.c.id if cursor is None else cursor
    source = table if source is None else source
    return Listing(model, table, source, key, kind, prefix, has_time_key, cursor, find_gone)


@dataclass(frozen=True, slots=True)
class Made:
    """When the objects of a list were made, Unix seconds: at `since` or later, before `until`. Narrows a page."""

    since: int | None = None
    until: int | None = None


ALWAYS = Made()


@dataclass(frozen=True, slots=True, order=True)
class _Bound:
    """One end of a page, as far as it shapes the statement. by_time: its place is (creation time, id) though the
    list's key is another: of a cursor whose object is gone, only its id tells where it stood."""

    is_greater: bool
    by_time: bool = False

    @property
    def name(self) -> str:
        return "lower" if self.is_greater else "upper"


def fetch_page(
    tx: Tx,
    of: Listing[R],
    wheres: tuple[Where, ...],
    values: Mapping[str, Any],
    query: PageQuery,
    *,
    cursors: tuple[Where, ...] | None = None,
    made: Made = ALWAYS,
) -> Page[R]:
    """One page of the rows that match one of `wheres` (no row may match two), with `values` for their parameters.

    `before` gives the items directly before it, still in the requested order. A cursor whose object has been
    deleted in the meantime still marks its place, as long as its id is one of ours.
    cursors: what a cursor's row must match, where rows may leave the list while it is read; else one of `wheres`.
    made: only for lists whose key is a creation time and an id.
    Raises NotFoundError for a cursor that never was in this list.
    """
    # `before` is read backwards from the cursor and turned round at the end.
    is_backwards = query.before is not None and query.after is None
    is_ascending = (query.order == "asc") != is_backwards
    bounds: dict[_Bound, tuple[Any, ...]] = {}
    for cursor, follows in ((query.after, True), (query.before, False)):
        if cursor is not None:
            place, by_time = _find_place(tx, of, cursors or wheres, values, cursor)
            bound = _Bound((query.order == "asc") == follows, by_time and not of.has_time_key)
            _narrow(bounds, bound, place)
    for second, is_greater in ((made.since, True), (made.until, False)):
        if second is not None:  # no id is empty: every key of a second stands behind (second, "")
            _narrow(bounds, _Bound(is_greater), (second, ""))
    places = {f"{bound.name}_{i}": part for bound, place in bounds.items() for i, part in enumerate(place)}
    given = {**values, **places, "n": query.limit + 1}
    shape = tuple(sorted(bounds))
    found: list[R] = []
    for where in wheres:
        found += fetch_all(tx, _page(of, where, is_ascending, shape), of.model, given)
    if len(wheres) > 1:
        found.sort(key=attrgetter(*(str(column.key) for column in of.key)), reverse=not is_ascending)
    items = found[: query.limit]
    return Page(items[::-1] if is_backwards else items, len(found) > query.limit)


def _narrow(bounds: dict[_Bound, tuple[Any, ...]], bound: _Bound, place: tuple[Any, ...]) -> None:
    """Of two bounds on one side the narrower one counts, so that an index is read from there and no further."""
    other = bounds.get(bound)
    if other is None or (place > other) == bound.is_greater:
        bounds[bound] = place


def _find_place(
    tx: Tx, of: Listing[R], wheres: tuple[Where, ...], values: Mapping[str, Any], cursor: str
) -> tuple[tuple[Any, ...], bool]:
    for where in wheres:
        place = _place(of, where).first(tx, {**values, "cursor": cursor})
        if place is not None:
            return tuple(place), False
    if of.find_gone is not None:
        gone = of.find_gone(tx, values, cursor)
        if gone is None:
            raise NotFoundError(of.kind, cursor)
        return gone, False
    made_at = time_of(cursor) if cursor.startswith(of.prefix) else None
    # A row that exists and does not match is another list's: of another project, thread or run.
    if made_at is None or _exists(of).first(tx, {"cursor": cursor}) is not None:
        raise NotFoundError(of.kind, cursor)
    return (int(made_at), cursor), True


@lru_cache(maxsize=1024)
def _page(of: Listing[Any], where: Where, is_ascending: bool, bounds: tuple[_Bound, ...]) -> Statement:
    statement = select(of.table).select_from(of.source).where(*where)
    for bound in bounds:
        key = of.key if of.has_time_key or not bound.by_time else (of.table.c.created_at, of.table.c.id)
        left = tuple_(*key)
        right = tuple_(*(bindparam(f"{bound.name}_{i}", type_=column.type) for i, column in enumerate(key)))
        statement = statement.where(left > right if bound.is_greater else left < right)
    order = (column.asc() if is_ascending else column.desc() for column in of.key)
    return Statement(statement.order_by(*order).limit(bindparam("n")))


@lru_cache(maxsize=256)
def _place(of: Listing[Any], where: Where) -> Statement:
    return Statement(select(*of.key).select_from(of.source).where(of.cursor == bindparam("cursor"), *where))


@lru_cache(maxsize=64)
def _exists(of: Listing[Any]) -> Statement:
    return Statement(select(of.table.c.id).where(of.table.c.id == bindparam("cursor")))
