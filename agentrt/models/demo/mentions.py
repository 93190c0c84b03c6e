"""Values that a text mentions: quotes, links, dates, numbers, ids, names.

Found by shape alone; what they are for is decided in reading.py.
"""

from __future__ import annotations

import math
import re
from itertools import islice
from typing import Literal, TypeAlias

import msgspec

from agentrt.models.demo.lexicon import (
    ACTION_WORDS,
    COUNTRIES,
    CURRENCIES,
    GENERIC_WORDS,
    NUMBER_SCALES,
    NUMBER_WORDS,
    STOP_WORDS,
)

Kind: TypeAlias = Literal[
    "quoted", "url", "email", "datetime", "date", "time", "day", "zone", "file", "id", "number", "name"
]


class Mention(msgspec.Struct, frozen=True):
    """One value. text: as written, without quotes; start and end: its place in the text, quotes included.

    before: the word that leads to it ("in", "to"), lower case, articles left out. value: of a number.
    unit: the word or sign that goes with a number, lower case. is_first: it begins a sentence.
    """

    kind: Kind
    text: str
    start: int
    end: int
    before: str = ""
    value: int | float | None = None
    unit: str = ""
    is_first: bool = False


MAX_MENTIONS = 200
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    r"nov(?:ember)?|dec(?:ember)?)"
)
_WEEKDAY = r"(?:mon|tues|wednes|thurs|fri|satur|sun)day"
# Every alternative starts at a boundary and every count has an end: reading stays linear in the text.
_SHAPES = re.compile(
    rf"""
    (?P<quoted>"[^"\n]{{1,400}}" | “[^”\n]{{1,400}}” | «[^»\n]{{1,400}}» | `[^`\n]{{1,400}}`
        | (?<!\w)'[^'\n]{{1,400}}'(?!\w) | (?<!\w)‘[^’\n]{{1,400}}’(?!\w))
    | (?P<url>(?<!\w)https?://[^\s<>"'”’)\]}}]{{1,2000}})
    | (?P<email>(?<![\w.+-])[\w.+-]{{1,64}}@[\w-]{{1,63}}(?:\.[\w-]{{1,63}}){{1,8}})
    | (?P<datetime>(?<![\w-])\d{{4}}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d{{1,9}})?)?(?:Z|[+-]\d\d:?\d\d)?(?!\w))
    | (?P<date>(?<![\w-])\d{{4}}-\d\d-\d\d(?![\w-]) | (?<![\w./])\d{{1,2}}(?P<dot>[./])\d{{1,2}}(?P=dot)\d{{2,4}}(?!\w)
        | (?<!\w)(?i:\d{{1,2}}(?:st|nd|rd|th)?\.?\s(?:of\s)?{_MONTH}(?:,?\s\d{{4}})?
        | {_MONTH}\s\d{{1,2}}(?:st|nd|rd|th)?(?:,?\s\d{{4}})?)(?!\w))
    | (?P<time>(?<![\w:])\d{{1,2}}:\d\d(?::\d\d)?(?:\s?(?i:[ap]m))?(?!\w)
        | (?<!\w)(?i:\d{{1,2}}\s?[ap]m|noon|midnight)(?!\w))
    | (?P<day>(?<!\w)(?i:the\ day\ after\ tomorrow|tomorrow|today|tonight|yesterday
        |(?:next|this|last|coming)\s(?:week(?:end)?|month|year|{_WEEKDAY})|{_WEEKDAY}
        |in\s\d{{1,3}}\s(?:day|week|month)s?)(?!\w))
    | (?P<zone>(?<!\w)(?:(?:Africa|America|Asia|Atlantic|Australia|Europe|Indian|Pacific|Etc)
        /[A-Za-z_/+-]{{2,40}}\d{{0,2}}|(?:UTC|GMT)(?:[+-]\d{{1,2}}(?::\d\d)?)?)(?!\w))
    | (?P<file>(?<![\w./-])[\w./-]{{1,100}}\.(?i:csv|tsv|xlsx?|json|txt|md|pdf|py|docx?|parquet|png|jpe?g|html?)(?!\w))
    | (?P<id>(?<![\w#])\#\d{{1,20}}(?!\w) | (?<!\w)[0-9a-f]{{8}}(?:-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}(?!\w)
        | (?<![\w-])[A-Za-z]{{1,12}}[-_]\d[\w-]{{0,40}} | (?<![\w-])[A-Z]{{1,6}}\d[\w-]{{0,40}}(?!\w))
    | (?P<number>(?<![\w.])[$€£¥]?\s?(?<![\w.)])[-+−]?(?:\d{{1,3}}(?:,\d{{3}}){{1,8}}(?!\d)|\d{{1,30}}(?!\d))
        (?:\.\d{{1,20}})?(?:e[+-]?\d{{1,3}}(?!\w))?)
    """,
    re.VERBOSE,
)
_NAME = re.compile(
    r"(?<![\w@.°])(?:(?:[A-Z]|St|Dr|Mr|Mrs|Ms|Prof)\.\s)?[^\W\d_a-zß-öø-ÿ][^\W_]{0,60}(?:['’.-][^\W_]{1,60}){0,6}"
)
_NO_NAMES = frozenset({"json", "api", "url", "pdf", "csv", "html", "id", "ai", "llm"})
_ORDERS = frozenset(
    {
        "extract",
        "parse",
        "classify",
        "reply",
        "answer",
        "fill",
        "produce",
        "generate",
        "convert",
        "summarise",
        "summarize",
    }
)
_DOTTED_DATE = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{4})")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_NAMED_DATE = re.compile("|".join(_MONTHS), re.IGNORECASE)
_DIGITS = re.compile(r"\d{1,4}")
_NUMBER_WORD = re.compile(r"[a-z]+", re.IGNORECASE)
_UNIT = re.compile(r"\s?(k\b|%|°\s?[CFcf]?|[$€£¥]|[^\W\d_]{1,20})")
_LAST_WORDS = re.compile(r"([^\W\d_]+)?\W{0,2}?\b([^\W\d_]+)[\s\"“'«‘]{0,3}$")
_JOINT = re.compile(
    r"\s{0,3}(?:,\s{0,3}(?:(?:and|or)\s)?|(?:and|or|&|plus|as well as)\s)\s{0,2}(?:also\s)?"
    r"(?:(?:in|for|at|to|of|from|the|with)\s){0,2}['\"“`]?",
    re.IGNORECASE,
)
_ARTICLES = frozenset(
    {"the", "a", "an", "my", "our", "your", "his", "her", "their", "city", "town", "of", "called", "named"}
)
_STATE = re.compile(r"[A-Z]{2}")


def find_mentions(text: str, *, at_most: int = MAX_MENTIONS) -> list[Mention]:
    """The values in the text, in order, without overlap; of a flood of them the first."""
    found = [_shaped(match, text) for match in islice(_SHAPES.finditer(text), at_most)]
    names = _join_names([match for match in islice(_NAME.finditer(text), at_most) if _is_name(match)], text)
    taken = [(mention.start, mention.end) for mention in found]
    found += [name for name in names if not any(start < name.end and name.start < end for start, end in taken)]
    return sorted(found, key=lambda mention: mention.start)


def spelled_numbers(text: str) -> list[Mention]:
    """Numbers written as words: "twenty five", "two hundred". Apart, because "one" is mostly no number."""
    found: list[Mention] = []
    words = list(_NUMBER_WORD.finditer(text))
    at = 0
    while at < len(words):
        total, part, end = 0, None, at
        while end < len(words) and (end == at or not text[words[end - 1].end() : words[end].start()].strip(" -")):
            word = words[end].group().lower()
            if word in NUMBER_WORDS:
                part = (part or 0) + NUMBER_WORDS[word]
            elif word in NUMBER_SCALES and part is not None:
                part = part * NUMBER_SCALES[word]
                total, part = (total + part, 0) if NUMBER_SCALES[word] > 100 else (total, part)
            else:
                break
            end += 1
        if part is not None:
            start, stop = words[at].start(), words[end - 1].end()
            found.append(_number(text, start, stop, total + part))
        at = max(end, at + 1)
    return found


def joint_group(mentions: list[Mention], mention: Mention, text: str) -> list[Mention]:
    """The mentions of one kind that stand in a list with this one ("Oslo, Rome and Paris"), itself included."""
    same = [other for other in mentions if other.kind == mention.kind]
    if mention not in same:
        return [mention]  # a spelled number
    at = same.index(mention)
    first = last = at
    while first > 0 and _JOINT.fullmatch(text, same[first - 1].end, same[first].start):
        first -= 1
    while last + 1 < len(same) and _JOINT.fullmatch(text, same[last].end, same[last + 1].start):
        last += 1
    return same[first : last + 1]


def _shaped(match: re.Match[str], text: str) -> Mention:
    kind: Kind = match.lastgroup  # type: ignore[assignment]  # the groups are named after the kinds
    start, end = match.span()
    written = match.group()
    if kind == "number":
        return _number(text, start, end, None)
    if kind == "url":
        written = written.rstrip(".,;:!?")
        end = start + len(written)
    shown = written[1:-1] if kind == "quoted" else written.lstrip("#") if kind == "id" else written
    return Mention(kind, shown, start, end, _before(text, start), is_first=_is_first(text, start))


def _number(text: str, start: int, end: int, value: int | float | None) -> Mention:
    written = text[start:end].strip()
    sign = written[0] if written[0] in "$€£¥" else ""
    digits = written.lstrip("$€£¥ ").replace(",", "").replace("−", "-")
    if value is None:
        value = float(digits) if "." in digits or "e" in digits else int(digits)
        if isinstance(value, float) and not math.isfinite(value):
            value = 0
    unit = _UNIT.match(text, end)
    word = unit.group(1).lower() if unit else ""
    if word == "k":
        value, word = value * 1000, ""
    return Mention(
        "number",
        digits,
        start,
        end,
        _before(text, start),
        value=value,
        unit=sign or word,
        is_first=_is_first(text, start),
    )


def _is_name(match: re.Match[str]) -> bool:
    word = match.group()
    if word[0].islower():
        return False
    lower = word.lower().replace("’", "'")
    if lower in STOP_WORDS or lower in _NO_NAMES or lower.split("'")[0] in STOP_WORDS:
        return False
    is_order = lower in GENERIC_WORDS or lower in ACTION_WORDS or lower in _ORDERS
    return not is_order or not _is_first(match.string, match.start())


def _join_names(parts: list[re.Match[str]], text: str) -> list[Mention]:
    """Neighbours become one name: New York, Rio de Janeiro, "Oslo, Norway", "Boston, MA"."""
    spans: list[tuple[int, int]] = []
    for part in parts:
        start, end = part.span()
        if spans:
            gap = text[spans[-1][1] : start]
            word = part.group()
            is_region = bool(_STATE.fullmatch(word)) or word.lower() in COUNTRIES
            if gap in (" ", " de ", " da ", " di ", " of ", " del ", " la ", " of the ") or (gap == ", " and is_region):
                spans[-1] = (spans[-1][0], end)
                continue
        spans.append((start, end))
    names = []
    for start, end in spans:
        if text[start:end].endswith(("'s", "’s")):
            end -= 2
        names.append(
            Mention("name", text[start:end], start, end, _before(text, start), is_first=_is_first(text, start))
        )
    return names


def _before(text: str, start: int) -> str:
    words = _LAST_WORDS.search(text[max(0, start - 32) : start])
    if not words:
        return ""
    far, near = (word.lower() if word else "" for word in words.groups())
    return far if near in _ARTICLES and far else near


def _is_first(text: str, start: int) -> bool:
    lead = text[max(0, start - 3) : start].rstrip(" \t\"“'")
    return not lead or lead[-1] in ".!?:\n"


def iso_date(text: str) -> str | None:
    """A written date as YYYY-MM-DD: "March 3rd, 2026", "3 March 2026", "3.3.2026"; None when a part is open.

    With slashes nobody knows which is the month: left alone.
    """
    dotted = _DOTTED_DATE.fullmatch(text)
    if dotted:
        day, month, year = map(int, dotted.groups())
    else:
        named = _NAMED_DATE.search(text)
        numbers = [int(number) for number in _DIGITS.findall(text)]
        if not named or len(numbers) != 2 or numbers[1] < 1000:
            return None
        day, month, year = numbers[0], _MONTHS.index(named.group().lower()) + 1, numbers[1]
    return f"{year:04}-{month:02}-{day:02}" if 1 <= month <= 12 and 1 <= day <= 31 else None


def currency_of(mention: Mention) -> str | None:
    """The ISO code of a number's currency, None when it has none."""
    return CURRENCIES.get(mention.unit)
