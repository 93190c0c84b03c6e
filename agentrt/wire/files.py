"""Files on the wire: the fields of an upload, which is a multipart form and not JSON, and the file object.

Reading the form's bytes and the size limits belong to the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, NotRequired, TypeAlias

from pydantic import Field, ValidationError
from typing_extensions import TypedDict

from agentrt.wire.base import Body, Integer, Omittable, UnknownFields
from agentrt.wire.errors import from_validation, invalid_value, missing_parameter, nul_character
from agentrt.wire.pages import read_integer

UploadPurpose: TypeAlias = Literal["assistants", "batch", "fine-tune", "vision", "user_data", "evals"]
FilePurpose: TypeAlias = UploadPurpose | Literal["assistants_output", "batch_output", "fine-tune-results"]

MAX_FILENAME = 255  # what file systems take, in UTF-8 bytes


class ExpiresAfterRequest(Body):
    """How long the file lives: an hour to 30 days."""

    anchor: Literal["created_at"]
    seconds: Annotated[Integer, Field(ge=3600, le=2_592_000)]


class CreateFileRequest(Body):
    """POST /files, all but the bytes."""

    purpose: UploadPurpose
    expires_after: Omittable[ExpiresAfterRequest] = None


class FileObject(TypedDict):
    """A stored file. Times are Unix seconds; expires_at is null for one that stays."""

    id: str
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: NotRequired[int | None]
    filename: str
    purpose: FilePurpose
    status: Literal["uploaded", "processed", "error"]
    status_details: NotRequired[str | None]


class FileDeleted(TypedDict):
    """Unlike the other resources' answers, `object` stays what it was."""

    id: str
    object: Literal["file"]
    deleted: Literal[True]


def read_file_form(
    fields: Iterable[tuple[str, str]], *, filename: str | None, unknown_fields: UnknownFields = "error"
) -> CreateFileRequest:
    """Read the form's text fields; filename is that of its `file` field, None when there is none.

    Raises InvalidRequestError.
    """
    if filename is None:
        raise missing_parameter("file")
    check_filename(filename, param="file")
    values: dict[str, str] = {}
    expiry: dict[str, str | int] = {}
    for name, value in fields:
        if "\0" in name or "\0" in value:
            raise nul_character(name.replace("\0", ""))
        if name == "expires_after[seconds]":
            expiry["seconds"] = read_integer(value, param="expires_after.seconds")
        elif name == "expires_after[anchor]":
            expiry["anchor"] = value
        else:
            values[name] = value
    try:
        return CreateFileRequest.model_validate(
            values | ({"expires_after": expiry} if expiry else {}),
            extra="forbid" if unknown_fields == "error" else "ignore",
        )
    except ValidationError as error:
        raise from_validation(error) from None


def check_filename(filename: str, *, param: str) -> None:
    """Raises InvalidRequestError for a name that no file can have."""
    if "\0" in filename:
        raise nul_character(param)
    if not filename or len(filename.encode(errors="replace")) > MAX_FILENAME:
        raise invalid_value(param, f"expected a file name of 1 to {MAX_FILENAME} bytes.")
