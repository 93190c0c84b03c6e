"""/vector_stores/{vector_store_id}/files and …/file_batches."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter
from starlette.responses import Response

from agentrt.server.endpoint import ApiRoute, Call, Speech, answer, answer_polled, speaks
from agentrt.server.pages import answer_page, page_parameters, page_query, query_parameter
from agentrt.server.render.vector_stores import render_batch, render_store_file
from agentrt.server.requests import new_store_file, new_store_files
from agentrt.store.database import Tx
from agentrt.store.pages import Page as StoredPage
from agentrt.store.search_content import ContentPage, read_content
from agentrt.store.vector_store_batches import VectorStoreBatch, count_batch, find_batch, list_batch_files
from agentrt.store.vector_store_files import FileCounts, VectorStoreFile, find_store_file, list_store_files
from agentrt.store.vector_stores import find_vector_store
from agentrt.wire.pages import Page, read_choice, read_filter
from agentrt.wire.vector_stores import (
    STORE_FILE_STATUSES,
    CreateVectorStoreFileBatchRequest,
    CreateVectorStoreFileRequest,
    FileContentPage,
    StoreFileStatus,
    UpdateVectorStoreFileRequest,
    VectorStoreFileBatchObject,
    VectorStoreFileDeleted,
    VectorStoreFileObject,
)

router = APIRouter(prefix="/v1/vector_stores/{vector_store_id}", tags=["Vector stores"], route_class=ApiRoute)

_LIST = (
    *page_parameters(kind="file"),
    query_parameter("filter", {"type": "string", "enum": list(STORE_FILE_STATUSES)}, "Only files with this status."),
)
_PAGE = query_parameter("page", {"type": "string"}, "The `next_page` of the answer before.")


@router.post("/files")
@speaks(Speech(body=CreateVectorStoreFileRequest, answer=VectorStoreFileObject))
async def create_vector_store_file(call: Call, vector_store_id: str) -> Response:
    """Put a file into a vector store; it is being indexed when this returns."""
    body = await call.read(CreateVectorStoreFileRequest)
    file = await call.runtime.vector_stores.put_file(call.project, vector_store_id, new_store_file(body))
    return _answer_file(call, file)


@router.get("/files")
@speaks(Speech(answer=Page[VectorStoreFileObject], query=_LIST))
async def list_files_of_vector_store(call: Call, vector_store_id: str) -> Response:
    """List the files of a vector store."""
    query, status = page_query(call), _status(call)

    def read(tx: Tx) -> StoredPage[VectorStoreFile]:
        find_vector_store(tx, call.project, vector_store_id)
        return list_store_files(tx, vector_store_id, query, status=status)

    return answer_page(await call.runtime.store.read(read), render_store_file)


@router.get("/files/{file_id}")
@speaks(Speech(answer=VectorStoreFileObject))
async def get_vector_store_file(call: Call, vector_store_id: str, file_id: str) -> Response:
    """Retrieve what has become of a file in a vector store."""

    def read(tx: Tx) -> VectorStoreFile:
        find_vector_store(tx, call.project, vector_store_id)
        return find_store_file(tx, vector_store_id, file_id)

    return _answer_file(call, await call.runtime.store.read(read))


@router.post("/files/{file_id}")
@speaks(Speech(body=UpdateVectorStoreFileRequest, answer=VectorStoreFileObject))
async def update_vector_store_file(call: Call, vector_store_id: str, file_id: str) -> Response:
    """Replace the attributes of a file in a vector store."""
    body = await call.read(UpdateVectorStoreFileRequest)
    file = await call.runtime.vector_stores.set_attributes(call.project, vector_store_id, file_id, body.attributes)
    return _answer_file(call, file)


@router.delete("/files/{file_id}")
@speaks(Speech(answer=VectorStoreFileDeleted))
async def delete_vector_store_file(call: Call, vector_store_id: str, file_id: str) -> Response:
    """Take a file out of a vector store; the file itself stays."""
    await call.runtime.vector_stores.detach_file(call.project, vector_store_id, file_id)
    deleted: VectorStoreFileDeleted = {"id": file_id, "object": "vector_store.file.deleted", "deleted": True}
    return answer(deleted)


@router.get("/files/{file_id}/content")
@speaks(Speech(answer=FileContentPage, query=(_PAGE,)))
async def get_vector_store_file_content(call: Call, vector_store_id: str, file_id: str) -> Response:
    """Retrieve the text of a file as it was indexed."""
    place = read_filter(call.query, "page")

    def read(tx: Tx) -> ContentPage:
        find_vector_store(tx, call.project, vector_store_id)
        return read_content(tx, find_store_file(tx, vector_store_id, file_id), place)

    found = await call.runtime.store.read(read)
    page: FileContentPage = {
        "object": "vector_store.file_content.page",
        "data": [{"type": "text", "text": text} for text in found.texts],
        "has_more": found.next_page is not None,
        "next_page": found.next_page,
    }
    return answer(page)


@router.post("/file_batches")
@speaks(Speech(body=CreateVectorStoreFileBatchRequest, answer=VectorStoreFileBatchObject))
async def create_vector_store_file_batch(call: Call, vector_store_id: str) -> Response:
    """Put up to 2,000 files into a vector store; they are being indexed when this returns."""
    body = await call.read(CreateVectorStoreFileBatchRequest)
    batch = await call.runtime.vector_stores.put_batch(call.project, vector_store_id, new_store_files(body))
    return await _answer_batch(call, vector_store_id, batch.id)


@router.get("/file_batches/{batch_id}")
@speaks(Speech(answer=VectorStoreFileBatchObject))
async def get_vector_store_file_batch(call: Call, vector_store_id: str, batch_id: str) -> Response:
    """Retrieve how far a batch of files has come."""
    return await _answer_batch(call, vector_store_id, batch_id)


@router.post("/file_batches/{batch_id}/cancel")
@speaks(Speech(answer=VectorStoreFileBatchObject))
async def cancel_vector_store_file_batch(call: Call, vector_store_id: str, batch_id: str) -> Response:
    """Let those files of a batch be that are not indexed yet."""
    await call.runtime.vector_stores.cancel_batch(call.project, vector_store_id, batch_id)
    return await _answer_batch(call, vector_store_id, batch_id)


@router.get("/file_batches/{batch_id}/files")
@speaks(Speech(answer=Page[VectorStoreFileObject], query=_LIST))
async def list_files_of_batch(call: Call, vector_store_id: str, batch_id: str) -> Response:
    """List the files of a batch."""
    query, status = page_query(call), _status(call)

    def read(tx: Tx) -> StoredPage[VectorStoreFile]:
        find_vector_store(tx, call.project, vector_store_id)
        find_batch(tx, call.project, vector_store_id, batch_id)
        return list_batch_files(tx, batch_id, query, status=status)

    return answer_page(await call.runtime.store.read(read), render_store_file)


def _answer_file(call: Call, file: VectorStoreFile) -> Response:
    return answer_polled(call, render_store_file(file), created_at=file.created_at)


async def _answer_batch(call: Call, store_id: str, batch_id: str) -> Response:
    def read(tx: Tx) -> tuple[VectorStoreBatch, FileCounts]:
        find_vector_store(tx, call.project, store_id)
        return find_batch(tx, call.project, store_id, batch_id), count_batch(tx, batch_id)

    batch, counts = await call.runtime.store.read(read)
    return answer_polled(call, render_batch(batch, counts), created_at=batch.created_at)


def _status(call: Call) -> StoreFileStatus | None:
    return cast("StoreFileStatus | None", read_choice(call.query, "filter", STORE_FILE_STATUSES))
