"""Messages on the wire, and their content from the request to the engine's parts and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Literal, TypeAlias, assert_never

from pydantic import AfterValidator, Field, Tag
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from agentrt.engine import message as engine
from agentrt.engine.message import Annotation, ImageFilePart, ImageUrlPart, Part, RefusalPart, TextPart
from agentrt.wire.base import (
    MAX_TEXT,
    Body,
    Extension,
    Metadata,
    Omittable,
    branch,
    one_of,
    refusal,
    string_or_array,
)

Detail: TypeAlias = Literal["auto", "low", "high"]

# Requests ------------------------------------------------------------------------------------------------------------

# The URL goes to a model server as it is, and some of those open file: and worse.
_URL_STARTS = ("https://", "http://", "data:image/")


def _image_address(url: str) -> str:
    if not url.lower().startswith(_URL_STARTS):
        raise refusal("expected an http(s) URL or a data URL with an image (data:image/…).")
    return url


class ImageUrlRequest(Body):
    url: Annotated[str, AfterValidator(_image_address)]
    detail: Omittable[Detail] = None


class ImageFileRequest(Body):
    file_id: str
    detail: Omittable[Detail] = None


_Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT)]


class TextPartRequest(Body):
    type: Literal["text"]
    text: _Text


class ImageUrlPartRequest(Body):
    type: Literal["image_url"]
    image_url: ImageUrlRequest


class ImageFilePartRequest(Body):
    type: Literal["image_file"]
    image_file: ImageFileRequest


PartRequest: TypeAlias = Annotated[
    Annotated[ImageFilePartRequest, Tag(branch("image_file"))]
    | Annotated[ImageUrlPartRequest, Tag(branch("image_url"))]
    | Annotated[TextPartRequest, Tag(branch("text"))],
    one_of("image_file", "image_url", "text"),
]


def _short_together(parts: list[PartRequest]) -> list[PartRequest]:
    length = sum(len(part.text) for part in parts if isinstance(part, TextPartRequest))
    if length > MAX_TEXT:
        raise PydanticCustomError("string_too_long", "too long", {"max_length": MAX_TEXT, "length": length})
    return parts


ContentRequest: TypeAlias = Annotated[
    Annotated[_Text, Tag(branch("string"))]
    | Annotated[
        list[PartRequest], Field(min_length=1, fail_fast=True), AfterValidator(_short_together), Tag(branch("array"))
    ],
    string_or_array(expected="one of a string or array of objects"),
]


class AttachmentToolRequest(Body):
    type: Literal["code_interpreter", "file_search"]


class AttachmentRequest(Body):
    """A file for the tools that shall see it."""

    file_id: str
    tools: Annotated[list[AttachmentToolRequest], Field(fail_fast=True)]


class NestedMessageRequest(Body):
    """A message inside another request: of a new thread, or a run's additional_messages."""

    role: Literal["user", "assistant"]
    content: ContentRequest
    attachments: Annotated[list[AttachmentRequest], Field(fail_fast=True)] | None = None
    metadata: Metadata | None = None


class CreateMessageRequest(NestedMessageRequest):
    """POST /threads/{thread_id}/messages."""

    agentrt: Omittable[Extension] = None


class UpdateMessageRequest(Body):
    """POST /threads/{thread_id}/messages/{message_id}."""

    metadata: Metadata | None = None


MessageList = Annotated[list[NestedMessageRequest], Field(fail_fast=True)]

# Answers -------------------------------------------------------------------------------------------------------------


class FileReference(TypedDict):
    file_id: str


class FileCitation(TypedDict):
    """start_index and end_index count code points: `value[start:end] == text`."""

    type: Literal["file_citation"]
    text: str
    file_citation: FileReference
    start_index: int
    end_index: int


class FilePath(TypedDict):
    """A link to a file that code wrote (`sandbox:/mnt/data/…`)."""

    type: Literal["file_path"]
    text: str
    file_path: FileReference
    start_index: int
    end_index: int


class TextObject(TypedDict):
    value: str
    annotations: list[FileCitation | FilePath]


class ImageUrlObject(TypedDict):
    url: str
    detail: Detail


class ImageFileObject(TypedDict):
    file_id: str
    detail: Detail


class TextContent(TypedDict):
    type: Literal["text"]
    text: TextObject


class RefusalContent(TypedDict):
    type: Literal["refusal"]
    refusal: str


class ImageUrlContent(TypedDict):
    type: Literal["image_url"]
    image_url: ImageUrlObject


class ImageFileContent(TypedDict):
    type: Literal["image_file"]
    image_file: ImageFileObject


ContentObject: TypeAlias = TextContent | RefusalContent | ImageUrlContent | ImageFileContent


class AttachmentToolObject(TypedDict):
    type: Literal["code_interpreter", "file_search"]


class AttachmentObject(TypedDict):
    file_id: str
    tools: list[AttachmentToolObject]


class MessageIncompleteDetails(TypedDict):
    reason: Literal["content_filter", "max_tokens", "run_cancelled", "run_expired", "run_failed"]


class MessageObject(TypedDict):
    """A message. Times are Unix seconds; assistant_id and run_id are null on what callers wrote."""

    id: str
    object: Literal["thread.message"]
    created_at: int
    thread_id: str
    status: Literal["in_progress", "incomplete", "completed"]
    incomplete_details: MessageIncompleteDetails | None
    completed_at: int | None
    incomplete_at: int | None
    role: Literal["user", "assistant"]
    content: list[ContentObject]
    assistant_id: str | None
    run_id: str | None
    attachments: list[AttachmentObject] | None
    metadata: dict[str, str]


class MessageDeleted(TypedDict):
    id: str
    object: Literal["thread.message.deleted"]
    deleted: Literal[True]


# Conversion ----------------------------------------------------------------------------------------------------------


def read_content(content: ContentRequest) -> tuple[Part, ...]:
    """The engine's parts, in the request's order; a string is one text part."""
    return (TextPart(content),) if isinstance(content, str) else tuple(_read_part(part) for part in content)


def render_content(parts: Iterable[Part]) -> list[ContentObject]:
    """Always parts, of callers' and of assistants' messages alike."""
    return [_render_part(part) for part in parts]


def render_annotation(annotation: Annotation) -> FileCitation | FilePath:
    text, start, end = annotation.text, annotation.start, annotation.end
    reference: FileReference = {"file_id": annotation.file_id}
    if isinstance(annotation, engine.FileCitation):
        return {
            "type": "file_citation",
            "text": text,
            "file_citation": reference,
            "start_index": start,
            "end_index": end,
        }
    return {"type": "file_path", "text": text, "file_path": reference, "start_index": start, "end_index": end}


def _read_part(part: PartRequest) -> Part:
    match part:
        case TextPartRequest(text=text):
            return TextPart(text)
        case ImageUrlPartRequest(image_url=image):
            return ImageUrlPart(image.url, image.detail or "auto")
        case ImageFilePartRequest(image_file=file):
            return ImageFilePart(file.file_id, file.detail or "auto")
        case _:
            assert_never(part)


def _render_part(part: Part) -> ContentObject:
    match part:
        case TextPart(text=text, annotations=annotations):
            found = [render_annotation(annotation) for annotation in annotations]
            return {"type": "text", "text": {"value": text, "annotations": found}}
        case RefusalPart(refusal=text):
            return {"type": "refusal", "refusal": text}
        case ImageUrlPart(url=url, detail=detail):
            return {"type": "image_url", "image_url": {"url": url, "detail": detail}}
        case ImageFilePart(file_id=file_id, detail=detail):
            return {"type": "image_file", "image_file": {"file_id": file_id, "detail": detail}}
        case _:
            assert_never(part)
