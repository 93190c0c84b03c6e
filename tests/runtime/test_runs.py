"""Runs on a stored thread, from the caller's side: who may come when, who stops whom, and what stays."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from agentrt.engine import events as ev
from agentrt.engine.message import Role
from agentrt.errors import ModelError, NotFoundError, RunStateError, ThreadBusyError, ToolOutputsMismatchError
from agentrt.runtime.requests import NewRun
from agentrt.store.database import Tx
from agentrt.store.jobs import finish_jobs_of_thread
from agentrt.store.run_events import read_events
from agentrt.store.threads import delete_thread
from agentrt.testing.scripts import ScriptedModel, call, failure, raw_call, text
from agentrt.toolkit.tool import tool
from tests.runtime.conftest import World, local, user

Open = Callable[..., AbstractAsyncContextManager[World]]


async def test_an_answer_is_stored_and_followed(open_world: Open) -> None:
    async with open_world(ScriptedModel(text("It is noon."))) as world:
        thread = await world.thread("What time is it?")
        run = await world.run(thread)
        events = await world.events(run)

        assert await world.texts(thread) == ["What time is it?", "It is noon."]
        assert (await world.look(run)).status == "completed"
        assert [type(e).__name__ for e in events[:3]] == ["RunCreated", "RunQueued", "RunStarted"]
        assert isinstance(events[-1], ev.RunCompleted)


async def test_a_later_run_sees_what_was_said_and_which_tools_answered(open_world: Open) -> None:
    model = ScriptedModel(call("local", q="a"), text("Done."), text("As I said."))
    async with open_world(model) as world:
        thread = await world.thread("Do it.")
        await world.rest(await world.run(thread))
        await world.rest(await world.run(thread, "Again?"))

        assert world.seen() == [
            "system: You help.",
            "user: Do it.",
            "assistant: ",
            "tool: local a",
            "assistant: Done.",
            "user: Again?",
        ]


async def test_a_function_of_the_caller_waits_for_its_output(open_world: Open) -> None:
    async with open_world(ScriptedModel(call("remote", q="x") + call("local", q="y"), text("Both."))) as world:
        run = await world.rest(await world.run(await world.thread("Go")))
        assert run.status == "requires_action"
        pending = [c.id for c in run.pending_calls]
        assert len(pending) == 1

        with pytest.raises(ToolOutputsMismatchError):
            await world.runtime.runs.submit(world.project, run.spec.thread_id, run.spec.id, [("call_9", "")])
        submitted = await world.runtime.runs.submit(
            world.project, run.spec.thread_id, run.spec.id, [(pending[0], "from outside")]
        )
        events = await world.events(run, after=submitted.after)
        kinds = [type(e).__name__ for e in events]
        assert kinds[:4] == ["OutputsSubmitted", "StepCompleted", "RunQueued", "RunStarted"]
        assert "tool: from outside" in world.seen()
        assert "tool: local y" in world.seen()
        with pytest.raises(RunStateError, match='"completed" do not accept'):
            await world.runtime.runs.submit(world.project, run.spec.thread_id, run.spec.id, [(pending[0], "")])


async def test_a_second_run_is_refused_while_one_is_active(open_world: Open) -> None:
    hold = asyncio.Event()
    async with open_world(ScriptedModel(text("slow", pause=hold), text("next"))) as world:
        thread = await world.thread("Hi")
        first = await world.run(thread)
        with pytest.raises(ThreadBusyError, match="already has an active run"):
            await world.run(thread)
        with pytest.raises(ThreadBusyError, match="Can't add messages"):
            await world.runtime.threads.add_message(world.project, thread, user("More"))
        hold.set()
        await world.rest(first)
        await world.rest(await world.run(thread))


async def test_of_many_runs_created_at_once_exactly_one_is_accepted(open_world: Open) -> None:
    hold = asyncio.Event()
    async with open_world(ScriptedModel(text("one", pause=hold))) as world:
        thread = await world.thread("Hi")
        tried = await asyncio.gather(*(world.run(thread) for _ in range(20)), return_exceptions=True)
        assert sum(isinstance(t, ThreadBusyError) for t in tried) == 19
        hold.set()
        for run in tried:
            if not isinstance(run, BaseException):
                await world.rest(run)


async def test_an_enqueued_message_and_run_come_after_the_answer_they_waited_for(open_world: Open) -> None:
    hold = asyncio.Event()
    async with open_world(ScriptedModel(text("First answer.", pause=hold), text("Second answer."))) as world:
        thread = await world.thread("First?", on_busy="enqueue")
        first = await world.run(thread)
        await world.until(first, "in_progress")
        await world.runtime.threads.add_message(world.project, thread, user("Second?"))
        second = await world.run(thread)
        assert (await world.look(second)).status == "queued"
        hold.set()
        await world.rest(second)

        assert (await world.look(first)).status == "completed"
        assert world.seen() == ["system: You help.", "user: First?", "assistant: First answer.", "user: Second?"]


async def test_an_interrupting_run_cancels_the_active_one_and_then_goes(open_world: Open) -> None:
    async with open_world(ScriptedModel(text("never ends", pause=asyncio.Event()), text("Now this."))) as world:
        thread = await world.thread("First?")
        first = await world.run(thread)
        await world.until(first, "in_progress")
        second = await world.run(thread, "Stop, this instead.", on_busy="interrupt")
        await world.rest(second)

        assert (await world.look(first)).status == "cancelled"
        assert (await world.look(second)).status == "completed"


async def test_cancelling_a_held_run_does_not_let_another_one_in(open_world: Open) -> None:
    hold = asyncio.Event()
    async with open_world(ScriptedModel(text("A", pause=hold), text("C"))) as world:
        thread = await world.thread("Hi", on_busy="enqueue")
        first, second, third = [await world.run(thread) for _ in range(3)]
        await world.until(first, "in_progress")
        await world.runtime.runs.cancel(world.project, thread, second.spec.id)
        await world.until(second, "cancelled")
        assert (await world.look(third)).status == "queued"
        hold.set()
        await world.rest(third)
        assert (await world.look(third)).status == "completed"


async def test_a_cancel_keeps_what_was_said_and_frees_the_thread(open_world: Open) -> None:
    model = ScriptedModel(text("Half of an ans", pause=asyncio.Event()), text("Fine."))
    async with open_world(model) as world:
        thread = await world.thread("Hi")
        run = await world.run(thread)
        followed = asyncio.ensure_future(world.events(run))
        while "Half of an ans" not in "".join(await world.texts(thread)):
            await world.until(run, "in_progress")
            answered = await world.runtime.runs.cancel(world.project, thread, run.spec.id)
            assert answered.status in ("cancelling", "cancelled")
            await world.until(run, "cancelled")
        events = await followed

        assert [type(e).__name__ for e in events[-4:]] == [
            "CancelRequested", "MessageIncomplete", "StepCancelled", "RunCancelled",
        ]  # fmt: skip
        with pytest.raises(RunStateError, match="Cannot cancel run with status 'cancelled'"):
            await world.runtime.runs.cancel(world.project, thread, run.spec.id)
        await world.rest(await world.run(thread))


async def test_a_waiting_run_can_be_cancelled_and_its_call_is_closed_for_the_next(open_world: Open) -> None:
    async with open_world(ScriptedModel(call("remote"), text("Onwards."))) as world:
        thread = await world.thread("Go")
        run = await world.rest(await world.run(thread))
        await world.runtime.runs.cancel(world.project, thread, run.spec.id)
        await world.until(run, "cancelled")
        await world.rest(await world.run(thread, "And now?"))

        assert "tool: interrupted, outcome unknown" in world.seen()


async def test_an_overdue_run_expires_wherever_it_is(open_world: Open) -> None:
    extra = '[runtime]\nrun_expiry = "1s"\n'
    async with open_world(ScriptedModel(text("never", pause=asyncio.Event())), extra=extra) as world:
        thread = await world.thread("Hi")
        run = await world.run(thread)
        events = await world.events(run)

        assert isinstance(events[-1], ev.RunExpired)
        assert (await world.look(run)).status == "expired"


async def test_a_failing_model_fails_the_run_and_frees_the_thread(open_world: Open) -> None:
    model = ScriptedModel(
        failure(ModelError("The model server said: overloaded", reason="rate_limit_exceeded")), text("ok")
    )
    async with open_world(model) as world:
        thread = await world.thread("Hi")
        run = await world.rest(await world.run(thread))

        assert run.status == "failed"
        assert run.last_error is not None
        assert (run.last_error.code, run.last_error.message) == (
            "rate_limit_exceeded", "The model server said: overloaded",
        )  # fmt: skip
        assert (await world.rest(await world.run(thread))).status == "completed"


async def test_what_goes_wrong_in_a_tool_is_read_by_the_model(open_world: Open) -> None:
    @tool
    def broken(q: str) -> str:
        """Break."""
        raise ValueError("no such thing")

    model = ScriptedModel(call("broken", q="x") + raw_call("local", "{nonsense") + call("made_up"), text("I see."))
    async with open_world(model, tools=(broken, local)) as world:
        thread = await world.thread("Go")
        new = NewRun(assistant_id="asst_helper", tools=(broken.spec(), local.spec()))
        run = await world.rest(await world.runtime.runs.create(world.project, thread, new))

        assert run.status == "completed"
        answers = [m.text for m in world.model.requests[-1].messages if m.role is Role.TOOL]
        assert "no such thing" in answers[0]
        assert "JSON" in answers[1]
        assert "made_up" in answers[2]


async def test_deleting_a_thread_ends_its_run_and_its_followers(open_world: Open) -> None:
    async with open_world(ScriptedModel(text("never", pause=asyncio.Event()))) as world:
        thread = await world.thread("Hi")
        run = await world.run(thread)
        await world.until(run, "in_progress")
        followed = asyncio.ensure_future(world.events(run))
        await asyncio.sleep(0.05)
        await world.runtime.threads.delete(world.project, thread)
        with pytest.raises(Exception, match="deleted"):
            await followed
        with pytest.raises(NotFoundError):
            await world.look(run)


async def test_a_driver_that_has_not_heard_of_the_deletion_is_fenced_off(
    open_world: Open, caplog: pytest.LogCaptureFixture
) -> None:
    hold = asyncio.Event()
    async with open_world(ScriptedModel(call("local", q="x") + text("", pause=hold))) as world:
        thread = await world.thread("Hi")
        run = await world.run(thread)
        await world.until(run, "in_progress")

        def delete(tx: Tx) -> None:
            finish_jobs_of_thread(tx, thread)
            delete_thread(tx, thread)

        await world.runtime.store.write(delete)
        hold.set()
    assert [record.message for record in caplog.records if record.levelname in ("WARNING", "ERROR")] == ["job.fenced"]


async def test_another_project_sees_nothing_of_it(open_world: Open) -> None:
    async with open_world(ScriptedModel(text("Secret."))) as world:
        thread = await world.thread("Hi")
        run = await world.rest(await world.run(thread))
        with pytest.raises(NotFoundError):
            await world.runtime.runs.cancel("other", thread, run.spec.id)
        with pytest.raises(NotFoundError):
            await world.runtime.threads.add_message("other", thread, user("x"))
        with pytest.raises(NotFoundError):
            await World(world.runtime, world.model, project="other").run(thread)


async def test_a_follower_that_comes_late_sees_the_same_events(open_world: Open) -> None:
    hold = asyncio.Event()
    async with open_world(ScriptedModel(text("one two three four", pause=hold))) as world:
        run = await world.run(await world.thread("Hi"))
        early = asyncio.ensure_future(world.events(run))
        await world.until(run, "in_progress")
        await asyncio.sleep(0.02)  # before the first flush of what waits
        late = asyncio.ensure_future(world.events(run))
        await asyncio.sleep(0.02)
        hold.set()

        assert await early == await late == await world.events(run)


async def test_a_follower_goes_on_from_any_place(open_world: Open) -> None:
    async with open_world(ScriptedModel(call("local"), text("one two three"))) as world:
        run = await world.run(await world.thread("Hi"))
        whole = [n async for burst in world.runtime.runs.follow(run.spec.id) for n in burst]

        assert [n.seq for n in whole] == list(range(len(whole)))
        for i, numbered in enumerate(whole):
            rest = await world.events(run, after=(numbered.epoch, numbered.seq))
            assert rest == [n.event for n in whole[i + 1 :]]


def crash_image(source: Path, target: Path) -> None:
    """What a killed process leaves: the database file with its write-ahead log, as they are at this moment."""
    (target / ".agentrt").mkdir(parents=True)
    for file in (source / ".agentrt").glob("agentrt.db*"):
        if not file.name.endswith(".lock"):
            shutil.copy(file, target / ".agentrt" / file.name)


async def test_a_run_that_a_crash_cut_off_in_mid_answer_is_answered_once(open_world: Open, tmp_path: Path) -> None:
    async with open_world(ScriptedModel(text("Cut off in the mid", pause=asyncio.Event()))) as world:
        thread = await world.thread("Hi")
        run = await world.run(thread)
        async with asyncio.timeout(20):
            while "Cut off" not in str(await world.runtime.store.read(lambda tx: _log(tx, run.spec.id))):
                await asyncio.sleep(0.01)
        crash_image(tmp_path, tmp_path / "after")
        await world.runtime.runs.cancel(world.project, thread, run.spec.id)

    async with open_world(ScriptedModel(text("The whole answer.")), folder=tmp_path / "after") as world:
        events = await world.events(run)

        assert await world.texts(thread) == ["Hi", "The whole answer."]
        assert (await world.look(run)).status == "completed"
        kinds = [type(e).__name__ for e in events]
        assert kinds.index("MessageIncomplete") < kinds.index("TurnLost") < kinds.index("MessageCompleted")
        ids = [e.message_id for e in events if isinstance(e, ev.MessageCreated)]
        assert len(set(ids)) == 2


@pytest.mark.parametrize("retry", ["never", "idempotent"])
async def test_a_tool_that_a_crash_cut_off_follows_its_declaration(
    open_world: Open, tmp_path: Path, retry: str
) -> None:
    started: list[str] = []
    hold = asyncio.Event()

    @tool(name="local", retry="idempotent" if retry == "idempotent" else "never")
    async def slow(q: str = "") -> str:
        """Take long."""
        started.append(q)
        if len(started) == 1:
            await hold.wait()
        return "done"

    async with open_world(ScriptedModel(call("local", q="x")), tools=(slow,)) as world:
        thread = await world.thread("Go")
        run = await world.run(thread)
        async with asyncio.timeout(20):
            while not started:
                await asyncio.sleep(0.01)
        crash_image(tmp_path, tmp_path / "after")
        await world.runtime.runs.cancel(world.project, thread, run.spec.id)

    async with open_world(ScriptedModel(text("Well.")), folder=tmp_path / "after", tools=(slow,)) as world:
        await world.events(run)

        assert (await world.look(run)).status == "completed"
        assert len(started) == (1 if retry == "never" else 2)
        outcome = "tool: interrupted, outcome unknown" if retry == "never" else "tool: done"
        assert outcome in world.seen()


def _log(tx: Tx, run_id: str) -> str:
    return "".join(n.event.text for n in read_events(tx, run_id) if isinstance(n.event, ev.TextDelta))
