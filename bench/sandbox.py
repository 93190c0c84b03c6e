"""Sandboxes against what they stand on, in one run: ratios, each with the bar that it has to meet.

floor = the same kernel as a plain process of this machine, with its checkpoint. exec = `docker exec python3 -c`, which
keeps nothing. run = `containers.run` of the same image with the same limits. archive = the engine's own way to copy
files, into and out of a container whose root file system can be written.
The engine is the one of DOCKER_HOST, or one that is started for this (as the tests do). A call comes 50 ms after the
one before it, as from a model; `back to back` is without that pause. The figures are medians.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import statistics
import sys
import tarfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from agentrt.config.schema import SandboxSpec  # noqa: E402
from agentrt.sandbox.choose import make_driver  # noqa: E402
from agentrt.sandbox.docker import DockerDriver  # noqa: E402
from agentrt.sandbox.driver import Available, Driver  # noqa: E402
from agentrt.sandbox.events import Output  # noqa: E402
from agentrt.sandbox.pool import Pool  # noqa: E402
from agentrt.sandbox.sandbox import Sandbox  # noqa: E402

PAUSE_S = 0.05
MB = 1024 * 1024
MEMORY = """
import os
for path in ("/sys/fs/cgroup/memory.current", "/sys/fs/cgroup/memory/memory.usage_in_bytes"):
    if os.path.exists(path):
        print(open(path).read())
"""
LAG = "import time\nfor _ in range(100):\n    print(time.time())\n    time.sleep(0.01)"


class Report:
    """Rows of what was measured; a row with a bar is met or missed."""

    def __init__(self) -> None:
        self.n_missed = 0

    def row(self, what: str, value: float, unit: str, *, bar: float | None = None) -> None:
        is_met = bar is None or value <= bar
        self.n_missed += not is_met
        verdict = "" if bar is None else f"  bar {bar:g} {unit}  {'met' if is_met else 'MISSED'}"
        print(f"{what:52} {value:10.3f} {unit:3}{verdict}", flush=True)


async def median_ms(call: Callable[[], Awaitable[object]], n: int, *, pause_s: float = 0.0) -> float:
    times = []
    for _ in range(n):
        await asyncio.sleep(pause_s)
        started = time.perf_counter()
        await call()
        times.append((time.perf_counter() - started) * 1000)
    return statistics.median(times)


async def calls(report: Report, spec: SandboxSpec, docker: DockerDriver, n: int) -> None:
    """In turns, so that a machine that others use slows all of them alike."""
    drivers: dict[str, Driver] = {"floor": make_driver("unsafe-local", spec), "docker": docker}
    bubblewrap = make_driver("bubblewrap", spec)
    if isinstance(await bubblewrap.probe(), Available):
        drivers["bubblewrap"] = bubblewrap
    client, _, _ = await docker._open_engine()
    async with AsyncExitStack() as stack:
        boxes = {}
        for name, driver in drivers.items():
            boxes[name] = await Sandbox.start(driver, spec)
            stack.push_async_callback(boxes[name].close)
            await median_ms(partial(boxes[name].run, "1+1"), 20)

        def execute() -> None:
            made = client.exec_create(boxes["docker"].box_id, ["python3", "-c", "print(1+1)"])
            client.exec_start(made["Id"])

        paused: dict[str, list[float]] = {name: [] for name in (*boxes, "exec")}
        hard: dict[str, list[float]] = {name: [] for name in boxes}
        for number in range(n):
            for name, box in boxes.items():
                paused[name].append(await median_ms(partial(box.run, "1+1"), 1, pause_s=PAUSE_S))
            if number % 5 == 0:
                paused["exec"].append(await median_ms(partial(asyncio.to_thread, execute), 1, pause_s=PAUSE_S))
                for name, box in boxes.items():
                    hard[name].append(await median_ms(partial(box.run, "1+1"), 5))
    report_calls(report, {name: statistics.median(times) for name, times in paused.items()})
    floor_hard = statistics.median(hard["floor"])
    report.row("floor: local process, back to back", floor_hard, "ms")
    report.row("docker, back to back / floor", statistics.median(hard["docker"]) / floor_hard, "x")


def report_calls(report: Report, ms: dict[str, float]) -> None:
    report.row("floor: local process, call", ms["floor"], "ms")
    report.row("docker, call", ms["docker"], "ms")
    report.row("docker, call / floor", ms["docker"] / ms["floor"], "x", bar=3)
    if "bubblewrap" in ms:
        report.row("bubblewrap, call / floor", ms["bubblewrap"] / ms["floor"], "x", bar=3)
    report.row("docker exec python3 -c", ms["exec"], "ms")
    report.row("docker, call / exec", ms["docker"] / ms["exec"], "x", bar=1 / 25)


async def opening(report: Report, spec: SandboxSpec, docker: DockerDriver, n: int) -> None:
    async def cold() -> None:
        sandbox = await Sandbox.start(docker, spec)
        times.append(time.perf_counter())
        await sandbox.run("1+1")
        times[-1] = time.perf_counter() - started
        await sandbox.close()

    times: list[float] = []
    runs: list[float] = []
    for _ in range(n):
        started = time.perf_counter()
        await cold()
        runs.append(await run_ms(docker, spec))
    cold_ms, run = statistics.median(times) * 1000, statistics.median(runs)
    report.row("cold open to the first result", cold_ms, "ms")
    report.row("containers.run of the same image", run, "ms")
    report.row("cold open / containers.run", cold_ms / run, "x", bar=1.5)
    report.row(
        "claim from the pool to the first result / cold open", await claim_ms(docker, spec, n) / cold_ms, "x", bar=0.1
    )


async def run_ms(docker: DockerDriver, spec: SandboxSpec) -> float:
    """A container with the same limits, from its creation to its output."""
    from agentrt.sandbox.docker_box import _host_config

    client, engine, image = await docker._open_engine()

    def once() -> None:
        config = _host_config(client, engine, spec, user=65532) | {"AutoRemove": False}
        container = client.create_container(image, ["python3", "-c", "print(1+1)"], host_config=config)["Id"]
        client.start(container)
        client.wait(container)
        times.append(time.perf_counter() - started)
        client.remove_container(container, force=True)

    times: list[float] = []
    started = time.perf_counter()
    await asyncio.to_thread(once)
    return times[0] * 1000


async def claim_ms(docker: DockerDriver, spec: SandboxSpec, n: int) -> float:
    import msgspec

    spec = msgspec.structs.replace(spec, pool=2)
    times = []
    async with Pool(docker, spec) as pool:
        for number in range(n):
            while pool.n_warm < 2:  # noqa: ASYNC110 - whatever the pool waits for itself
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.5)
            started = time.perf_counter()
            async with pool.session(f"claim-{number}") as sandbox:
                await sandbox.run("1+1")
            times.append(time.perf_counter() - started)
            await pool.drop(f"claim-{number}")
    return statistics.median(times) * 1000


async def responses(report: Report, spec: SandboxSpec, docker: DockerDriver) -> None:
    sandbox = await Sandbox.start(docker, spec)
    try:
        printed = [(time.time(), event) async for event in sandbox.stream(LAG) if isinstance(event, Output)]
        lags = [(came - float(event.text.split()[-1])) * 1000 for came, event in printed]
        report.row("print to host, p95", sorted(lags)[int(len(lags) * 0.95)], "ms", bar=20)
        delays = []
        for _ in range(10):
            running = asyncio.ensure_future(sandbox.run("while True: pass"))
            await asyncio.sleep(0.2)
            started = time.perf_counter()
            await sandbox.interrupt()
            await running
            delays.append((time.perf_counter() - started) * 1000)
        report.row("interrupt to the end of the call, p95", sorted(delays)[9], "ms", bar=250)
        started = time.perf_counter()
        await sandbox.run("import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", timeout_s=1)
        report.row("deaf loop, over its second", time.perf_counter() - started - 1, "s", bar=2)
    finally:
        await sandbox.close()


async def files(report: Report, spec: SandboxSpec, docker: DockerDriver, n: int) -> None:
    data = os.urandom(10 * MB)
    sandbox = await Sandbox.start(docker, spec)

    async def there_and_back() -> None:
        await sandbox.put("data", data)
        assert await sandbox.get("data") == data

    try:
        ours = await median_ms(there_and_back, n)
    finally:
        await sandbox.close()
    theirs = await archive_ms(docker, data, n)
    report.row("10 MB in and out", ours, "ms")
    report.row("10 MB in and out / archive", ours / theirs, "x", bar=3)


async def archive_ms(docker: DockerDriver, data: bytes, n: int) -> float:
    client, _, image = await docker._open_engine()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        entry = tarfile.TarInfo("data")
        entry.size = len(data)
        tar.addfile(entry, io.BytesIO(data))
    container = client.create_container(image, ["sleep", "600"], network_disabled=True, user="0:0")["Id"]
    client.start(container)

    def once() -> None:
        client.put_archive(container, "/root", packed.getvalue())
        pieces, _ = client.get_archive(container, "/root/data")
        assert len(b"".join(pieces)) >= len(data)

    try:
        return await median_ms(lambda: asyncio.to_thread(once), n)
    finally:
        client.remove_container(container, force=True)


async def many(report: Report, spec: SandboxSpec, docker: DockerDriver, n: int) -> None:
    before = resident_mb()
    started = time.perf_counter()
    sandboxes: list[Sandbox] = []
    try:
        for _ in range(0, n, 5):
            sandboxes += await asyncio.gather(*(Sandbox.start(docker, spec) for _ in range(5)))
        report.row(f"{n} sandboxes up, each", (time.perf_counter() - started) * 1000 / n, "ms")
        for sandbox in sandboxes:
            await sandbox.run("1+1")
        await asyncio.sleep(1)
        report.row("this process, for each of them", (resident_mb() - before) / n, "MB", bar=0.5)
        # Asked inside, of the same counter as the engine's own statistics, which not every engine can give.
        used = [int((await sandbox.run(MEMORY)).output) for sandbox in sandboxes[::5]]
        usage = statistics.median(used) / MB
        report.row("memory of an idle sandbox (its cgroup)", usage, "MB", bar=20)
    finally:
        await asyncio.gather(*(sandbox.close() for sandbox in sandboxes))


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / MB


@contextmanager
def engine(image: str | None) -> Iterator[tuple[str | None, str | None]]:
    """(url, image) of DOCKER_HOST's engine or of one of our own."""
    if os.environ.get("DOCKER_HOST"):
        yield None, image
        return
    from tests.docker_engine import running_engine, sandbox_image

    with running_engine() as running:
        yield running.url, image or sandbox_image(running)


async def measure(url: str | None, image: str | None, quick: bool) -> int:
    n = 20 if quick else 100
    build = None if image else ROOT / "sandboxes" / "python"
    spec = SandboxSpec(name="bench", image=image, build=build)
    docker: Any = DockerDriver(spec, url=url)
    report = Report()
    probe = await docker.probe()
    if not isinstance(probe, Available):
        print(f"docker: {probe.why}: {probe.remedy}")
        return 1
    print(f"{probe.detail}; load {os.getloadavg()[0]:.1f}")
    await calls(report, spec, docker, n)
    await opening(report, spec, docker, 3 if quick else 8)
    await responses(report, spec, docker)
    await files(report, spec, docker, 3 if quick else 10)
    await many(report, spec, docker, 10 if quick else 50)
    await docker.close()
    print(f"load {os.getloadavg()[0]:.1f}; {report.n_missed} missed")
    return int(report.n_missed > 0)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions")
    parser.add_argument("--image", help="an image with Python, instead of the project's")
    arguments = parser.parse_args()
    with engine(arguments.image) as (url, image):
        return asyncio.run(measure(url, image, arguments.quick))


if __name__ == "__main__":
    sys.exit(main())
