"""/threads/{thread_id}/messages"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from agentrt.server.endpoint import ApiRoute, Call, Speech, answer, speaks
from agentrt.server.pages import answer_page, page_parameters, page_query, query_parameter
from agentrt.server.render.assistants import render_message
from agentrt.server.requests import new_message, on_busy
from agentrt.store.database import Tx
from agentrt.store.messages import Message, find_message, list_messages
from agentrt.store.pages import Page as StoredPage
from agentrt.store.threads import find_thread
from agentrt.wire.messages import CreateMessageRequest, MessageDeleted, MessageObject, UpdateMessageRequest
from agentrt.wire.pages import Page, read_filter

router = APIRouter(prefix="/v1/threads/{thread_id}/messages", tags=["Messages"], route_class=ApiRoute)

_RUN_ID = query_parameter("run_id", {"type": "string"}, "Only messages of this run.")


@router.post("")
@speaks(Speech(body=CreateMessageRequest, answer=MessageObject))
async def create_message(call: Call, thread_id: str) -> Response:
    """Add a message to a thread."""
    body = await call.read(CreateMessageRequest)
    message = await call.runtime.threads.add_message(
        call.project, thread_id, new_message(body), on_busy=on_busy(body.agentrt)
    )
    return answer(render_message(message))


@router.get("")
@speaks(Speech(answer=Page[MessageObject], query=(*page_parameters(kind="message"), _RUN_ID)))
async def list_thread_messages(call: Call, thread_id: str) -> Response:
    """List the messages of a thread."""
    query, run_id = page_query(call), read_filter(call.query, "run_id")

    def read(tx: Tx) -> StoredPage[Message]:
        find_thread(tx, call.project, thread_id)
        return list_messages(tx, call.project, thread_id, query, run_id=run_id)

    return answer_page(await call.runtime.store.read(read), render_message)


@router.get("/{message_id}")
@speaks(Speech(answer=MessageObject))
async def get_message(call: Call, thread_id: str, message_id: str) -> Response:
    """Retrieve a message."""
    message = await call.runtime.store.read(lambda tx: find_message(tx, call.project, thread_id, message_id))
    return answer(render_message(message))


@router.post("/{message_id}")
@speaks(Speech(body=UpdateMessageRequest, answer=MessageObject))
async def update_message(call: Call, thread_id: str, message_id: str) -> Response:
    """Modify a message's metadata."""
    body = await call.read(UpdateMessageRequest)
    metadata = (body.metadata or {}) if "metadata" in body.model_fields_set else None
    message = await call.runtime.threads.update_message(call.project, thread_id, message_id, metadata=metadata)
    return answer(render_message(message))


@router.delete("/{message_id}")
@speaks(Speech(answer=MessageDeleted))
async def delete_message(call: Call, thread_id: str, message_id: str) -> Response:
    """Delete a message."""
    await call.runtime.threads.delete_message(call.project, thread_id, message_id)
    deleted: MessageDeleted = {"id": message_id, "object": "thread.message.deleted", "deleted": True}
    return answer(deleted)
