from __future__ import annotations

import pytest

from tests.tools.conftest import Ask


@pytest.mark.parametrize(
    ("start", "end", "text"),
    [
        ("2026-01-01", "2026-03-01", "2026-03-01 is 59 days after 2026-01-01 (8 weeks and 3 days; 2 months)."),
        ("2024-02-29", "2025-02-28", "365 days after 2024-02-29 (52 weeks and 1 day; 1 year)"),
        ("2026-11-21", "2026-11-20", "2026-11-20 is 1 day before 2026-11-21 (0 weeks and 1 day; 1 day)."),
        ("2026-11-21", "2026-11-21", "0 days after 2026-11-21 (0 weeks and 0 days; the same day)."),
        ("1990-05-17", "2026-11-21", "36 years, 6 months, 4 days"),
    ],
)
async def test_the_difference_of_two_dates(ask: Ask, start: str, end: str, text: str) -> None:
    assert text in (await ask("dates.py:date_difference", start=start, end=end)).output


@pytest.mark.parametrize(
    ("shift", "result"),
    [
        ({"days": 10}, "2026-02-10 (Tuesday)"),
        ({"months": 1}, "2026-02-28 (Saturday)"),
        ({"years": 2, "months": 1}, "2028-02-29 (Tuesday)"),
        ({"weeks": -5}, "2025-12-27 (Saturday)"),
        ({}, "2026-01-31 (Saturday)"),
    ],
)
async def test_a_date_is_shifted(ask: Ask, shift: dict[str, int], result: str) -> None:
    assert (await ask("dates.py:add_to_date", start="2026-01-31", **shift)).output == result


@pytest.mark.parametrize("shift", [{"years": 9000}, {"days": -(10**12)}, {"weeks": 10**30}, {"months": -(10**6)}])
async def test_a_shift_out_of_the_calendar_is_refused(ask: Ask, shift: dict[str, int]) -> None:
    answer = await ask("dates.py:add_to_date", start="2026-01-31", **shift)
    assert "outside of the years 1 to 9999" in answer.output


async def test_a_date_is_described(ask: Ask) -> None:
    assert (await ask("dates.py:describe_date", day="2027-01-01")).output == (
        "2027-01-01 is a Friday: ISO week 2026-W53, day 1 of the year, quarter 1; 2027 is not a leap year."
    )


async def test_working_days_are_counted_without_weekends_and_holidays(ask: Ask) -> None:
    count = "dates.py:count_business_days"
    assert (await ask(count, start="2026-11-16", end="2026-11-29")).output.startswith("10 business days")
    assert (await ask(count, start="2026-11-21", end="2026-11-22")).output.startswith("0 business days")
    days = ["2026-11-18", "2026-11-18", "2026-11-21", "2026-12-01"]
    answer = await ask(count, start="2026-11-20", end="2026-11-16", holidays=days)
    assert answer.output == "4 business days from 2026-11-16 to 2026-11-20, both included."


async def test_working_days_are_added(ask: Ask) -> None:
    add = "dates.py:add_business_days"
    assert (await ask(add, start="2026-11-20", days=1)).output == "2026-11-23 (Monday)"
    assert (await ask(add, start="2026-11-20", days=-5)).output == "2026-11-13 (Friday)"
    assert (await ask(add, start="2026-11-20", days=1, holidays=["2026-11-23"])).output == "2026-11-24 (Tuesday)"
    assert "at most" in (await ask(add, start="2026-11-20", days=10**9)).output
    assert "outside" in (await ask(add, start="9999-12-01", days=100)).output


async def test_a_date_that_is_none_goes_back_to_the_model(ask: Ask) -> None:
    answer = await ask("dates.py:describe_date", day="31st of June")
    assert answer.error == "invalid_arguments"
    assert "day: Input should be a valid date" in answer.output
