"""/schedules. Not part of the original API."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from agentrt.server.endpoint import ApiRoute, Call, Speech, answer, speaks
from agentrt.server.pages import answer_page, page_parameters, page_query
from agentrt.server.render.assistants import render_run
from agentrt.server.render.schedules import render_schedule
from agentrt.server.requests import new_schedule, schedule_changes
from agentrt.store.database import Tx
from agentrt.store.pages import Page as StoredPage
from agentrt.store.runs import StoredRun, list_scheduled_runs
from agentrt.store.schedules import find_schedule, list_schedules
from agentrt.wire.pages import Page, render_page
from agentrt.wire.runs import RunObject
from agentrt.wire.schedules import (
    CreateScheduleRequest,
    FireScheduleRequest,
    ScheduleDeleted,
    ScheduleObject,
    UpdateScheduleRequest,
)

router = APIRouter(prefix="/v1/schedules", tags=["Schedules"], route_class=ApiRoute)


@router.post("")
@speaks(Speech(body=CreateScheduleRequest, answer=ScheduleObject))
async def create_schedule(call: Call) -> Response:
    """Create a schedule: a message that an assistant gets at set times."""
    body = await call.read(CreateScheduleRequest)
    return answer(render_schedule(await call.runtime.schedules.create(call.project, new_schedule(body))))


@router.get("")
@speaks(Speech(answer=Page[ScheduleObject], query=page_parameters(kind="schedule")))
async def list_all_schedules(call: Call) -> Response:
    """List schedules, those declared in agents.toml included."""
    query = page_query(call)
    page = await call.runtime.store.read(lambda tx: list_schedules(tx, call.project, query))
    return answer_page(page, render_schedule)


@router.get("/{schedule_id}")
@speaks(Speech(answer=ScheduleObject))
async def get_schedule(call: Call, schedule_id: str) -> Response:
    """Retrieve a schedule."""
    schedule = await call.runtime.store.read(lambda tx: find_schedule(tx, call.project, schedule_id))
    return answer(render_schedule(schedule))


@router.post("/{schedule_id}")
@speaks(Speech(body=UpdateScheduleRequest, answer=ScheduleObject))
async def update_schedule(call: Call, schedule_id: str) -> Response:
    """Modify a schedule: what is absent stays, null clears. Of a declared one, only `enabled` can be changed."""
    body = await call.read(UpdateScheduleRequest)
    changed = await call.runtime.schedules.update(call.project, schedule_id, schedule_changes(body))
    return answer(render_schedule(changed))


@router.delete("/{schedule_id}")
@speaks(Speech(answer=ScheduleDeleted))
async def delete_schedule(call: Call, schedule_id: str) -> Response:
    """Delete a schedule; its runs stay."""
    await call.runtime.schedules.delete(call.project, schedule_id)
    deleted: ScheduleDeleted = {"id": schedule_id, "object": "schedule.deleted", "deleted": True}
    return answer(deleted)


@router.post("/{schedule_id}/run")
@speaks(Speech(body=FireScheduleRequest, answer=RunObject))
async def fire_schedule(call: Call, schedule_id: str) -> Response:
    """Make the schedule's run now; when it is due next stays as it is."""
    await call.read(FireScheduleRequest)
    return answer(render_run(await call.runtime.firing.fire(call.project, schedule_id)))


@router.get("/{schedule_id}/runs")
@speaks(Speech(answer=Page[RunObject], query=page_parameters(kind="run")))
async def list_runs_of_schedule(call: Call, schedule_id: str) -> Response:
    """List the runs that a schedule made, newest first."""
    query = page_query(call)

    def read(tx: Tx) -> StoredPage[StoredRun]:
        find_schedule(tx, call.project, schedule_id)
        return list_scheduled_runs(tx, call.project, schedule_id, query)

    page = await call.runtime.store.read(read)
    return answer(render_page([render_run(row.to_run()) for row in page.items], has_more=page.has_more))
