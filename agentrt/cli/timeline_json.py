"""A timeline for programs. Times are seconds since the run's creation."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

import msgspec

from agentrt.cli.timeline import AnyPart, Part, Timeline

_WORDS: Final = re.compile(r"(?<!^)(?=[A-Z])")


def timeline_json(timeline: Timeline, *, now: float) -> dict[str, Any]:
    """`{"created_at", "seconds", "usage", "usage_is_estimated", "cost_usd", "parts"}`"""
    return {
        "created_at": timeline.created_at,
        "seconds": _rounded(timeline.seconds(now)),
        "usage": msgspec.to_builtins(timeline.usage),
        "usage_is_estimated": timeline.is_estimated,
        "cost_usd": timeline.cost_usd,
        "parts": [part_json(part, timeline, now=now) for part in timeline.parts],
    }


def part_json(part: AnyPart, timeline: Timeline, *, now: float) -> dict[str, Any]:
    """`{"kind": "model_call", "begin_s", "seconds", "is_over", …}` with what else is known of this kind."""
    own = {field.name: getattr(part, field.name) for field in fields(part)}
    for field in fields(Part):
        del own[field.name]
    first_at = own.pop("first_at", None)
    if first_at is not None:
        own["first_piece_s"] = _rounded(first_at - part.begin)
    return {
        "kind": _WORDS.sub("_", type(part).__name__).lower(),
        "begin_s": _rounded(part.begin - timeline.created_at),
        "seconds": _rounded(part.seconds(now)),
        "is_over": part.end is not None,
        **_plain(own),
    }


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.to_builtins(values)
    return found


def _rounded(seconds: float) -> float:
    return round(seconds, 6)
