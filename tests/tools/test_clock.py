from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from tests.tools.conftest import Ask


async def test_the_current_time_is_the_clocks(ask: Ask) -> None:
    before = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251 - what the tool is compared with
    answer = await ask("clock.py:current_time")
    after = datetime.now(UTC)  # noqa: TID251
    match = re.fullmatch(r"\w+day ([\d-]+ [\d:]+) in UTC \(UTC, UTC\+00:00\)", answer.output)
    assert match is not None
    assert before <= datetime.fromisoformat(match[1]).replace(tzinfo=UTC) <= after


@pytest.mark.parametrize("name", ["Asia/Tokyo", "tokyo", "ASIA/TOKYO", " Tokyo "])
async def test_a_zone_may_be_named_by_its_city(ask: Ask, name: str) -> None:
    assert "in Asia/Tokyo (JST, UTC+09:00)" in (await ask("clock.py:current_time", time_zone=name)).output


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("Tokio", "Did you mean Asia/Tokyo"),
        ("Europe/Olso", "Did you mean Europe/Oslo"),
        ("Europe", "is unknown"),
        ("../../etc/passwd", "is unknown"),
        ("", "is unknown"),
        ("a\0b", "is unknown"),
        ("Qqqqqqqq", "Region/City"),
    ],
)
async def test_an_unknown_zone_is_answered_with_close_names(ask: Ask, name: str, text: str) -> None:
    answer = await ask("clock.py:current_time", time_zone=name)
    assert answer.error == "exception"
    assert text in answer.output


@pytest.mark.parametrize(
    ("clock_time", "source", "target", "on", "text"),
    [
        ("15:30", "Europe/Oslo", "New York", "2026-11-21", "2026-11-21 09:30:00 in America/New_York (EST, UTC-05:00)"),
        (
            "3:30 pm",
            "UTC",
            "Asia/Kolkata",
            "2026-07-01",
            "Wednesday 2026-07-01 21:00:00 in Asia/Kolkata (IST, UTC+05:30)",
        ),
        ("12am", "UTC", "UTC", "2026-07-01", "00:00:00 in UTC"),
        ("12 p.m.", "UTC", "UTC", "2026-07-01", "12:00:00 in UTC"),
        ("23:15:30", "UTC", "Tokyo", "2026-12-31", "Friday 2027-01-01 08:15:30 in Asia/Tokyo"),
        ("2026-11-21 15:30", "UTC", "Tokyo", None, "Sunday 2026-11-22 00:30:00"),
        ("2026-11-21T15:30+02:00", "UTC", "UTC", None, "13:30:00 in UTC"),
        ("02:30", "Europe/Oslo", "UTC", "2026-03-29", "does not occur"),
        ("02:30", "Europe/Oslo", "UTC", "2026-10-25", "occurs twice"),
    ],
)
async def test_a_time_is_converted(
    ask: Ask, clock_time: str, source: str, target: str, on: str | None, text: str
) -> None:
    answer = await ask(
        "clock.py:convert_time", clock_time=clock_time, from_time_zone=source, to_time_zone=target, on=on
    )
    assert text in answer.output
    assert answer.error is None


@pytest.mark.parametrize("clock_time", ["25:00", "13 pm", "noon", "0am", "12:60", ""])
async def test_what_is_no_time_is_refused(ask: Ask, clock_time: str) -> None:
    answer = await ask("clock.py:convert_time", clock_time=clock_time, from_time_zone="UTC", to_time_zone="UTC")
    assert answer.error == "exception"
    assert "is not a time" in answer.output


async def test_today_is_meant_when_no_day_is_named(ask: Ask) -> None:
    answer = await ask("clock.py:convert_time", clock_time="12:00", from_time_zone="UTC", to_time_zone="UTC")
    assert re.search(r"\d{4}-\d\d-\d\d 12:00:00 in UTC", answer.output)
