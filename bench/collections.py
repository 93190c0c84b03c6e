"""Collections of documents, questions and judgements, and how good an answer to the questions is. Pure but for reading.

A folder has docs.jsonl.gz (id, title, text), queries.jsonl.gz (id, text) and qrels.tsv (question, document, grade).
"""

from __future__ import annotations

import gzip
import json
import math
import statistics
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

CUT: Final = 10


class Collection(NamedTuple):
    """documents and questions: id → text; relevant: question → document → grade. Questions have a relevant document."""

    name: str
    documents: dict[str, str]
    questions: dict[str, str]
    relevant: dict[str, dict[str, int]]


class Quality(NamedTuple):
    """Means over the questions, of the first CUT documents."""

    ndcg: float
    recall: float
    mrr: float


def load(folder: Path, *, most_questions: int | None = None) -> Collection:
    """Read a folder; documents without text are left out, and judgements about them."""
    documents = {
        row["id"]: text
        for row in _rows(folder / "docs.jsonl.gz")
        if (text := f"{row.get('title') or ''}\n{row['text']}".strip())
    }
    relevant: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for question, document, grade in _judgements(folder / "qrels.tsv"):
        if document in documents:
            relevant[question][document] = grade
    questions = {
        row["id"]: row["text"]
        for row in _rows(folder / "queries.jsonl.gz")
        if row["text"].strip() and any(grade > 0 for grade in relevant.get(row["id"], {}).values())
    }
    return Collection(folder.name, documents, dict(list(questions.items())[:most_questions]), dict(relevant))


def judge(collection: Collection, answers: Mapping[str, Sequence[str]]) -> Quality:
    """answers: question → documents, the best first."""
    every = [_judge_one(answers[question], collection.relevant[question]) for question in collection.questions]
    return Quality(*(statistics.fmean(column) for column in zip(*every, strict=True)))


def _rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield {**row, "id": str(row["id"])}


def _judgements(path: Path) -> Iterator[tuple[str, str, int]]:
    """Lines of three columns; a head, or TREC's column between question and document, does no harm."""
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = line.split("\t")
        if len(fields) >= 3 and fields[-1].strip().lstrip("-").isdigit():
            yield fields[0], fields[-2], int(fields[-1])


def _judge_one(ranking: Sequence[str], grades: Mapping[str, int]) -> Quality:
    n_good = sum(grade > 0 for grade in grades.values())
    gains = [max(0, grades.get(document, 0)) for document in ranking[:CUT]]
    ideal = sorted(grades.values(), reverse=True)[:CUT]
    found = [place for place, gain in enumerate(gains, 1) if gain > 0]
    return Quality(_discounted(gains) / _discounted(ideal), len(found) / n_good, 1 / found[0] if found else 0.0)


def _discounted(gains: Sequence[int]) -> float:
    return sum(max(0, gain) / math.log2(place + 1) for place, gain in enumerate(gains, 1))
