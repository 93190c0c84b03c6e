"""Processes that can be killed, frozen and stepped through, several of them inside one test: the real parts of a
runtime over one store, with a gate in front of everything that takes time.

A process stands still only at its gates: before and after each use of the store, in a model's answer, in a tool. That
is where anything can come in between, and the test decides what does. Their queue is a list: who takes what, late,
twice or never, is the test's choice too; hints between them never arrive.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

from agentrt.dispatch.local import LocalBus
from agentrt.engine.message import Role, ToolCall, Usage
from agentrt.engine.run import Run
from agentrt.engine.spec import Price
from agentrt.errors import StoreError
from agentrt.models.client import CallChunk, Chunk, EndChunk, ModelRequest, TextChunk
from agentrt.runtime.expiry import expire_runs
from agentrt.runtime.feed import Feeds
from agentrt.runtime.history import StoredHistory
from agentrt.runtime.leases import Leases
from agentrt.runtime.perform import Performer
from agentrt.runtime.recorder import Flusher
from agentrt.runtime.run_driver import RunDriver
from agentrt.runtime.runs import Runs
from agentrt.runtime.webhooks.outbox import Outbox
from agentrt.runtime.worker import Worker
from agentrt.store.database import Store, Tx
from agentrt.store.jobs import Hold, Ready, find_job
from agentrt.testing.clocks import FakeClock
from agentrt.toolkit.context import Context
from agentrt.toolkit.registry import ToolRegistry
from agentrt.toolkit.tool import tool
from tests.acceptance.chaos.jobs import Job, Place, read_job

T = TypeVar("T")

LEASE_S = 10.0
EXPIRES_AFTER_S = 600.0
_QUIET_TURNS = 25
"""So many turns of the loop without anything happening mean that everybody stands at a gate."""


class KilledError(StoreError):
    """The process is dead: it uses no store any more."""


class ToolRun(NamedTuple):
    """A tool that began. was_holder: whether its process held the run at that moment."""

    process: str
    run_id: str
    call_id: str
    was_holder: bool


class Gate:
    """Where somebody waits until the test lets him pass."""

    def __init__(self, process: Process, name: str) -> None:
        self.process = process
        self.name = name
        self.opened = asyncio.Event()


class MortalStore:
    """A store as one process uses it: it stands still before and after each use while the process is frozen."""

    is_shared = True

    def __init__(self, store: Store) -> None:
        self._store = store
        self._may_run = asyncio.Event()
        self._may_run.set()
        self._n_steps = 0
        self.is_killed = False
        self.n_busy = 0

    @property
    def is_frozen(self) -> bool:
        return not self._may_run.is_set()

    def freeze(self) -> None:
        self._may_run.clear()

    def thaw(self) -> None:
        self._may_run.set()

    def step(self) -> None:
        """Let the frozen process come to its next gate."""
        self._n_steps += 1
        self._may_run.set()

    def kill(self) -> None:
        self.is_killed = True
        self._may_run.set()

    async def write(self, fn: Callable[[Tx], T]) -> T:
        """See Store.write."""
        return await self._use(lambda: self._store.write(fn))

    async def read(self, fn: Callable[[Tx], T]) -> T:
        """See Store.read."""
        return await self._use(lambda: self._store.read(fn))

    async def read_long(self, fn: Callable[[Tx], T]) -> T:
        """See Store.read_long."""
        return await self._use(lambda: self._store.read_long(fn))

    async def close(self) -> None:
        """It is not ours to close."""

    async def _use(self, use: Callable[[], Coroutine[Any, Any, T]]) -> T:
        await self._pass()
        self.n_busy += 1
        try:
            value = await use()
        finally:
            self.n_busy -= 1
        await self._pass()
        return value

    async def _pass(self) -> None:
        while not self._may_run.is_set():
            await self._may_run.wait()
        if self._n_steps:
            self._n_steps -= 1
            self._may_run.clear()
        if self.is_killed:
            raise KilledError("killed")


class Queue:
    """A Dispatcher that hands nothing out by itself: `offers` is what somebody should take."""

    def __init__(self, offers: list[str]) -> None:
        self._offers = offers

    def submit(self, tx: Tx, job: Ready, *, delay_s: float = 0.0) -> None:
        """See Dispatcher.submit."""
        tx.after_commit(lambda: self._offers.append(job.job_id))

    def retry(self, job_id: str, *, delay_s: float) -> None:
        """See Dispatcher.retry."""
        self._offers.append(job_id)

    def open_queue(self, queue: str) -> None:
        """There is one."""

    async def serve(self, handle: object, *, slots: int) -> None:
        """The test does."""

    def aside(self, job_id: str) -> AbstractAsyncContextManager[bool]:
        """There are no slots to lend."""
        return nullcontext(True)

    async def drain(self, grace_s: float) -> None:
        """The test does."""


@dataclass(slots=True)
class World:
    """What processes share: the database, the queue, the time, and the world outside. gates: where they wait now."""

    store: Store
    assistant_id: str
    clock: FakeClock = field(default_factory=FakeClock)
    offers: list[str] = field(default_factory=list)
    gates: list[Gate] = field(default_factory=list)
    tool_runs: list[ToolRun] = field(default_factory=list)
    processes: list[Process] = field(default_factory=list)
    n_started: int = 0

    def start(self) -> Process:
        """One more process."""
        self.n_started += 1
        process = Process(f"p{self.n_started}", self)
        self.processes.append(process)
        return process

    async def settle(self) -> None:
        """Let everybody run until all stand still."""
        n_quiet = 0
        while n_quiet < _QUIET_TURNS:
            await asyncio.sleep(0)
            n_quiet = 0 if any(process.store.n_busy for process in self.processes) else n_quiet + 1


class Process:
    """One process. What it does on its own in production (beat, sweep, claim), the test calls."""

    def __init__(self, name: str, world: World) -> None:
        self.name = name
        self.world = world
        self.store = MortalStore(world.store)
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        bus, queue, feeds, clock = LocalBus(), Queue(world.offers), Feeds(self.store), world.clock
        outbox = Outbox((), dispatcher=queue)
        self.flusher = Flusher(self.store, bus, clock)
        self._tools = ToolRegistry(self._make_tools())
        self.runs = Runs(
            store=self.store, dispatcher=queue, bus=bus, feeds=feeds, outbox=outbox, clock=clock, check_model=_free,
            server_tools=lambda _: self._tools.names(), max_steps=32, expires_after_s=EXPIRES_AFTER_S,
        )  # fmt: skip
        driver = RunDriver(
            store=self.store, dispatcher=queue, bus=bus, feeds=feeds, flusher=self.flusher, outbox=outbox,
            clock=clock, make_performer=self._performer, on_rest=lambda _: None, lease_s=LEASE_S, repeatable={"put"},
        )  # fmt: skip
        self.worker = Worker(
            f"elsewhere-{name}:1:0", store=self.store, dispatcher=queue, bus=bus, clock=clock, lease_s=LEASE_S,
            drivers={"run": driver},
        )  # fmt: skip
        self.leases = Leases(
            self.worker, role="all", url=None, store=self.store, dispatcher=queue, clock=clock, lease_s=LEASE_S
        )
        self._driver = driver

    def take(self, job_id: str) -> None:
        """Have a job driven here."""
        self._start(self.worker.handle(job_id))

    def begin(self, work: Coroutine[Any, Any, object]) -> None:
        """Do something that may stand still at a gate; a database that is away, or a death, ends it."""

        async def do() -> None:
            with suppress(StoreError):
                await work

        self._start(do())

    async def sweep(self) -> None:
        """End the runs whose time is over."""
        await expire_runs(self.store, self._driver.end, now=self.world.clock.now())

    async def kill(self) -> None:
        """kill -9: what it has not stored is gone."""
        self.store.kill()
        await self._end()

    async def stop(self) -> None:
        """SIGTERM, and no patience: what it drives is handed back."""
        self.store.thaw()
        self.worker.rest()
        await self.world.settle()
        await self._end()

    async def _end(self) -> None:
        self.world.processes.remove(self)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.world.gates[:] = [gate for gate in self.world.gates if gate.process is not self]

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _wait(self, name: str) -> None:
        gate = Gate(self, name)
        self.world.gates.append(gate)
        try:
            await gate.opened.wait()
        finally:
            self.world.gates.remove(gate)

    # What runs do here ------------------------------------------------------------------------------------------------

    def _performer(self, run: Run, hold: Hold) -> Performer:
        async def no_image(file_id: str) -> None:
            return None

        history = StoredHistory(self.store, run.spec.thread_id, position=run.spec.position, read_image=no_image)
        return Performer(history=history, find_model=self._find_model, tools=self._tools, clock=self.world.clock)

    async def _find_model(self, name: str) -> _Model:
        return _Model(self._wait)

    def _make_tools(self) -> list[Callable[..., object]]:
        async def run_tool(name: str, amount: int, call: Context) -> str:
            held = self.worker.held().get(call.run_id)
            job = await self.world.store.read(lambda tx: find_job(tx, call.run_id))
            was_holder = job is not None and held == job.epoch
            self.world.tool_runs.append(ToolRun(self.name, call.run_id, call.call_id, was_holder))
            await self._wait(f"{name} {call.call_id}")
            return f"{name} {amount}"

        @tool
        async def pay(amount: int, ms: int = 0, *, call: Context) -> str:
            """At most once."""
            return await run_tool("pay", amount, call)

        @tool(retry="idempotent")
        async def put(amount: int, ms: int = 0, *, call: Context) -> str:
            """At least once."""
            return await run_tool("put", amount, call)

        return [pay, put]


class _Model:
    """Carries out the job of the last user message, from what it is shown; waits in the middle of each answer."""

    context_window = None
    takes_images = False

    def __init__(self, wait: Callable[[str], Coroutine[Any, Any, None]]) -> None:
        self._wait = wait

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        """See ModelClient.stream."""
        place = max(n for n, message in enumerate(request.messages) if message.role is Role.USER)
        job, since = read_job(request.messages[place].text), request.messages[place + 1 :]
        turn = sum(bool(message.tool_calls) for message in since)
        outputs = {str(message.call_id): message.text for message in since if message.role is Role.TOOL}
        has_calls = turn < len(job.turns)
        text = job.aside(turn) if has_calls else job.answer(outputs)
        yield TextChunk(text[:5])
        await self._wait(f"model {job.number}.{turn}")
        yield TextChunk(text[5:])
        for index, call in enumerate(_calls(job, turn) if has_calls else ()):
            yield CallChunk(index, call.id, call.name, call.arguments)
        yield EndChunk("tool_calls" if has_calls else "stop", Usage(10, 5))


def _calls(job: Job, turn: int) -> list[ToolCall]:
    return [
        ToolCall(Place(job.number, turn, number).call_id, call.tool, f'{{"amount": {call.amount}}}')
        for number, call in enumerate(job.turns[turn])
    ]


def _free(model: str) -> Price | None:
    return None
