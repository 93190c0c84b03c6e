"""Schedules: their runs come when they are due, once, with what the schedule says; what goes wrong is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from agentrt.config.load import load_config
from agentrt.errors import ModelNotFoundError, NotFoundError, PermissionDeniedError, ThreadBusyError, TimetableError
from agentrt.runtime.assembly import Runtime
from agentrt.runtime.requests import NewAssistant, NewSchedule, NewThread
from agentrt.store.messages import list_messages
from agentrt.store.pages import PageQuery
from agentrt.store.runs import StoredRun, list_scheduled_runs
from agentrt.store.schedules import Schedule, find_schedule, list_schedules, update_schedule
from agentrt.store.threads import Thread, find_thread
from agentrt.testing.clocks import FakeClock
from agentrt.testing.scripts import ScriptedModel

HOME = "default"
AGENTS = """
[models.demo]
provider = "demo"
[agents.helper]
model = "demo"
"""
DAILY = """
[schedules.daily]
cron = "0 9 * * *"
timezone = "Europe/Oslo"
agent = "helper"
message = "What happened?"
"""
HOUR, DAY = 3600, 86_400
START = datetime(2026, 10, 20, 8, 0, tzinfo=ZoneInfo("Europe/Oslo")).timestamp()


class Office:
    """A runtime whose clock stands still, and short words for what happens there. Its runs wait for their driver."""

    def __init__(self, runtime: Runtime, clock: FakeClock) -> None:
        self.runtime = runtime
        self.clock = clock

    async def schedule(self, cron: str = "0 9 * * *", **fields: Any) -> Schedule:
        given = {"assistant_id": "asst_helper", "message": "Hello", "timezone": "Europe/Oslo", **fields}
        return await self.runtime.schedules.create(HOME, NewSchedule(cron=cron, **given))

    async def wait(self, seconds: float) -> None:
        """Let time pass, then look for what is due."""
        self.clock.set(self.clock.now() + seconds)
        await self.runtime.firing.sweep()

    async def look(self, schedule_id: str) -> Schedule:
        return await self.runtime.store.read(lambda tx: find_schedule(tx, HOME, schedule_id))

    async def runs(self, schedule_id: str) -> list[StoredRun]:
        """Oldest first."""
        query = PageQuery(limit=100, order="asc")
        return (await self.runtime.store.read(lambda tx: list_scheduled_runs(tx, HOME, schedule_id, query))).items

    async def due_times(self, schedule_id: str) -> list[str | None]:
        return [run.to_run().spec.metadata.get("scheduled_at") for run in await self.runs(schedule_id)]

    async def texts(self, thread_id: str) -> list[str]:
        query = PageQuery(limit=100, order="asc")
        page = await self.runtime.store.read(lambda tx: list_messages(tx, HOME, thread_id, query))
        return [str(part["text"]) for message in page.items for part in message.parts]

    async def thread(self, thread_id: str) -> Thread:
        return await self.runtime.store.read(lambda tx: find_thread(tx, HOME, thread_id))


@asynccontextmanager
async def open_office(folder: Path, *, toml: str = "", start: float = START) -> AsyncGenerator[Office, None]:
    file = folder / "agents.toml"
    file.write_text(AGENTS + toml)
    clock = FakeClock(start)
    models = {"demo": ScriptedModel()}
    async with Runtime(load_config(file, environ={}), models=models, clock=clock, role="all") as runtime:
        await runtime.drain()  # the runs stay as they were made
        yield Office(runtime, clock)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncGenerator[Office, None]:
    async with open_office(tmp_path) as opened:
        yield opened


# When it is due -----------------------------------------------------------------------------------------------------


async def test_a_run_is_made_when_it_is_due_and_not_before(office: Office) -> None:
    made = await office.schedule()
    await office.wait(HOUR - 1)
    assert await office.runs(made.id) == []
    await office.wait(1)
    [run] = await office.runs(made.id)
    assert run.assistant_id == "asst_helper"
    assert await office.texts(run.thread_id) == ["Hello"]
    after = await office.look(made.id)
    assert (after.run_id, after.fired_at, after.error) == (run.id, int(START + HOUR), None)
    await office.wait(0)
    assert len(await office.runs(made.id)) == 1


async def test_nine_oclock_stays_nine_oclock_when_the_clocks_are_set_back(office: Office) -> None:
    made = await office.schedule()
    office.clock.set(START + 4 * DAY)
    await office.runtime.schedules.update(HOME, made.id, {"cron": "0 9 * * *", "timezone": "Europe/Berlin"})
    for _ in range(2 * 24 + 4):
        await office.wait(HOUR)
    assert await office.due_times(made.id) == [
        "2026-10-24T09:00:00+02:00",
        "2026-10-25T09:00:00+01:00",
        "2026-10-26T09:00:00+01:00",
    ]


async def test_the_sweep_says_when_something_is_due_next(office: Office) -> None:
    assert await office.runtime.firing.sweep() is None
    await office.schedule()
    await office.schedule("30 8 * * *")
    due = await office.runtime.firing.sweep()
    assert due is not None
    assert due.seconds == 1800


async def test_of_several_missed_times_the_last_one_makes_a_run(office: Office) -> None:
    made = await office.schedule("*/10 * * * *")
    await office.wait(2 * HOUR + 60)
    assert await office.due_times(made.id) == ["2026-10-20T10:00:00+02:00"]
    await office.wait(600)
    assert (await office.due_times(made.id))[1:] == ["2026-10-20T10:10:00+02:00"]


async def test_what_was_missed_for_longer_than_catch_up_is_left_out_and_said(office: Office) -> None:
    made = await office.schedule(catch_up_s=600)
    await office.wait(HOUR + 601)
    assert await office.runs(made.id) == []
    after = await office.look(made.id)
    assert after.error == "nothing was running at 2026-10-20T09:00:00+02:00, and it is too late to catch up"
    assert after.error_at == int(office.clock.now())
    await office.wait(DAY - 601)
    assert len(await office.runs(made.id)) == 1
    assert (await office.look(made.id)).error is None


async def test_a_schedule_in_a_time_zone_that_this_machine_does_not_know_is_put_off(office: Office) -> None:
    made = await office.schedule()
    await office.runtime.store.write(lambda tx: update_schedule(tx, made.id, {"timezone": "Mars/Base"}))
    await office.wait(HOUR)
    after = await office.look(made.id)
    assert after.error is not None
    assert '"Mars/Base" is no time zone' in after.error
    assert after.next_at == int(START + 2 * HOUR)


async def test_a_service_that_is_up_fires_it_to_the_second(tmp_path: Path) -> None:
    toml = DAILY.replace("0 9 * * *", "* * * * *")
    async with open_office(tmp_path, toml=toml, start=START + 51) as office:
        await asyncio.sleep(0.01)
        await office.clock.advance(5)  # it looks, and finds that there are four seconds left
        await asyncio.sleep(0.05)
        assert await office.runs("sched_daily") == []
        await office.clock.advance(4)
        async with asyncio.timeout(10):
            while not await office.runs("sched_daily"):
                await asyncio.sleep(0.005)
        assert await office.due_times("sched_daily") == ["2026-10-20T08:01:00+02:00"]
        assert (await office.look("sched_daily")).fired_at == START + 60


# What it makes ------------------------------------------------------------------------------------------------------


async def test_each_run_gets_a_thread_of_its_own_unless_the_schedule_says_otherwise(office: Office) -> None:
    made = await office.schedule(metadata={"team": "support"})
    await office.wait(HOUR)
    await office.wait(DAY)
    first, second = await office.runs(made.id)
    assert first.thread_id != second.thread_id
    assert first.to_run().spec.metadata == {
        "team": "support",
        "schedule_id": made.id,
        "scheduled_at": "2026-10-20T09:00:00+02:00",
    }
    assert (await office.thread(first.thread_id)).meta == {"team": "support", "schedule_id": made.id}


async def test_the_same_thread_is_made_once_and_again_when_it_was_deleted(office: Office) -> None:
    made = await office.schedule(thread="same", on_busy="enqueue")
    for seconds in (HOUR, DAY):
        await office.wait(seconds)
    first, second = await office.runs(made.id)
    assert first.thread_id == second.thread_id == (await office.look(made.id)).thread_id
    assert await office.texts(first.thread_id) == ["Hello", "Hello"]
    await office.runtime.threads.delete(HOME, first.thread_id)
    await office.wait(DAY)
    [third] = await office.runs(made.id)
    assert third.thread_id != first.thread_id


async def test_a_thread_that_is_named_gets_the_messages(office: Office) -> None:
    thread = await office.runtime.threads.create(HOME, NewThread())
    made = await office.schedule(thread=thread.id)
    await office.wait(HOUR)
    assert await office.texts(thread.id) == ["Hello"]
    await office.runtime.threads.delete(HOME, thread.id)
    await office.wait(DAY)
    assert (await office.look(made.id)).error == f"No thread found with id '{thread.id}'."


async def test_a_run_that_is_still_active_is_not_disturbed_unless_the_schedule_says_so(office: Office) -> None:
    made = await office.schedule(thread="same")
    await office.wait(HOUR)
    await office.wait(DAY)
    [run] = await office.runs(made.id)
    error = (await office.look(made.id)).error
    assert error == f"Thread {run.thread_id} already has an active run {run.id}."
    await office.runtime.schedules.update(HOME, made.id, {"on_busy": "interrupt"})
    await office.wait(DAY)
    statuses = [run.status for run in await office.runs(made.id)]
    assert statuses == ["cancelling", "queued"]


async def test_fired_by_hand_it_makes_a_run_and_stays_due_when_it_was(office: Office) -> None:
    made = await office.schedule(enabled=False)
    run = await office.runtime.firing.fire(HOME, made.id)
    assert [row.id for row in await office.runs(made.id)] == [run.spec.id]
    assert run.spec.metadata == {"schedule_id": made.id}
    after = await office.look(made.id)
    assert (after.next_at, after.run_id) == (None, run.spec.id)
    with pytest.raises(NotFoundError):
        await office.runtime.firing.fire("other", made.id)


async def test_what_goes_wrong_when_it_is_fired_by_hand_is_the_callers_to_hear(office: Office) -> None:
    made = await office.schedule(thread="same")
    await office.runtime.firing.fire(HOME, made.id)
    with pytest.raises(ThreadBusyError):
        await office.runtime.firing.fire(HOME, made.id)
    assert (await office.look(made.id)).error is None


# What goes wrong ----------------------------------------------------------------------------------------------------


async def test_a_schedule_that_cannot_be_fired_says_why_and_stops_no_other(office: Office) -> None:
    assistant = await office.runtime.assistants.create(HOME, NewAssistant(model="demo"))
    broken = await office.schedule(assistant_id=assistant.id)
    others = [await office.schedule() for _ in range(150)]
    await office.runtime.assistants.delete(HOME, assistant.id)
    await office.wait(HOUR)
    after = await office.look(broken.id)
    assert after.error == f"No assistant found with id '{assistant.id}'."
    assert after.next_at is not None
    assert after.next_at > office.clock.now()
    for other in others:
        assert len(await office.runs(other.id)) == 1


async def test_a_model_that_is_not_there_any_more_leaves_no_message_behind(tmp_path: Path) -> None:
    model = '[models.cloud]\nprovider = "openai"\nmodel = "x"\napi_key = "${NO_SUCH_KEY}"\n'
    model += '[agents.cloudy]\nmodel = "cloud"\n'
    async with open_office(tmp_path, toml=model) as office:
        thread = await office.runtime.threads.create(HOME, NewThread())
        made = await office.schedule(assistant_id="asst_cloudy", thread=thread.id)
        await office.wait(HOUR)
        error = (await office.look(made.id)).error
        assert error is not None
        assert "Model cloud is not available: NO_SUCH_KEY is not set" in error
        assert await office.texts(thread.id) == []
        with pytest.raises(ModelNotFoundError):
            await office.runtime.firing.fire(HOME, made.id)


# Changing it --------------------------------------------------------------------------------------------------------


async def test_what_does_not_exist_is_refused_when_the_schedule_is_made(office: Office) -> None:
    with pytest.raises(NotFoundError):
        await office.schedule(assistant_id="asst_none")
    with pytest.raises(NotFoundError):
        await office.schedule(thread="thread_none")
    with pytest.raises(TimetableError):
        await office.schedule("0 25 * * *")
    with pytest.raises(TimetableError):
        await office.schedule(timezone="Mars/Base")


async def test_a_disabled_schedule_is_not_due_and_makes_up_for_nothing(office: Office) -> None:
    made = await office.schedule()
    off = await office.runtime.schedules.update(HOME, made.id, {"enabled": False})
    assert off.next_at is None
    await office.wait(HOUR + 60)
    await office.runtime.schedules.update(HOME, made.id, {"enabled": True})
    await office.wait(0)
    assert await office.runs(made.id) == []
    await office.wait(DAY - 60)
    assert await office.due_times(made.id) == ["2026-10-21T09:00:00+02:00"]


async def test_a_new_time_counts_from_now_on_and_other_changes_move_nothing(office: Office) -> None:
    made = await office.schedule()
    office.clock.set(START + HOUR)  # due, and nobody has looked yet
    renamed = await office.runtime.schedules.update(HOME, made.id, {"name": "daily", "enabled": True})
    assert renamed.next_at == made.next_at
    moved = await office.runtime.schedules.update(HOME, made.id, {"cron": "0 12 * * *"})
    await office.wait(0)
    assert await office.runs(made.id) == []
    assert moved.next_at == int(START + 4 * HOUR)


async def test_a_time_that_has_been_does_not_come_again_when_the_clock_goes_back(office: Office) -> None:
    made = await office.schedule()
    await office.wait(HOUR)
    office.clock.set(START)
    await office.runtime.schedules.update(HOME, made.id, {"enabled": False})
    await office.runtime.schedules.update(HOME, made.id, {"enabled": True})
    await office.wait(HOUR)
    assert await office.due_times(made.id) == ["2026-10-20T09:00:00+02:00"]


async def test_a_deleted_schedule_leaves_its_runs(office: Office) -> None:
    made = await office.schedule()
    await office.wait(HOUR)
    await office.runtime.schedules.delete(HOME, made.id)
    await office.wait(DAY)
    assert len(await office.runs(made.id)) == 1
    with pytest.raises(NotFoundError):
        await office.runtime.schedules.delete(HOME, made.id)


async def test_schedules_of_another_project_are_not_there(office: Office) -> None:
    made = await office.schedule()
    for act in (
        office.runtime.schedules.update("other", made.id, {"enabled": False}),
        office.runtime.schedules.delete("other", made.id),
        office.runtime.firing.fire("other", made.id),
    ):
        with pytest.raises(NotFoundError):
            await act


# Declared in agents.toml --------------------------------------------------------------------------------------------


async def test_a_declared_schedule_fires_like_any_other(tmp_path: Path) -> None:
    async with open_office(tmp_path, toml=DAILY) as office:
        await office.wait(HOUR)
        [run] = await office.runs("sched_daily")
        assert await office.texts(run.thread_id) == ["What happened?"]
        [listed] = (await office.runtime.store.read(lambda tx: list_schedules(tx, HOME, PageQuery()))).items
        assert (listed.id, listed.name, listed.origin) == ("sched_daily", "daily", "toml")


async def test_what_was_due_while_nothing_ran_is_made_up_for_after_a_restart(tmp_path: Path) -> None:
    async with open_office(tmp_path, toml=DAILY):
        pass
    async with open_office(tmp_path, toml=DAILY, start=START + HOUR + 1800) as office:
        await office.wait(0)
        assert await office.due_times("sched_daily") == ["2026-10-20T09:00:00+02:00"]


async def test_only_enabled_can_be_changed_of_a_declared_schedule(tmp_path: Path) -> None:
    async with open_office(tmp_path, toml=DAILY) as office:
        schedules = office.runtime.schedules
        with pytest.raises(PermissionDeniedError, match=r"declared in agents\.toml: only `enabled`"):
            await schedules.update(HOME, "sched_daily", {"message": "Hi", "enabled": False})
        with pytest.raises(PermissionDeniedError, match="take it out there, or disable it"):
            await schedules.delete(HOME, "sched_daily")
        await schedules.update(HOME, "sched_daily", {"enabled": False})


@pytest.mark.parametrize(
    ("toml", "is_enabled", "message"),
    [(DAILY, False, "What happened?"), (DAILY.replace("What happened?", "And now?"), True, "And now?")],
)
async def test_disabled_stays_disabled_until_the_file_changes(
    tmp_path: Path, toml: str, is_enabled: bool, message: str
) -> None:
    async with open_office(tmp_path, toml=DAILY) as office:
        await office.runtime.schedules.update(HOME, "sched_daily", {"enabled": False})
    async with open_office(tmp_path, toml=toml) as office:
        found = await office.look("sched_daily")
        assert (found.is_enabled, found.next_at is not None, found.message) == (is_enabled, is_enabled, message)


async def test_a_schedule_that_the_file_changes_keeps_what_it_has_done(tmp_path: Path) -> None:
    toml = DAILY + 'thread = "same"\n'
    async with open_office(tmp_path, toml=toml) as office:
        await office.wait(HOUR)
        before = await office.look("sched_daily")
    changed: list[tuple[str, Callable[[Schedule], object], object]] = [
        (toml.replace("What", "Who"), lambda s: (s.next_at, s.thread_id), (before.next_at, before.thread_id)),
        (toml.replace("0 9", "0 10"), lambda s: s.next_at, int(START + 2 * HOUR)),
        (toml.replace("same", "new"), lambda s: s.thread_id, None),
    ]
    for text, seen, expected in changed:
        async with open_office(tmp_path, toml=text, start=START + HOUR) as office:
            found = await office.look("sched_daily")
            assert seen(found) == expected
            assert (found.run_id, found.created_at) == (before.run_id, before.created_at)


async def test_a_schedule_that_is_taken_out_of_the_file_is_gone(tmp_path: Path) -> None:
    async with open_office(tmp_path, toml=DAILY) as office:
        mine = await office.schedule()
    async with open_office(tmp_path) as office:
        assert [
            s.id for s in (await office.runtime.store.read(lambda tx: list_schedules(tx, HOME, PageQuery()))).items
        ] == [mine.id]
