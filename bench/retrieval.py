"""How good search is: nDCG@10, recall@10, MRR@10 over folders of documents, questions, judgements (collections.py).

    python -m bench.retrieval FOLDER [FOLDER ...]                          keywords alone
    python -m bench.retrieval --minilm FOLDER                              and all-MiniLM-L6-v2 on this machine
    python -m bench.retrieval --embeddings-url URL --model NAME FOLDER     and any OpenAI-compatible server
    python -m bench.retrieval --rerank-url URL --reranker NAME FOLDER      and a reranker over the best of these

A service is started, each document uploaded as a file and attached in batches, each question sent to
`POST /v1/vector_stores/{id}/search`; a document is where its best passage is. Without an embedding model first, then
with one: then the explained candidates say what keywords and vectors would have answered alone, and the results are the
hybrid. Beside them a plain BM25 over whole documents (plain_bm25.py).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from bench.collections import CUT, Collection, Quality, judge, load
from bench.plain_bm25 import PlainBm25
from bench.search_service import StoreClient, embedding_config, open_vector_store, reranked, search_service

_PASSAGES: Final = 50
"""What the API gives at most."""

_AT_ONCE: Final = 4

Answers = Mapping[str, Sequence[str]]
"""Question → documents, the best first."""


class Measured(NamedTuple):
    """What one service answered, by who answered: `results`, `keywords`, `vectors`; CPU of the service."""

    answers: dict[str, dict[str, list[str]]]
    indexing_cpu_s: float
    asking_cpu_s: float


async def measure(collection: Collection, embedding: str, dump: Path | None = None) -> Measured:
    """Index a collection in a service of its own and ask every question."""
    with (
        tempfile.TemporaryDirectory(prefix="agentrt-bench-") as name,
        search_service(Path(name), embedding=embedding) as (process, url),
    ):
        async with open_vector_store(url) as store:
            before = process.family_cpu_s()
            await store.put(collection.documents)
            indexed = process.family_cpu_s()
            found = await _ask_all(store, collection.questions)
            cost = indexed - before, process.family_cpu_s() - indexed
    if dump is not None:
        dump.write_text(json.dumps({"answers": found, "names": store.names}))
    answers = {
        who: {question: rank(answer, store.names) for question, answer in found.items()} for who, rank in _RANKINGS
    }
    return Measured(answers, *cost)


async def _ask_all(store: StoreClient, questions: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    free = asyncio.Semaphore(_AT_ONCE)

    async def ask(text: str) -> dict[str, Any]:
        async with free:
            return await store.search(text, max_num_results=_PASSAGES, explain=True)

    async with asyncio.TaskGroup() as group:
        tasks = {question: group.create_task(ask(text)) for question, text in questions.items()}
    return {question: task.result() for question, task in tasks.items()}


def _results(answer: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    return list(dict.fromkeys(names[result["file_id"]] for result in answer["data"]))


def _by(score: str, answer: Mapping[str, Any], names: Mapping[str, str]) -> list[str]:
    candidates = [one for one in answer["explain"]["candidates"] if one[score] is not None]
    candidates.sort(key=lambda one: -one[score])
    return list(dict.fromkeys(names[one["file_id"]] for one in candidates))


_RANKINGS: Final = (
    ("results", _results),
    ("keywords", lambda answer, names: _by("keyword_score", answer, names)),
    ("vectors", lambda answer, names: _by("vector_score", answer, names)),
)


def evaluate(collection: Collection, embedding: str, reranking: str, dump: Path | None) -> dict[str, Quality]:
    """By who answered, in the order in which they are printed. reranking: embedding with a reranker, or ""."""
    plain = PlainBm25(collection.documents)
    began = time.process_time()
    found = {
        "plain BM25": judge(collection, {q: plain.answer(text, n=CUT) for q, text in collection.questions.items()})
    }
    plain_ms = (time.process_time() - began) * 1000 / len(collection.questions)
    without = asyncio.run(measure(collection, ""))
    found["keywords, no embedder"] = judge(collection, without.answers["results"])
    print(
        f"{collection.name}: {len(collection.documents)} documents, {len(collection.questions)} questions", flush=True
    )
    _print_cost("without an embedder", collection, without)
    if embedding:
        with_it = asyncio.run(measure(collection, embedding, dump and dump / f"{collection.name}.json"))
        found["keywords alone"] = judge(collection, with_it.answers["keywords"])
        found["vectors alone"] = judge(collection, with_it.answers["vectors"])
        found["hybrid"] = judge(collection, with_it.answers["results"])
        _print_cost("with an embedder", collection, with_it)
    if reranking:
        judged = asyncio.run(measure(collection, reranking))
        found["reranked"] = judge(collection, judged.answers["results"])
        _print_cost("with a reranker", collection, judged)
    print(f"  plain BM25 asked: {plain_ms:.1f} ms a question (CPU)")
    print(f"  {'':24}{'nDCG@10':>9}{'recall@10':>11}{'MRR@10':>9}")
    for name, quality in found.items():
        print(f"  {name:24}{quality.ndcg:9.4f}{quality.recall:11.4f}{quality.mrr:9.4f}", flush=True)
    return found


def _print_cost(name: str, collection: Collection, measured: Measured) -> None:
    each = measured.asking_cpu_s * 1000 / len(collection.questions)
    megabytes = sum(map(len, collection.documents.values())) / 1e6
    print(
        f"  {name}: {measured.indexing_cpu_s / megabytes:.1f} s CPU a MB indexed, {each:.1f} ms a question, explained"
    )


def _print_means(every: Sequence[dict[str, Quality]]) -> None:
    """The figures that are judged."""
    ratios = [found["keywords, no embedder"].ndcg / found["plain BM25"].ndcg for found in every]
    print(f"keywords / plain BM25, nDCG, mean: {statistics.fmean(ratios):.3f} (at least 1, better 1.02)")
    if "hybrid" not in every[0]:
        return
    for name, target in (("ndcg", 1.0), ("recall", 0.99)):
        of = {who: [getattr(found[who], name) for found in every] for who in every[0]}
        better = [max(pair) for pair in zip(of["keywords, no embedder"], of["vectors alone"], strict=True)]
        ratio = statistics.fmean(h / b for h, b in zip(of["hybrid"], better, strict=True))
        means = {who: statistics.fmean(values) for who, values in of.items()}
        of_means = means["hybrid"] / max(means["keywords, no embedder"], means["vectors alone"])
        print(f"hybrid / the better half, {name}: {ratio:.3f}, of the means {of_means:.3f} (at least {target})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", nargs="+", type=Path, metavar="FOLDER")
    parser.add_argument("--minilm", action="store_true", help="embed on this machine (docs/vectors.md)")
    parser.add_argument("--embeddings-url", help="an OpenAI-compatible server, /v1 included")
    parser.add_argument("--model", default="embedding", help="what that server calls the model")
    parser.add_argument("--window-tokens", type=int, help="how much it reads at once")
    parser.add_argument("--rerank-url", help="a server with /rerank (docs/reranking.md)")
    parser.add_argument("--reranker", default="reranker", help="what that server calls the model")
    parser.add_argument("--questions", type=int, help="only so many of each folder")
    parser.add_argument("--dump", type=Path, help="a folder for the explained answers")
    options = parser.parse_args()
    embedding = embedding_config("minilm") if options.minilm else ""
    if options.embeddings_url:
        embedding = embedding_config(options.model, url=options.embeddings_url, window_tokens=options.window_tokens)
    reranking = reranked(embedding, options.reranker, url=options.rerank_url) if options.rerank_url else ""
    collections = (load(folder, most_questions=options.questions) for folder in options.folders)
    _print_means([evaluate(collection, embedding, reranking, options.dump) for collection in collections])


if __name__ == "__main__":
    main()
