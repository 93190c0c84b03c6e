"""Several processes on PostgreSQL against one on SQLite, in one run: throughput, latency, fan-out, recovery, growth.

runs      streamed runs, 64 at once: how many a second, and CPU a run
claims    one run at a time: until it is driven, until its first word, and from a cancel to its end
fanout    one stream of 200 words to 200 clients: CPU a delivery, and how far the last client is behind the first
recovery  `kill -9` of the process that drives 20 runs: until others have brought them to their end
growth    what a run, a look, a list, a sweep and a beat take with 1,000 and with 200,000 finished runs

The model answers at once but where it must not. PostgreSQL waits for the disk, as SQLite does. What clients and model
take is not in the figures, but they take their share of the machine.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from bench.clients import DELTA, cancel_run, create_run, follow, in_lanes, new_run, open_client, stream_until
from bench.fake_model import WAIT
from bench.fanout import measure_fanout
from bench.figures import ms_spread
from bench.fleet import ALONE, SQLITE, WITH_WORKERS, Bench, Cpu, Fleet, Shape
from bench.growth import measure_growth
from bench.processes import fake_model
from tests.postgres import running_postgres

_AT_ONCE = 64
_N_HELD = 20
_MAX_CONNECTIONS = 150  # five processes with a pool of ten each, and two more for queue and hints
_IDLE_S = 5.0


async def measure_runs(bench: Bench, *, n: int) -> None:
    """Throughput and CPU, and what the fleet costs while nobody asks anything of it."""
    columns = f"{'API':>8}{'workers':>9}{'database':>10}{'all':>8}{'ratio':>7}{'runs/s':>8}{'idle ms/s':>11}"
    print(f"{'CPU ms a run':28}{columns}")
    base = 0.0
    for shape in (SQLITE, ALONE, *WITH_WORKERS.values()):
        with shape.open(bench) as fleet:
            cpu, wall_s = await _load(fleet, n=n)
            idle_ms = await _idle(fleet)
        base = base or sum(cpu)
        print(
            f"{shape.name:28}{cpu.api:8.1f}{cpu.workers:9.1f}{cpu.database:10.1f}{sum(cpu):8.1f}{sum(cpu) / base:7.2f}"
            f"{n / wall_s:8.0f}{idle_ms:11.1f}",
            flush=True,
        )


async def _load(fleet: Fleet, *, n: int) -> tuple[Cpu, float]:
    """CPU ms a run, and wall seconds in all."""
    async with open_client(fleet.url, at_once=_AT_ONCE) as client:
        job = partial(follow, client, "/v1/threads/runs", new_run(streamed=True))
        await in_lanes(job, n=_AT_ONCE, at_once=_AT_ONCE)
        before, began = fleet.cpu(), time.monotonic()
        done = await in_lanes(job, n=n, at_once=_AT_ONCE)
        return fleet.cpu().since(before).ms_each(len(done)), (time.monotonic() - began) * n / len(done)


async def _idle(fleet: Fleet) -> float:
    await asyncio.sleep(1)
    before = fleet.cpu()
    await asyncio.sleep(_IDLE_S)
    return sum(fleet.cpu().since(before).ms_each(1)) / _IDLE_S


async def measure_claims(bench: Bench, *, n: int) -> None:
    """Latencies as a client has them, median and 99th percentile."""
    print(f"{'ms, median / p99':28}{'created':>16}{'then driven':>16}{'word after model':>18}{'cancel to end':>16}")
    for shape in (SQLITE, ALONE, WITH_WORKERS[1]):
        with shape.open(bench) as fleet:
            async with open_client(fleet.url, at_once=2) as client:
                job = partial(follow, client, "/v1/threads/runs", new_run(streamed=True))
                await in_lanes(job, n=10, at_once=1)
                done = await in_lanes(job, n=n, at_once=1)
                cancels = [await cancel_run(client, f"{WAIT} {i} {shape.name}") for i in range(n // 4)]
        created = [followed.after_s["thread.run.created"] for followed in done]
        driven = [followed.after_s["thread.run.in_progress"] for followed in done]
        lags = [followed.lag_s for followed in done if followed.lag_s is not None]
        waits = [late - early for early, late in zip(created, driven, strict=True)]
        print(
            f"{shape.name:28}{ms_spread(created):>16}{ms_spread(waits):>16}{ms_spread(lags):>18}{ms_spread(cancels):>16}",
            flush=True,
        )


async def measure_recovery(bench: Bench) -> None:
    """From the kill to the end of the runs, for which the model is asked once more and answers at once."""
    print(f"{f'kill -9, {_N_HELD} runs driven':50}{'ready, s':>10}{'half ended, s':>15}{'all ended, s':>14}")
    await _recover(bench, SQLITE, "started again at once", is_restarted=True)
    await _recover(bench, WITH_WORKERS[1], "started again at once", is_restarted=True)
    for lease_s in (3, 15):
        await _recover(bench, WITH_WORKERS[1], f"another worker, lease {lease_s} s", lease_s=lease_s)


async def _recover(bench: Bench, shape: Shape, what: str, *, lease_s: float = 15, is_restarted: bool = False) -> None:
    with shape.open(bench, lease_s=lease_s) as fleet:
        driver = fleet.nodes[-1]
        async with open_client(fleet.url, at_once=_N_HELD) as client:
            paths = [await create_run(client, f"{WAIT} {i} {shape.name} {what}") for i in range(_N_HELD)]
            await asyncio.gather(*(stream_until(client, path, DELTA) for path in paths))
        if not is_restarted:
            fleet.start("worker")
        fleet.kill(driver)
        killed_at = time.monotonic()
        ready = "–"
        if is_restarted:
            node = fleet.start("worker" if shape.n_workers else "all")
            ready = f"{node.ready_wall_s:.1f}"

        async def end(path: str) -> float:
            await stream_until(client, path, "thread.run.completed")
            return time.monotonic() - killed_at

        async with open_client(fleet.url, at_once=_N_HELD) as client:
            took_s = await asyncio.gather(*(end(path) for path in paths))
    name = f"{shape.name}: {what}"
    print(f"{name:50}{ready:>10}{statistics.median(took_s):15.1f}{max(took_s):14.1f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--only", action="append", choices=["runs", "claims", "fanout", "recovery", "growth"])
    parser.add_argument("--jobs", type=int, default=256, help="runs for each row of `runs`; fewer for `claims`")
    parser.add_argument("--rows", type=int, nargs=2, default=(1_000, 200_000), help="finished runs for `growth`")
    options = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="agentrt-bench-") as folder,
        running_postgres(max_connections=_MAX_CONNECTIONS, is_durable=True) as server,
        fake_model() as model_url,
    ):
        bench = Bench(Path(folder), server, model_url)
        parts: dict[str, Callable[[], Awaitable[None]]] = {
            "runs": lambda: measure_runs(bench, n=options.jobs),
            "claims": lambda: measure_claims(bench, n=options.jobs * 2 // 5),
            "fanout": lambda: measure_fanout(bench),
            "recovery": lambda: measure_recovery(bench),
            "growth": lambda: measure_growth(bench, small=options.rows[0], large=options.rows[1]),
        }
        for name in options.only or parts:
            asyncio.run(_part(name, parts[name]))


async def _part(name: str, measure: Callable[[], Awaitable[None]]) -> None:
    began = time.monotonic()
    await measure()
    print(f"({name}: {time.monotonic() - began:.0f} s)\n", flush=True)


if __name__ == "__main__":
    main()
