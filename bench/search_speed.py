"""How fast search is, as ratios to what it stands on, in one run: FTS5 with its own ranking, and a matrix in numpy.

sizes   stores of so many chunks on SQLite and on PostgreSQL: CPU of putting in, of a question by words and of a hybrid
        one, with filters, of a deletion; memory; whether both databases find the same
load    over HTTP: 16 searches at once, alone and while files are put in

    python -m bench.search_speed --only sizes --sizes 1000 10000 100000

CPU is user and system time of this process, and of PostgreSQL's where it has a part. Vectors are made up (384 numbers,
one for each 400 tokens): what an embedding model takes is not in the figures.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench.search_load import measure_load
from bench.search_sizes import measure_sizes
from tests.postgres import running_postgres


async def measure(parts: Sequence[str], sizes: Sequence[int], most_on_postgres: int, n_files: int) -> None:
    with tempfile.TemporaryDirectory(prefix="agentrt-bench-") as folder, running_postgres() as server:
        if "sizes" in parts:
            await measure_sizes(Path(folder), server, sizes, most_on_postgres=most_on_postgres)
        if "load" in parts:
            await measure_load(Path(folder), server, n_files=n_files)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=["sizes", "load"])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1_000, 10_000], help="in chunks")
    parser.add_argument("--most-on-postgres", type=int, default=10_000, help="larger ones on SQLite only")
    parser.add_argument("--files", type=int, default=300, help="that are put in during `load`")
    options = parser.parse_args()
    parts = options.only or ["sizes", "load"]
    asyncio.run(measure(parts, options.sizes, options.most_on_postgres, options.files))


if __name__ == "__main__":
    main()
