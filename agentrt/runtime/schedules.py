"""Schedules: create, change, delete; and the ones that agents.toml declares. Firing them is firing.py's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agentrt.clock import Clock
from agentrt.cron import read_timetable
from agentrt.errors import PermissionDeniedError
from agentrt.ids import new_id
from agentrt.runtime.requests import NewSchedule
from agentrt.store.assistants import find_assistant
from agentrt.store.database import Store, Tx
from agentrt.store.schedules import (
    DECLARED,
    Schedule,
    delete_schedule,
    find_schedule,
    insert_schedule,
    list_declared_schedules,
    lock_schedule,
    update_schedule,
)
from agentrt.store.threads import find_thread

OWN_THREADS = ("new", "same")
"""What a schedule's `thread` may say besides a thread's id."""

_COLUMNS = {"metadata": "meta", "enabled": "is_enabled"}
_TIMES = ("cron", "timezone", "is_enabled")
# What a declaration says nothing about: it goes on from where it was.
_OWN_STATE = ("created_at", "next_at", "due_at", "fired_at", "run_id", "error", "error_at", "thread_id")


class Schedules:
    """What callers do to schedules."""

    def __init__(self, *, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def create(self, project: str, new: NewSchedule) -> Schedule:
        """Raises TimetableError, NotFoundError for an assistant or a thread that does not exist."""

        def write(tx: Tx) -> Schedule:
            now = self._clock.now()
            schedule = Schedule(
                id=new_id("sched"),
                project=project,
                created_at=int(now),
                name=new.name,
                cron=new.cron,
                timezone=new.timezone,
                assistant_id=new.assistant_id,
                message=new.message,
                thread=new.thread,
                on_busy=new.on_busy,
                catch_up_s=new.catch_up_s,
                is_enabled=new.enabled,
                meta=new.metadata,
            )
            schedule.next_at = next_due(schedule, now=now)
            _check(tx, schedule)
            insert_schedule(tx, schedule)
            return schedule

        return await self._store.write(write)

    async def update(self, project: str, schedule_id: str, changes: Mapping[str, Any]) -> Schedule:
        """Replace the given fields of NewSchedule; absent ones stay.

        A new time, and being enabled again, count from now on: what was due before is not made up for.
        Raises TimetableError, NotFoundError, PermissionDeniedError for more than `enabled` of a declared schedule.
        """

        def write(tx: Tx) -> Schedule:
            before = _locked(tx, project, schedule_id)
            if before.origin == DECLARED and changes.keys() - {"enabled"}:
                raise _is_declared(schedule_id, "only `enabled` can be changed here")
            columns = {_COLUMNS.get(key, key): value for key, value in changes.items()}
            after = before.model_copy(update=columns)
            if any(columns.get(key, was) != was for key, was in before if key in _TIMES):
                columns["next_at"] = after.next_at = next_due(after, now=self._clock.now())
            if after.thread != before.thread:
                columns["thread_id"] = after.thread_id = None
            if changes.keys() - {"enabled"}:
                _check(tx, after)
            update_schedule(tx, schedule_id, columns)
            return after

        return await self._store.write(write)

    async def delete(self, project: str, schedule_id: str) -> None:
        """Its runs stay. Raises NotFoundError, PermissionDeniedError for a declared schedule."""

        def write(tx: Tx) -> None:
            if _locked(tx, project, schedule_id).origin == DECLARED:
                raise _is_declared(schedule_id, "take it out there, or disable it")
            delete_schedule(tx, schedule_id)

        await self._store.write(write)

    async def declare(self, declared: Sequence[Schedule]) -> None:
        """Make the declared schedules what agents.toml says now; those it no longer names go.

        What has not changed in the file keeps its next due time, so that a restart forgets none that was missed, and
        stays disabled or enabled as the API left it.
        """

        def write(tx: Tx) -> None:
            known = {schedule.id: schedule for schedule in list_declared_schedules(tx)}
            for gone in known.keys() - {schedule.id for schedule in declared}:
                delete_schedule(tx, gone)
            for schedule in declared:
                _put(tx, known.get(schedule.id), schedule, now=self._clock.now())

        await self._store.write(write)


def next_due(schedule: Schedule, *, now: float) -> int | None:
    """When the schedule is due next, never at a time that has been; None for a disabled one. Raises TimetableError."""
    timetable = read_timetable(schedule.cron, schedule.timezone)
    return timetable.next(max(now, schedule.due_at or 0)) if schedule.is_enabled else None


def _put(tx: Tx, known: Schedule | None, declared: Schedule, *, now: float) -> None:
    if known is None:
        insert_schedule(tx, declared.model_copy(update={"next_at": next_due(declared, now=now)}))
    elif known.declared_hash != declared.declared_hash:
        state = {key: value for key, value in known if key in _OWN_STATE}
        after = declared.model_copy(update=state)
        if after.thread != known.thread:
            after.thread_id = None
        if any(value != getattr(known, key) for key, value in after if key in _TIMES):
            after.next_at = next_due(after, now=now)
        update_schedule(tx, declared.id, dict(after))


def _locked(tx: Tx, project: str, schedule_id: str) -> Schedule:
    lock_schedule(tx, schedule_id)
    return find_schedule(tx, project, schedule_id)


def _check(tx: Tx, schedule: Schedule) -> None:
    find_assistant(tx, schedule.project, schedule.assistant_id)
    if schedule.thread not in OWN_THREADS:
        find_thread(tx, schedule.project, schedule.thread)


def _is_declared(schedule_id: str, what: str) -> PermissionDeniedError:
    return PermissionDeniedError(f"The schedule {schedule_id} is declared in agents.toml: {what}.")
