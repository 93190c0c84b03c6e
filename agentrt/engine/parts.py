"""An answer's content parts, from what a model streamed and what its tools drew."""

from __future__ import annotations

from collections.abc import Iterable

from agentrt.engine.events import AnswerPart
from agentrt.engine.message import Annotation, ImageFilePart, RefusalPart, TextPart


def answer_parts(
    text: str, refusal: str, *, images: Iterable[str] = (), annotations: tuple[Annotation, ...] = ()
) -> tuple[AnswerPart, ...]:
    """Images (ids of files) first, then the text, then the refusal.

    An empty answer is one empty text, so that clients find a first part.
    """
    parts: list[AnswerPart] = [ImageFilePart(file_id) for file_id in images]
    if text or not (refusal or parts):
        parts.append(TextPart(text, annotations))
    if refusal:
        parts.append(RefusalPart(refusal))
    return tuple(parts)
