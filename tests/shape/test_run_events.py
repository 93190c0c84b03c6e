"""docs/run-events.md against the events that there are."""

from __future__ import annotations

import re
from typing import get_args

import msgspec

from agentrt.engine.events import Event
from tests.shape.documents import ROOT

PAGE = (ROOT / "docs" / "run-events.md").read_text(encoding="utf-8")


def test_every_kind_of_event_is_described_with_what_it_says() -> None:
    table = PAGE.partition("<!-- kinds -->")[2].partition("<!-- end -->")[0]
    described = {
        kind: re.findall(r"`(\w+)`", data)
        for kind, data in re.findall(r"^\| `(\w+)` \| (.*?) \|", table.replace("| |", "|  |"), re.MULTILINE)
    }
    there = {}
    for event in get_args(Event):
        shape = msgspec.inspect.type_info(event)
        assert isinstance(shape, msgspec.inspect.StructType)
        there[shape.tag] = [field.name for field in shape.fields if field.name != "at"]
    assert described == there
