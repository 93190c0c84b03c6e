"""/threads/{thread_id}/runs and /threads/runs. Every way to follow one is in run_streams.py."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from agentrt.engine.run import Run
from agentrt.server.endpoint import ApiRoute, Call, Speech, answer, answer_polled, speaks
from agentrt.server.pages import INCLUDE, page_parameters, page_query
from agentrt.server.render.assistants import render_run
from agentrt.server.requests import new_run, new_run_of_thread, new_thread
from agentrt.server.routes.run_streams import stream_run
from agentrt.store.database import Tx
from agentrt.store.pages import Page as StoredPage
from agentrt.store.runs import StoredRun, find_run, list_runs
from agentrt.store.threads import find_thread
from agentrt.wire.pages import Page, render_page, wants_search_content
from agentrt.wire.runs import (
    CreateRunRequest,
    CreateThreadAndRunRequest,
    RunObject,
    SubmitToolOutputsRequest,
    UpdateRunRequest,
    read_tool_outputs,
)

router = APIRouter(prefix="/v1/threads", tags=["Runs"], route_class=ApiRoute)


@router.post("/runs")
@speaks(Speech(body=CreateThreadAndRunRequest, answer=RunObject, streams=True))
async def create_thread_and_run(call: Call) -> Response:
    """Create a thread and run it, in one request."""
    body = await call.read(CreateThreadAndRunRequest)
    run = await call.runtime.runs.create_with_thread(call.project, new_thread(body.thread), new_run_of_thread(body))
    return stream_run(call, run.spec.id) if body.stream else answer_run(call, run)


@router.post("/{thread_id}/runs")
@speaks(Speech(body=CreateRunRequest, answer=RunObject, query=(INCLUDE,), streams=True))
async def create_run(call: Call, thread_id: str) -> Response:
    """Run an assistant on a thread."""
    with_content = wants_search_content(call.query)
    body = await call.read(CreateRunRequest)
    run = await call.runtime.runs.create(call.project, thread_id, new_run(body))
    return stream_run(call, run.spec.id, with_content=with_content) if body.stream else answer_run(call, run)


@router.get("/{thread_id}/runs")
@speaks(Speech(answer=Page[RunObject], query=page_parameters(kind="run")))
async def list_thread_runs(call: Call, thread_id: str) -> Response:
    """List the runs of a thread."""
    query = page_query(call)

    def read(tx: Tx) -> StoredPage[StoredRun]:
        find_thread(tx, call.project, thread_id)
        return list_runs(tx, call.project, thread_id, query)

    page = await call.runtime.store.read(read)
    return answer(render_page([render_run(row.to_run()) for row in page.items], has_more=page.has_more))


@router.get("/{thread_id}/runs/{run_id}")
@speaks(Speech(answer=RunObject))
async def get_run(call: Call, thread_id: str, run_id: str) -> Response:
    """Retrieve a run."""
    row = await call.runtime.store.read(lambda tx: find_run(tx, call.project, thread_id, run_id))
    return answer_run(call, row.to_run())


@router.post("/{thread_id}/runs/{run_id}")
@speaks(Speech(body=UpdateRunRequest, answer=RunObject))
async def update_run(call: Call, thread_id: str, run_id: str) -> Response:
    """Modify a run's metadata."""
    body = await call.read(UpdateRunRequest)
    metadata = (body.metadata or {}) if "metadata" in body.model_fields_set else None
    return answer_run(call, await call.runtime.runs.update(call.project, thread_id, run_id, metadata=metadata))


@router.post("/{thread_id}/runs/{run_id}/cancel")
@speaks(Speech(answer=RunObject))
async def cancel_run(call: Call, thread_id: str, run_id: str) -> Response:
    """Cancel a run that has not ended."""
    return answer_run(call, await call.runtime.runs.cancel(call.project, thread_id, run_id))


@router.post("/{thread_id}/runs/{run_id}/submit_tool_outputs")
@speaks(Speech(body=SubmitToolOutputsRequest, answer=RunObject, streams=True))
async def submit_tool_outputs(call: Call, thread_id: str, run_id: str) -> Response:
    """Give a waiting run the outputs of all the calls that it waits for."""
    body = await call.read(SubmitToolOutputsRequest)
    submitted = await call.runtime.runs.submit(call.project, thread_id, run_id, read_tool_outputs(body))
    if body.stream:
        metadata = submitted.run.spec.metadata
        return stream_run(call, run_id, after=submitted.after, metadata=metadata)
    return answer_run(call, submitted.run)


def answer_run(call: Call, run: Run) -> Response:
    """A run, and when it is worth asking for it again."""
    return answer_polled(call, render_run(run), created_at=run.spec.created_at)
