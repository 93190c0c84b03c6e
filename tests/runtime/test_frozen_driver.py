"""A driver that stands still in the worst moment: its tool's start is stored, and the tool has not begun."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from agentrt.dispatch.local import LocalDispatcher
from agentrt.engine.events import CallReturned, CallStarted
from agentrt.engine.loop import INTERRUPTED
from agentrt.engine.message import JsonObject, TextPart
from agentrt.engine.run import Run
from agentrt.engine.spec import FunctionTool
from agentrt.runtime.requests import NewMessage, NewRun, NewThread
from agentrt.runtime.threads import create_thread
from agentrt.store.assistants import Assistant, insert_assistant
from agentrt.store.database import Tx
from agentrt.store.run_events import read_events
from agentrt.store.sqlite import SqliteStore
from tests.acceptance.chaos.jobs import Call, Job
from tests.runtime.processes import LEASE_S, Process, World

HOME = "default"
_AMOUNT: JsonObject = {"type": "object", "properties": {"amount": {"type": "integer"}}}
_JOB = Job(number=0, turns=((Call("pay", 5),),), pieces=1, pause_ms=0, is_talkative=False)


@pytest.fixture
async def world(sqlite_path: Path) -> AsyncIterator[World]:
    store = SqliteStore(sqlite_path)
    made = World(store, "asst_clerk")
    yield made
    for process in list(made.processes):
        await process.kill()
    await store.close()


async def a_run(world: World, process: Process) -> Run:
    """A run whose model is about to call `pay`; the process drives it."""

    dispatcher = LocalDispatcher()

    def write(tx: Tx) -> str:
        insert_assistant(tx, Assistant(id=world.assistant_id, project=HOME, created_at=0, model="clerk"))
        return create_thread(tx, HOME, NewThread(), dispatcher=dispatcher, now=0.0).id

    new = NewRun(
        assistant_id=world.assistant_id,
        tools=(FunctionTool("pay", "", _AMOUNT),),
        messages=(NewMessage("user", (TextPart(_JOB.text),)),),
    )
    run = await process.runs.create(HOME, await world.store.write(write), new)
    process.take(world.offers.pop())
    await world.settle()
    return run


async def freeze_behind(world: World, process: Process, kind: type[CallStarted], run: Run) -> None:
    """Let the process go on, and stop it right behind the write that stored such an event."""
    process.store.freeze()
    for gate in world.gates:
        gate.opened.set()
    await world.settle()
    while not any(isinstance(n.event, kind) for n in await world.store.read(lambda tx: read_events(tx, run.spec.id))):
        process.store.step()
        await world.settle()


async def test_it_does_not_begin_the_tool_when_another_took_over_meanwhile(world: World) -> None:
    frozen, other = world.start(), world.start()
    run = await a_run(world, frozen)
    await freeze_behind(world, frozen, CallStarted, run)
    await world.clock.advance(LEASE_S + 1)
    await other.leases.reconcile()
    other.take(world.offers.pop())
    await world.settle()
    frozen.store.thaw()
    await world.settle()

    assert world.tool_runs == [], "neither began it: nobody knows whether it had run"
    log = await world.store.read(lambda tx: read_events(tx, run.spec.id))
    results = [n.event.result for n in log if isinstance(n.event, CallReturned)]
    assert [result.output for result in results] == [INTERRUPTED]


async def test_it_begins_the_tool_when_nobody_took_over(world: World) -> None:
    frozen = world.start()
    run = await a_run(world, frozen)
    await freeze_behind(world, frozen, CallStarted, run)
    await world.clock.advance(LEASE_S + 1)
    frozen.store.thaw()
    await world.settle()
    assert [(tool_run.call_id, tool_run.was_holder) for tool_run in world.tool_runs] == [("call_0_0_0", True)]
