"""What the command line needs of schedules, in this process or behind a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A schedule. Times are Unix seconds.

    thread: `new`, `same`, or a thread's id; thread_id: of `same`, the thread that it made. next_run_at: None when it
    is disabled. error, error_at: why the last due time made no run. origin: `toml` or `api`.
    """

    id: str
    name: str | None
    created_at: int
    origin: str
    cron: str
    timezone: str
    assistant_id: str
    message: str
    thread: str
    thread_id: str | None
    on_busy: str | None
    catch_up_seconds: int
    enabled: bool
    metadata: Mapping[str, str]
    next_run_at: int | None
    last_run_at: int | None
    last_run_id: str | None
    error: str | None
    error_at: int | None

    @property
    def title(self) -> str:
        """What people call it."""
        return self.name or self.id


@dataclass(frozen=True, slots=True)
class ScheduledRun:
    """A run that a schedule made."""

    id: str
    thread_id: str
    created_at: int
    status: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A schedule that shall be made."""

    cron: str
    assistant_id: str
    message: str
    name: str | None = None
    timezone: str = "UTC"
    thread: str = "new"
    on_busy: str | None = None
    catch_up_seconds: int = 3600
    enabled: bool = True
    metadata: Mapping[str, str] = field(default_factory=dict)


def in_order(rows: Sequence[ScheduleRow]) -> list[ScheduleRow]:
    """Those of agents.toml first, by name; then the others, newest first."""
    declared = sorted((row for row in rows if row.origin == "toml"), key=lambda row: row.title)
    return declared + [row for row in rows if row.origin != "toml"]


class ScheduleShelf(Protocol):
    """Reads and changes schedules, in the project `default`. Fires none."""

    async def all(self) -> list[ScheduleRow]:
        """See in_order."""
        ...

    async def create(self, wanted: Wanted) -> ScheduleRow:
        """Raises AgentrtError, CliError."""
        ...

    async def enable(self, schedule_id: str, *, is_enabled: bool) -> ScheduleRow:
        """Let it be due, or not. Raises NotFoundError."""
        ...

    async def delete(self, schedule_id: str) -> None:
        """Raises NotFoundError, and what says that it is declared in agents.toml."""
        ...

    async def runs(self, schedule_id: str, *, limit: int) -> list[ScheduledRun]:
        """Newest first."""
        ...
