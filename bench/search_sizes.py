"""Stores of several sizes against FTS5 and numpy on the same chunks: CPU, memory, and whether SQLite and PostgreSQL
find the same. In this process, through the same functions that the service calls.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import numpy as np

from agentrt.clock import SystemClock
from agentrt.files.extracted import Extracted
from agentrt.retrieval.chunk import Chunking
from agentrt.retrieval.filters import Comparison, Filter
from agentrt.retrieval.index import FileVectors, index_file, sweep_index
from agentrt.retrieval.prepare import Prepared, prepare
from agentrt.retrieval.search import Question, Result, SearchOptions, search
from agentrt.retrieval.vectors import pack
from agentrt.runtime.vector_stores.vectors.cache import VectorCache
from agentrt.store.database import Store, Tx
from agentrt.store.files import File, insert_file
from agentrt.store.open import open_store
from agentrt.store.vector_store_files import VectorStoreFile, attach_files, detach_file
from agentrt.store.vector_stores import VectorStore, insert_vector_store
from bench.processes import cpu_of_family_s
from bench.search_material import Ask, Material, RawSearch
from tests.postgres import PostgresServer

_PROJECT: Final = "bench"
_STORE: Final = "vs_bench"
_WORDS_STORE: Final = "vs_words"
_WORDS_FILES: Final = 40
_MODEL: Final = "made-up"
_CHUNKS_PER_FILE: Final = 20
_WORDS_PER_FILE: Final = 4_700  # that makes so many chunks
_QUESTIONS: Final = 60
_DELETED: Final = 20
_GROUPS: Final = 100

Cpu = Callable[[], float]


@dataclass
class _Ours:
    """An open database with the store in it."""

    store: Store
    cpu_s: Cpu
    cache: VectorCache = field(default_factory=VectorCache)

    async def add(self, number: int, prepared: Prepared, vectors: FileVectors | None) -> float:
        """Put a file into the store, or without vectors into that of words alone; the CPU that indexing it takes."""
        store_id = _WORDS_STORE if vectors is None else _STORE
        file_id = f"file-{number}" if vectors is None else f"file-{number}v"
        row = VectorStoreFile(
            store_id=store_id,
            file_id=file_id,
            project=_PROJECT,
            created_at=1,
            attributes={"group": number % _GROUPS},
        )

        def attach(tx: Tx) -> None:
            insert_file(tx, _file(file_id))
            attach_files(tx, [row])

        await self.store.write(attach)
        began = self.cpu_s()
        await index_file(self.store, prepared, store_id=store_id, file_id=file_id, clock=SystemClock(), vectors=vectors)
        return self.cpu_s() - began

    async def ask(self, ask: Ask, *, is_hybrid: bool, only: Filter | None = None) -> list[Result]:
        question = Question(ask.text, {_MODEL: ask.vector.tolist()} if is_hybrid else {})
        nearest = self.cache.nearest if is_hybrid else None
        options = SearchOptions(filter=only)
        return (await self.store.read_long(lambda tx: search(tx, [_STORE], [question], options, nearest))).results


async def measure_sizes(folder: Path, server: PostgresServer, sizes: Sequence[int], *, most_on_postgres: int) -> None:
    for n_chunks in sizes:
        raw = RawSearch(folder / f"raw-{n_chunks}.db")
        on = {"SQLite": await _open(f"sqlite:///{folder}/ours-{n_chunks}.db", time.process_time)}
        if n_chunks <= most_on_postgres:
            name = server.new_name()
            server.run_sql(f"CREATE DATABASE {name}")
            on["PostgreSQL"] = await _open(server.url(name), _with_server(server))
        try:
            await _measure_size(n_chunks, raw, on, folder)
        finally:
            raw.close()
            for ours in on.values():
                await ours.store.close()


async def _open(url: str, cpu_s: Cpu) -> _Ours:
    store = await open_store(url, clock=SystemClock())
    for store_id in (_STORE, _WORDS_STORE):
        row = VectorStore(id=store_id, project=_PROJECT, created_at=1, last_active_at=1)
        await store.write(partial(insert_vector_store, store=row))
    return _Ours(store, cpu_s)


def _file(file_id: str) -> File:
    return File(
        id=file_id,
        project=_PROJECT,
        created_at=1,
        filename=f"{file_id}.txt",
        size_bytes=1,
        purpose="assistants",
        sha256=file_id,
    )


def _with_server(server: PostgresServer) -> Cpu:
    pid = int((server.folder / "postmaster.pid").read_text().split()[0])
    return lambda: time.process_time() + cpu_of_family_s(pid)


async def _measure_size(n_chunks: int, raw: RawSearch, on: dict[str, _Ours], folder: Path) -> None:
    material = Material()
    print(f"{n_chunks:,} chunks", flush=True)
    await _fill(n_chunks, material, raw, on)
    await _ask(material.questions(_QUESTIONS), raw, on)
    await _delete(raw, on)
    print(f"  memory of this process {_rss_mb():.0f} MB; ", end="")
    sizes = {name: (folder / f"{name}-{n_chunks}.db").stat().st_size / 1e6 for name in ("raw", "ours")}
    print(f"FTS5's file {sizes['raw']:.0f} MB, without vectors; ours {sizes['ours']:.0f} MB\n", flush=True)


async def _fill(n_chunks: int, material: Material, raw: RawSearch, on: dict[str, _Ours]) -> None:
    spent: dict[str, list[float]] = {
        name: [] for name in ("FTS5", "prepare", *on, *(f"{name}, vectors" for name in on))
    }
    n_chars = n_files = n_made = 0
    rows = []
    while n_made < n_chunks:
        text = material.text(_WORDS_PER_FILE)
        n_chars += len(text)
        began = time.process_time()
        prepared = prepare(Extracted(text, "text"), Chunking())
        spent["prepare"].append(time.process_time() - began)
        filled = [i for i, segment in enumerate(prepared.segments) if segment.text]
        matrix = material.vectors(len(filled))
        rows.append(matrix)
        vectors = FileVectors(_MODEL, {i: [pack(row.tolist())] for i, row in zip(filled, matrix, strict=True)})
        chunks = list(_chunks(prepared))
        began = time.process_time()
        raw.add(chunks)
        spent["FTS5"].append(time.process_time() - began)
        for name, ours in on.items():
            if n_files < _WORDS_FILES:
                spent[name].append(await ours.add(n_files, prepared, None))
            spent[f"{name}, vectors"].append(await ours.add(n_files, prepared, vectors))
        n_files += 1
        n_made += prepared.n_chunks
    raw.set_vectors(np.concatenate(rows))
    each = {name: statistics.fmean(took) * 1000 for name, took in spent.items()}
    print(f"  put in, {n_chars / 1e6:.1f} MB in {n_files} files of {n_made // n_files} chunks; CPU ms a file: ", end="")
    print(f"FTS5 with the same chunks {each['FTS5']:.1f}; cutting and stemming {each['prepare']:.1f}, and then")
    for name in on:
        whole = each["prepare"] + each[name]
        print(
            f"    {name}: {each[name]:.1f}, in all {each['FTS5'] / whole:.2f} of FTS5's MB/s (at least 0.4); ", end=""
        )
        print(f"with vectors {each[f'{name}, vectors']:.1f}", flush=True)
    for ours in on.values():
        await sweep_index(ours.store, clock=SystemClock())


def _chunks(prepared: Prepared) -> Iterator[str]:
    texts = [segment.text for segment in prepared.segments]
    return ("".join(texts[max(0, i - 1) : i + 2]) for i in range(0, len(texts), 2))


async def _ask(asks: Sequence[Ask], raw: RawSearch, on: dict[str, _Ours]) -> None:
    async def by_words(ask: Ask) -> None:
        raw.keywords(ask)

    async def by_both(ask: Ask) -> None:
        raw.hybrid(ask)

    base = {
        False: await _cpu_ms(asks, by_words, time.process_time),
        True: await _cpu_ms(asks, by_both, time.process_time),
    }
    print(f"  asked, CPU ms: FTS5 {base[False]:.2f}, FTS5 and numpy {base[True]:.2f}")
    for name, ours in on.items():
        for is_hybrid, what in ((False, "words"), (True, "hybrid")):

            async def one(ask: Ask, ours: _Ours = ours, is_hybrid: bool = is_hybrid) -> None:
                await ours.ask(ask, is_hybrid=is_hybrid)

            spent = await _cpu_ms(asks, one, ours.cpu_s)
            print(f"    {name}, {what}: {spent:.2f}, ratio {spent / base[is_hybrid]:.2f} (at most 2)", flush=True)
        await _filter(asks, ours, name)
    if len(on) > 1:
        await _compare(asks, list(on.values()))


async def _filter(asks: Sequence[Ask], ours: _Ours, name: str) -> None:
    """The 95th percentile with filters that let in one file in a hundred, half of them, and all."""
    figures = []
    for n_groups in (1, _GROUPS // 2, None):
        only = None if n_groups is None else Comparison("lt", "group", (n_groups,))
        took = []
        for ask in asks:
            began = time.perf_counter()
            await ours.ask(ask, is_hybrid=True, only=only)
            took.append((time.perf_counter() - began) * 1000)
        figures.append(_p95(took))
    one, half, every = figures
    ratios = f"of 1 % of the files {one / every:.2f} ×, of 50 % {half / every:.2f} ×"
    print(f"    {name}, hybrid, p95: {every:.1f} ms; {ratios}")


async def _compare(asks: Sequence[Ask], on: Sequence[_Ours]) -> None:
    same = 0
    for ask in asks:
        found = [[(r.file.file_id, r.ord) for r in await ours.ask(ask, is_hybrid=True)] for ours in on]
        same += found[0] == found[1]
    print(f"    the same ten on both for {same / len(asks):.0%} of the questions (at least 95 %)")


async def _delete(raw: RawSearch, on: dict[str, _Ours]) -> None:
    began = time.process_time()
    for number in range(_DELETED):
        raw.delete(range(number * _CHUNKS_PER_FILE + 1, (number + 1) * _CHUNKS_PER_FILE + 1))
    base = (time.process_time() - began) / _DELETED * 1000
    print(f"  a file deleted, CPU ms: FTS5 {base:.2f}; ", end="")
    for name, ours in on.items():
        began = ours.cpu_s()
        for number in range(_DELETED):
            await ours.store.write(partial(detach_file, store_id=_STORE, file_id=f"file-{number}v", now=2.0))
        hidden = ours.cpu_s()
        await sweep_index(ours.store, clock=SystemClock())
        swept = (ours.cpu_s() - hidden) / _DELETED * 1000
        gone = (hidden - began) / _DELETED * 1000
        print(f"{name} {gone:.2f} until it is gone, {swept:.2f} to sweep up; ", end="")
    print(flush=True)


async def _cpu_ms(asks: Sequence[Ask], one: Callable[[Ask], Awaitable[None]], cpu_s: Cpu) -> float:
    """A question, in the mean of two rounds behind one to get warm."""
    for ask in asks[:10]:
        await one(ask)
    began = cpu_s()
    for ask in (*asks, *asks):
        await one(ask)
    return (cpu_s() - began) / (2 * len(asks)) * 1000


def _p95(values: Sequence[float]) -> float:
    return statistics.quantiles(values, n=20)[18] if len(values) > 1 else math.nan


def _rss_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024
