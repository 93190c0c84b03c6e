"""/files"""

from __future__ import annotations

from typing import get_args

from fastapi import APIRouter
from starlette.responses import Response

from agentrt.errors import InvalidRequestError
from agentrt.server.downloads import ANY_TYPE, answer_content
from agentrt.server.endpoint import ApiRoute, Call, Speech, answer, speaks
from agentrt.server.forms import receive_file
from agentrt.server.pages import answer_page, page_parameters, page_query, query_parameter
from agentrt.server.render.assistants import render_file
from agentrt.store.files import File, find_file, list_files
from agentrt.wire.files import FileDeleted, FileObject, UploadPurpose
from agentrt.wire.pages import Page, read_filter

router = APIRouter(prefix="/v1/files", tags=["Files"], route_class=ApiRoute)

MAX_FILES_PAGE = 10_000

_PURPOSE = query_parameter("purpose", {"type": "string"}, "Only files of this purpose.")
_PAGE = tuple(
    parameter
    for parameter in page_parameters(max_limit=MAX_FILES_PAGE, default_limit=MAX_FILES_PAGE, kind="file")
    if parameter["name"] != "before"
)
_FORM = {
    "type": "object",
    "properties": {
        "file": {"type": "string", "format": "binary"},
        "purpose": {"type": "string", "enum": list(get_args(UploadPurpose))},
        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
        "expires_after[seconds]": {"type": "integer", "minimum": 3600, "maximum": 2_592_000},
    },
    "required": ["file", "purpose"],
    "dependentRequired": {
        "expires_after[anchor]": ["expires_after[seconds]"],
        "expires_after[seconds]": ["expires_after[anchor]"],
    },
    "additionalProperties": False,
}


@router.post("")
@speaks(Speech(form=_FORM, answer=FileObject))
async def upload_file(call: Call) -> Response:
    """Upload a file, as a multipart form. At most 512 MB, unless agents.toml says otherwise."""
    return answer(render_file(await receive_file(call)))


@router.get("")
@speaks(Speech(answer=Page[FileObject], query=(*_PAGE, _PURPOSE)))
async def list_all_files(call: Call) -> Response:
    """List files."""
    query = page_query(call, max_limit=MAX_FILES_PAGE, default_limit=MAX_FILES_PAGE)
    if query.before is not None:
        raise InvalidRequestError("Unknown parameter: 'before'.", param="before", code="unknown_parameter")
    purpose = read_filter(call.query, "purpose")
    page = await call.runtime.store.read(lambda tx: list_files(tx, call.project, query, purpose=purpose))
    return answer_page(page, render_file)


@router.get("/{file_id}")
@speaks(Speech(answer=FileObject))
async def get_file(call: Call, file_id: str) -> Response:
    """Retrieve what is known of a file."""
    return answer(render_file(await _find(call, file_id)))


@router.delete("/{file_id}")
@speaks(Speech(answer=FileDeleted))
async def delete_file(call: Call, file_id: str) -> Response:
    """Delete a file, also from every vector store and code interpreter that names it."""
    await call.runtime.files.delete(call.project, file_id)
    deleted: FileDeleted = {"id": file_id, "object": "file", "deleted": True}
    return answer(deleted)


@router.api_route("/{file_id}/content", methods=["GET", "HEAD"])
@speaks(Speech(answer=ANY_TYPE))
async def get_file_content(call: Call, file_id: str) -> Response:
    """Download a file, or a range of it."""
    return await answer_content(call, await _find(call, file_id))


async def _find(call: Call, file_id: str) -> File:
    return await call.runtime.store.read(lambda tx: find_file(tx, call.project, file_id))
