"""/threads"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from agentrt.server.endpoint import ApiRoute, Call, Speech, answer, speaks
from agentrt.server.pages import answer_page, page_parameters, page_query, query_parameter
from agentrt.server.render.assistants import render_thread
from agentrt.server.requests import changed_resources, new_thread
from agentrt.store.threads import find_thread, list_threads
from agentrt.wire.pages import Page, read_metadata_filter
from agentrt.wire.threads import CreateThreadRequest, ThreadDeleted, ThreadObject, UpdateThreadRequest

router = APIRouter(prefix="/v1/threads", tags=["Threads"], route_class=ApiRoute)

_METADATA = query_parameter(
    "metadata",
    {"type": "object", "additionalProperties": {"type": "string"}},
    "Only threads that have all of these pairs: `metadata[KEY]=VALUE`.",
)


@router.post("")
@speaks(Speech(body=CreateThreadRequest, answer=ThreadObject))
async def create_thread(call: Call) -> Response:
    """Create a thread, with its first messages if there are any."""
    body = await call.read(CreateThreadRequest)
    thread = await call.runtime.threads.create(call.project, new_thread(body))
    return answer(render_thread(thread))


@router.get("")
@speaks(
    Speech(
        answer=Page[ThreadObject],
        query=(*page_parameters(kind="thread"), {**_METADATA, "style": "deepObject", "explode": True}),
    )
)
async def list_all_threads(call: Call) -> Response:
    """List threads, newest first. Not part of the original API."""
    query, metadata = page_query(call), read_metadata_filter(call.query)
    page = await call.runtime.store.read(lambda tx: list_threads(tx, call.project, query, metadata=metadata))
    return answer_page(page, render_thread)


@router.get("/{thread_id}")
@speaks(Speech(answer=ThreadObject))
async def get_thread(call: Call, thread_id: str) -> Response:
    """Retrieve a thread."""
    thread = await call.runtime.store.read(lambda tx: find_thread(tx, call.project, thread_id))
    return answer(render_thread(thread))


@router.post("/{thread_id}")
@speaks(Speech(body=UpdateThreadRequest, answer=ThreadObject))
async def update_thread(call: Call, thread_id: str) -> Response:
    """Modify a thread: what is absent stays, null clears."""
    body = await call.read(UpdateThreadRequest)
    sent = body.model_fields_set
    thread = await call.runtime.threads.update(
        call.project,
        thread_id,
        metadata=(body.metadata or {}) if "metadata" in sent else None,
        tool_resources=changed_resources(body.tool_resources) if "tool_resources" in sent else None,
    )
    return answer(render_thread(thread))


@router.delete("/{thread_id}")
@speaks(Speech(answer=ThreadDeleted))
async def delete_thread(call: Call, thread_id: str) -> Response:
    """Delete a thread with all that is in it."""
    await call.runtime.threads.delete(call.project, thread_id)
    deleted: ThreadDeleted = {"id": thread_id, "object": "thread.deleted", "deleted": True}
    return answer(deleted)
