"""Makes the runs of schedules when they are due: each due time once, whatever dies and however many processes look.

The schedule moves on to its next due time in the transaction that makes the run. Whoever dies before its end has done
nothing, and the due time is still there for the next one to find.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from agentrt.clock import Clock
from agentrt.cron import read_timetable
from agentrt.engine.message import TextPart
from agentrt.engine.run import Run
from agentrt.errors import AgentrtError, NotFoundError, StoreError, TimetableError
from agentrt.ids import new_id
from agentrt.runtime.requests import NewMessage, NewRun, NewThread, OnBusy
from agentrt.runtime.runs import Runs
from agentrt.runtime.schedules import OWN_THREADS, next_due
from agentrt.runtime.sweeper import DueIn
from agentrt.store.database import Store, Tx
from agentrt.store.schedules import Schedule, claim_due, find_schedule, list_coming, lock_schedule, update_schedule
from agentrt.store.threads import find_thread

log = logging.getLogger(__name__)

_PAGE = 100
_AT_ONCE = 8
_PUT_OFF_S = 3600


class Firing:
    """Fires schedules."""

    def __init__(self, *, store: Store, runs: Runs, clock: Clock) -> None:
        self._store = store
        self._runs = runs
        self._clock = clock

    async def fire(self, project: str, schedule_id: str) -> Run:
        """Make a run now, of a disabled schedule too; when it is due next stays as it is.

        Raises NotFoundError, and what Runs.create raises.
        """

        def write(tx: Tx) -> Run:
            lock_schedule(tx, schedule_id)
            return self._make_run(tx, find_schedule(tx, project, schedule_id), due_at=None)

        return await self._store.write(write)

    async def sweep(self) -> DueIn | None:
        """Fire what is due. Returns when something is due next; None when nothing is to come.

        A schedule that cannot be fired keeps the reason and waits for its next due time; the others are fired.
        Raises StoreError when the database fails; what was due stays due then.
        """
        while True:
            coming = await self._store.read(lambda tx: list_coming(tx, limit=_PAGE))
            now = self._clock.now()
            due = [(schedule_id, next_at) for schedule_id, next_at in coming if next_at <= now]
            if not due:
                return DueIn(coming[0][1] - now) if coming else None
            await self._fire_all(due)

    async def _fire_all(self, due: list[tuple[str, int]]) -> None:
        # Every process finds the same ones: each takes them in an order of its own, so that they do not all wait for
        # the same row.
        random.shuffle(due)
        failures: list[StoreError] = []

        async def work() -> None:
            while due and not failures:
                try:
                    await self._fire_due(*due.pop())
                except StoreError as error:
                    failures.append(error)

        async with asyncio.TaskGroup() as group:
            for _ in range(min(_AT_ONCE, len(due))):
                group.create_task(work())
        if failures:
            raise failures[0]

    async def _fire_due(self, schedule_id: str, seen: int) -> None:
        def write(tx: Tx) -> None:
            taken = self._take(tx, schedule_id, seen)
            if taken is None:
                return
            schedule, due_at = taken
            if self._clock.now() - due_at > schedule.catch_up_s:
                why = f"nothing was running at {_shown(schedule, due_at)}, and it is too late to catch up"
                self._note(tx, schedule_id, why)
                return
            run = self._make_run(tx, schedule, due_at=due_at)
            fields = {"schedule": schedule_id, "run": run.spec.id, "late_s": int(self._clock.now()) - due_at}
            tx.after_commit(lambda: log.info("schedule.fired", extra=fields))

        try:
            await self._store.write(write)
        except StoreError:
            raise
        except AgentrtError as error:
            await self._give_up(schedule_id, seen, error.message)
        except Exception as error:
            log.exception("schedule.crashed", extra={"schedule": schedule_id})
            await self._give_up(schedule_id, seen, f"agentrt failed inside: {type(error).__name__}: {error}")

    async def _give_up(self, schedule_id: str, seen: int, why: str) -> None:
        """Let the schedule wait for its next due time; what was done for this one is undone, but for the reason."""

        def write(tx: Tx) -> None:
            schedule = lock_schedule(tx, schedule_id)
            if schedule is None or schedule.next_at != seen:
                return
            now = self._clock.now()
            try:
                next_at = next_due(schedule, now=now)
            except TimetableError:  # a time zone that this machine does not know (any more)
                next_at = int(now) + _PUT_OFF_S
            if claim_due(tx, schedule_id, seen=seen, next_at=next_at, due_at=seen):
                self._note(tx, schedule_id, why)

        await self._store.write(write)

    def _take(self, tx: Tx, schedule_id: str, seen: int) -> tuple[Schedule, int] | None:
        """Move the schedule on from the due time that was seen. None: somebody else has. Raises TimetableError.

        Returns the last due time that has passed as well: several that were missed make one run.
        """
        schedule = lock_schedule(tx, schedule_id)
        if schedule is None or schedule.next_at != seen:
            return None
        now = self._clock.now()
        timetable = read_timetable(schedule.cron, schedule.timezone)
        due_at = timetable.latest(after=seen, until=now) or seen
        if not claim_due(tx, schedule_id, seen=seen, next_at=timetable.next(now), due_at=due_at):
            return None
        return schedule, due_at

    def _note(self, tx: Tx, schedule_id: str, why: str) -> None:
        update_schedule(tx, schedule_id, {"error": why, "error_at": int(self._clock.now())})
        tx.after_commit(lambda: log.warning("schedule.missed", extra={"schedule": schedule_id}))

    def _make_run(self, tx: Tx, schedule: Schedule, *, due_at: int | None) -> Run:
        """The run, and what the schedule keeps of it. Raises what Runs.create raises."""
        metadata = {**schedule.meta, "schedule_id": schedule.id}
        scheduled_at = {} if due_at is None else {"scheduled_at": _shown(schedule, due_at)}
        message = NewMessage("user", (TextPart(schedule.message),))
        on_busy = None if schedule.on_busy is None else msgspec.convert(schedule.on_busy, OnBusy)
        new = NewRun(
            assistant_id=schedule.assistant_id,
            metadata={**metadata, **scheduled_at},
            on_busy=on_busy,
            schedule_id=schedule.id,
        )
        thread_id = _thread_of(tx, schedule)
        run_id, project = new_id("run"), schedule.project
        if thread_id is None:
            thread = NewThread(messages=(message,), metadata=metadata)
            run = self._runs.create_with_thread_in(tx, project, thread, new, run_id=run_id)
        else:
            new = replace(new, messages=(message,))
            run = self._runs.create_in(tx, project, thread_id, new, run_id=run_id)
        changes: dict[str, Any] = {
            "fired_at": int(self._clock.now()),
            "run_id": run_id,
            "error": None,
            "error_at": None,
        }
        if schedule.thread == "same":
            changes["thread_id"] = run.spec.thread_id
        update_schedule(tx, schedule.id, changes)
        return run


def _thread_of(tx: Tx, schedule: Schedule) -> str | None:
    """The thread that the run belongs on; None: one that is to be made."""
    if schedule.thread not in OWN_THREADS:
        return schedule.thread
    if schedule.thread == "new" or schedule.thread_id is None:
        return None
    try:
        return find_thread(tx, schedule.project, schedule.thread_id).id
    except NotFoundError:  # somebody has deleted it, or retention has
        return None


def _shown(schedule: Schedule, at: int) -> str:
    """`2026-10-26T09:00:00+01:00`"""
    return datetime.fromtimestamp(at, read_timetable(schedule.cron, schedule.timezone).zone).isoformat()
