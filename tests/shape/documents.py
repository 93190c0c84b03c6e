"""The project's Markdown as data: its fenced blocks and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])

CONTINUES = "<!-- continues -->"
PRINTS = "<!-- prints -->"

_FENCE = re.compile(
    r"^(?P<mark>`{3,})(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=mark)[ \t]*$", re.MULTILINE | re.DOTALL
)
_LINK = re.compile(r"\[[^\]\n]*(?:\n[^\]\n]+)?\]\((?P<target>[^)\s]+)\)")
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block. prints: the output that a block right behind it promises, None for none."""

    document: Path
    line: int
    language: str
    text: str
    prints: str | None = None

    def __str__(self) -> str:
        return f"{self.document.relative_to(ROOT)}:{self.line}"


def blocks(*languages: str) -> list[Block]:
    """The fenced blocks of these languages in all documents.

    `<!-- continues -->` before a block puts the one before it in front; `<!-- prints -->` before a text block makes it
    the output of the one before it.
    """
    return [block for document in DOCUMENTS for block in _blocks_of(document) if block.language in languages]


def links() -> list[tuple[Path, str]]:
    """(document, target) of every link that stays inside the project."""
    found = [(document, target) for document in DOCUMENTS for target in _LINK.findall(_prose(document))]
    return [(document, target) for document, target in found if not re.match(r"[a-z]+:", target)]


def anchors(document: Path) -> set[str]:
    """What `#…` may name in a document, as forges make it from headings."""
    headings = _HEADING.findall(_prose(document))
    return {re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-") for heading in headings}


def _prose(document: Path) -> str:
    return _FENCE.sub("", document.read_text())


def _blocks_of(document: Path) -> Iterator[Block]:
    text = document.read_text()
    last: Block | None = None
    for match in _FENCE.finditer(text):
        before = text[: match.start()].rstrip()
        line = text[: match.start()].count("\n") + 1
        if last is not None and before.endswith(PRINTS):
            last = Block(last.document, last.line, last.language, last.text, match["text"])
            continue
        if last is not None:
            yield last
        body = match["text"]
        if last is not None and before.endswith(CONTINUES):
            body = f"{last.text}\n{body}"
        last = Block(document, line, match["language"], body)
    if last is not None:
        yield last
