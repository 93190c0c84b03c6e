"""Searching the handbook: sections of Markdown files, ranked by the words that they share with the question."""

from __future__ import annotations

import re
from pathlib import Path

from agentrt import Option, tool

_SECTION = re.compile(r"^## ", re.MULTILINE)
_SHORTEST = 4  # shorter words are in every section


@tool(timeout_s=10, retry="idempotent")
def search_handbook(question: str, *, folder: Option[Path]) -> str:
    """Search the handbook about refunds, delivery, warranty and opening hours.

    question: what to look for, in a few words.
    """
    wanted = _words(question)
    sections = [section for path in sorted(folder.glob("*.md")) for section in _sections(path)]
    ranked = sorted(sections, key=lambda section: -len(wanted & _words(section)))
    found = [section for section in ranked[:2] if wanted & _words(section)]
    return "\n\n".join(found) or "The handbook says nothing about that."


def _sections(path: Path) -> list[str]:
    _, *sections = _SECTION.split(path.read_text(encoding="utf-8"))
    return [section.strip() for section in sections]


def _words(text: str) -> set[str]:
    """The beginnings of the words that matter: refund and refunds are the same."""
    return {word[:5] for word in re.findall(r"\w+", text.lower()) if len(word) >= _SHORTEST}
