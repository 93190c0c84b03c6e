"""Calendar arithmetic: differences, shifts, weekdays, ISO weeks, working days. It knows no holidays by itself."""

from __future__ import annotations

import calendar
from datetime import date, timedelta

from agentrt import tool


@tool(timeout_s=5)
def date_difference(start: date, end: date) -> str:
    """How many days there are from one date to another; also in weeks, and in years with months and days.

    start: the first date, as YYYY-MM-DD.
    end: the second date, as YYYY-MM-DD; may be before the first.
    """
    early, late = sorted((start, end))
    n_days = (late - early).days
    months = (late.year - early.year) * 12 + late.month - early.month
    if _shift_months(early, months) > late:
        months -= 1
    rest = (late - _shift_months(early, months)).days
    parts = [_count(months // 12, "year"), _count(months % 12, "month"), _count(rest, "day")]
    exact = ", ".join(part for part in parts if not part.startswith("0 ")) or "the same day"
    weeks = f"{_count(n_days // 7, 'week')} and {_count(n_days % 7, 'day')}"
    order = "after" if end >= start else "before"
    return f"{end} is {_count(n_days, 'day')} {order} {start} ({weeks}; {exact})."


@tool(timeout_s=5)
def add_to_date(start: date, years: int = 0, months: int = 0, weeks: int = 0, days: int = 0) -> str:
    """The date that lies some years, months, weeks or days after a date (or before it, with negative numbers).

    A month that is too short ends at its last day: one month after January 31st is the end of February.

    start: the date to begin with, as YYYY-MM-DD.
    years: how many years to add.
    months: how many months to add.
    weeks: how many weeks to add.
    days: how many days to add.
    """
    try:
        moved = _shift_months(start, years * 12 + months) + timedelta(weeks=weeks, days=days)
    except (ValueError, OverflowError):
        raise ValueError("the result is outside of the years 1 to 9999") from None
    return f"{moved} ({moved:%A})"


@tool(timeout_s=5)
def describe_date(day: date) -> str:
    """The weekday of a date, its ISO week number, day of the year and quarter, and whether it is a leap year.

    day: the date, as YYYY-MM-DD.
    """
    iso = day.isocalendar()
    leap = "a leap year" if calendar.isleap(day.year) else "not a leap year"
    return (
        f"{day} is a {day:%A}: ISO week {iso.year}-W{iso.week:02}, day {day.timetuple().tm_yday} of the year, "
        f"quarter {(day.month + 2) // 3}; {day.year} is {leap}."
    )


@tool(timeout_s=5)
def count_business_days(start: date, end: date, holidays: list[date] | None = None) -> str:
    """How many working days (Monday to Friday) there are from one date to another, both included.

    start: the first date, as YYYY-MM-DD.
    end: the last date, as YYYY-MM-DD.
    holidays: dates that are not worked, as YYYY-MM-DD.
    """
    early, late = sorted((start, end))
    n_weeks, n_rest = divmod((late - early).days + 1, 7)
    n_days = n_weeks * 5 + sum((early.weekday() + offset) % 7 < 5 for offset in range(n_rest))
    n_off = sum(early <= day <= late and day.weekday() < 5 for day in set(holidays or ()))
    return f"{_count(n_days - n_off, 'business day')} from {early} to {late}, both included."


@tool(timeout_s=5)
def add_business_days(start: date, days: int, holidays: list[date] | None = None) -> str:
    """The date some working days (Monday to Friday) after a date, or before it with a negative number.

    start: the date to begin with, as YYYY-MM-DD; it does not count itself.
    days: how many working days to add, at most 100000.
    holidays: dates that are not worked, as YYYY-MM-DD.
    """
    if abs(days) > 100_000:
        raise ValueError("at most 100000 days")
    off = set(holidays or ())
    step = timedelta(days=1 if days >= 0 else -1)
    day, left = start, abs(days)
    try:
        while left:
            day += step
            left -= day.weekday() < 5 and day not in off
    except OverflowError:
        raise ValueError("the result is outside of the years 1 to 9999") from None
    return f"{day} ({day:%A})"


def _shift_months(day: date, months: int) -> date:
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    if not 1 <= year <= 9999:
        raise ValueError("year out of range")
    return date(year, month + 1, min(day.day, calendar.monthrange(year, month + 1)[1]))


def _count(n: int, noun: str) -> str:
    return f"{n} {noun}" if n == 1 else f"{n} {noun}s"
