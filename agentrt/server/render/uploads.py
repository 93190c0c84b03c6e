"""Rows of uploads → what the API says of them."""

from __future__ import annotations

from typing import Literal, cast

from agentrt.server.render.assistants import render_file
from agentrt.store.files import File
from agentrt.store.uploads import Upload, UploadPart
from agentrt.wire.files import FilePurpose
from agentrt.wire.uploads import UploadObject, UploadPartObject


def render_upload(upload: Upload, file: File | None = None) -> UploadObject:
    """file: of a completed one."""
    return {
        "id": upload.id,
        "object": "upload",
        "bytes": upload.size_bytes,
        "created_at": upload.created_at,
        "expires_at": upload.expires_at,
        "filename": upload.filename,
        "purpose": cast("FilePurpose", upload.purpose),
        "status": cast("Literal['pending', 'completed', 'cancelled', 'expired']", upload.status),
        "file": None if file is None else render_file(file),
    }


def render_part(part: UploadPart) -> UploadPartObject:
    return {
        "id": part.id,
        "object": "upload.part",
        "created_at": part.created_at,
        "upload_id": part.upload_id,
    }
