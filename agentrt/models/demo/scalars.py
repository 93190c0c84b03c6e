"""The scalar half of schema.py: candidates for numbers and strings, whether a value keeps its limits, JSON equality."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from datetime import date

from agentrt.engine.message import JsonObject, JsonValue
from agentrt.models.demo.patterns import read_pattern

_MAX_TEXT = 4_096

_TIME = r"([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d+)?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)"
_FORMATS: dict[str, tuple[str, re.Pattern[str]]] = {
    name: (sample, re.compile(pattern))
    for name, sample, pattern in (
        ("date", "2000-01-01", r"\d{4}-\d\d-\d\d"),
        ("date-time", "2000-01-01T00:00:00Z", rf"\d{{4}}-\d\d-\d\dT{_TIME}"),
        ("time", "00:00:00Z", _TIME),
        ("duration", "PT0S", r"P(?=[\dT])(\d+Y)?(\d+M)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?"),
        ("email", "demo@example.com", r"[\w.+-]+@[\w-]+(\.[\w-]+)+"),
        (
            "hostname",
            "example.com",
            r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*",
        ),
        ("ipv4", "127.0.0.1", r"((25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(\.(?!$)|$)){4}"),
        ("ipv6", "::1", r"::1"),
        ("uri", "https://example.com/", r"[A-Za-z][A-Za-z0-9+.-]*:[!#$%&'()*+,./0-9:;=?@A-Z_a-z~\-\[\]]+"),
        ("uri-reference", "/", r"[!#$%&'()*+,./0-9:;=?@A-Z_a-z~\-]+"),
        ("uuid", "00000000-0000-4000-8000-000000000000", r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"),
        ("regex", ".*", r"\.\*"),
        ("json-pointer", "", r"(/([^~/]|~[01])*)*"),
    )
}


def numbers(schema: JsonObject, *, is_integer: bool) -> Iterator[JsonValue]:
    """Candidates for a number, the plainest first; the caller keeps the first that is accepted."""
    step = finite(schema.get("multipleOf")) or (1 if is_integer else 0)
    low = max(_bounds(schema, "minimum", "exclusiveMinimum"), default=None)
    high = min(_bounds(schema, "maximum", "exclusiveMaximum"), default=None)
    yield 0
    try:
        for bound, sign in ((low, 1), (high, -1)):
            if bound is None:
                continue
            if not is_integer:
                yield bound
            rounded = math.ceil(bound) if sign > 0 else math.floor(bound)
            yield from (rounded, rounded + sign)
            if step > 0:
                times = -(-bound // step) if sign > 0 else bound // step
                for multiple in (times * step, (times + sign) * step):
                    yield int(multiple) if is_integer else multiple
        if low is not None and high is not None and not is_integer:
            yield low + (high - low) / 2
    except (OverflowError, ValueError):  # limits beyond a float: what was offered so far has to do
        return


def texts(schema: JsonObject) -> Iterator[JsonValue]:
    """Candidates for a string, from its pattern, its format, its least length."""
    shortest = min(whole(schema.get("minLength")), _MAX_TEXT)
    source = schema.get("pattern")
    pattern = read_pattern(source) if isinstance(source, str) else None
    if pattern is not None:
        yield pattern.sample
        if pattern.sample and len(pattern.sample) < shortest:  # stretched, for `^[a-z]+$` with a minLength
            yield pattern.sample + pattern.sample[-1] * (shortest - len(pattern.sample))
    format_ = schema.get("format")
    if isinstance(format_, str) and format_ in _FORMATS:
        yield _FORMATS[format_][0]
    yield ("demo" * shortest)[:shortest]


def text_fits(value: str, schema: JsonObject, *, checks_formats: bool) -> bool:
    """Whether a string keeps its lengths, its pattern and (when asked) its format."""
    if not is_within(len(value), schema, "minLength", "maxLength"):
        return False
    source = schema.get("pattern")
    if isinstance(source, str):
        pattern = read_pattern(source)
        if pattern is None or not pattern.matches(value):
            return False
    format_ = schema.get("format")
    if not checks_formats or not isinstance(format_, str) or format_ not in _FORMATS:
        return True
    if len(value) > _MAX_TEXT or not value.isascii() or not _FORMATS[format_][1].fullmatch(value):
        return False
    return format_ not in ("date", "date-time") or _is_date(value[:10])


def _is_date(text: str) -> bool:
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


def number_fits(value: int | float, schema: JsonObject) -> bool:
    """Whether a number keeps its limits and is a multiple as asked."""
    if not is_within(value, schema, "minimum", "maximum"):
        return False
    above, below = finite(schema.get("exclusiveMinimum")), finite(schema.get("exclusiveMaximum"))
    if (above is not None and value <= above) or (below is not None and value >= below):
        return False
    step = finite(schema.get("multipleOf"))
    if not step or step <= 0:
        return True
    if isinstance(value, int) and isinstance(step, int):
        return value % step == 0
    try:
        return float(value / step).is_integer()
    except OverflowError:
        return False


def _bounds(schema: JsonObject, *keys: str) -> list[int | float]:
    return [bound for key in keys if (bound := finite(schema.get(key))) is not None]


def is_within(value: float, schema: JsonObject, lowest: str, highest: str) -> bool:
    """Whether value lies within the two named limits, both included."""
    low, high = finite(schema.get(lowest)), finite(schema.get(highest))
    return (low is None or value >= low) and (high is None or value <= high)


def finite(value: JsonValue) -> int | float | None:
    """The value when it is a finite number, else None. (Booleans were limits in draft 4; they are none here.)"""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def whole(value: JsonValue) -> int:
    """The value as a count: rounded up, 0 when it is none."""
    number = finite(value)
    return max(0, math.ceil(number)) if number is not None else 0


def is_type(value: JsonValue, type_: str) -> bool:
    """Whether value is of a JSON Schema type; unknown names of types accept all."""
    match type_:
        case "null":
            return value is None
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return not isinstance(value, bool) and (
                isinstance(value, int) or (isinstance(value, float) and value.is_integer())
            )
        case "number":
            return isinstance(value, (int, float)) and not isinstance(value, bool)
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
    return True


def is_same(a: JsonValue, b: JsonValue) -> bool:
    """Equality of JSON: 1 is 1.0 and is not true."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list) and isinstance(b, list):
        return len(a) == len(b) and all(map(is_same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(is_same(a[key], b[key]) for key in a)
    return a == b
