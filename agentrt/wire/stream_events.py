"""Names and deltas of a run's event stream; all other events carry the bare object of their resource.

SDKs join deltas: strings are concatenated, numbers added, lists merged by `index`; `index` and `type` are overwritten.
So an id or a name stands only in the first delta of its item.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias

from typing_extensions import TypedDict

from agentrt.wire.messages import Detail, FileReference
from agentrt.wire.run_steps import MessageReference

ThreadEventName: TypeAlias = Literal["thread.created"]
RunEventName: TypeAlias = Literal[
    "thread.run.created",
    "thread.run.queued",
    "thread.run.in_progress",
    "thread.run.requires_action",
    "thread.run.completed",
    "thread.run.incomplete",
    "thread.run.failed",
    "thread.run.cancelling",
    "thread.run.cancelled",
    "thread.run.expired",
]
RunStepEventName: TypeAlias = Literal[
    "thread.run.step.created",
    "thread.run.step.in_progress",
    "thread.run.step.delta",
    "thread.run.step.completed",
    "thread.run.step.failed",
    "thread.run.step.cancelled",
    "thread.run.step.expired",
]
MessageEventName: TypeAlias = Literal[
    "thread.message.created",
    "thread.message.in_progress",
    "thread.message.delta",
    "thread.message.completed",
    "thread.message.incomplete",
]
EventName: TypeAlias = ThreadEventName | RunEventName | RunStepEventName | MessageEventName | Literal["error", "done"]

DONE = "[DONE]"  # the data of `done`, the last event of every stream


# Message deltas ------------------------------------------------------------------------------------------------------


class FileCitationDelta(TypedDict):
    """Sent once and whole: a repeated start_index would be added up."""

    index: int
    type: Literal["file_citation"]
    text: NotRequired[str]
    file_citation: NotRequired[FileReference]
    start_index: NotRequired[int]
    end_index: NotRequired[int]


class FilePathDelta(TypedDict):
    """Sent once and whole."""

    index: int
    type: Literal["file_path"]
    text: NotRequired[str]
    file_path: NotRequired[FileReference]
    start_index: NotRequired[int]
    end_index: NotRequired[int]


class TextDelta(TypedDict):
    """annotations stand in the first delta (`[]`) and where one becomes complete."""

    value: NotRequired[str]
    annotations: NotRequired[list[FileCitationDelta | FilePathDelta]]


class TextContentDelta(TypedDict):
    index: int
    type: Literal["text"]
    text: NotRequired[TextDelta]


class RefusalContentDelta(TypedDict):
    index: int
    type: Literal["refusal"]
    refusal: NotRequired[str]


class ImageFileDelta(TypedDict):
    file_id: NotRequired[str]
    detail: NotRequired[Detail]


class ImageFileContentDelta(TypedDict):
    index: int
    type: Literal["image_file"]
    image_file: NotRequired[ImageFileDelta]


class ImageUrlDelta(TypedDict):
    url: NotRequired[str]
    detail: NotRequired[Detail]


class ImageUrlContentDelta(TypedDict):
    index: int
    type: Literal["image_url"]
    image_url: NotRequired[ImageUrlDelta]


ContentDelta: TypeAlias = TextContentDelta | RefusalContentDelta | ImageFileContentDelta | ImageUrlContentDelta


class MessageDelta(TypedDict):
    role: NotRequired[Literal["user", "assistant"]]
    content: NotRequired[list[ContentDelta]]


class MessageDeltaObject(TypedDict):
    """The data of `thread.message.delta`."""

    id: str
    object: Literal["thread.message.delta"]
    delta: MessageDelta


# Run step deltas -----------------------------------------------------------------------------------------------------


class FunctionDelta(TypedDict):
    """First `name`, `arguments: ""` and `output: null`, then only fragments of arguments."""

    name: NotRequired[str]
    arguments: NotRequired[str]
    output: NotRequired[str | None]


class FunctionCallDelta(TypedDict):
    index: int
    id: NotRequired[str]
    type: Literal["function"]
    function: NotRequired[FunctionDelta]


class CodeLogsDelta(TypedDict):
    index: int
    type: Literal["logs"]
    logs: NotRequired[str]


class CodeImageDelta(TypedDict):
    index: int
    type: Literal["image"]
    image: NotRequired[FileReference]


class CodeDelta(TypedDict):
    """First `input: ""` and `outputs: []`, then fragments of input, then outputs."""

    input: NotRequired[str]
    outputs: NotRequired[list[CodeLogsDelta | CodeImageDelta]]


class CodeCallDelta(TypedDict):
    index: int
    id: NotRequired[str]
    type: Literal["code_interpreter"]
    code_interpreter: NotRequired[CodeDelta]


class NoSearchDetails(TypedDict):
    """A search streams nothing but the fact that it was made."""


class SearchCallDelta(TypedDict):
    index: int
    id: NotRequired[str]
    type: Literal["file_search"]
    file_search: NoSearchDetails


ToolCallDelta: TypeAlias = CodeCallDelta | SearchCallDelta | FunctionCallDelta


class ToolCallsDelta(TypedDict):
    type: Literal["tool_calls"]
    tool_calls: NotRequired[list[ToolCallDelta]]


class MessageCreationDelta(TypedDict):
    type: Literal["message_creation"]
    message_creation: NotRequired[MessageReference]


class RunStepDelta(TypedDict):
    step_details: NotRequired[MessageCreationDelta | ToolCallsDelta]


class RunStepDeltaObject(TypedDict):
    """The data of `thread.run.step.delta`."""

    id: str
    object: Literal["thread.run.step.delta"]
    delta: RunStepDelta
