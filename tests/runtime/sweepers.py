"""Processes that fire schedules on one database, for tests that kill them; and what must be true afterwards.

`python -m tests.runtime.sweepers URL CLOCK` is a nursery: for each line on its standard input it forks one sweeper and
prints its process id. The time is what the file CLOCK says; it passes when the test writes there.
"""

from __future__ import annotations

import asyncio
import os
import signal
import struct
import sys
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import text

from agentrt.clock import Clock, SystemClock
from agentrt.dispatch.local import LocalBus, LocalDispatcher
from agentrt.errors import StoreError
from agentrt.runtime.assistants import Assistants
from agentrt.runtime.feed import Feeds
from agentrt.runtime.firing import Firing
from agentrt.runtime.requests import NewAssistant, NewSchedule
from agentrt.runtime.runs import Runs
from agentrt.runtime.schedules import Schedules
from agentrt.runtime.webhooks.outbox import Outbox
from agentrt.store.database import Store, Tx
from agentrt.store.pages import PageQuery
from agentrt.store.postgres import PostgresStore
from agentrt.store.runs import list_scheduled_runs
from agentrt.store.schedules import list_coming
from agentrt.store.sqlite import SqliteStore

HOME = "default"
START = 1_800_000_000.0
MINUTE = 60


class FileClock(SystemClock):
    """The time that a file says, for every process that has it open."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def now(self) -> float:
        return float(struct.unpack("<d", self._path.read_bytes())[0])

    def set(self, now: float) -> None:
        partial = self._path.with_suffix(".part")
        partial.write_bytes(struct.pack("<d", now))
        partial.replace(self._path)


def open_database(place: Path | str) -> Store:
    """A store without a lock: in these tests a SQLite file has several processes, too."""
    return SqliteStore(place) if isinstance(place, Path) else PostgresStore(place, clock=SystemClock(), pool_size=4)


def make_firing(store: Store, clock: Clock) -> Firing:
    """What fires schedules; the runs it makes wait for a driver for ever."""
    dispatcher = LocalDispatcher()
    runs = Runs(
        store=store,
        dispatcher=dispatcher,
        bus=LocalBus(),
        outbox=Outbox((), dispatcher=dispatcher),
        feeds=Feeds(store),
        clock=clock,
        check_model=lambda name: None,
        server_tools=lambda assistant_id: (),
        max_steps=1,
        expires_after_s=600.0,
    )
    return Firing(store=store, runs=runs, clock=clock)


async def make_schedules(store: Store, clock: Clock, n: int) -> list[str]:
    """Ids of schedules that are due every minute, every other one on a thread of its own."""
    assistants = Assistants(store=store, dispatcher=LocalDispatcher(), clock=clock, check_model=lambda name: None)
    assistant = await assistants.create(HOME, NewAssistant(model="demo"))
    schedules = Schedules(store=store, clock=clock)
    made = []
    for i in range(n):
        thread = ("new", "same")[i % 2]
        new = NewSchedule(cron="* * * * *", assistant_id=assistant.id, message="Now", thread=thread, on_busy="enqueue")
        made.append((await schedules.create(HOME, new)).id)
    return made


async def is_all_fired(store: Store, now: float) -> bool:
    """Whether nothing is due."""
    [(_, soonest)] = await store.read(lambda tx: list_coming(tx, limit=1))
    return soonest > now


@dataclass(frozen=True, slots=True)
class Made:
    """What there is: the due times of each schedule's runs, and how many rows of the rest."""

    due_times: dict[str, list[str]]
    n_rows: dict[str, int]


async def what_was_made(store: Store, schedule_ids: list[str]) -> Made:
    def read(tx: Tx) -> Made:
        times = {}
        for schedule_id in schedule_ids:
            runs = list_scheduled_runs(tx, HOME, schedule_id, PageQuery(limit=10_000, order="asc")).items
            times[schedule_id] = [run.to_run().spec.metadata["scheduled_at"] for run in runs]
        tables = ("run", "message", "job", "thread")
        counts = {name: tx.conn.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() for name in tables}
        return Made(times, counts)

    return await store.read(read)


def check_each_time_once(made: Made, *, n_minutes: int) -> None:
    """Each schedule has one run for each minute, and nothing is left of what was begun and not finished."""
    expected = [_shown(START + MINUTE * (i + 1)) for i in range(n_minutes)]
    for times in made.due_times.values():
        assert sorted(times) == expected
    n_schedules = len(made.due_times)
    n_runs = n_schedules * n_minutes
    n_threads = n_schedules // 2 * n_minutes + n_schedules // 2
    assert made.n_rows == {"run": n_runs, "message": n_runs, "job": n_runs, "thread": n_threads}


def _shown(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


async def _sweep_for_ever(place: Path | str, clock: Clock) -> None:
    store = open_database(place)
    firing = make_firing(store, clock)
    while True:
        with suppress(StoreError):
            await firing.sweep()
        await asyncio.sleep(0.002)


def _nursery(place: Path | str, clock: FileClock) -> None:
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    children = []
    for _ in sys.stdin:
        pid = os.fork()
        if pid == 0:
            sys.stdin.close()
            asyncio.run(_sweep_for_ever(place, clock))
        children.append(pid)
        print(pid, flush=True)
    for pid in children:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    url = sys.argv[1]
    _nursery(url if "://" in url else Path(url), FileClock(Path(sys.argv[2])))
