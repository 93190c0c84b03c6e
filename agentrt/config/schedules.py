"""[schedules.*] → ScheduleSpec: the agent exists, the cron expression and the time zone are ones."""

from __future__ import annotations

from collections.abc import Mapping

from agentrt.config.merge import Entry, Merged
from agentrt.config.report import Report
from agentrt.config.schema import AgentSpec, ScheduleSpec
from agentrt.config.timers import ScheduleTable
from agentrt.cron import read_timetable
from agentrt.errors import TimetableError
from agentrt.suggest import did_you_mean, listed


def schedule_specs(merged: Merged, agents: Mapping[str, AgentSpec], report: Report) -> dict[str, ScheduleSpec]:
    """All schedules, in the file's order."""
    return {name: _spec(entry, merged, agents, report) for name, entry in merged.schedules.items()}


def _spec(entry: Entry[ScheduleTable], merged: Merged, agents: Mapping[str, AgentSpec], report: Report) -> ScheduleSpec:
    table = entry.table
    names = merged.names["agents"] | agents.keys()
    if table.agent not in names:
        fix = did_you_mean(table.agent, names, otherwise=f"there are {listed(sorted(names), last='and')}")
        report.problem(entry.source, (*entry.path, "agent"), f'there is no agent "{table.agent}"', fix=fix)
    _check_timetable(entry, report)
    agent = agents.get(table.agent)
    return ScheduleSpec(
        name=entry.name,
        id=f"sched_{entry.name}",
        cron=table.cron,
        timezone=table.timezone,
        assistant_id=agent.id if agent is not None else "",
        message=table.message,
        thread=table.thread,
        on_busy=table.on_busy,
        catch_up_s=table.catch_up,
        enabled=table.enabled,
        metadata=dict(table.metadata),
    )


def _check_timetable(entry: Entry[ScheduleTable], report: Report) -> None:
    for cron, timezone in ((entry.table.cron, "UTC"), ("* * * * *", entry.table.timezone)):
        try:
            read_timetable(cron, timezone)
        except TimetableError as error:
            report.problem(entry.source, (*entry.path, error.param or "cron"), error.what, fix=error.fix)
