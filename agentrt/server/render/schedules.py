"""Rows of schedules → what the API says of them."""

from __future__ import annotations

from typing import Literal, cast

from agentrt.store.schedules import Schedule
from agentrt.wire.base import OnBusy
from agentrt.wire.schedules import ScheduleError, ScheduleObject


def render_schedule(schedule: Schedule) -> ScheduleObject:
    error: ScheduleError | None = None
    if schedule.error is not None:
        error = {"message": schedule.error, "at": schedule.error_at or 0}
    return {
        "id": schedule.id,
        "object": "schedule",
        "created_at": schedule.created_at,
        "name": schedule.name,
        "cron": schedule.cron,
        "timezone": schedule.timezone,
        "assistant_id": schedule.assistant_id,
        "message": schedule.message,
        "thread": schedule.thread,
        "thread_id": schedule.thread_id,
        "on_busy": cast("OnBusy | None", schedule.on_busy),
        "catch_up_seconds": schedule.catch_up_s,
        "enabled": schedule.is_enabled,
        "metadata": schedule.meta,
        "origin": cast("Literal['toml', 'api']", schedule.origin),
        "next_run_at": schedule.next_at,
        "last_run_at": schedule.fired_at,
        "last_run_id": schedule.run_id,
        "last_error": error,
    }
