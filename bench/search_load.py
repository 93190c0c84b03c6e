"""Sixteen searches at once over HTTP: alone, and while files are put in. Wall time, so ratios of one run only."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bench.search_material import Ask, Material
from bench.search_service import StoreClient, open_vector_store, search_service
from tests.postgres import PostgresServer

_AT_ONCE: Final = 16
_WORDS_PER_FILE: Final = 2_000
_SEARCHES: Final = 640


async def measure_load(folder: Path, server: PostgresServer, *, n_files: int) -> None:
    """n_files: as many are there before, and are put in meanwhile."""
    print(f"{_AT_ONCE} searches at once, ms: median / p95 / slowest")
    for name in ("PostgreSQL", "SQLite"):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            database = None
            if name == "PostgreSQL":
                new = server.new_name()
                server.run_sql(f"CREATE DATABASE {new}")
                database = server.url(new)
            with search_service(Path(place), database=database) as (process, url):
                await _measure(name, url, n_files)
                print(f"    the service afterwards: {process.rss_mb():.0f} MB", flush=True)


async def _measure(name: str, url: str, n_files: int) -> None:
    material = Material()
    asks = material.questions(_SEARCHES // _AT_ONCE)
    first, second = ({str(i): material.text(_WORDS_PER_FILE) for i in range(n_files)} for _ in range(2))
    async with open_vector_store(url, at_once=2 * _AT_ONCE) as store:
        await store.put(first)
        await _search(store, asks)
        before = await _search(store, asks)
        during: list[float] = []
        async with asyncio.TaskGroup() as group:
            began = time.perf_counter()
            putting = group.create_task(store.put(second))
            while not putting.done():
                during += await _search(store, asks[:10])
            took_s = time.perf_counter() - began
        after = await _search(store, asks)
    idle = before + after
    ratio = _p95(during) / _p95(idle)
    print(
        f"  {name}: alone {_spread(idle)}, while {n_files} files are put in ({took_s:.0f} s) {_spread(during)}; ",
        end="",
    )
    print(f"p95 {ratio:.2f} × (at most 3); {len(during)} searches, no error")


async def _search(store: StoreClient, asks: Sequence[Ask]) -> list[float]:
    """Every lane asks all questions, each at another place; an error ends the benchmark."""

    async def lane(number: int) -> list[float]:
        took = []
        for i in range(len(asks)):
            began = time.perf_counter()
            await store.search(asks[(i + number) % len(asks)].text)
            took.append(time.perf_counter() - began)
        return took

    return [one for took in await asyncio.gather(*map(lane, range(_AT_ONCE))) for one in took]


def _p95(seconds: Sequence[float]) -> float:
    return statistics.quantiles(seconds, n=20)[18]


def _spread(seconds: Sequence[float]) -> str:
    return " / ".join(f"{s * 1000:.0f}" for s in (statistics.median(seconds), _p95(seconds), max(seconds)))
