"""The kinds of values in agents.toml, each with the words for what is wrong with it; and the base of all tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, ClassVar, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from agentrt.config.environment import FromText
from agentrt.config.quantities import DURATION_PATTERN, SIZE_PATTERN, parse_duration, parse_period, parse_size


def wrong(what: str, fix: str) -> PydanticCustomError:
    """What a validator of ours raises: both halves of the message, as they will be printed."""
    return PydanticCustomError("agentrt", "{what}", {"what": what, "fix": fix})


def _converted(convert: Callable[[str], object]) -> BeforeValidator:
    def from_text(value: object) -> object:
        if not isinstance(value, FromText):
            return value
        try:
            return convert(value)
        except (ValueError, KeyError):
            return value  # the type's own check words the error

    return BeforeValidator(from_text)


def _quantity(parse: Callable[[object], object], noun: str, fix: str) -> BeforeValidator:
    def check(value: object) -> object:
        try:
            return parse(value)
        except ValueError:
            raise wrong(f"{show_value(value)} is not {noun}", fix) from None

    return BeforeValidator(check)


def show_value(value: object) -> str:
    """A value as TOML would write it, short."""
    match value:
        case bool():
            return str(value).lower()
        case str():
            return f'"{value}"' if len(value) <= 60 else f'"{value[:57]}…"'
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return str(value)


whole_number = _converted(int)
Int = Annotated[int, whole_number]
Float = Annotated[float, _converted(float)]
Bool = Annotated[bool, _converted(lambda text: {"true": True, "false": False}[text.strip().lower()])]
Duration = Annotated[
    float,
    _quantity(parse_duration, "a duration", 'seconds as a number, or a text such as "60s", "10m" or "1h30m"'),
    WithJsonSchema({"type": ["number", "string"], "pattern": f"^{DURATION_PATTERN}$"}),
]
Period = Annotated[
    float | None,
    _quantity(parse_period, "a period", '"forever", or a duration such as "14d" or "12h"'),
    WithJsonSchema({"type": ["number", "string"], "pattern": f"^(forever|{DURATION_PATTERN})$"}),
]
Size = Annotated[
    int,
    _quantity(parse_size, "a size", 'bytes as a number, or a text such as "256KB" or "2MB"'),
    WithJsonSchema({"type": ["integer", "string"], "pattern": f"^{SIZE_PATTERN}$"}),
]
Lifetime = Annotated[
    float,
    _quantity(
        lambda value: 0.0 if value in (0, "0") and value is not False else parse_duration(value),
        "a duration",
        'seconds as a number, a text such as "30m" or "1h", or 0 for no end',
    ),
    WithJsonSchema({"type": ["number", "string"], "pattern": f"^{DURATION_PATTERN}$"}),
]
Text = Annotated[str, StringConstraints(min_length=1)]

_NAME = r"^[A-Za-z0-9_-]{1,64}$"
_MODEL_NAME = r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$"
_HASH = r"^sha256:[0-9a-f]{64}$"
_PREFIX = r"^(/[^/\s]+)*$"
THREAD_PATTERN: Final = r"^(new|same|thread_[A-Za-z0-9_-]{1,120})$"
_HOST = r"^(\*\.)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?(:[0-9]{1,5})?$"
_PACKAGE = (
    r"^[A-Za-z0-9][A-Za-z0-9._-]*(\[[A-Za-z0-9._,-]+\])?([<>=!~]=?[A-Za-z0-9.*+!-]+(,[<>=!~]=?[A-Za-z0-9.*+!-]+)*)?$"
)
PATTERNS: Final[Mapping[str, tuple[str, str]]] = {
    _NAME: ("a name", "up to 64 letters, digits, _ and -"),
    _MODEL_NAME: ("a name", "up to 128 letters, digits and . _ : / @ -, a letter or digit first"),
    _HASH: ("a hash", 'the text "sha256:" and 64 small hex digits, as `agentrt keys create` prints it'),
    THREAD_PATTERN: ("a thread", '"new", "same", or the id of a thread, thread_…'),
    _PREFIX: ("a path prefix", '"" or a slash and a path without a slash at its end, such as "/ai"'),
    _HOST: ("a host name", 'such as "api.example.com", "*.example.com" or "example.com:8080"'),
    _PACKAGE: ("a package", 'such as "scipy", "scikit-learn>=1.5" or "pandas[excel]==2.2.3"'),
}
Name = Annotated[str, StringConstraints(pattern=_NAME)]
ModelName = Annotated[str, StringConstraints(pattern=_MODEL_NAME)]
KeyHash = Annotated[str, StringConstraints(pattern=_HASH)]
PathPrefix = Annotated[str, StringConstraints(pattern=_PREFIX)]
HostName = Annotated[str, StringConstraints(pattern=_HOST)]
PackageName = Annotated[str, StringConstraints(pattern=_PACKAGE)]


class Table(BaseModel):
    """A TOML table. LATER: its keys that a later release will have, refused by name until then."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())
    LATER: ClassVar[tuple[str, ...]] = ()
