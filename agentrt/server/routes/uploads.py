"""/uploads"""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from agentrt.runtime.uploads import NewUpload
from agentrt.server.endpoint import ApiRoute, Call, Speech, answer, speaks
from agentrt.server.forms import receive_part
from agentrt.server.render.uploads import render_part, render_upload
from agentrt.wire.files import check_filename
from agentrt.wire.uploads import CompleteUploadRequest, CreateUploadRequest, UploadObject, UploadPartObject

router = APIRouter(prefix="/v1/uploads", tags=["Uploads"], route_class=ApiRoute)

_FORM = {
    "type": "object",
    "properties": {"data": {"type": "string", "format": "binary"}},
    "required": ["data"],
    "additionalProperties": False,
}


@router.post("")
@speaks(Speech(body=CreateUploadRequest, answer=UploadObject))
async def create_upload(call: Call) -> Response:
    """Begin a file that comes in parts. It expires after an hour."""
    body = await call.read(CreateUploadRequest)
    filename = body.filename.rpartition("/")[2]
    check_filename(filename, param="filename")
    new = NewUpload(
        filename=filename,
        purpose=body.purpose,
        size_bytes=body.bytes,
        media_type=body.mime_type,
        expires_after_s=None if body.expires_after is None else body.expires_after.seconds,
    )
    return answer(render_upload(await call.runtime.uploads.create(call.project, new)))


@router.post("/{upload_id}/parts")
@speaks(Speech(form=_FORM, answer=UploadPartObject))
async def add_upload_part(call: Call, upload_id: str) -> Response:
    """Add a part, as a multipart form. At most 64 MB; several can be added side by side."""
    return answer(render_part(await receive_part(call, upload_id)))


@router.post("/{upload_id}/complete")
@speaks(Speech(body=CompleteUploadRequest, answer=UploadObject))
async def complete_upload(call: Call, upload_id: str) -> Response:
    """Put the parts together: the answer has the file."""
    body = await call.read(CompleteUploadRequest)
    upload, file = await call.runtime.uploads.complete(call.project, upload_id, body.part_ids, md5=body.md5)
    return answer(render_upload(upload, file))


@router.post("/{upload_id}/cancel")
@speaks(Speech(answer=UploadObject))
async def cancel_upload(call: Call, upload_id: str) -> Response:
    """Forget the parts."""
    return answer(render_upload(await call.runtime.uploads.cancel(call.project, upload_id)))
