"""Schedules on the wire. The old service had none: these shapes are agentrt's own."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field
from typing_extensions import TypedDict

from agentrt.wire.base import MAX_INTEGER, Body, Boolean, Integer, LongText, Omittable, OnBusy, Pairs, few_pairs

SHORTEST_CATCH_UP_S: Final = 60
"""The service itself may be some seconds late."""

_MOST_PAIRS: Final = 14  # of the 16 of its runs; the other two are `schedule_id` and `scheduled_at`

ScheduleMetadata = Annotated[Pairs, Field(json_schema_extra={"maxProperties": _MOST_PAIRS}), few_pairs(_MOST_PAIRS)]
CronText = Annotated[str, Field(min_length=1, max_length=500)]
ZoneText = Annotated[str, Field(min_length=1, max_length=100)]
ObjectId = Annotated[str, Field(min_length=1, max_length=256)]
MessageText = Annotated[LongText, Field(min_length=1)]
CatchUp = Annotated[Integer, Field(ge=SHORTEST_CATCH_UP_S, le=MAX_INTEGER)]


class _ScheduleFields(Body):
    """What creates and updates share. In an update null clears and absent stays (`model_fields_set`).

    thread: `new` for each run, `same` for all, or a thread's id.
    """

    name: Annotated[str, Field(max_length=256)] | None = None
    timezone: Omittable[ZoneText] = None
    thread: Omittable[ObjectId] = None
    on_busy: OnBusy | None = None
    catch_up_seconds: Omittable[CatchUp] = None
    enabled: Omittable[Boolean] = None
    metadata: ScheduleMetadata | None = None


class CreateScheduleRequest(_ScheduleFields):
    """POST /schedules."""

    cron: CronText
    assistant_id: ObjectId
    message: MessageText


class UpdateScheduleRequest(_ScheduleFields):
    """POST /schedules/{schedule_id}."""

    cron: Omittable[CronText] = None
    assistant_id: Omittable[ObjectId] = None
    message: Omittable[MessageText] = None


class FireScheduleRequest(Body):
    """POST /schedules/{schedule_id}/run, whose body may be empty."""


class ScheduleError(TypedDict):
    """Why the last due time made no run."""

    message: str
    at: int


class ScheduleObject(TypedDict):
    """A schedule. origin: `toml` when agents.toml declares it. thread_id: of `same`, the thread that it made.

    next_run_at: null when it is disabled. last_error: null when the last due time made its run. Times are Unix seconds.
    """

    id: str
    object: Literal["schedule"]
    created_at: int
    name: str | None
    cron: str
    timezone: str
    assistant_id: str
    message: str
    thread: str
    thread_id: str | None
    on_busy: OnBusy | None
    catch_up_seconds: int
    enabled: bool
    metadata: dict[str, str]
    origin: Literal["toml", "api"]
    next_run_at: int | None
    last_run_at: int | None
    last_run_id: str | None
    last_error: ScheduleError | None


class ScheduleDeleted(TypedDict):
    id: str
    object: Literal["schedule.deleted"]
    deleted: Literal[True]
