"""Search results: which passage answers a question, and the citation markers that go with it, copied to the letter.

Read are texts in which every passage follows its marker (【4:0†source】), texts in which the marker comes last, and
JSON whose objects hold a passage and a marker.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from agentrt.engine.message import JsonValue
from agentrt.models.demo.jsontext import read_json
from agentrt.models.demo.words import read_words, shorten

MARKER = re.compile(r"【[^】\n]{1,200}】")
_READ_LIMIT = 60_000
_MAX_PASSAGES = 50
_MAX_CITED = 3
_LONGEST_SENTENCE = 400
_LONGEST_PASSAGE = 8_000
_SENTENCE_END = re.compile(r"(?<=[.!?])\s+|\n+")
_LINE_START = re.compile(r"(?:^|\n)[ \t#*>\[\]\d.:-]{0,20}$")
# The name of the file, in agentrt's own results.
_TITLE = re.compile(r"[ \t]*[^\n]{1,120}\.\w{1,8}(?:, page \d{1,6})?\n(?=.)", re.DOTALL)
_NOTHING = re.compile(r"\W*(?:no (?:results?|matches|passages|files?)|nothing)\b|\W*$", re.IGNORECASE)


class Passage(msgspec.Struct, frozen=True):
    marker: str
    text: str


def answer_from_passages(outputs: list[str], question: str) -> str:
    """The sentences that are closest to the question, each with its marker before the full stop."""
    passages = [passage for output in outputs for passage in read_passages(output)][:_MAX_PASSAGES]
    if not passages:
        found = " ".join(outputs).strip()
        if _NOTHING.match(found):
            return f"I searched for “{shorten(question, 80)}” and found nothing about it."
        return shorten(found, _LONGEST_SENTENCE)
    words = _weigh(read_words(question).stems, passages)
    scored = sorted(
        ((*_best_sentence(passage.text, words), passage.marker) for passage in passages), key=lambda found: -found[0]
    )
    best = scored[0][0]
    if best == 0:
        return "Nothing matches your words; the closest passage says: " + _cite(scored[0][1], scored[0][2])
    chosen: dict[str, str] = {}
    for score, sentence, marker in scored[:_MAX_CITED]:
        if score >= best * 0.6:
            chosen[sentence] = chosen.get(sentence, "") + marker
    return " ".join(_cite(sentence, markers) for sentence, markers in chosen.items())


def read_passages(output: str) -> list[Passage]:
    """The passages of one result, in its order."""
    output = output[:_READ_LIMIT]
    value = read_json(output)
    if isinstance(value, str):
        return list(_in_text(value))
    return list(_in_json(value, 0))


def _in_text(text: str) -> Iterator[Passage]:
    marks = list(MARKER.finditer(text))
    if not marks:
        return
    # Before the passage: the first marker begins a line, and something follows the last one.
    leads = bool(_LINE_START.search(text[: marks[0].start()])) and bool(text[marks[-1].end() :].strip())
    for number, mark in enumerate(marks):
        if leads:
            end = marks[number + 1].start() if number + 1 < len(marks) else len(text)
            title = _TITLE.match(text, mark.end())
            body = text[title.end() if title and title.end() < end else mark.end() : end]
        else:
            body = text[marks[number - 1].end() if number else 0 : mark.start()]
        if body.strip():
            yield Passage(mark.group(), body.strip())


def _in_json(value: JsonValue, depth: int) -> Iterator[Passage]:
    if depth > 6:
        return
    if isinstance(value, dict):
        texts = [item for item in value.values() if isinstance(item, str)]
        marker = next((found.group() for text in texts if (found := MARKER.search(text))), None)
        bodies = [MARKER.sub("", text).strip() for text in texts]
        body = max(bodies, key=len, default="")
        if marker and body:
            yield Passage(marker, body)
            return
        for item in value.values():
            yield from _in_json(item, depth + 1)
    elif isinstance(value, list):
        for item in value[:_MAX_PASSAGES]:
            yield from _in_json(item, depth + 1)
    elif isinstance(value, str):
        yield from _in_text(value)


def _weigh(words: frozenset[str], passages: list[Passage]) -> dict[str, float]:
    """The question's words, each with its weight: what one passage has says more than what all of them have."""
    stems = [read_words(passage.text[:_LONGEST_PASSAGE]).stems for passage in passages]
    return {word: 1 / max(1, sum(word in those for those in stems)) for word in words}


def _best_sentence(text: str, words: Mapping[str, float]) -> tuple[float, str]:
    """The sentence that has most of the question; headings and file names count less than prose and lines of a table,
    which have a number."""
    best = (0.0, "")
    for sentence in _SENTENCE_END.split(text[:_LONGEST_PASSAGE]):
        line = sentence.strip(" \t#-*>|")
        if not line:
            continue
        is_telling = len(line.split()) > 3 or any(letter.isdecimal() for letter in line)
        score = sum(words[word] for word in words.keys() & read_words(line).stems) * (1.0 if is_telling else 0.4)
        if score > best[0] or not best[1]:
            best = (score, line)
    return best


def _cite(sentence: str, markers: str) -> str:
    short = shorten(sentence, _LONGEST_SENTENCE)
    body, end = (short[:-1], short[-1]) if short and short[-1] in ".!?" else (short, ".")
    return f"{body} {markers}{end}" if body.endswith("…") else f"{body}{markers}{end}"
