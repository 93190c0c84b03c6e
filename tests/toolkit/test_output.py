from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from agentrt.toolkit.output import MAX_ITEMS, fit, render


class Colour(StrEnum):
    RED = "red"


class Level(Enum):
    HIGH = 3


class OldEnum(str, Enum):  # noqa: UP042 - users have them
    RED = "red"


@dataclass
class Point:
    x: int


class Pair(NamedTuple):
    a: int
    b: str


class Invoice(BaseModel):
    total: Decimal


class Record(msgspec.Struct):
    day: date


class Odd:
    def __str__(self) -> str:
        return "an odd thing"


class Array:
    def tolist(self) -> list[int]:
        return [1, 2]


CIRCLE: list[object] = []
CIRCLE.append(CIRCLE)


def words() -> Iterator[str]:
    yield "one "
    yield "two"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is", "as it is"),
        (None, ""),
        (7, "7"),
        (2**200, str(2**200)),
        (True, "true"),
        (0.5, "0.5"),
        (float("inf"), "inf"),
        (Colour.RED, "red"),
        (OldEnum.RED, "red"),
        (Level.HIGH, "3"),
        (b"text", "text"),
        (b"\xff\x00", '"/wA="'),
        (date(2026, 11, 21), '"2026-11-21"'),
        (Decimal("1.50"), '"1.50"'),
        (Path("a/b"), "a/b"),
        ({"path": Path("a/b")}, '{"path":"a/b"}'),
        (Point(1), '{"x":1}'),
        ([Point(1), Pair(1, "b")], '[{"x":1},[1,"b"]]'),
        (Invoice(total=Decimal(3)), '{"total":"3"}'),
        ({"invoices": (Invoice(total=Decimal(3)),)}, '{"invoices":[{"total":"3"}]}'),
        (Record(date(2026, 1, 2)), '{"day":"2026-01-02"}'),
        (Array(), "[1,2]"),
        (Odd(), "an odd thing"),
        ([Odd()], '["an odd thing"]'),
        ({(1, 2): "x"}, '{"(1, 2)":"x"}'),
        ([2**70], f"[{2**70}]"),
        (CIRCLE, "[[...]]"),
        (words(), "one two"),
        (map(abs, [-1, 2]), "[1,2]"),
        (iter(()), "[]"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_kind_of_result_becomes_text(value: Any, text: str) -> None:
    assert render(value) == text


def test_an_endless_iterator_is_taken_in_part() -> None:
    assert len(render(iter(lambda: "x", None))) == MAX_ITEMS


def test_what_cannot_be_stored_is_replaced() -> None:
    assert fit("a\x00b", 100) == "a\ufffdb"
    assert fit("a\ud800b", 100) == "a?b"


@settings(deadline=None)
@given(st.text(st.characters(), max_size=400), st.integers(0, 500))
def test_any_text_fits_after_it_was_cut(text: str, max_bytes: int) -> None:
    fitted = fit(text, max_bytes)
    assert len(fitted.encode()) <= max_bytes
    if len(text.encode(errors="replace")) * 3 <= max_bytes:
        assert fitted == text.replace("\x00", "\ufffd").encode(errors="replace").decode()


def test_the_note_says_how_much_is_missing() -> None:
    assert "[… 764 bytes cut out …]" in fit("x" * 1000, 300)
