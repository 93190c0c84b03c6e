"""Attribute filters: `{"type": "eq", "key": "year", "value": 2024}`, and `and`/`or` of them, nested. Pure.

An attribute that a file does not have matches nothing, not even `ne`. Values are compared with their own kind: text
with text (by code points), numbers with numbers, truth values with truth values; `ne` of another kind is true.
Source: API reference, vector stores, search, filters.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Set
from typing import Final, Literal, TypeAlias, assert_never

import msgspec

from agentrt.errors import InvalidRequestError

Value: TypeAlias = str | float | bool
Operator: TypeAlias = Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin"]

_OPERATORS: Final = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin")
_COMPOUNDS: Final = ("and", "or")
_DEEPEST: Final = 32
_MOST: Final = 1000
_MOST_IN_ALL: Final = 5000
"""Values, in a whole filter: each is looked up, and others wait for their searches meanwhile."""


class Comparison(msgspec.Struct, frozen=True):
    """values: one, or any number for `in` and `nin`."""

    operator: Operator
    key: str
    values: tuple[Value, ...]


class Compound(msgspec.Struct, frozen=True):
    """All of the filters (`and`), or any (`or`)."""

    operator: Literal["and", "or"]
    filters: tuple[Filter, ...]


Filter: TypeAlias = Comparison | Compound


def parse_filter(raw: object, *, param: str = "filters") -> Filter:
    """A filter as it comes in a request. Raises InvalidRequestError, with the place in `param`."""
    parsed = _parse(raw, param, depth=0)
    if _n_values(parsed) > _MOST_IN_ALL:
        raise _wrong(f"{param} may compare with {_MOST_IN_ALL} values, all together.", param)
    return parsed


def matches(filter_: Filter, attributes: Mapping[str, Value]) -> bool:
    """Whether a file with these attributes is let in."""
    if isinstance(filter_, Compound):
        verdicts = (matches(part, attributes) for part in filter_.filters)
        return all(verdicts) if filter_.operator == "and" else any(verdicts)
    if filter_.key not in attributes:
        return False
    value = attributes[filter_.key]
    match filter_.operator:
        case "eq" | "in":
            return any(_same(value, other) for other in filter_.values)
        case "ne" | "nin":
            return not any(_same(value, other) for other in filter_.values)
        case "gt" | "gte" | "lt" | "lte":
            return _compares(value, filter_.operator, filter_.values[0])
        case _:
            assert_never(filter_.operator)


def select_files(
    filter_: Filter,
    *,
    having: Callable[[str], Set[int]],
    where: Callable[[str, Literal["eq", "gt", "gte", "lt", "lte"], Value], Set[int]],
) -> Set[int]:
    """The keys of the files that are let in, by look-ups in an index.

    having: the files that have an attribute; where: those whose attribute is of the value's kind and compares so.
    """
    if isinstance(filter_, Compound):
        parts = [select_files(part, having=having, where=where) for part in filter_.filters]
        return (
            frozenset.intersection(*map(frozenset, parts)) if filter_.operator == "and" else frozenset().union(*parts)
        )
    key = filter_.key
    match filter_.operator:
        case "eq" | "in":
            return frozenset().union(*(where(key, "eq", value) for value in filter_.values))
        case "ne" | "nin":
            return having(key) - frozenset().union(*(where(key, "eq", value) for value in filter_.values))
        case "gt" | "gte" | "lt" | "lte":
            return where(key, filter_.operator, filter_.values[0])
        case _:
            assert_never(filter_.operator)


def _parse(raw: object, param: str, *, depth: int) -> Filter:
    if not isinstance(raw, Mapping):
        raise _wrong(f"{param} must be an object with a `type`.", param)
    if depth > _DEEPEST:
        raise _wrong(f"{param}: filters may be nested {_DEEPEST} deep.", param)
    kind = raw.get("type")
    if kind in _COMPOUNDS:
        return _parse_compound(raw, kind, param, depth)
    if kind not in _OPERATORS:
        raise _wrong(f"{param}.type must be one of {', '.join((*_OPERATORS, *_COMPOUNDS))}.", f"{param}.type")
    key = raw.get("key")
    if not isinstance(key, str) or not key:
        raise _wrong(f"{param}.key must be the name of an attribute.", f"{param}.key")
    _check_keys(raw, {"type", "key", "value"}, param)
    return Comparison(kind, key, _values(raw.get("value"), kind, f"{param}.value"))


def _parse_compound(raw: Mapping[object, object], kind: Literal["and", "or"], param: str, depth: int) -> Compound:
    parts = raw.get("filters")
    if not isinstance(parts, list) or not 0 < len(parts) <= _MOST:
        raise _wrong(f"{param}.filters must be a list of 1 to {_MOST} filters.", f"{param}.filters")
    _check_keys(raw, {"type", "filters"}, param)
    return Compound(kind, tuple(_parse(part, f"{param}.filters[{i}]", depth=depth + 1) for i, part in enumerate(parts)))


def _values(raw: object, operator: str, param: str) -> tuple[Value, ...]:
    if operator in ("in", "nin"):
        if not isinstance(raw, list) or len(raw) > _MOST or not all(_is_value(value) for value in raw):
            raise _wrong(f"{param} must be a list of at most {_MOST} texts, numbers or truth values.", param)
        return tuple(raw)
    if not _is_value(raw):
        raise _wrong(f"{param} must be a text, a number or a truth value.", param)
    if isinstance(raw, bool) and operator not in ("eq", "ne"):
        raise _wrong(f"{param} must be a text or a number: truth values have no order.", param)
    assert isinstance(raw, str | float | int)
    return (raw,)


def _is_value(raw: object) -> bool:
    # JSON has integers of any length, and the index has numbers of 64 bits.
    return isinstance(raw, str) or (isinstance(raw, int | float) and abs(raw) <= sys.float_info.max)


def _n_values(filter_: Filter) -> int:
    return sum(map(_n_values, filter_.filters)) if isinstance(filter_, Compound) else max(1, len(filter_.values))


def _check_keys(raw: Mapping[object, object], known: Set[str], param: str) -> None:
    for key in raw:
        if key not in known:
            raise _wrong(f"Unknown parameter: '{param}.{key}'.", f"{param}.{key}")


def _wrong(message: str, param: str) -> InvalidRequestError:
    return InvalidRequestError(message, param=param)


def _same(value: Value, other: Value) -> bool:
    return _kind(value) is _kind(other) and value == other


def _compares(value: Value, operator: Literal["gt", "gte", "lt", "lte"], other: Value) -> bool:
    if _kind(value) is not _kind(other):
        return False
    # Both are of one kind, which the type checker cannot see.
    left, right = (value, other) if isinstance(value, str) else (float(value), float(other))
    match operator:
        case "gt":
            return left > right  # type: ignore[operator]
        case "gte":
            return left >= right  # type: ignore[operator]
        case "lt":
            return left < right  # type: ignore[operator]
        case "lte":
            return left <= right  # type: ignore[operator]


def _kind(value: Value) -> type:
    return str if isinstance(value, str) else bool if isinstance(value, bool) else float
