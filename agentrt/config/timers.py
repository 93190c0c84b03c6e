"""What agents.toml says about time, as it is written: `[schedules.*]` and the runtime's `retention`."""

# ruff: noqa: RUF012 - pydantic copies a mutable default for every table

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from agentrt.config.fields import THREAD_PATTERN, Bool, Duration, Period, Table, Text
from agentrt.config.schema import OnBusy


class RetentionTable(Table):
    """How long things are kept: `"forever"`, or a duration."""

    threads: Annotated[
        Period,
        Field(
            description="Threads with all that is in them, since their last message or run. A run that waits for its "
            "caller keeps its thread.",
            examples=["90d"],
            json_schema_extra={"default": "forever"},
        ),
    ] = None
    files: Annotated[
        Period,
        Field(
            description="Uploaded files, since the upload. What a vector store holds or an assistant names is kept; an "
            "upload's own `expires_after` counts as ever.",
            examples=["90d"],
            json_schema_extra={"default": "forever"},
        ),
    ] = None
    events: Annotated[
        Period,
        Field(
            description="A run's events, since its end: for as long its stream can be followed again. The run, its "
            "steps and its messages stay.",
            examples=["14d"],
            json_schema_extra={"default": "14d"},
        ),
    ] = 14 * 86_400.0
    webhook_deliveries: Annotated[
        Period,
        Field(
            description="What was sent to a webhook, with its attempts, since it was delivered or given up.",
            examples=["30d"],
            json_schema_extra={"default": "30d"},
        ),
    ] = 30 * 86_400.0


class ScheduleTable(Table):
    """A message that an agent gets again and again. The table's name is what `agentrt schedules` calls it."""

    cron: Annotated[
        Text,
        Field(
            description="When: minute, hour, day of the month, month, day of the week. Names, lists, ranges and steps "
            "as in cron; `L` is the last day of the month, `5L` the last Friday, `mon#1` the first Monday.",
            examples=["0 9 * * mon-fri"],
        ),
    ]
    timezone: Annotated[
        Text, Field(description="The time zone of `cron`, by its IANA name.", examples=["Europe/Oslo"])
    ] = "UTC"
    agent: Annotated[Text, Field(description="The `[agents.*]` that gets it.", examples=["helper"])]
    message: Annotated[
        Annotated[str, StringConstraints(min_length=1, max_length=256_000)],
        Field(description="What the agent is asked.", examples=["Summarise what happened yesterday."]),
    ]
    thread: Annotated[
        Annotated[str, StringConstraints(pattern=THREAD_PATTERN)],
        Field(
            description="`new`: a thread for each run; `same`: one thread for all, so that the agent remembers; or the "
            "id of a thread that there is.",
            examples=["new"],
        ),
    ] = "new"
    on_busy: Annotated[
        OnBusy | None,
        Field(
            description="What happens when a run is still active on the thread: this one is not made, or waits, or the "
            "active one is cancelled for it. Default: the agent's.",
            examples=["enqueue"],
        ),
    ] = None
    catch_up: Annotated[
        Duration,
        Field(
            ge=60,
            description="How late a run is still made when nothing was running at its time. Of several missed times "
            "only the last one counts.",
            examples=["1h"],
            json_schema_extra={"default": "1h"},
        ),
    ] = 3600.0
    enabled: Annotated[
        Bool,
        Field(
            description="Whether it is due at all. `agentrt schedules enable` and `disable` count until this table "
            "changes.",
            examples=[True],
        ),
    ] = True
    metadata: Annotated[
        dict[Annotated[str, StringConstraints(max_length=64)], Annotated[str, StringConstraints(max_length=512)]],
        Field(
            max_length=14,
            description="Up to 14 pairs of texts. Its runs have them too, with `schedule_id` and `scheduled_at`.",
            examples=[{"team": "support"}],
        ),
    ] = {}
