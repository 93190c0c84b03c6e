"""/assistants"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from agentrt.server.endpoint import ApiRoute, Call, Speech, answer, speaks
from agentrt.server.pages import answer_page, page_parameters, page_query
from agentrt.server.render.assistants import render_assistant
from agentrt.server.requests import assistant_changes, new_assistant
from agentrt.store.assistants import find_assistant, list_assistants
from agentrt.wire.assistants import (
    AssistantDeleted,
    AssistantObject,
    CreateAssistantRequest,
    UpdateAssistantRequest,
)
from agentrt.wire.pages import Page

router = APIRouter(prefix="/v1/assistants", tags=["Assistants"], route_class=ApiRoute)


@router.post("")
@speaks(Speech(body=CreateAssistantRequest, answer=AssistantObject))
async def create_assistant(call: Call) -> Response:
    """Create an assistant with a model and instructions."""
    body = await call.read(CreateAssistantRequest)
    assistant = await call.runtime.assistants.create(call.project, new_assistant(body))
    return answer(render_assistant(assistant))


@router.get("")
@speaks(Speech(answer=Page[AssistantObject], query=page_parameters(kind="assistant")))
async def list_all_assistants(call: Call) -> Response:
    """List assistants, those declared in agents.toml included."""
    query = page_query(call)
    page = await call.runtime.store.read(lambda tx: list_assistants(tx, call.project, query))
    return answer_page(page, render_assistant)


@router.get("/{assistant_id}")
@speaks(Speech(answer=AssistantObject))
async def get_assistant(call: Call, assistant_id: str) -> Response:
    """Retrieve an assistant."""
    assistant = await call.runtime.store.read(lambda tx: find_assistant(tx, call.project, assistant_id))
    return answer(render_assistant(assistant))


@router.post("/{assistant_id}")
@speaks(Speech(body=UpdateAssistantRequest, answer=AssistantObject))
async def update_assistant(call: Call, assistant_id: str) -> Response:
    """Modify an assistant: what is absent stays, null clears."""
    body = await call.read(UpdateAssistantRequest)
    assistant = await call.runtime.assistants.update(call.project, assistant_id, assistant_changes(body))
    return answer(render_assistant(assistant))


@router.delete("/{assistant_id}")
@speaks(Speech(answer=AssistantDeleted))
async def delete_assistant(call: Call, assistant_id: str) -> Response:
    """Delete an assistant."""
    await call.runtime.assistants.delete(call.project, assistant_id)
    deleted: AssistantDeleted = {"id": assistant_id, "object": "assistant.deleted", "deleted": True}
    return answer(deleted)
