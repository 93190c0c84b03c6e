"""What one hint comes to: its JSON Schema, and what turns a JSON value into the hinted one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from agentrt.engine.message import JsonObject

Converter: TypeAlias = Callable[[Any], object]
"""JSON value → argument. Raises ValueError with a text for the model; OverflowError for a number out of range."""


class HintError(Exception):
    """A hint has no JSON form. The text says what is wrong and what would do."""


class Shape(NamedTuple):
    """A hint's JSON Schema; convert is None when JSON's own value is the argument."""

    schema: JsonObject
    convert: Converter | None = None
