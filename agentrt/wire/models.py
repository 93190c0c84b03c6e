"""Models on the wire: answers only."""

from __future__ import annotations

from typing import Literal

from typing_extensions import TypedDict


class ModelObject(TypedDict):
    """A model that requests may name. created is in Unix seconds."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str


class ModelList(TypedDict):
    """All models at once: this list has no pages."""

    object: Literal["list"]
    data: list[ModelObject]
