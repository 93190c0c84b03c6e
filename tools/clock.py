"""What time it is, and what time that is elsewhere. Zones come from the system's time zone database."""

from __future__ import annotations

import difflib
import re
from datetime import date, datetime, time
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from agentrt import tool

_CLOCK = re.compile(
    r"(?P<hour>\d{1,2})(?:[:.](?P<minute>\d{2}))?(?::(?P<second>\d{2}))?\s*(?P<half>[ap]\.?m\.?)?", re.I
)


@tool(timeout_s=5)
def current_time(time_zone: str = "UTC") -> str:
    """What time and what date it is now, in any time zone or large city.

    time_zone: an IANA time zone such as `Europe/Oslo`, or a large city such as `Tokyo`.
    """
    return _show(datetime.now(_zone(time_zone)))  # noqa: TID251 - to read the clock is what this tool is for


@tool(timeout_s=5)
def convert_time(clock_time: str, from_time_zone: str, to_time_zone: str, on: date | None = None) -> str:
    """Convert a time of day from one time zone or city to another.

    clock_time: the time to convert, such as `15:30` or `3:30 pm`; `2026-11-21 15:30` names its day too.
    from_time_zone: the zone or city that the time is meant in, such as `America/New_York` or `New York`.
    to_time_zone: the zone or city to convert it to.
    on: the day, as YYYY-MM-DD; today when left out. It matters where clocks change in summer.
    """
    source, target = _zone(from_time_zone), _zone(to_time_zone)
    moment = _moment(clock_time.strip(), on, source)
    shown = f"{_show(moment)} is {_show(moment.astimezone(target))}"
    if moment.astimezone(ZoneInfo("UTC")).astimezone(source).replace(tzinfo=None) != moment.replace(tzinfo=None):
        return f"{shown} (clocks are set forward then: the given time does not occur)"
    if moment.utcoffset() != moment.replace(fold=1).utcoffset():
        return f"{shown} (clocks are set back then: the given time occurs twice, this is the first)"
    return shown


def _show(moment: datetime) -> str:
    zone = moment.tzinfo
    offset = f"{moment:%z}"
    return f"{moment:%A %Y-%m-%d %H:%M:%S} in {zone} ({moment:%Z}, UTC{offset[:3]}:{offset[3:5]})"


def _moment(text: str, on: date | None, zone: ZoneInfo) -> datetime:
    match = _CLOCK.fullmatch(text)
    if match is None:
        try:
            moment = datetime.fromisoformat(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a time. Write it as `15:30`, `3:30 pm` or `2026-11-21 15:30`") from None
        return moment.astimezone(zone) if moment.tzinfo else moment.replace(tzinfo=zone)
    day = on or datetime.now(zone).date()  # noqa: TID251 - to read the clock is what this tool is for
    return datetime.combine(day, _time_of_day(match), zone)


def _time_of_day(match: re.Match[str]) -> time:
    hour, half = int(match["hour"]), (match["half"] or "").lower()
    if half and not 1 <= hour <= 12:
        raise ValueError(f"{match[0]!r} is not a time: with am or pm the hour is 1 to 12")
    if half:
        hour = hour % 12 + (12 if half.startswith("p") else 0)
    try:
        return time(hour, int(match["minute"] or 0), int(match["second"] or 0))
    except ValueError as error:
        raise ValueError(f"{match[0]!r} is not a time: {error}") from None


def _zone(name: str) -> ZoneInfo:
    """A zone by its name, or by its last part, in any case and with spaces: `new york`."""
    key = name.strip().replace(" ", "_")
    try:
        return ZoneInfo(key)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, such as `Europe`
        pass
    zones = available_timezones()
    if not zones:
        raise ValueError("this machine has no time zone database; installing the Python package tzdata adds one")
    wanted = key.lower()
    fitting = sorted(zone for zone in zones if wanted in (zone.lower(), zone.rpartition("/")[2].lower()))
    if len(fitting) == 1:
        return ZoneInfo(fitting[0])
    if not fitting:
        by_name = {part: zone for zone in sorted(zones) for part in (zone.lower(), zone.rpartition("/")[2].lower())}
        fitting = [by_name[part] for part in difflib.get_close_matches(wanted, by_name, n=3, cutoff=0.6)]
    hint = f"Did you mean {' or '.join(dict.fromkeys(fitting))}?" if fitting else "Write it as Region/City."
    raise ValueError(f"time zone {name!r} is unknown. {hint}")
