"""The port's schedules over a database in this process. Heavy: import it when it is needed."""

from __future__ import annotations

from dataclasses import asdict

import msgspec

from agentrt.cli.schedule_port import ScheduledRun, ScheduleRow, Wanted, in_order
from agentrt.clock import SystemClock
from agentrt.config.schema import DEFAULT_PROJECT, Config
from agentrt.dispatch.local import LocalDispatcher
from agentrt.errors import NotFoundError
from agentrt.runtime.assistants import Assistants
from agentrt.runtime.declared import declared_assistants, declared_schedules, load_tools
from agentrt.runtime.requests import NewSchedule
from agentrt.runtime.schedules import Schedules, next_due
from agentrt.store.database import Store
from agentrt.store.pages import PageQuery
from agentrt.store.runs import list_scheduled_runs
from agentrt.store.schedules import DECLARED, Schedule, list_schedules

_ALL = 1_000_000_000


class LocalSchedules:
    """Works on the database itself, and starts nothing.

    is_running: a runtime has put the schedules of agents.toml into the database; else that is done before the first
    change, and reading looks into the file.
    """

    def __init__(self, store: Store, config: Config, *, is_running: bool) -> None:
        self._store = store
        self._config = config
        self._clock = SystemClock()
        self._schedules = Schedules(store=store, clock=self._clock)
        self._is_declared = is_running

    async def all(self) -> list[ScheduleRow]:
        page = await self._store.read(lambda tx: list_schedules(tx, DEFAULT_PROJECT, PageQuery(limit=_ALL)))
        stored = {schedule.id: schedule for schedule in page.items}
        declared = [self._as_stored(said, stored.get(said.id)) for said in self._said()]
        made = [schedule for schedule in page.items if schedule.origin != DECLARED]
        return in_order([_row(schedule) for schedule in (*declared, *made)])

    async def create(self, wanted: Wanted) -> ScheduleRow:
        await self._declare()
        fields = asdict(wanted)
        fields["catch_up_s"] = fields.pop("catch_up_seconds")
        return _row(await self._schedules.create(DEFAULT_PROJECT, msgspec.convert(fields, NewSchedule)))

    async def enable(self, schedule_id: str, *, is_enabled: bool) -> ScheduleRow:
        await self._declare()
        return _row(await self._schedules.update(DEFAULT_PROJECT, schedule_id, {"enabled": is_enabled}))

    async def delete(self, schedule_id: str) -> None:
        await self._declare()
        await self._schedules.delete(DEFAULT_PROJECT, schedule_id)

    async def runs(self, schedule_id: str, *, limit: int) -> list[ScheduledRun]:
        query = PageQuery(limit=limit)
        page = await self._store.read(lambda tx: list_scheduled_runs(tx, DEFAULT_PROJECT, schedule_id, query))
        return [ScheduledRun(run.id, run.thread_id, run.created_at, run.status) for run in page.items]

    def _said(self) -> list[Schedule]:
        return declared_schedules(self._config, now=self._clock.now())

    def _as_stored(self, said: Schedule, stored: Schedule | None) -> Schedule:
        """What the next start will make of a declared schedule."""
        if stored is not None and (self._is_declared or stored.declared_hash == said.declared_hash):
            return stored
        return said.model_copy(update={"next_at": next_due(said, now=self._clock.now())})

    async def _declare(self) -> None:
        if self._is_declared:
            return
        now = self._clock.now()
        assistants = Assistants(
            store=self._store, dispatcher=LocalDispatcher(), clock=self._clock, check_model=_unchecked
        )
        await assistants.declare(declared_assistants(self._config, load_tools(self._config, ()), now=now))
        await self._schedules.declare(self._said())
        self._is_declared = True


def _unchecked(model: str) -> None:
    """Declaring asks for no model."""
    raise NotFoundError("model", model)


def _row(schedule: Schedule) -> ScheduleRow:
    return ScheduleRow(
        id=schedule.id,
        name=schedule.name,
        created_at=schedule.created_at,
        origin=schedule.origin,
        cron=schedule.cron,
        timezone=schedule.timezone,
        assistant_id=schedule.assistant_id,
        message=schedule.message,
        thread=schedule.thread,
        thread_id=schedule.thread_id,
        on_busy=schedule.on_busy,
        catch_up_seconds=schedule.catch_up_s,
        enabled=schedule.is_enabled,
        metadata=schedule.meta,
        next_run_at=schedule.next_at,
        last_run_at=schedule.fired_at,
        last_run_id=schedule.run_id,
        error=schedule.error,
        error_at=schedule.error_at,
    )
