"""Runs under any interleaving of processes that claim, crash, freeze, beat, sweep and stop, of callers who create,
cancel and answer, and of time: the guarantees hold after every step, and in the end every run comes to its end.

What the processes are made of, and where they can stand still: tests/runtime/processes.py.
"""

from __future__ import annotations

import asyncio
import shutil
from abc import abstractmethod
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from agentrt.clock import SystemClock
from agentrt.dispatch.local import LocalDispatcher
from agentrt.engine.events import CallReturned
from agentrt.engine.message import JsonObject, TextPart
from agentrt.engine.run import RunStatus
from agentrt.engine.spec import FunctionTool
from agentrt.errors import AgentrtError
from agentrt.ids import new_id
from agentrt.runtime.requests import NewMessage, NewRun, NewThread
from agentrt.runtime.threads import create_thread
from agentrt.store.assistants import Assistant, insert_assistant
from agentrt.store.database import Store, Tx
from agentrt.store.postgres import PostgresStore
from agentrt.store.runs import load_run
from agentrt.store.sqlite import SqliteStore
from tests.acceptance.chaos.jobs import Call, Job, Tool, output_of
from tests.runtime.guarantees import ACTIVE, Found, Known, check_drivers, check_end, check_run, check_tools, look
from tests.runtime.processes import EXPIRES_AFTER_S, LEASE_S, Process, World

T = TypeVar("T")

HOME = "default"
N_PROCESSES = 3
MOST_RUNS = 4
ROUNDS_TO_THE_END = 80

_AMOUNT: JsonObject = {"type": "object", "properties": {"amount": {"type": "integer"}}}
_TOOLS = tuple(FunctionTool(name, "", _AMOUNT) for name in ("pay", "put", "ask"))

_picks = st.integers(0, 99)
_tools = st.sampled_from(("pay", "put", "ask"))
_turns = st.lists(st.lists(_tools, min_size=1, max_size=3), min_size=1, max_size=2)
_works = st.sampled_from(("go on", "go on", "go on", "take", "take", "take twice", "lose"))
_chores = st.sampled_from(("beat", "reconcile", "reconcile", "flush", "sweep"))
_waits = st.sampled_from((0.1, LEASE_S * 0.6, LEASE_S * 0.6, LEASE_S * 1.2, LEASE_S * 1.2, EXPIRES_AFTER_S / 3))


class Interleavings(RuleBasedStateMachine):
    """The model of the guarantees."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner()
        self.known: dict[str, Known] = {}
        self.n_tool_runs_seen = 0
        self.returned: set[str] = set()
        self.is_broken = False
        self.store = self.loop.run(self.open_store())
        self.world = self.loop.run(self._begin())

    @abstractmethod
    async def open_store(self) -> Store:
        """An empty database."""
        raise NotImplementedError

    async def _begin(self) -> World:
        world = World(self.store, "asst_clerk")

        dispatcher = LocalDispatcher()

        def write(tx: Tx) -> list[str]:
            insert_assistant(tx, Assistant(id=world.assistant_id, project=HOME, created_at=0, model="clerk"))
            return [create_thread(tx, HOME, NewThread(), dispatcher=dispatcher, now=0.0).id for _ in range(2)]

        self.threads = await self.store.write(write)
        for _ in range(N_PROCESSES):
            world.start()
        return world

    def act(self, process: Process, work: Coroutine[Any, Any, object]) -> None:
        """Have a process do something, and wait until everybody stands still. A frozen one does it when it thaws."""

        async def do() -> None:
            process.begin(work)
            await self.world.settle()

        self.loop.run(do())

    def running(self) -> list[Process]:
        """Those that are not frozen; there is always one."""
        return [process for process in self.world.processes if not process.store.is_frozen]

    def process(self, pick: int) -> Process:
        return self.world.processes[pick % len(self.world.processes)]

    # Callers ---------------------------------------------------------------------------------------------------------

    @initialize(turns=_turns)
    def begin_to_work(self, turns: list[list[Tool]]) -> None:
        self.create(turns, 0, waits=False)
        self.work(0, ["take"])

    @precondition(lambda self: len(self.known) < MOST_RUNS)
    @rule(turns=_turns, pick=_picks, waits=st.booleans())
    def create(self, turns: list[list[Tool]], pick: int, waits: bool) -> None:
        number, run_id = len(self.known), new_id("run")
        calls = tuple(tuple(Call(name, number * 10 + i) for i, name in enumerate(turn)) for turn in turns)
        job = Job(number=number, turns=calls, pieces=2, pause_ms=0, is_talkative=bool(pick % 2))
        known = self.known[run_id] = Known(job, self.threads[pick % 2])
        new = NewRun(
            assistant_id=self.world.assistant_id,
            tools=_TOOLS,
            messages=(NewMessage("user", (TextPart(job.text),)),),
            on_busy="enqueue" if waits else "reject",
        )
        process = self.process(pick)

        async def create() -> None:
            with suppress(AgentrtError):
                await process.runs.create(HOME, known.thread_id, new, run_id=run_id)
                known.is_accepted = True

        self.act(process, create())

    @rule(pick=_picks, which=_picks, wish=st.sampled_from(("submit", "submit", "submit", "cancel")))
    def ask(self, pick: int, which: int, wish: str) -> None:
        """Give a run the outputs that it waits for (or does not), or cancel it."""
        run_id = list(self.known)[which % len(self.known)]
        process = self.process(pick)
        self.act(process, self._submit(process, run_id) if wish == "submit" else self._cancel(process, run_id))

    async def _cancel(self, process: Process, run_id: str) -> None:
        known = self.known[run_id]
        known.is_cancel_wanted = True
        with suppress(AgentrtError):
            await process.runs.cancel(HOME, known.thread_id, run_id)
            known.is_cancel_accepted = True

    async def _submit(self, process: Process, run_id: str) -> None:
        known = self.known[run_id]
        row = await self.store.read(lambda tx: load_run(tx, run_id))
        pending = [] if row is None else row.to_run().pending_calls
        calls = {place.call_id: call for place, call in known.job.calls()}
        outputs = [(call.id, output_of(calls[call.id])) for call in pending] or [("call_0", "")]
        with suppress(AgentrtError):
            await process.runs.submit(HOME, known.thread_id, run_id, outputs)
            known.n_submitted += 1

    # The queue, the model, the tools ---------------------------------------------------------------------------------

    @rule(pick=_picks, works=st.lists(_works, min_size=1, max_size=6))
    def work(self, pick: int, works: list[str]) -> None:
        """A model or a tool comes to its end; or the queue hands out its oldest job, or forgets it, or repeats it."""
        for number, work in enumerate(works, start=pick):
            gates = [gate for gate in self.world.gates if not gate.process.store.is_frozen]
            if work == "go on" and gates:
                gates[number % len(gates)].opened.set()
            elif work != "go on" and self.world.offers:
                job_id = self.world.offers.pop(0)
                takers = {"take": [number], "take twice": [number, number + 1], "lose": []}[work]
                self.loop.run(_call(lambda takers=takers, job_id=job_id: self._take(takers, job_id)))  # type: ignore[misc]
            self.loop.run(self.world.settle())

    def _take(self, takers: list[int], job_id: str) -> None:
        for taker in takers:
            self.process(taker).take(job_id)

    # Processes -------------------------------------------------------------------------------------------------------

    @precondition(lambda self: any(process.worker.held() for process in self.world.processes))
    @rule(pick=_picks, how=st.sampled_from(("kill", "stop", "freeze", "freeze")))
    def hit(self, pick: int, how: str) -> None:
        """kill -9, SIGTERM, or SIGSTOP for one that drives something; one process goes on in any case."""
        drivers = [process for process in self.world.processes if process.worker.held()]
        process = drivers[pick % len(drivers)]
        if how == "freeze" and len(self.running()) > 1:
            process.store.freeze()
        elif how != "freeze":
            self.loop.run(process.kill() if how == "kill" else process.stop())
            self.loop.run(_call(self.world.start))

    @precondition(lambda self: any(process.worker.held() for process in self.running()))
    @rule(pick=_picks, n_steps=st.integers(-1, 3))
    def oust(self, pick: int, n_steps: int) -> None:
        """A driver stands still for longer than its lease, and another takes over. n_steps: how far it comes before:
        -1 is in a model or a tool, 0 before the next use of the store, 1 right after it."""
        drivers = [process for process in self.running() if process.worker.held()]
        ousted = drivers[pick % len(drivers)]
        if len(self.running()) == 1:
            return
        ousted.store.freeze()
        for gate in self.world.gates:
            if gate.process is ousted and n_steps >= 0:
                gate.opened.set()
        self.loop.run(self.world.settle())
        for _ in range(n_steps):
            ousted.store.step()
            self.loop.run(self.world.settle())
        self.let_time_pass(LEASE_S * 1.2, 0, [])
        successor = self.running()[pick % len(self.running())]
        self.act(successor, successor.leases.reconcile())
        self.work(self.world.processes.index(successor), ["take"])

    @precondition(lambda self: any(process.store.is_frozen for process in self.world.processes))
    @rule(pick=_picks, is_whole=st.booleans())
    def thaw(self, pick: int, is_whole: bool) -> None:
        """For good, or only until it comes to the store again."""
        frozen = [process.store for process in self.world.processes if process.store.is_frozen]
        store = frozen[pick % len(frozen)]
        store.thaw() if is_whole else store.step()
        self.loop.run(self.world.settle())

    @rule(seconds=_waits, pick=_picks, chores=st.lists(_chores, max_size=4))
    def let_time_pass(self, seconds: float, pick: int, chores: list[str]) -> None:
        """And let processes do what they do every now and then."""
        self.loop.run(self.world.clock.advance(seconds))
        for number, chore in enumerate(chores, start=pick):
            process = self.process(number)
            work: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
                "beat": process.leases.beat,
                "reconcile": process.leases.reconcile,
                "flush": process.flusher.flush,
                "sweep": process.sweep,
            }
            self.act(process, work[chore]())
            if chore == "sweep" and not process.store.is_frozen:
                self._check_swept()

    def _check_swept(self) -> None:
        for run_id, found in self.loop.run(self._look()).items():
            is_overdue = found.row.expires_at is not None and found.row.expires_at <= self.world.clock.now()
            is_undriven = found.job is None or found.job.worker is None
            assert not (is_overdue and is_undriven and found.row.status in ACTIVE), f"{run_id} outlives its time"

    # The guarantees --------------------------------------------------------------------------------------------------

    @invariant()
    def guarantees_hold(self) -> None:
        self.is_broken = True
        found = self.loop.run(self._look())
        for run_id, known in self.known.items():
            assert run_id in found or not known.is_accepted, f"{run_id} was accepted, and is lost"
        for run_id, run in found.items():
            check_run(run, self.known[run_id])
            check_drivers(run, self.world.processes)
            self.known[run_id].log = run.log
        check_tools(found, self.known, self.world.tool_runs)
        again = {tool_run.call_id for tool_run in self.world.tool_runs[self.n_tool_runs_seen :]} & self.returned
        assert not again, f"{again} ran again, and had returned"
        self.n_tool_runs_seen = len(self.world.tool_runs)
        self.returned = {call_id for run in found.values() for call_id in run.ids_of(CallReturned)}
        for thread_id in self.threads:
            rows = [run.row for run in found.values() if run.row.thread_id == thread_id]
            assert sum(row.status in ACTIVE and not row.is_held for row in rows) <= 1, "two active runs on a thread"
        self.is_broken = False

    async def _look(self) -> dict[str, Found]:
        return await look(self.store, self.known)

    # The end ---------------------------------------------------------------------------------------------------------

    def teardown(self) -> None:
        """Whatever happened: when the world is kind again, every run comes to its end, and the answers are right."""
        try:
            if not self.is_broken:
                self.loop.run(self._come_to_the_end())
                self.guarantees_hold()
                for run_id, found in self.loop.run(self._look()).items():
                    check_end(found, self.known[run_id], now=self.world.clock.now())
        finally:
            self.loop.run(self._close())
            self.loop.close()

    async def _come_to_the_end(self) -> None:
        for n_round in range(ROUNDS_TO_THE_END):
            found = await self._look()
            if all(run.row.status not in ACTIVE for run in found.values()):
                return
            for process in self.world.processes:
                process.store.thaw()
            for gate in self.world.gates:
                gate.opened.set()
            await self.world.settle()
            for n, job_id in enumerate(self.world.offers):
                self.process(n).take(job_id)
            self.world.offers.clear()
            for run_id, run in found.items():
                if run.row.status == RunStatus.REQUIRES_ACTION:
                    self.process(n_round).begin(self._submit(self.process(n_round), run_id))
            await self.world.settle()
            await self.world.clock.advance(LEASE_S)
            for process in self.world.processes:
                process.begin(process.leases.beat())
                await self.world.settle()
                process.begin(process.leases.reconcile())
                process.begin(process.sweep())
            await self.world.settle()
        raise AssertionError(f"no end: {[(run.row.status, run.job) for run in (await self._look()).values()]}")

    async def _close(self) -> None:
        for process in list(self.world.processes):
            await process.kill()
        await self.store.close()


async def _call(function: Callable[[], T]) -> T:
    return function()


def _settings(n_examples: int, n_steps: int) -> settings:
    return settings(
        max_examples=n_examples,
        stateful_step_count=n_steps,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def test_on_sqlite(sqlite_template: Path, tmp_path: Path) -> None:
    class OnSqlite(Interleavings):
        async def open_store(self) -> Store:
            return SqliteStore(Path(shutil.copy(sqlite_template, tmp_path / f"{new_id('file')}.db")))

    run_state_machine_as_test(OnSqlite, settings=_settings(40, 60))


def test_on_postgres(postgres_url: str) -> None:
    class OnPostgres(Interleavings):
        async def open_store(self) -> Store:
            store = PostgresStore(postgres_url, clock=SystemClock())
            await store.write(_empty)
            return store

    run_state_machine_as_test(OnPostgres, settings=_settings(8, 30))


def _empty(tx: Tx) -> None:
    for table in ("thread", "job", "assistant", "worker"):
        tx.conn.exec_driver_sql(f"DELETE FROM {table}")
