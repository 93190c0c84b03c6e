"""/runs: the runs of all threads of the project. Not part of the original API, whose runs are found by thread only."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from agentrt.engine.run import RunStatus
from agentrt.errors import InvalidRequestError
from agentrt.server.endpoint import ApiRoute, Call, Speech, answer, speaks
from agentrt.server.pages import page_parameters, page_query, query_parameter
from agentrt.server.render.assistants import render_run
from agentrt.server.render.run_log import render_entry
from agentrt.server.requests import on_busy
from agentrt.server.routes.runs import answer_run
from agentrt.store.database import Tx
from agentrt.store.pages import Page as StoredPage
from agentrt.store.run_lists import RunFilter, find_run_of_project, list_project_runs, list_runs_beginning
from agentrt.store.run_log import LogEntry, read_log
from agentrt.store.runs import StoredRun
from agentrt.wire.pages import (
    Page,
    read_choice,
    read_choices,
    read_filter,
    read_limit,
    read_place,
    read_time,
    render_page,
)
from agentrt.wire.run_events import RunEventObject
from agentrt.wire.runs import RetryRunRequest, RunObject

router = APIRouter(prefix="/v1/runs", tags=["Runs of all threads"], route_class=ApiRoute)

MAX_EVENTS_PAGE = 1000

_STATUSES = tuple(status.value for status in RunStatus)
_TIME = {"type": "integer", "minimum": 0}
_FILTERS = (
    query_parameter(
        "status",
        {"type": "array", "items": {"type": "string", "enum": list(_STATUSES)}},
        "Only runs with one of these statuses; repeated, or separated by commas.",
    ),
    query_parameter("assistant_id", {"type": "string"}, "Only runs of this assistant."),
    query_parameter("thread_id", {"type": "string"}, "Only runs on this thread."),
    query_parameter("created_after", _TIME, "Only runs created in this second (Unix time) or later."),
    query_parameter("created_before", _TIME, "Only runs created before this second (Unix time)."),
)
_ID_PREFIX = query_parameter(
    "id_prefix", {"type": "string"}, "Only runs whose IDs begin so. Goes with `limit` and with nothing else."
)
_EVENTS = (
    query_parameter(
        "starting_after",
        {"type": "string", "pattern": r"^\d{1,15}\.\d{1,15}$"},
        "Only what follows the event with this ID.",
    ),
    query_parameter(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MAX_EVENTS_PAGE, "default": 100},
        "How many objects to return.",
    ),
    query_parameter(
        "deltas",
        {"type": "string", "enum": ["joined", "all"], "default": "joined"},
        "Whether deltas that follow each other are one object, or each is its own.",
    ),
)


@router.get("")
@speaks(Speech(answer=Page[RunObject], query=(*page_parameters(kind="run"), *_FILTERS, _ID_PREFIX)))
async def list_all_runs(call: Call) -> Response:
    """List the runs of all threads, newest first."""
    query, prefix = page_query(call), read_filter(call.query, "id_prefix")
    only = _run_filter(call)
    if prefix is not None and (only != RunFilter() or query.after or query.before or query.order == "asc"):
        raise InvalidRequestError("'id_prefix' goes with 'limit' and with nothing else.", param="id_prefix")

    def read(tx: Tx) -> StoredPage[StoredRun]:
        if prefix is not None:
            return list_runs_beginning(tx, call.project, prefix, limit=query.limit)
        return list_project_runs(tx, call.project, query, only)

    page = await call.runtime.store.read(read)
    return answer(render_page([render_run(row.to_run()) for row in page.items], has_more=page.has_more))


@router.get("/{run_id}")
@speaks(Speech(answer=RunObject))
async def find_run(call: Call, run_id: str) -> Response:
    """Retrieve a run by its ID alone."""
    return answer_run(call, (await _find(call, run_id)).to_run())


@router.get("/{run_id}/events")
@speaks(Speech(answer=Page[RunEventObject], query=_EVENTS))
async def list_run_events(call: Call, run_id: str) -> Response:
    """List what happened in a run, from its beginning."""
    limit = read_limit(call.query, max_limit=MAX_EVENTS_PAGE, default_limit=100)
    after = read_place(read_filter(call.query, "starting_after"), name="starting_after")
    joins_deltas = read_choice(call.query, "deltas", ("joined", "all")) != "all"

    def read(tx: Tx) -> tuple[list[LogEntry], bool]:
        find_run_of_project(tx, call.project, run_id)
        return read_log(tx, run_id, after=after, limit=limit, joins_deltas=joins_deltas)

    entries, has_more = await call.runtime.store.read(read)
    return answer(render_page([render_entry(entry) for entry in entries], has_more=has_more))


@router.post("/{run_id}/cancel")
@speaks(Speech(answer=RunObject))
async def cancel_run_of_project(call: Call, run_id: str) -> Response:
    """Cancel a run that has not ended, by its ID alone."""
    row = await _find(call, run_id)
    return answer_run(call, await call.runtime.runs.cancel(call.project, row.thread_id, run_id))


@router.post("/{run_id}/retry")
@speaks(Speech(body=RetryRunRequest, answer=RunObject))
async def retry_run(call: Call, run_id: str) -> Response:
    """Run again what failed, expired, was cut off or cancelled: a new run on the same thread, with its parameters."""
    body = await call.read(RetryRunRequest)
    return answer_run(call, await call.runtime.runs.retry(call.project, run_id, on_busy=on_busy(body.agentrt)))


async def _find(call: Call, run_id: str) -> StoredRun:
    return await call.runtime.store.read(lambda tx: find_run_of_project(tx, call.project, run_id))


def _run_filter(call: Call) -> RunFilter:
    query = call.query
    return RunFilter(
        statuses=frozenset(RunStatus(status) for status in read_choices(query, "status", _STATUSES)),
        assistant_id=read_filter(query, "assistant_id"),
        thread_id=read_filter(query, "thread_id"),
        since=read_time(query, "created_after"),
        until=read_time(query, "created_before"),
    )
