"""/vector_stores, and searching them. Their files are in vector_store_files.py."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from agentrt.runtime.vector_stores.watching.state import read_folder_state
from agentrt.server.endpoint import ApiRoute, Call, Speech, answer, speaks
from agentrt.server.pages import page_parameters, page_query
from agentrt.server.render.vector_stores import render_folders, render_search, render_vector_store
from agentrt.server.requests import new_vector_store, store_query, vector_store_changes
from agentrt.store.database import Tx
from agentrt.store.vector_store_files import FileCounts, count_files
from agentrt.store.vector_stores import VectorStore, find_vector_store, list_vector_stores
from agentrt.wire.pages import Page, render_page
from agentrt.wire.vector_stores import (
    CreateVectorStoreRequest,
    SearchResultsPage,
    SearchVectorStoreRequest,
    StoreFoldersObject,
    UpdateVectorStoreRequest,
    VectorStoreDeleted,
    VectorStoreObject,
)

router = APIRouter(prefix="/v1/vector_stores", tags=["Vector stores"], route_class=ApiRoute)


@router.post("")
@speaks(Speech(body=CreateVectorStoreRequest, answer=VectorStoreObject))
async def create_vector_store(call: Call) -> Response:
    """Create a vector store; its first files are being indexed when this returns."""
    body = await call.read(CreateVectorStoreRequest)
    made = await call.runtime.vector_stores.create(call.project, new_vector_store(body))
    return await _answer_store(call, made.id)


@router.get("")
@speaks(Speech(answer=Page[VectorStoreObject], query=page_parameters(kind="vector store")))
async def list_all_vector_stores(call: Call) -> Response:
    """List vector stores, the expired ones too."""
    query = page_query(call)
    now = call.runtime.clock.now()

    def read(tx: Tx) -> tuple[list[VectorStoreObject], bool]:
        page = list_vector_stores(tx, call.project, query)
        return [render_vector_store(store, count_files(tx, store.id), now=now) for store in page.items], page.has_more

    items, has_more = await call.runtime.store.read(read)
    return answer(render_page(items, has_more=has_more))


@router.get("/{vector_store_id}")
@speaks(Speech(answer=VectorStoreObject))
async def get_vector_store(call: Call, vector_store_id: str) -> Response:
    """Retrieve a vector store and how far its files have come."""
    return await _answer_store(call, vector_store_id)


@router.post("/{vector_store_id}")
@speaks(Speech(body=UpdateVectorStoreRequest, answer=VectorStoreObject))
async def update_vector_store(call: Call, vector_store_id: str) -> Response:
    """Modify a vector store: what is absent stays, null clears."""
    body = await call.read(UpdateVectorStoreRequest)
    await call.runtime.vector_stores.update(call.project, vector_store_id, vector_store_changes(body))
    return await _answer_store(call, vector_store_id)


@router.delete("/{vector_store_id}")
@speaks(Speech(answer=VectorStoreDeleted))
async def delete_vector_store(call: Call, vector_store_id: str) -> Response:
    """Delete a vector store; its files stay."""
    await call.runtime.vector_stores.delete(call.project, vector_store_id)
    deleted: VectorStoreDeleted = {"id": vector_store_id, "object": "vector_store.deleted", "deleted": True}
    return answer(deleted)


@router.get("/{vector_store_id}/folders")
@speaks(Speech(answer=StoreFoldersObject))
async def get_store_folders(call: Call, vector_store_id: str) -> Response:
    """How the watched folders of a declared store stand."""
    config = call.runtime.config
    state = await call.runtime.store.read(lambda tx: read_folder_state(tx, config, call.project, vector_store_id))
    return answer(render_folders(state))


@router.post("/{vector_store_id}/search")
@speaks(Speech(body=SearchVectorStoreRequest, answer=SearchResultsPage))
async def search_vector_store(call: Call, vector_store_id: str) -> Response:
    """Search a vector store for passages, by words and, with an embedding model, by meaning."""
    asked = store_query(await call.read(SearchVectorStoreRequest))
    found = await call.runtime.store_search.search(call.project, [vector_store_id], asked)
    return answer(render_search(found, explains=asked.explains))


async def _answer_store(call: Call, store_id: str) -> Response:
    def read(tx: Tx) -> tuple[VectorStore, FileCounts]:
        return find_vector_store(tx, call.project, store_id), count_files(tx, store_id)

    store, counts = await call.runtime.store.read(read)
    return answer(render_vector_store(store, counts, now=call.runtime.clock.now()))
