"""An answer's content parts, from the text and the refusal that a model streamed."""

from __future__ import annotations

from agentrt.engine.events import AnswerPart
from agentrt.engine.message import RefusalPart, TextPart


def answer_parts(text: str, refusal: str) -> tuple[AnswerPart, ...]:
    """Text first, then the refusal. An empty answer is one empty text, so that clients find a first part."""
    parts: list[AnswerPart] = []
    if text or not refusal:
        parts.append(TextPart(text))
    if refusal:
        parts.append(RefusalPart(refusal))
    return tuple(parts)
