"""Several processes on one PostgreSQL: who drives a run, what becomes of the runs of the dead, and who sees what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from agentrt.engine import events as ev
from agentrt.engine.run import Run
from agentrt.errors import StoreError
from agentrt.models.client import Chunk, ModelRequest, TextChunk
from agentrt.runtime import worker as worker_module
from agentrt.runtime.expiry import expire_runs
from agentrt.store.database import Tx
from agentrt.store.jobs import find_job, hand_back, take_job
from agentrt.store.workers import WorkerProcess, beat_worker, list_workers
from agentrt.testing.scripts import ScriptedModel, call, text
from tests.runtime.conftest import World

Open = Callable[..., AbstractAsyncContextManager[World]]


@pytest.fixture
def fleet(postgres_url: str) -> str:
    """The configuration of every process."""
    return f'[runtime]\ndatabase = "{postgres_url}"\nlease = "1s"\n'


async def ghost_takes(world: World, run: Run, *, silent_for_s: float = 0.0) -> int:
    """Another process takes the run, as it may when ours was silent for too long. Returns its epoch."""
    now = world.runtime.clock.now() - silent_for_s

    def take(tx: Tx) -> int:
        hold = take_job(tx, run.spec.id, worker="ghost:1:0", now=now, lease_s=-silent_for_s - 60)
        assert hold is not None
        return hold.epoch

    return await world.runtime.store.write(take)


async def test_an_api_process_streams_what_a_worker_does(open_world: Open, fleet: str) -> None:
    hold = asyncio.Event()
    model = ScriptedModel(call("local", q="x"), text("One two three.", pause=hold))
    async with (
        open_world(ScriptedModel(), extra=fleet, role="api") as api,
        open_world(model, extra=fleet, role="worker") as worker,
    ):
        thread = await api.thread("Go")
        run = await api.run(thread)
        seen: list[ev.Event] = []
        async with asyncio.timeout(20):
            async for burst in api.runtime.runs.follow(run.spec.id):
                seen += [numbered.event for numbered in burst]
                if any(isinstance(event, ev.TextDelta) for event in seen):
                    hold.set()  # the deltas came while the answer was not over
        assert isinstance(seen[-1], ev.RunCompleted)
        assert seen == await worker.events(run)
        assert await api.texts(thread) == ["Go", "One two three."]


async def test_a_cancel_reaches_the_process_that_drives(open_world: Open, fleet: str) -> None:
    model = ScriptedModel(text("For ever.", pause=asyncio.Event()))
    async with (
        open_world(ScriptedModel(), extra=fleet, role="api") as api,
        open_world(model, extra=fleet, role="worker"),
    ):
        run = await api.run(await api.thread("Go"))
        await api.until(run, "in_progress")
        await api.runtime.runs.cancel(api.project, run.spec.thread_id, run.spec.id)
        assert (await api.rest(run)).status == "cancelled"


async def test_a_driver_that_was_taken_over_writes_nothing_more_and_stops(open_world: Open, fleet: str) -> None:
    hold = asyncio.Event()
    model = ScriptedModel(text("Too late.", pause=hold))
    async with open_world(model, extra=fleet) as world:
        thread = await world.thread("Go")
        run = await world.run(thread)
        await world.until(run, "in_progress")
        while "Too late." not in str(await world.texts(thread)) and not model.requests:
            await asyncio.sleep(0.01)
        epoch = await ghost_takes(world, run)
        async with asyncio.timeout(20):
            while world.runtime.n_driving:  # its beat tells it, without a word from the model
                await asyncio.sleep(0.02)
        hold.set()
        assert (await world.look(run)).status == "in_progress"

        model.add(text("In time."))

        def give_up(tx: Tx) -> None:
            assert hand_back(tx, run.spec.id, epoch, now=world.runtime.clock.now()) is not None

        await world.runtime.store.write(give_up)
        assert (await world.rest(run)).status == "completed"
        assert await world.texts(thread) == ["Go", "In time."]


class BrokenModel(ScriptedModel):
    """A model client with a bug, which shows when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = asyncio.Event()

    async def stream(self, request: ModelRequest) -> AsyncGenerator[Chunk, None]:
        self.requests.append(request)
        await self.let_go.wait()
        if self.let_go.is_set():
            raise RuntimeError("a bug")
        yield TextChunk("never")

    async def asked(self) -> None:
        while not self.requests:
            await asyncio.sleep(0.005)


async def test_a_driver_that_was_taken_over_cannot_fail_the_run_either(open_world: Open, fleet: str) -> None:
    model = BrokenModel()
    async with open_world(model, extra=fleet.replace("1s", "1h")) as world:
        run = await world.run(await world.thread("Go"))
        await model.asked()
        await ghost_takes(world, run)
        model.let_go.set()
        while world.runtime.n_driving:
            await asyncio.sleep(0.005)
        assert (await world.look(run)).status == "in_progress"


async def test_a_run_that_failed_while_the_database_was_away_is_failed_later(
    open_world: Open, fleet: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_module, "RETRY_AFTER_S", 0.05)
    model = BrokenModel()
    async with open_world(model, extra=fleet) as world:
        run = await world.run(await world.thread("Go"))
        await model.asked()
        store = world.runtime.store
        write = store.write

        async def refuse(fn: Callable[[Tx], object]) -> object:
            monkeypatch.setattr(store, "write", write)
            raise StoreError("away")

        monkeypatch.setattr(store, "write", refuse)
        model.let_go.set()
        assert (await world.rest(run)).status == "failed"


async def test_a_run_that_nobody_can_read_holds_up_no_other_that_is_overdue(open_world: Open, fleet: str) -> None:
    async with open_world(ScriptedModel(), extra=fleet, role="api") as api:
        runs = [await api.run(await api.thread("Go")) for _ in range(2)]

        def harm(tx: Tx) -> None:
            cursor = tx.dbapi.cursor()
            cursor.execute("UPDATE run SET expires_at = 1")
            cursor.execute(
                'UPDATE run_event SET data = \'[{"kind":"of_tomorrow"}]\' WHERE run_id = $1', [runs[0].spec.id]
            )

        await api.runtime.store.write(harm)
        n = await expire_runs(api.runtime.store, api.runtime._driving.runs.end, now=api.runtime.clock.now())
        assert n == 1
        assert [(await api.look(run)).status for run in runs] == ["queued", "expired"]


async def test_the_runs_of_a_process_that_fell_silent_are_taken_over(open_world: Open, fleet: str) -> None:
    async with open_world(ScriptedModel(), extra=fleet, role="api") as api:
        run = await api.run(await api.thread("Go"))
        await ghost_takes(api, run, silent_for_s=30)
        async with open_world(ScriptedModel(text("Here.")), extra=fleet, role="worker") as worker:
            assert (await worker.rest(run)).status == "completed"


async def test_the_runs_of_a_process_of_this_machine_that_is_gone_are_taken_over_at_once(
    open_world: Open, fleet: str
) -> None:
    async with open_world(ScriptedModel(), extra=fleet.replace("1s", "1h"), role="api") as api:
        run = await api.run(await api.thread("Go"))
        host = api.runtime.worker_id.rsplit(":", 2)[0]
        now = api.runtime.clock.now()
        dead = WorkerProcess(
            id=f"{host}:4194305:0", role="worker", host=host, pid=4194305, version="1", started_at=1, seen_at=now - 9
        )

        def leave(tx: Tx) -> None:
            beat_worker(tx, dead)
            assert take_job(tx, run.spec.id, worker=dead.id, now=now, lease_s=60) is not None

        await api.runtime.store.write(leave)
        extra = fleet.replace("1s", "1h")
        async with open_world(ScriptedModel(text("Here.")), extra=extra, role="worker") as worker:
            assert (await worker.rest(run)).status == "completed"
            everybody = await worker.runtime.store.read(list_workers)
            assert {w.id for w in everybody} == {api.runtime.worker_id, worker.runtime.worker_id}


async def test_a_process_of_a_host_with_our_name_is_alive_as_long_as_it_says_so(open_world: Open, fleet: str) -> None:
    """Containers on one machine may share its name, and count their processes each for itself."""
    async with open_world(ScriptedModel(), extra=fleet.replace("1s", "1h"), role="api") as api:
        run = await api.run(await api.thread("Go"))
        host = api.runtime.worker_id.rsplit(":", 2)[0]
        other = WorkerProcess(id=f"{host}:4194305:1", role="worker", host=host, pid=4194305, version="1", started_at=1)

        def live(tx: Tx) -> None:
            now = api.runtime.clock.now()
            beat_worker(tx, other.model_copy(update={"seen_at": now}))
            assert take_job(tx, run.spec.id, worker=other.id, now=now, lease_s=60) is not None

        await api.runtime.store.write(live)
        extra = fleet.replace("1s", "1h")
        async with open_world(ScriptedModel(), extra=extra, role="worker") as worker:
            job = await worker.runtime.store.read(lambda tx: find_job(tx, run.spec.id))
            assert job is not None
            assert job.worker == other.id


async def test_a_process_that_stops_hands_its_runs_back_and_another_goes_on(open_world: Open, fleet: str) -> None:
    first = ScriptedModel(text("never", pause=asyncio.Event()))
    extra = fleet.replace("1s", "1h")
    async with open_world(ScriptedModel(), extra=extra, role="api") as api:
        async with open_world(first, extra=extra, role="worker") as stopping:
            stopping.runtime.drain_grace_s = 0.05
            thread = await api.thread("Go")
            run = await api.run(thread)
            await api.until(run, "in_progress")
        job = await api.runtime.store.read(lambda tx: find_job(tx, run.spec.id))
        assert job is not None
        assert (job.worker, job.ready_at is not None) == (None, True)
        async with open_world(ScriptedModel(text("Here.")), extra=extra, role="worker") as worker:
            assert (await worker.rest(run)).status == "completed"
        assert await api.texts(thread) == ["Go", "Here."]


async def test_a_process_that_stops_does_not_begin_another_model_call(open_world: Open, fleet: str) -> None:
    hold = asyncio.Event()
    model = ScriptedModel(call("local", q="x") + text("", pause=hold))
    async with open_world(ScriptedModel(), extra=fleet, role="api") as api:
        async with open_world(model, extra=fleet, role="worker") as stopping:
            run = await api.run(await api.thread("Go"))
            while not model.requests:
                await asyncio.sleep(0.01)
            async with asyncio.TaskGroup() as group:
                drain = group.create_task(stopping.runtime.drain())
                await asyncio.sleep(0.05)
                hold.set()
                await drain
        assert len(model.requests) == 1
        async with open_world(ScriptedModel(text("Here.")), extra=fleet, role="worker") as worker:
            assert (await worker.rest(run)).status == "completed"
            # The answer that was paid for is not asked for again, and its call is made.
            assert "tool: local x" in worker.seen()


async def test_of_two_processes_that_submit_outputs_at_once_one_is_heard(open_world: Open, fleet: str) -> None:
    model = ScriptedModel(call("remote", q="x"), text("Thanks."))
    async with (
        open_world(model, extra=fleet) as one,
        open_world(ScriptedModel(), extra=fleet, role="api") as two,
    ):
        run = await one.rest(await one.run(await one.thread("Go")))
        [pending] = run.pending_calls
        outputs = [
            world.runtime.runs.submit(world.project, run.spec.thread_id, run.spec.id, [(pending.id, name)])
            for world, name in ((one, "one"), (two, "two")) * 3
        ]
        tried = await asyncio.gather(*outputs, return_exceptions=True)
        [submitted] = [outcome for outcome in tried if not isinstance(outcome, BaseException)]
        assert isinstance((await two.events(run, after=submitted.after))[-1], ev.RunCompleted)


async def test_messages_that_come_while_a_run_ends_elsewhere_are_never_left_waiting(
    open_world: Open, fleet: str
) -> None:
    answers = [text(f"Answer {n}.") for n in range(12)]
    async with (
        open_world(ScriptedModel(*answers), extra=fleet, role="worker"),
        open_world(ScriptedModel(), extra=fleet, role="api") as one,
        open_world(ScriptedModel(), extra=fleet, role="api") as two,
    ):
        thread = await one.thread()
        runs = [await world.run(thread, "Next", on_busy="enqueue") for _ in range(6) for world in (one, two)]
        for run in runs:
            assert (await one.rest(run)).status == "completed"


async def test_half_a_process_needs_a_database_that_can_be_shared(open_world: Open) -> None:
    with pytest.raises(StoreError, match="Role `worker` needs a database that processes can share"):
        async with open_world(ScriptedModel(), role="worker"):
            raise AssertionError("a worker on SQLite")
