"""The port's schedules over HTTP."""

from __future__ import annotations

from dataclasses import asdict, fields
from urllib.parse import quote

from agentrt.cli.remote_api import PAGE, Api, Json
from agentrt.cli.schedule_port import ScheduledRun, ScheduleRow, Wanted, in_order

_ROW_FIELDS = tuple(field.name for field in fields(ScheduleRow))


class RemoteSchedules:
    """Works through the API."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def all(self) -> list[ScheduleRow]:
        return in_order([_row(item) async for item in self._api.pages("/schedules", {})])

    async def create(self, wanted: Wanted) -> ScheduleRow:
        return _row(await self._api.call("POST", "/schedules", body=asdict(wanted)))

    async def enable(self, schedule_id: str, *, is_enabled: bool) -> ScheduleRow:
        return _row(await self._api.call("POST", _path(schedule_id), body={"enabled": is_enabled}))

    async def delete(self, schedule_id: str) -> None:
        await self._api.call("DELETE", _path(schedule_id))

    async def runs(self, schedule_id: str, *, limit: int) -> list[ScheduledRun]:
        page = await self._api.call("GET", f"{_path(schedule_id)}/runs", query={"limit": min(limit, PAGE)})
        return [ScheduledRun(run["id"], run["thread_id"], run["created_at"], run["status"]) for run in page["data"]]


def _path(schedule_id: str) -> str:
    return f"/schedules/{quote(schedule_id, safe='')}"


def _row(item: Json) -> ScheduleRow:
    error = item["last_error"] or {}
    known = {name: item[name] for name in _ROW_FIELDS if name in item}
    return ScheduleRow(**known, error=error.get("message"), error_at=error.get("at"))
