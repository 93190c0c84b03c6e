"""XML of documents, read as a stream: callbacks instead of a tree, so that size and nesting cost no memory.

Names come without their namespaces (prefixes are the writer's choice). Entities are refused: documents need none, and
those that have them want to inflate or to read files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final
from xml.parsers import expat

from agentrt.errors import ExtractionError

Attributes = Mapping[str, str]
_SEPARATOR: Final = " "


def parse_xml(
    pieces: Iterable[bytes],
    *,
    start: Callable[[str, Attributes], None],
    end: Callable[[str], None] | None = None,
    text: Callable[[str], None] | None = None,
) -> None:
    """Call back for every element and text. Raises ExtractionError for what is no XML, or has entities."""
    parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
    parser.buffer_text = True
    local: dict[str, str] = {}

    def on_start(name: str, attributes: dict[str, str]) -> None:
        known = local.get(name)
        if known is None:
            known = local[name] = name.rpartition(_SEPARATOR)[2]
        start(known, attributes)

    parser.StartElementHandler = on_start
    if end is not None:
        parser.EndElementHandler = lambda name: end(local[name])
    if text is not None:
        parser.CharacterDataHandler = text
    parser.EntityDeclHandler = _refuse_entities
    parser.ExternalEntityRefHandler = _refuse_entities
    try:
        for piece in pieces:
            parser.Parse(piece, False)
        parser.Parse(b"", True)
    except (expat.ExpatError, LookupError, ValueError) as error:  # the latter for encodings that Python does not have
        raise ExtractionError(
            "invalid_file",
            f"The document is damaged: one of its parts is not well-formed XML ({error}). Upload the original.",
        ) from error


def attribute(attributes: Attributes, name: str) -> str | None:
    """An attribute by its name without a namespace."""
    value = attributes.get(name)
    if value is not None:
        return value
    for full, value in attributes.items():
        if full.rpartition(_SEPARATOR)[2] == name:
            return value
    return None


def _refuse_entities(*_: object) -> int:
    raise ExtractionError(
        "invalid_file",
        "The document's XML declares entities, which can inflate it without end or read other files: it is refused. "
        "Save it anew with an office program.",
    )
