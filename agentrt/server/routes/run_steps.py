"""/threads/{thread_id}/runs/{run_id}/steps"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from agentrt.server.endpoint import ApiRoute, Call, Speech, answer, speaks
from agentrt.server.pages import INCLUDE, answer_page, page_parameters, page_query
from agentrt.server.render.run_steps import render_step
from agentrt.store.database import Tx
from agentrt.store.pages import Page as StoredPage
from agentrt.store.run_steps import RunStep, find_step, list_steps
from agentrt.store.runs import find_run
from agentrt.wire.pages import Page, wants_search_content
from agentrt.wire.run_steps import RunStepObject

router = APIRouter(prefix="/v1/threads/{thread_id}/runs/{run_id}/steps", tags=["Run steps"], route_class=ApiRoute)


@router.get("")
@speaks(Speech(answer=Page[RunStepObject], query=(*page_parameters(kind="run step"), INCLUDE)))
async def list_run_steps(call: Call, thread_id: str, run_id: str) -> Response:
    """List the steps of a run."""
    with_content = wants_search_content(call.query)
    query = page_query(call)

    def read(tx: Tx) -> StoredPage[RunStep]:
        find_run(tx, call.project, thread_id, run_id)
        return list_steps(tx, call.project, run_id, query)

    page = await call.runtime.store.read(read)
    return answer_page(page, lambda step: render_step(step, with_content=with_content))


@router.get("/{step_id}")
@speaks(Speech(answer=RunStepObject, query=(INCLUDE,)))
async def get_run_step(call: Call, thread_id: str, run_id: str, step_id: str) -> Response:
    """Retrieve a step of a run."""
    with_content = wants_search_content(call.query)
    step = await call.runtime.store.read(lambda tx: find_step(tx, call.project, thread_id, run_id, step_id))
    return answer(render_step(step, with_content=with_content))
