"""Runs on threads: one active at a time, the fence, the event log, and what a model reads of a thread."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace
from sqlalchemy.exc import IntegrityError

from agentrt.engine.run import RunStatus
from agentrt.errors import NotFoundError
from agentrt.store.database import Store, Tx
from agentrt.store.pages import PageQuery
from agentrt.store.run_steps import find_step, insert_step, list_steps, update_step
from agentrt.store.runs import (
    StoredRun,
    advance_run,
    find_active_run,
    find_held_run,
    find_run,
    insert_run,
    list_live_runs,
    list_overdue_runs,
    load_run,
    mark_cancelling,
    update_run,
)
from agentrt.store.threads import Thread
from tests.contracts.rows import HOME, a_run, a_step, put_run, put_thread

ACTIVE = ["queued", "in_progress", "requires_action", "cancelling"]
TERMINAL = ["cancelled", "failed", "completed", "incomplete", "expired"]


@pytest.fixture
async def thread(store: Store) -> Thread:
    return await store.write(put_thread)


# One active run a thread ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", ACTIVE)
async def test_a_thread_takes_no_second_run_while_one_is_active(store: Store, thread: Thread, status: str) -> None:
    first = await store.write(lambda tx: put_run(tx, thread, status=status))
    with pytest.raises(IntegrityError):
        await store.write(lambda tx: put_run(tx, thread))
    active = await store.read(lambda tx: find_active_run(tx, thread.id))
    assert active is not None
    assert active.id == first.id


@pytest.mark.parametrize("status", TERMINAL)
async def test_a_thread_takes_a_run_when_the_others_have_ended(store: Store, thread: Thread, status: str) -> None:
    for _ in range(2):
        await store.write(lambda tx: put_run(tx, thread, status=status))
    assert await store.read(lambda tx: find_active_run(tx, thread.id)) is None
    run = await store.write(lambda tx: put_run(tx, thread))
    assert await store.read(lambda tx: list_live_runs(tx, thread.id)) == [run.id]


async def test_of_many_runs_created_at_once_on_a_thread_exactly_one_is_made(store: Store, thread: Thread) -> None:
    creates = [store.write(lambda tx: put_run(tx, thread)) for _ in range(12)]
    results = await asyncio.gather(*creates, return_exceptions=True)
    made = [result for result in results if isinstance(result, StoredRun)]
    assert len(made) == 1
    assert all(isinstance(result, IntegrityError) for result in results if not isinstance(result, StoredRun))
    assert await store.read(lambda tx: list_live_runs(tx, thread.id)) == [made[0].id]


async def test_held_runs_wait_beside_the_active_one_and_the_oldest_is_next(store: Store, thread: Thread) -> None:
    active = await store.write(lambda tx: put_run(tx, thread))
    held = [await store.write(lambda tx: put_run(tx, thread, is_held=True)) for _ in range(3)]
    assert await store.read(lambda tx: set(list_live_runs(tx, thread.id))) == {run.id for run in (active, *held)}
    first = await store.read(lambda tx: find_held_run(tx, thread.id))
    assert first is not None
    assert first.id == held[0].id
    with pytest.raises(IntegrityError):
        await store.write(lambda tx: update_run(tx, held[0].id, {"is_held": False}))

    def release(tx: Tx) -> None:
        update_run(tx, active.id, {"status": "completed"})
        update_run(tx, held[0].id, {"is_held": False})

    await store.write(release)
    found = await store.read(lambda tx: (find_active_run(tx, thread.id), find_held_run(tx, thread.id)))
    assert [run and run.id for run in found] == [held[0].id, held[1].id]


async def test_a_held_run_that_was_cancelled_is_not_next(store: Store, thread: Thread) -> None:
    await store.write(lambda tx: put_run(tx, thread))
    held = await store.write(lambda tx: put_run(tx, thread, is_held=True))
    assert await store.write(lambda tx: mark_cancelling(tx, held.id))
    assert await store.read(lambda tx: find_held_run(tx, thread.id)) is None


# States --------------------------------------------------------------------------------------------------------------


async def test_a_run_is_found_under_its_own_thread_and_project_only(store: Store, thread: Thread) -> None:
    run = await store.write(lambda tx: put_run(tx, thread))
    assert await store.read(lambda tx: find_run(tx, HOME, thread.id, run.id)) == run
    assert await store.read(lambda tx: load_run(tx, run.id)) == run
    for project, thread_id in ((HOME, "thread_other"), ("other", thread.id)):
        with pytest.raises(NotFoundError, match="No run found"):
            await store.read(lambda tx, p=project, t=thread_id: find_run(tx, p, t, run.id))  # type: ignore[misc]


async def test_a_run_comes_back_as_the_engine_left_it(store: Store, thread: Thread) -> None:
    stored = await store.write(lambda tx: put_run(tx, thread, meta='{"k":"v"}'))
    run = stored.to_run()
    assert (run.status, run.spec.id, run.spec.metadata) == (RunStatus.QUEUED, stored.id, {"k": "v"})
    running = replace(run, status=RunStatus.IN_PROGRESS, started_at=5.0, n_model_calls=2)
    assert await store.write(lambda tx: advance_run(tx, running))
    found = await store.read(lambda tx: find_run(tx, HOME, thread.id, stored.id))
    assert found.to_run() == running
    assert found.status == "in_progress"


async def test_a_run_that_has_ended_has_no_deadline(store: Store, thread: Thread) -> None:
    stored = await store.write(lambda tx: put_run(tx, thread))
    assert await store.read(lambda tx: list_overdue_runs(tx, 2_000_000_001)) == [stored.id]
    assert await store.read(lambda tx: list_overdue_runs(tx, 1_999_999_999)) == []
    ended = replace(stored.to_run(), status=RunStatus.FAILED)
    assert await store.write(lambda tx: advance_run(tx, ended))
    assert await store.read(lambda tx: list_overdue_runs(tx, 2_000_000_001)) == []


async def test_a_cancel_wins_over_everything_but_the_end_it_asks_for(store: Store, thread: Thread) -> None:
    stored = await store.write(lambda tx: put_run(tx, thread, status="in_progress"))
    assert await store.write(lambda tx: mark_cancelling(tx, stored.id))
    assert not await store.write(lambda tx: mark_cancelling(tx, stored.id))
    run = stored.to_run()
    assert not await store.write(lambda tx: advance_run(tx, replace(run, status=RunStatus.COMPLETED)))
    found = await store.read(lambda tx: find_run(tx, HOME, thread.id, stored.id))
    assert (found.status, found.to_run().status) == ("cancelling", RunStatus.CANCELLING)
    assert await store.write(lambda tx: advance_run(tx, replace(run, status=RunStatus.CANCELLING)))
    assert await store.write(lambda tx: advance_run(tx, replace(run, status=RunStatus.CANCELLED)))


@pytest.mark.parametrize("status", TERMINAL)
async def test_a_run_that_has_ended_cannot_be_cancelled(store: Store, thread: Thread, status: str) -> None:
    run = await store.write(lambda tx: put_run(tx, thread, status=status))
    assert not await store.write(lambda tx: mark_cancelling(tx, run.id))


async def test_of_a_cancel_and_an_end_at_once_exactly_one_wins(store: Store) -> None:
    for _ in range(10):
        stored = await store.write(lambda tx: put_run(tx, put_thread(tx), status="in_progress"))
        done = replace(stored.to_run(), status=RunStatus.COMPLETED)
        writes = (
            store.write(lambda tx, run=done: advance_run(tx, run)),  # type: ignore[misc]
            store.write(lambda tx, run_id=stored.id: mark_cancelling(tx, run_id)),  # type: ignore[misc]
        )
        assert sorted(await asyncio.gather(*writes)) == [False, True]


async def test_a_run_cannot_stand_on_a_thread_that_is_not_there(store: Store, thread: Thread) -> None:
    run = a_run(thread, 0, thread_id="thread_none")
    with pytest.raises(IntegrityError):
        await store.write(lambda tx: insert_run(tx, run))


# Steps ---------------------------------------------------------------------------------------------------------------


async def test_a_step_is_found_under_its_own_run_only_and_changed(store: Store, thread: Thread) -> None:
    def fill(tx: Tx) -> tuple[str, str]:
        run = put_run(tx, thread)
        step = a_step(
            run, 1, type="tool_calls", calls=[{"id": "call_1", "name": "f", "arguments": "{}", "output": None}]
        )
        insert_step(tx, step)
        return run.id, step.id

    run_id, step_id = await store.write(fill)
    change = {"status": "completed", "usage": {"prompt_tokens": 1}, "completed_at": 5}
    await store.write(lambda tx: update_step(tx, step_id, change))
    found = await store.read(lambda tx: find_step(tx, HOME, thread.id, run_id, step_id))
    assert (found.status, found.usage, found.completed_at) == ("completed", {"prompt_tokens": 1}, 5)
    assert found.calls == [{"id": "call_1", "name": "f", "arguments": "{}", "output": None}]
    wrong = [("other", thread.id, run_id), (HOME, "thread_x", run_id), (HOME, thread.id, "run_x")]
    for project, thread_id, run in wrong:
        with pytest.raises(NotFoundError, match="No run step found"):
            await store.read(lambda tx, p=project, t=thread_id, r=run: find_step(tx, p, t, r, step_id))  # type: ignore[misc]
    assert (await store.read(lambda tx: list_steps(tx, "other", run_id, PageQuery()))).items == []
