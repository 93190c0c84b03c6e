"""One chaos test from its first process to the verdict."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from tests.acceptance.chaos import judge_clients, judge_runs
from tests.acceptance.chaos.api import Api
from tests.acceptance.chaos.customers import Market, insist
from tests.acceptance.chaos.database import Database, SqliteDatabase, postgres
from tests.acceptance.chaos.evidence import (
    Evidence,
    read_files,
    read_left,
    read_logs,
    read_messages,
    read_runs,
    read_steps,
)
from tests.acceptance.chaos.faults import Faults
from tests.acceptance.chaos.fleet import Fleet, make_fleet
from tests.acceptance.chaos.nursery import Nursery
from tests.acceptance.chaos.report import Report, count
from tests.acceptance.chaos.witness import Witness
from tests.compat.api import TERMINAL
from tests.compat.story import StreamEvent

_A_RUN_S = 2.0
"""How long a run may take, of many at once: who sells fewer stands still."""

DatabaseName: TypeAlias = Literal["sqlite", "postgres"]


@dataclass(frozen=True, slots=True)
class Settings:
    """How much chaos: at least so many runs, and so many seconds of them and of faults.

    seed: of all dice. patience_s: how long the runs may take to end when there are no more faults. lease_s: how long a
    silent process holds what it drives; shorter than the 15 s of production, so that a test sees many run out.
    is_rolling: rolling restarts instead of faults.
    """

    n_runs: int
    seconds: float
    seed: int
    n_customers: int = 24
    patience_s: float = 90.0
    lease_s: float = 4.0
    is_rolling: bool = False
    pause_s: tuple[float, float] = (0.5, 2.5)


def play(database: DatabaseName, folder: Path, settings: Settings) -> Report:
    """Play it in an empty folder. Whatever happens, no process outlives this call."""
    with Nursery() as nursery, _database(database, folder, nursery) as opened:
        n_workers = 0 if database == "sqlite" else 3
        fleet = make_fleet(nursery, folder, opened, n_api=2, n_workers=n_workers, lease_s=settings.lease_s)
        return asyncio.run(_play(fleet, settings))


@contextmanager
def _database(name: DatabaseName, folder: Path, nursery: Nursery) -> Iterator[Database]:
    if name == "sqlite":
        yield SqliteDatabase(folder / "agentrt.db")
        return
    with postgres() as database:
        nursery.guard_database(database.folder)
        yield database


async def _play(fleet: Fleet, settings: Settings) -> Report:
    dice = random.Random(settings.seed)
    await fleet.start()
    witness = Witness(fleet.database)
    began = time.monotonic()
    async with Api([node.url for node in fleet.api_nodes], dice) as api:
        market = Market(api, await _assistant(api), dice, n_runs=settings.n_runs)
        faults = Faults(fleet, witness, market.told, random.Random(settings.seed), settings.pause_s)
        await _trade(market, faults, witness, settings)
        ended = [order for order in market.orders if order.status in TERMINAL]
        replays = {order.run_id: await _replays(api, fleet, order.path) for order in ended}
    seconds = time.monotonic() - began
    codes = await fleet.stop()
    evidence = await _gather(fleet, market, witness, replays, [*faults.exit_codes, *codes])
    await fleet.database.close()
    return judge(evidence, count(evidence, market, faults, witness, fleet, seconds))


async def _trade(market: Market, faults: Faults, witness: Witness, settings: Settings) -> None:
    """Let customers and faults loose. Returns when every customer has seen its runs end, or lost its patience."""
    is_enough = asyncio.Event()
    strike = faults.roll if settings.is_rolling else faults.strike

    async def trade() -> None:
        now = asyncio.get_running_loop().time
        async with asyncio.timeout(settings.seconds + settings.n_runs * _A_RUN_S + settings.patience_s) as patience:
            async with asyncio.TaskGroup() as group:
                group.create_task(market.open(settings.n_customers), name="market")
                await asyncio.sleep(settings.seconds)
                await market.has_sold_enough.wait()
                market.is_closing = True
                is_enough.set()
                patience.reschedule(now() + settings.patience_s)

    async with asyncio.TaskGroup() as group:
        watching = group.create_task(witness.watch(), name="witness")
        tending = group.create_task(faults.fleet.tend(), name="supervisor")
        striking = group.create_task(strike(is_enough), name="faults")
        with suppress(TimeoutError):
            await trade()
        is_enough.set()
        await striking
        watching.cancel()
        tending.cancel()


async def _assistant(api: Api) -> str:
    def function(name: str) -> dict[str, object]:
        amounts = {"amount": {"type": "integer"}, "ms": {"type": "integer"}}
        parameters = {"type": "object", "properties": amounts, "required": ["amount"]}
        return {"type": "function", "function": {"name": name, "parameters": parameters}}

    tools = [function(name) for name in ("pay", "ship", "put", "ask")]
    body = {"model": "clerk", "instructions": "Carry out the job.", "tools": tools}
    return str((await insist(api, "POST", "/assistants", body)).body["id"])


async def _replays(api: Api, fleet: Fleet, path: str) -> list[list[StreamEvent]]:
    """The run's stream from its beginning, as each API node tells it."""
    return [[e async for e in api.stream("GET", f"{path}/stream", url=node.url)] for node in fleet.api_nodes]


async def _gather(
    fleet: Fleet,
    market: Market,
    witness: Witness,
    replays: dict[str, list[list[StreamEvent]]],
    exit_codes: Sequence[int],
) -> Evidence:
    tool_lines, effects, questions = read_files(fleet.folder)
    return Evidence(
        runs=await read_runs(fleet.database),
        messages=await read_messages(fleet.database),
        steps=await read_steps(fleet.database),
        left=await read_left(fleet.database),
        tool_lines=tool_lines,
        effects=effects,
        questions=questions,
        orders=market.orders,
        replays=replays,
        frozen=[frozen for node in fleet.nodes for frozen in node.frozen],
        crowded=frozenset(witness.crowded),
        exit_codes=exit_codes,
        farewells={node.name: node.farewell() for node in fleet.nodes if node.spec.farewell_file.exists()},
        log_lines=read_logs(fleet.folder),
    )


def judge(evidence: Evidence, report: Report) -> Report:
    """Hold the evidence against every rule; the report gets the complaints."""
    for rule in (*judge_runs.RULES, *judge_clients.RULES):
        report.complaints[rule.__name__] = list(_complaints(rule, evidence))
    return report


def _complaints(rule: Callable[[Evidence], Iterator[str]], evidence: Evidence) -> Iterator[str]:
    try:
        yield from rule(evidence)
    except Exception as error:
        yield f"cannot be judged, so much is wrong: {error!r}"
