"""One stream to many clients: what a delivery costs, and how far the last client is behind the first."""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass, field

import aiohttp

from bench.clients import HEADERS, create_run, open_client
from bench.fake_model import TELL
from bench.figures import ms_spread
from bench.fleet import ALONE, SQLITE, WITH_WORKERS, Bench, Cpu, Fleet

_N_CLIENTS = 200
_ID = re.compile(rb"^id: (\S+)\n", re.MULTILINE)


@dataclass
class _Received:
    """What one client got: its bytes, and (when, how many bytes there were then) for each read."""

    body: bytearray = field(default_factory=bytearray)
    reads: list[tuple[float, int]] = field(default_factory=list)

    def arrivals(self) -> dict[bytes, float]:
        """When each event had come, by its id."""
        found: dict[bytes, float] = {}
        reads = iter(self.reads)
        at, end = next(reads)
        for match in _ID.finditer(self.body):
            while end < match.end():
                at, end = next(reads)
            found[match[1]] = at
        return found


async def measure_fanout(bench: Bench) -> None:
    """CPU of a stream with one client and with many, and the last client behind the first, for each event."""
    head = f"{'CPU ms, 1 client →':28}{'API':>14}{'workers':>14}{'database':>14}"
    print(f"{head}{'µs a delivery':>15}{'last after first, ms':>22}")
    for shape in (SQLITE, ALONE, WITH_WORKERS[1]):
        with shape.open(bench) as fleet:
            await _tell(fleet, f"{TELL} {shape.name} once more, to be warm", 1)
            alone, _ = await _tell(fleet, f"{TELL} {shape.name}", 1)
            many, received = await _tell(fleet, f"{TELL} {shape.name} to all", _N_CLIENTS)
        arrivals = [one.arrivals() for one in received]
        assert all(list(one) == list(arrivals[0]) for one in arrivals), "streams differ"
        behind = [max(at) - min(at) for at in zip(*(one.values() for one in arrivals), strict=True)]
        n_more = (_N_CLIENTS - 1) * len(arrivals[0])
        pairs = "".join(f"{f'{one:.0f} → {all_:.0f}':>14}" for one, all_ in zip(alone, many, strict=True))
        each_us = (sum(many) - sum(alone)) * 1000 / n_more
        print(f"{f'{shape.name}, {_N_CLIENTS}':28}{pairs}{each_us:15.1f}{ms_spread(behind):>22}", flush=True)


async def _tell(fleet: Fleet, said: str, n_clients: int) -> tuple[Cpu, list[_Received]]:
    """CPU ms, and what each client got of the one run."""
    async with open_client(fleet.url) as client:
        before = fleet.cpu()
        path = await create_run(client, said)
    connector = aiohttp.TCPConnector(limit=n_clients)
    async with aiohttp.ClientSession(fleet.url, headers=HEADERS, connector=connector) as session:
        received = await asyncio.gather(*(_receive(session, f"{path}/stream") for _ in range(n_clients)))
    return fleet.cpu().since(before).ms_each(1), received


async def _receive(session: aiohttp.ClientSession, path: str) -> _Received:
    received = _Received()
    async with session.get(path) as response:
        response.raise_for_status()
        async for data in response.content.iter_any():  # looked at afterwards: the clients share the machine
            received.body += data
            received.reads.append((time.monotonic(), len(received.body)))
    return received
