"""Uploads on the wire: files that come in parts. A part itself is a multipart form with the bytes as its `data`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from agentrt.errors import InvalidRequestError
from agentrt.wire.base import Body, Integer, Omittable, UnknownFields
from agentrt.wire.errors import missing_parameter
from agentrt.wire.files import MAX_FILENAME, ExpiresAfterRequest, FileObject, FilePurpose, UploadPurpose

MAX_PARTS = 10_000


class CreateUploadRequest(Body):
    """POST /uploads. bytes: of the whole file. Purposes are those of files: SDKs offer all of them."""

    filename: Annotated[str, Field(min_length=1, max_length=MAX_FILENAME)]
    purpose: UploadPurpose
    bytes: Annotated[Integer, Field(ge=0, le=2**62)]
    mime_type: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+( *;[ -~]*)?$", max_length=255)
    ]
    expires_after: Omittable[ExpiresAfterRequest] = None


class CompleteUploadRequest(Body):
    """POST /uploads/{upload_id}/complete. The order of part_ids is that of the file."""

    part_ids: Annotated[list[str], Field(max_length=MAX_PARTS)]
    md5: Omittable[Annotated[str, Field(pattern=r"^[0-9a-fA-F]{32}$")]] = None


class UploadObject(TypedDict):
    """A file that is coming in parts. Times are Unix seconds; file is there once it is completed."""

    id: str
    object: Literal["upload"]
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: FilePurpose
    status: Literal["pending", "completed", "cancelled", "expired"]
    file: NotRequired[FileObject | None]


class UploadPartObject(TypedDict):
    """One part."""

    id: str
    object: Literal["upload.part"]
    created_at: int
    upload_id: str


def check_part_form(fields: Iterable[str], *, has_data: bool, unknown_fields: UnknownFields = "error") -> None:
    """Check a part's form. fields: the names of what is in it beside the data. Raises InvalidRequestError."""
    if not has_data:
        raise missing_parameter("data")
    for name in fields:
        if unknown_fields == "error":
            raise InvalidRequestError(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
