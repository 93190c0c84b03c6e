"""How good search is: nDCG@10, recall@10 and MRR@10 over folders of documents, questions and judgements.

    python bench/retrieval.py FOLDER [FOLDER ...]

A folder has docs.jsonl.gz (id, title, text), queries.jsonl.gz (id, text) and qrels.tsv (question, document, grade).
Documents are indexed as files of a vector store in a temporary database, as the service does it; a document is where
its best passage is. Beside it, on the same documents, a plain BM25: words of letters and digits, Snowball stems, a
short list of stop words for questions, k1 = 1.2, b = 0.75, in numpy. No embedding model: keywords alone.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import json
import math
import re
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from Stemmer import Stemmer  # type: ignore[import-not-found]

from agentrt.clock import SystemClock
from agentrt.files.extracted import Extracted
from agentrt.retrieval.chunk import Chunking
from agentrt.retrieval.index import index_file, sweep_index
from agentrt.retrieval.prepare import prepare
from agentrt.retrieval.search import Question, SearchOptions, search
from agentrt.store.database import Store, Tx
from agentrt.store.files import File, insert_file
from agentrt.store.open import open_store
from agentrt.store.vector_store_files import VectorStoreFile, attach_files
from agentrt.store.vector_stores import VectorStore, insert_vector_store

CUT = 10
PROJECT = "bench"
STORE = "vs_bench"
_WORDS = """a about after all also an and any are as at be been but by can did do does for from had has have how if in
into is it its more no not of on or other our so some such than that the their them then there these they this to was we
were what when which who why will with would you your"""
COMMON = frozenset(_WORDS.split())


class Collection(NamedTuple):
    """documents and questions: id → text; relevant: question → document → grade."""

    name: str
    documents: dict[str, str]
    questions: dict[str, str]
    relevant: dict[str, dict[str, int]]


class Quality(NamedTuple):
    """Means over the questions."""

    ndcg: float
    recall: float
    mrr: float


def load(folder: Path) -> Collection:
    relevant: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for line in (folder / "qrels.tsv").read_text().splitlines():
        fields = line.split("\t")
        if len(fields) >= 3 and fields[2].lstrip("-").isdigit():
            relevant[fields[0]][fields[1]] = int(fields[2])
    documents = {
        row["id"]: f"{row.get('title') or ''}\n{row['text']}".strip() for row in rows(folder / "docs.jsonl.gz")
    }
    questions = {
        row["id"]: row["text"] for row in rows(folder / "queries.jsonl.gz") if any(relevant[row["id"]].values())
    }
    return Collection(folder.name, documents, questions, dict(relevant))


def rows(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            row = json.loads(line)
            yield {**row, "id": str(row["id"])}


def judge(collection: Collection, answers: Mapping[str, Sequence[str]]) -> Quality:
    """answers: question → documents, the best first."""
    every = [judge_one(answers[question], collection.relevant[question]) for question in collection.questions]
    return Quality(*(float(np.mean(column)) for column in zip(*every, strict=True)))


def judge_one(ranking: Sequence[str], grades: Mapping[str, int]) -> Quality:
    good = {document for document, grade in grades.items() if grade > 0}
    gains = [grades.get(document, 0) for document in ranking[:CUT]]
    ideal = sorted(grades.values(), reverse=True)[:CUT]
    found = [place for place, gain in enumerate(gains, 1) if gain > 0]
    return Quality(discounted(gains) / discounted(ideal), len(found) / len(good), 1 / found[0] if found else 0.0)


def discounted(gains: Sequence[int]) -> float:
    return sum(max(0, gain) / math.log2(place + 1) for place, gain in enumerate(gains, 1))


class PlainBm25:
    """The yardstick."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self._stem = Stemmer("english").stemWord
        self._ids = list(documents)
        counts = [Counter(self._words(text)) for text in documents.values()]
        lengths = np.array([count.total() for count in counts], dtype=float)
        self._norm = 1.2 * (1 - 0.75 + 0.75 * lengths / lengths.mean())
        lists: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
        for place, count in enumerate(counts):
            for word, n in count.items():
                lists[word].append((place, n))
        self._lists = {word: np.array(entries) for word, entries in lists.items()}

    def answer(self, question: str) -> list[str]:
        scores = np.zeros(len(self._ids))
        for word in self._words(question, is_question=True):
            if word in self._lists:
                places, counts = self._lists[word].T
                idf = math.log(1 + (len(self._ids) - len(places) + 0.5) / (len(places) + 0.5))
                scores[places] += idf * counts * 2.2 / (counts + self._norm[places])
        best = np.argsort(-scores, kind="stable")[: 10 * CUT]
        return [self._ids[place] for place in best if scores[place] > 0]

    def _words(self, text: str, *, is_question: bool = False) -> list[str]:
        words = re.findall(r"[^\W_]+", text.lower())
        return [self._stem(word) for word in words if not (is_question and word in COMMON)]


async def ours(collection: Collection, folder: Path) -> tuple[dict[str, list[str]], str]:
    """The answers, and what they cost."""
    store = await open_store(f"sqlite:///{folder}/bench.db", clock=SystemClock())
    began = time.process_time()
    await store.write(
        lambda tx: insert_vector_store(tx, VectorStore(id=STORE, project=PROJECT, created_at=1, last_active_at=1))
    )
    for document, text in collection.documents.items():
        await add(store, document, text)
    await sweep_index(store, clock=SystemClock())
    indexed = time.process_time()
    answers = {question: await ask(store, text) for question, text in collection.questions.items()}
    asked = time.process_time()
    await store.close()
    megabytes = sum(map(len, collection.documents.values())) / 1e6
    each = (asked - indexed) / len(answers) * 1000
    return answers, f"{megabytes / (indexed - began):.1f} MB/s indexed, {each:.1f} ms a question (CPU)"


async def add(store: Store, document: str, text: str) -> None:
    file_id = f"file-{document}"

    def attach(tx: Tx) -> None:
        file = File(
            id=file_id,
            project=PROJECT,
            created_at=1,
            filename=f"{document}.txt",
            size_bytes=1,
            purpose="assistants",
            sha256=document,
        )
        insert_file(tx, file)
        attach_files(tx, [VectorStoreFile(store_id=STORE, file_id=file_id, project=PROJECT, created_at=1)])

    await store.write(attach)
    if text:
        prepared = prepare(Extracted(text, "text"), Chunking())
        await index_file(store, prepared, store_id=STORE, file_id=file_id, clock=SystemClock())


async def ask(store: Store, question: str) -> list[str]:
    """The documents of the best 50 passages, which is what the API gives at most."""
    found = await store.read(lambda tx: search(tx, [STORE], [Question(question)], SearchOptions(limit=50)))
    return list(dict.fromkeys(result.file.filename.removesuffix(".txt") for result in found.results))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    ratios = []
    for folder in parser.parse_args().folders:
        collection = load(folder)
        plain = PlainBm25(collection.documents)
        yardstick = judge(collection, {question: plain.answer(text) for question, text in collection.questions.items()})
        with tempfile.TemporaryDirectory() as place:
            answers, cost = asyncio.run(ours(collection, Path(place)))
        quality = judge(collection, answers)
        ratios.append(quality.ndcg / yardstick.ndcg)
        print(
            f"{collection.name}: {len(collection.documents)} documents, {len(collection.questions)} questions; {cost}"
        )
        print(f"  {'':14}{'nDCG@10':>9}{'recall@10':>11}{'MRR@10':>9}")
        for name, found in (("plain BM25", yardstick), ("keywords", quality)):
            print(f"  {name:14}{found.ndcg:9.4f}{found.recall:11.4f}{found.mrr:9.4f}")
        against = (quality.recall / yardstick.recall, quality.mrr / yardstick.mrr)
        print(f"  {'ratio':14}{ratios[-1]:9.3f}{against[0]:11.3f}{against[1]:9.3f}")
    print(f"mean ratio of nDCG@10: {np.mean(ratios):.3f}")


if __name__ == "__main__":
    main()
