"""When a cron expression is due, and what people are told about one that is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.cron import read_timetable
from agentrt.errors import TimetableError

OSLO = ZoneInfo("Europe/Oslo")


def at(text: str, zone: ZoneInfo = OSLO) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=zone).timestamp()


def due_times(cron: str, zone: str, *, start: float, n: int) -> list[str]:
    table = read_timetable(cron, zone)
    found, now = [], start
    for _ in range(n):
        next_at = table.next(now)
        assert next_at is not None
        found.append(datetime.fromtimestamp(next_at, ZoneInfo(zone)).strftime("%a %Y-%m-%d %H:%M %z"))
        now = next_at
    return found


def test_five_fields_names_and_a_zone() -> None:
    assert due_times("0 9 * * mon-fri", "Europe/Oslo", start=at("2026-10-22T10:00"), n=3) == [
        "Fri 2026-10-23 09:00 +0200",
        "Mon 2026-10-26 09:00 +0100",
        "Tue 2026-10-27 09:00 +0100",
    ]


def test_the_last_day_the_last_friday_and_the_first_monday_of_a_month() -> None:
    start = at("2026-02-01T00:00")
    assert due_times("30 17 L * *", "Europe/Oslo", start=start, n=2) == [
        "Sat 2026-02-28 17:30 +0100",
        "Tue 2026-03-31 17:30 +0200",
    ]
    assert due_times("0 0 * * 5L", "Europe/Oslo", start=start, n=1) == ["Fri 2026-02-27 00:00 +0100"]
    assert due_times("0 0 * * mon#1", "Europe/Oslo", start=start, n=1) == ["Mon 2026-02-02 00:00 +0100"]


def test_a_time_that_does_not_exist_is_due_when_the_clocks_have_been_set_forward() -> None:
    assert due_times("30 2 * * *", "Europe/Oslo", start=at("2026-03-28T12:00"), n=2) == [
        "Sun 2026-03-29 03:00 +0200",
        "Mon 2026-03-30 02:30 +0200",
    ]


def test_a_time_that_comes_twice_is_due_once() -> None:
    expected = ["Sun 2026-10-25 02:30 +0200", "Mon 2026-10-26 02:30 +0100"]
    assert due_times("30 2 * * *", "Europe/Oslo", start=at("2026-10-24T12:00"), n=2) == expected
    in_the_second_pass = datetime(2026, 10, 25, 2, 15, tzinfo=OSLO, fold=1).timestamp()
    assert due_times("30 2 * * *", "Europe/Oslo", start=in_the_second_pass, n=1) == expected[1:]


def test_every_hour_is_every_hour_also_when_one_comes_twice() -> None:
    start = at("2026-10-25T01:30")
    assert due_times("0 * * * *", "Europe/Oslo", start=start, n=3) == [
        "Sun 2026-10-25 02:00 +0200",
        "Sun 2026-10-25 02:00 +0100",
        "Sun 2026-10-25 03:00 +0100",
    ]


@pytest.mark.parametrize(
    ("cron", "what", "fix"),
    [
        ("0 25 * * *", '"25" is no hour', "0 to 23"),
        ("60 * * * *", '"60" is no minute', "0 to 59"),
        ("0 9 32 * *", '"32" is no day of the month', "1 to 31"),
        ("0 9 * foo *", '"foo" is no month', "jan to dec"),
        ("0 9 * * monday", '"monday" is no day of the week', "sun to sat"),
        ("0 9 * * sat-sun", '"sat-sun" is no day of the week', "a range goes upwards"),
        ("0 22-6 * * *", '"22-6" is no hour', "a range goes upwards"),
        ("0 9 ? * mon", '"?" is no day of the month', "write *"),
        ("0 9 * *", "this has 4 fields", "five fields: minute"),
        ("0 0 9 * * *", "this has 6 fields", "without seconds"),
        ("", "this has 0 fields", "five fields"),
        ("@daily", '"@daily" is not read', 'write "0 0 * * *"'),
        ("0 0 30 2 *", "is never due", "no month it names has such a day"),
        (f"{'9' * 5000} * * * *", "too long", "at most 500"),
    ],
)
def test_a_wrong_expression_names_the_field_and_the_remedy(cron: str, what: str, fix: str) -> None:
    with pytest.raises(TimetableError) as caught:
        read_timetable(cron, "UTC")
    assert what in caught.value.what
    assert fix in caught.value.fix
    assert caught.value.param == "cron"


@pytest.mark.parametrize(
    ("name", "fix"),
    [
        ("Europe/Olso", 'did you mean "Europe/Oslo"?'),
        ("europe/oslo", 'did you mean "Europe/Oslo"?'),
        ("New York", 'did you mean "America/New_York"?'),
        ("Europe", "did you mean"),
        ("../etc/passwd", "a name such as"),
        ("", "a name such as"),
    ],
)
def test_an_unknown_zone_names_the_one_that_was_meant(name: str, fix: str) -> None:
    with pytest.raises(TimetableError) as caught:
        read_timetable("* * * * *", name)
    assert fix in caught.value.fix
    assert caught.value.param == "timezone"


@given(st.text(alphabet="0123456789*/,-LW#?@ monjafriu", max_size=30) | st.text(max_size=20))
@settings(max_examples=300, deadline=None)
def test_any_text_is_an_expression_or_gets_a_proper_refusal(cron: str) -> None:
    try:
        table = read_timetable(cron, "Europe/Oslo")
    except TimetableError:
        return
    assert table.next(at("2026-01-01T00:00")) is not None


FIELDS = st.tuples(
    st.sampled_from(["0", "30", "*/7", "5,55", "*"]),
    st.sampled_from(["2", "*", "1-3", "*/5", "0,23"]),
    st.sampled_from(["*", "29", "L", "25-31"]),
    st.sampled_from(["*", "3", "oct", "*/2"]),
    st.sampled_from(["*", "sun", "1-5", "sun#4", "0L"]),
)


@given(FIELDS, st.sampled_from(["UTC", "Europe/Oslo", "America/St_Johns"]), st.integers(0, 400 * 86_400))
@settings(max_examples=60, deadline=None)
def test_due_times_only_grow_and_the_latest_is_the_last_of_them(fields: tuple[str, ...], zone: str, after: int) -> None:
    table = read_timetable(" ".join(fields), zone)
    start = int(at("2026-01-01T00:00")) + after
    times, now = [], float(start)
    for _ in range(5):
        next_at = table.next(now)
        assert next_at is not None
        assert next_at > now
        assert table.next(next_at - 1) == next_at
        times.append(next_at)
        now = next_at
    assert table.latest(after=start, until=times[-1]) == times[-1]
    assert table.latest(after=start, until=times[-1] - 1) == times[-2]
    assert table.latest(after=start, until=times[0] - 1) is None


def test_the_latest_of_many_is_found_without_walking_through_them() -> None:
    table = read_timetable("* * * * *", "Europe/Oslo")
    now = datetime(2026, 6, 1, tzinfo=UTC)
    long_ago = now - timedelta(days=3650)
    assert table.latest(after=long_ago.timestamp(), until=now.timestamp()) == int(now.timestamp())
