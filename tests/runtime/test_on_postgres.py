"""The same runs on PostgreSQL: what callers see does not depend on the database."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import asyncpg  # type: ignore[import-untyped]
import pytest

from agentrt.engine import events as ev
from agentrt.errors import RunStateError, ThreadBusyError
from agentrt.testing.scripts import ScriptedModel, call, text
from tests.runtime.conftest import World, user

Open = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def on_postgres(postgres_url: str) -> str:
    return f'[runtime]\ndatabase = "{postgres_url}"\n'


async def test_tools_of_both_sides_a_restart_and_a_second_turn(open_world: Open, on_postgres: str) -> None:
    model = ScriptedModel(call("remote", q="x") + call("local", q="y"))
    async with open_world(model, extra=on_postgres) as world:
        thread = await world.thread("Go")
        run = await world.rest(await world.run(thread))
        assert run.status == "requires_action"

    async with open_world(ScriptedModel(text("Both."), text("Again.")), extra=on_postgres) as world:
        outputs = [(c.id, "from outside") for c in run.pending_calls]
        submitted = await world.runtime.runs.submit(world.project, thread, run.spec.id, outputs)
        events = await world.events(run, after=submitted.after)
        assert isinstance(events[-1], ev.RunCompleted)
        await world.rest(await world.run(thread, "And now?"))
        assert await world.texts(thread) == ["Go", "Both.", "And now?", "Again."]
        assert "tool: local y" in world.seen()


async def test_one_run_of_many_cancel_and_queue(open_world: Open, on_postgres: str) -> None:
    hold = asyncio.Event()
    model = ScriptedModel(text("one two three", pause=hold), text("Second."))
    async with open_world(model, extra=on_postgres) as world:
        thread = await world.thread("Hi")
        tried = await asyncio.gather(*(world.run(thread) for _ in range(8)), return_exceptions=True)
        [first] = [run for run in tried if not isinstance(run, BaseException)]
        assert sum(isinstance(t, ThreadBusyError) for t in tried) == 7
        await world.until(first, "in_progress")
        second = await world.run(thread, "Next?", on_busy="enqueue")
        with pytest.raises(ThreadBusyError):
            await world.runtime.threads.add_message(world.project, thread, user("More"))
        await world.runtime.runs.cancel(world.project, thread, first.spec.id)
        await world.rest(second)
        assert (await world.look(first)).status == "cancelled"
        assert (await world.look(second)).status == "completed"


async def test_two_processes_share_a_database_and_a_run_is_one_of_theirs(open_world: Open, on_postgres: str) -> None:
    async with (
        open_world(ScriptedModel(text("From one."), text("Again.")), extra=on_postgres) as one,
        open_world(ScriptedModel(text("From two.")), extra=on_postgres) as two,
    ):
        thread = await one.thread("Hi")
        run = await one.run(thread)
        await two.rest(run)
        assert (await two.look(run)).status == "completed"


async def test_a_cancel_that_has_to_wait_for_the_runs_end_comes_too_late(
    open_world: Open, on_postgres: str, postgres_url: str
) -> None:
    hold = asyncio.Event()
    async with open_world(ScriptedModel(text("one two", pause=hold)), extra=on_postgres) as world:
        thread = await world.thread("Hi")
        run = await world.until(await world.run(thread), "in_progress")
        driver = await asyncpg.connect(postgres_url)
        try:
            async with driver.transaction(), asyncio.timeout(20):
                await driver.execute("UPDATE run SET status = 'completed' WHERE id = $1", run.spec.id)
                cancelling = asyncio.ensure_future(world.runtime.runs.cancel(world.project, thread, run.spec.id))
                waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                while not await driver.fetchval(waiting):
                    await asyncio.sleep(0.01)
        finally:
            await driver.close()
        with pytest.raises(RunStateError):
            await cancelling
        hold.set()
