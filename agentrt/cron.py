"""Cron expressions in a time zone: when they are due, and what is wrong with one that is none.

`cronsim` reads and walks them, as Debian's cron does: five fields, names, `L`, `#`; where clocks are set forward a
time that does not exist is due at the next minute that does, and where they are set back it is due once. The words
for what is wrong are ours. Nothing here knows what is done at a due time.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from cronsim import CronSim, CronSimError

from agentrt.errors import TimetableError
from agentrt.suggest import closest

_FIELDS: Final = (
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31, L for the last one, LW for the last weekday"),
    ("month", "1 to 12 or jan to dec"),
    (
        "day of the week",
        "0 to 7 or sun to sat (0 and 7 are Sunday), 5L for the last Friday, mon#1 for the first Monday",
    ),
)
_NICKNAMES: Final = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
_LONGEST: Final = 500
_WINDOWS_S: Final = (3600, 86_400, 31 * 86_400)


@dataclass(frozen=True, slots=True)
class Timetable:
    """When something is due. Times are Unix seconds; due times are whole minutes. Made by read_timetable."""

    cron: str
    zone: tzinfo

    def next(self, after: float) -> int | None:
        """The first due time after a moment; None when there is none within fifty years."""
        return next(self._walk(after), None)

    def latest(self, *, after: float, until: float) -> int | None:
        """The last due time that is later than `after` and not later than `until`; None when there is none."""
        # From the end backwards in growing steps: a year of minutes would take ten seconds to walk through.
        for window_s in (*_WINDOWS_S, None):
            start = after if window_s is None else max(after, until - window_s)
            found = None
            for found_at in self._walk(start):
                if found_at > until:
                    break
                found = found_at
            if found is not None or start == after:
                return found
        return None

    def _walk(self, after: float) -> Iterator[int]:
        last = after
        for moment in CronSim(self.cron, datetime.fromtimestamp(after, self.zone)):
            at = int(moment.timestamp())
            # In the hour that comes twice, the walk begins again at its first pass.
            if at > last:
                last = at
                yield at


def read_timetable(cron: str, timezone: str) -> Timetable:
    """A cron expression of five fields in an IANA time zone. Raises TimetableError, also for what is never due."""
    zone = _zone(timezone)
    words = cron.split()
    if cron.strip().lower() in _NICKNAMES:
        raise _wrong(f'"{cron}" is not read', f'write "{_NICKNAMES[cron.strip().lower()]}"')
    if len(words) != len(_FIELDS):
        seconds = ", without seconds" if len(words) == len(_FIELDS) + 1 else ""
        raise _wrong(
            f"this has {len(words)} {'field' if len(words) == 1 else 'fields'}",
            f'five fields{seconds}: minute, hour, day of the month, month, day of the week, as in "0 9 * * mon-fri"',
        )
    if len(cron) > _LONGEST:
        raise _wrong("this is too long", f"at most {_LONGEST} characters")
    for place, (word, (name, allowed)) in enumerate(zip(words, _FIELDS, strict=True)):
        if not _is_read(" ".join(word if i == place else "*" for i in range(len(_FIELDS)))):
            raise _wrong(f'"{word}" is no {name}', _advice(word, place, allowed))
    if not _is_read(cron):
        raise _wrong(f'"{cron}" is never due', "no month it names has such a day")
    timetable = Timetable(" ".join(words), zone)
    if timetable.next(0.0) is None:
        raise _wrong(f'"{cron}" is never due', "name a day that comes")
    return timetable


def _is_read(cron: str) -> bool:
    try:
        CronSim(cron, datetime.fromtimestamp(0, UTC))
    except (CronSimError, ValueError):  # ValueError: a number of thousands of digits
        return False
    return True


def _advice(word: str, place: int, allowed: str) -> str:
    if word == "?":
        return "write *"
    start, dash, end = word.partition("-")
    if dash and _is_read(_at(start, place)) and _is_read(_at(end, place)):
        return "a range goes upwards; otherwise write two, such as 22-23,0-6 or sat,sun"
    return f"{allowed}; lists such as 1,3, ranges such as 1-5, steps such as */2"


def _at(word: str, place: int) -> str:
    return " ".join(word if i == place and word else "*" for i in range(len(_FIELDS)))


def _zone(name: str) -> tzinfo:
    if name in ("UTC", "Etc/UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, such as `Europe`
        pass
    zones = available_timezones()
    by_city = {zone.rpartition("/")[2]: zone for zone in sorted(zones)} | {zone: zone for zone in zones}
    guess = closest(name.replace(" ", "_"), by_city)
    fix = f'did you mean "{by_city[guess]}"?' if guess else 'a name such as "Europe/Oslo" or "UTC"'
    raise TimetableError(f'"{name}" is no time zone', fix, param="timezone")


def _wrong(what: str, fix: str) -> TimetableError:
    return TimetableError(what, fix, param="cron")
