"""The error envelope, and how a body that pydantic refused is worded for the caller.

One body may be wrong in many places; the API answers with the first. Statuses and the JSON answer itself belong to
`server/errors.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias, cast

from pydantic import ValidationError
from pydantic_core import ErrorDetails
from typing_extensions import TypedDict

from agentrt.errors import InvalidRequestError

# Loc entries that begin with it name a branch of a union, not a key: refused in keys by base.parse_body.
BRANCH = "\0"

_MAX_ECHO = 80
_QUOTED = re.compile(r"'([^']*)'")


class ErrorObject(TypedDict):
    """Why a request failed. All four keys are always there."""

    message: str
    type: str
    param: str | None
    code: str | None


class ErrorEnvelope(TypedDict):
    """What every answer with a status of 400 and more holds."""

    error: ErrorObject


def error_envelope(message: str, *, kind: str, param: str | None = None, code: str | None = None) -> ErrorEnvelope:
    """The envelope; kind is its `type` (`invalid_request_error`, `server_error`, …)."""
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


def invalid_value(param: str | None, why: str) -> InvalidRequestError:
    """A value that no more special code describes: `Invalid 'PARAM': WHY`."""
    name = f"'{param}'" if param else "request body"
    return InvalidRequestError(f"Invalid {name}: {why}", param=param, code="invalid_value")


def nul_character(param: str | None) -> InvalidRequestError:
    """JSON allows it and PostgreSQL's text does not. Also for ids in paths, which can hold one as `%00`."""
    return invalid_value(param, "string contains a NUL character (\\u0000), which cannot be stored.")


def missing_parameter(param: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"Missing required parameter: '{param}'.", param=param, code="missing_required_parameter"
    )


def invalid_type(param: str | None, *, expected: str, got: object) -> InvalidRequestError:
    """expected is worded with its article (`a string`); got is the decoded JSON value itself."""
    name = f"'{param}'" if param else "the request body"
    return InvalidRequestError(
        f"Invalid type for {name}: expected {expected}, but got {_kind_of(got)} instead.",
        param=param,
        code="invalid_type",
    )


def unsupported_value(param: str | None, *, got: str, supported: Sequence[str]) -> InvalidRequestError:
    return InvalidRequestError(
        f"Invalid value: '{clip(got)}'. Supported values are: {listed(supported)}.", param=param, code="invalid_value"
    )


def out_of_range(param: str | None, *, got: float, limit: float, is_above: bool) -> InvalidRequestError:
    """limit's own type says whether the parameter is an integer or a decimal."""
    kind, bound = ("integer", str(limit)) if isinstance(limit, int) else ("decimal", f"{limit:g}")
    side, sign = ("above max", "<=") if is_above else ("below min", ">=")
    return InvalidRequestError(
        f"Invalid '{param}': {kind} {side}imum value. "
        f"Expected a value {sign} {bound}, but got {clip(str(got))} instead.",
        param=param,
        code=f"{kind}_{side.replace(' ', '_')}_value",
    )


def from_validation(error: ValidationError) -> InvalidRequestError:
    """Word the first of pydantic's complaints as the API does; never raises, whatever the complaint.

    Our own validators use pydantic's words with the facts these need; `at` in them goes on the path (`.last_messages`).
    """
    first = error.errors(include_url=False)[0]
    context = cast("Mapping[str, object]", first.get("ctx", {}))
    param = param_path(first["loc"], suffix=str(context.get("at", "")))
    wording = _WORDINGS.get(first["type"])
    if wording is None:
        return invalid_value(param, clip(first["msg"]))
    return wording(param, first, context)


def param_path(loc: Sequence[int | str], *, suffix: str = "") -> str | None:
    """`("tools", 0, "\\0function", "function", "name")` → `tools[0].function.name`; None for the body itself."""
    path = ""
    for entry in loc:
        if isinstance(entry, int):
            path += f"[{entry}]"
        elif not entry.startswith(BRANCH) and entry != "[key]":
            path += f".{clip(entry)}"
    return (path + suffix).lstrip(".") or None


def listed(values: Sequence[str]) -> str:
    """`'a'`, `'a' and 'b'`, `'a', 'b', and 'c'`."""
    quoted = [f"'{value}'" for value in values]
    if len(quoted) < 3:
        return " and ".join(quoted)
    return f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def clip(text: str) -> str:
    """What the caller sent, short enough to be repeated in a message."""
    return text if len(text) <= _MAX_ECHO else f"{text[:_MAX_ECHO]}…"


def _kind_of(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"


_Wording: TypeAlias = Callable[["str | None", ErrorDetails, Mapping[str, object]], InvalidRequestError]


def _expected(kind: str) -> _Wording:
    return lambda param, details, _: invalid_type(param, expected=kind, got=details["input"])


def _missing(param: str | None, _: ErrorDetails, __: Mapping[str, object]) -> InvalidRequestError:
    return missing_parameter(param or "")


def _unknown(param: str | None, _: ErrorDetails, __: Mapping[str, object]) -> InvalidRequestError:
    return InvalidRequestError(f"Unknown parameter: '{param}'.", param=param, code="unknown_parameter")


def _literal(param: str | None, details: ErrorDetails, context: Mapping[str, object]) -> InvalidRequestError:
    got = details["input"]
    if not isinstance(got, str):
        return invalid_type(param, expected="a string", got=got)
    return unsupported_value(param, got=got, supported=_QUOTED.findall(str(context["expected"])))


def _branch(param: str | None, details: ErrorDetails, context: Mapping[str, object]) -> InvalidRequestError:
    """No branch of a union fits: the context says what would have (see base.one_of)."""
    got = details["input"]
    if isinstance(got, dict) and context["key"]:
        param = f"{param}.{context['key']}" if param else str(context["key"])
        if context["key"] not in got:
            return missing_parameter(param)
        got = got[context["key"]]
        supported = context["kinds"]
        expected = "a string"
    else:
        supported = context["words"]
        expected = str(context["expected"])
    if not isinstance(got, str) or not supported:
        return invalid_type(param, expected=expected, got=got)
    return unsupported_value(param, got=got, supported=str(supported).split(" "))


def _above(param: str | None, details: ErrorDetails, context: Mapping[str, object]) -> InvalidRequestError:
    return out_of_range(param, got=details["input"], limit=cast("float", context["le"]), is_above=True)


def _below(param: str | None, details: ErrorDetails, context: Mapping[str, object]) -> InvalidRequestError:
    return out_of_range(param, got=details["input"], limit=cast("float", context["ge"]), is_above=False)


def _long_string(param: str | None, details: ErrorDetails, context: Mapping[str, object]) -> InvalidRequestError:
    length = context.get("length", len(details["input"]))
    return InvalidRequestError(
        f"Invalid '{param}': string too long. Expected a string with maximum length {context['max_length']}, "
        f"but got a string with length {length} instead.",
        param=param,
        code="string_above_max_length",
    )


def _short_string(param: str | None, details: ErrorDetails, context: Mapping[str, object]) -> InvalidRequestError:
    length = len(details["input"])
    got = f"a string with length {length}" if length else "an empty string"
    return InvalidRequestError(
        f"Invalid '{param}': string too short. Expected a string with minimum length {context['min_length']}, "
        f"but got {got} instead.",
        param=param,
        code="string_below_min_length",
    )


def _long_array(param: str | None, _: ErrorDetails, context: Mapping[str, object]) -> InvalidRequestError:
    return InvalidRequestError(
        f"Invalid '{param}': array too long. Expected an array with maximum length {context['max_length']}, "
        f"but got an array with length {context['actual_length']} instead.",
        param=param,
        code="array_above_max_length",
    )


def _short_array(param: str | None, _: ErrorDetails, context: Mapping[str, object]) -> InvalidRequestError:
    return InvalidRequestError(
        f"Invalid '{param}': empty array. Expected an array with minimum length {context['min_length']}, "
        f"but got an empty array instead.",
        param=param,
        code="empty_array",
    )


def _pattern(param: str | None, _: ErrorDetails, context: Mapping[str, object]) -> InvalidRequestError:
    return invalid_value(
        param,
        f"string does not match pattern. Expected a string that matches the pattern '{context['pattern']}'.",
    )


def _refused(param: str | None, _: ErrorDetails, context: Mapping[str, object]) -> InvalidRequestError:
    return invalid_value(param, str(context["why"]))


_WORDINGS: Mapping[str, _Wording] = {
    "missing": _missing,
    "extra_forbidden": _unknown,
    "string_type": _expected("a string"),
    "int_type": _expected("an integer"),
    "float_type": _expected("a decimal"),
    "bool_type": _expected("a boolean"),
    "list_type": _expected("an array"),
    "dict_type": _expected("an object"),
    "model_type": _expected("an object"),
    "literal_error": _literal,
    "no_branch": _branch,
    "refused": _refused,
    "less_than_equal": _above,
    "greater_than_equal": _below,
    "string_too_long": _long_string,
    "string_too_short": _short_string,
    "string_pattern_mismatch": _pattern,
    "too_long": _long_array,
    "too_short": _short_array,
}
