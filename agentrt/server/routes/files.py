"""/files"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import get_args
from urllib.parse import quote

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from agentrt.errors import InvalidRequestError
from agentrt.server.endpoint import ApiRoute, Call, Speech, answer, speaks
from agentrt.server.pages import answer_page, page_parameters, page_query, query_parameter
from agentrt.server.render.assistants import render_file
from agentrt.server.uploads import receive_file
from agentrt.store.files import File, find_file, list_files
from agentrt.wire.files import FileDeleted, FileObject, UploadPurpose
from agentrt.wire.pages import Page, read_filter

router = APIRouter(prefix="/v1/files", tags=["Files"], route_class=ApiRoute)

MAX_FILES_PAGE = 10_000

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
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
    """Upload a file, as a multipart form. At most 512 MB."""
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


@router.get("/{file_id}/content")
@speaks(Speech(answer="application/octet-stream"))
async def get_file_content(call: Call, file_id: str) -> Response:
    """Download a file, or a range of it."""
    file = await _find(call, file_id)
    headers = {
        "accept-ranges": "bytes",
        # Never shown in a browser on this origin, whatever was uploaded.
        "content-disposition": f"attachment; filename*=utf-8''{quote(file.filename, safe='')}",
        "x-content-type-options": "nosniff",
        "etag": f'"{file.sha256}"',
    }
    span = _span(call.headers.get("range"), file.size_bytes)
    if span is None:
        headers["content-range"] = f"bytes */{file.size_bytes}"
        return Response(status_code=416, headers=headers)
    start, stop = span
    is_part = stop - start < file.size_bytes
    headers["content-length"] = str(stop - start)
    if is_part:
        headers["content-range"] = f"bytes {start}-{stop - 1}/{file.size_bytes}"
    content = await call.runtime.files.content(file, start=start, stop=stop)
    return StreamingResponse(
        _closing(content),
        status_code=206 if is_part else 200,
        headers=headers,
        media_type="application/octet-stream",
    )


async def _find(call: Call, file_id: str) -> File:
    return await call.runtime.store.read(lambda tx: find_file(tx, call.project, file_id))


async def _closing(content: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(content):
        async for piece in content:
            yield piece


def _span(header: str | None, size_bytes: int) -> tuple[int, int] | None:
    """What a Range header asks for, as (start, stop); None when the file has nothing there.

    Several ranges, or none that can be read, are the whole file, as RFC 9110 allows.
    """
    match = _RANGE.fullmatch(header or "")
    if match is None or match[1] == match[2] == "":
        return 0, size_bytes
    first, last = match[1], match[2]
    if first == "":
        start, stop = max(0, size_bytes - int(last)), size_bytes
    else:
        start, stop = int(first), min(size_bytes, int(last) + 1 if last else size_bytes)
    if first and last and int(last) < int(first):
        return 0, size_bytes
    return (start, stop) if start < stop else None
