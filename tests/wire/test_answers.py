"""The answers' shapes against the official document: same fields, same ones required."""

from __future__ import annotations

import json
from typing import cast

import pytest
from pydantic import TypeAdapter

from agentrt.wire import (
    assistants,
    errors,
    files,
    messages,
    models,
    pages,
    run_steps,
    runs,
    stream_events,
    threads,
    tools,
    uploads,
)
from agentrt.wire import tool_resources as resources
from tests.compat.contract import event_names, needs_contract, official_schema

# Ours → the official schema, and the fields that we may add.
SHAPES: dict[type, tuple[str, set[str]]] = {
    assistants.AssistantObject: ("AssistantObject", {"reasoning_effort"}),
    assistants.AssistantDeleted: ("DeleteAssistantResponse", set()),
    threads.ThreadObject: ("ThreadObject", {"agentrt"}),
    threads.ThreadDeleted: ("DeleteThreadResponse", set()),
    messages.MessageObject: ("MessageObject", set()),
    messages.MessageDeleted: ("DeleteMessageResponse", set()),
    messages.TextContent: ("MessageContentTextObject", set()),
    messages.RefusalContent: ("MessageContentRefusalObject", set()),
    messages.ImageUrlContent: ("MessageContentImageUrlObject", set()),
    messages.ImageFileContent: ("MessageContentImageFileObject", set()),
    messages.FileCitation: ("MessageContentTextAnnotationsFileCitationObject", set()),
    messages.FilePath: ("MessageContentTextAnnotationsFilePathObject", set()),
    runs.RunObject: ("RunObject", {"reasoning_effort", "agentrt"}),
    runs.PendingCall: ("RunToolCallObject", set()),
    runs.TruncationObject: ("TruncationObject", set()),
    run_steps.RunStepObject: ("RunStepObject", set()),
    run_steps.MessageCreationDetails: ("RunStepDetailsMessageCreationObject", set()),
    run_steps.ToolCallsDetails: ("RunStepDetailsToolCallsObject", set()),
    run_steps.FunctionCallObject: ("RunStepDetailsToolCallsFunctionObject", set()),
    run_steps.CodeCallObject: ("RunStepDetailsToolCallsCodeObject", {"agentrt"}),
    run_steps.CodeLogs: ("RunStepDetailsToolCallsCodeOutputLogsObject", set()),
    run_steps.CodeImage: ("RunStepDetailsToolCallsCodeOutputImageObject", set()),
    run_steps.SearchCallObject: ("RunStepDetailsToolCallsFileSearchObject", {"agentrt"}),
    run_steps.SearchRanking: ("RunStepDetailsToolCallsFileSearchRankingOptionsObject", set()),
    run_steps.SearchResult: ("RunStepDetailsToolCallsFileSearchResultObject", set()),
    stream_events.MessageDeltaObject: ("MessageDeltaObject", set()),
    stream_events.TextContentDelta: ("MessageDeltaContentTextObject", set()),
    stream_events.RefusalContentDelta: ("MessageDeltaContentRefusalObject", set()),
    stream_events.ImageFileContentDelta: ("MessageDeltaContentImageFileObject", set()),
    stream_events.ImageUrlContentDelta: ("MessageDeltaContentImageUrlObject", set()),
    stream_events.FileCitationDelta: ("MessageDeltaContentTextAnnotationsFileCitationObject", set()),
    stream_events.FilePathDelta: ("MessageDeltaContentTextAnnotationsFilePathObject", set()),
    stream_events.RunStepDeltaObject: ("RunStepDeltaObject", set()),
    stream_events.MessageCreationDelta: ("RunStepDeltaStepDetailsMessageCreationObject", set()),
    stream_events.ToolCallsDelta: ("RunStepDeltaStepDetailsToolCallsObject", set()),
    stream_events.FunctionCallDelta: ("RunStepDeltaStepDetailsToolCallsFunctionObject", set()),
    stream_events.CodeCallDelta: ("RunStepDeltaStepDetailsToolCallsCodeObject", set()),
    stream_events.CodeLogsDelta: ("RunStepDeltaStepDetailsToolCallsCodeOutputLogsObject", set()),
    stream_events.CodeImageDelta: ("RunStepDeltaStepDetailsToolCallsCodeOutputImageObject", set()),
    stream_events.SearchCallDelta: ("RunStepDeltaStepDetailsToolCallsFileSearchObject", set()),
    files.FileObject: ("OpenAIFile", set()),
    files.FileDeleted: ("DeleteFileResponse", set()),
    uploads.UploadObject: ("Upload", set()),
    uploads.UploadPartObject: ("UploadPart", set()),
    models.ModelObject: ("Model", set()),
    models.ModelList: ("ListModelsResponse", set()),
    tools.FunctionToolObject: ("AssistantToolsFunction", set()),
    tools.FunctionObject: ("FunctionObject", set()),
    tools.CodeInterpreterToolObject: ("AssistantToolsCode", set()),
    tools.FileSearchToolObject: ("AssistantToolsFileSearch", set()),
    tools.RankingOptionsObject: ("FileSearchRankingOptions", set()),
    tools.JsonSchemaFormatObject: ("ResponseFormatJsonSchema", set()),
    errors.ErrorObject: ("Error", set()),
    errors.ErrorEnvelope: ("ErrorResponse", set()),
}
# Official fields that we leave out: not known of any model we serve, and of the shapes that share one of ours.
LEFT_OUT = {"Model": {"shutdown_date"}}


@needs_contract
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.__name__)
def test_an_answer_has_the_official_fields(shape: type) -> None:
    name, added = SHAPES[shape]
    official = official_schema(name)
    fields = cast("dict[str, object]", official["properties"]).keys()
    required = set(cast("list[str]", official.get("required", [])))
    ours = TypeAdapter(shape).json_schema()
    assert ours["properties"].keys() == (fields | added) - LEFT_OUT.get(name, set())
    assert required <= set(ours.get("required", []))


@needs_contract
@pytest.mark.parametrize("item", [assistants.AssistantObject, messages.MessageObject, run_steps.RunStepObject])
def test_a_page_has_the_official_fields(item: type) -> None:
    ours = TypeAdapter(pages.Page[item]).json_schema()  # type: ignore[valid-type]
    official = official_schema("ListMessagesResponse")
    assert ours["properties"].keys() == cast("dict[str, object]", official["properties"]).keys()
    assert set(ours["required"]) == set(cast("list[str]", official["required"]))


@needs_contract
def test_the_stream_has_the_official_event_names() -> None:
    names = TypeAdapter(stream_events.EventName).json_schema()
    ours = {name for branch in names.get("anyOf", [names]) for name in branch.get("enum", [branch.get("const")])}
    assert ours == event_names()


@needs_contract
@pytest.mark.parametrize(
    ("model", "name"),
    [
        (assistants.CreateAssistantRequest, "CreateAssistantRequest"),
        (assistants.UpdateAssistantRequest, "ModifyAssistantRequest"),
        (threads.CreateThreadRequest, "CreateThreadRequest"),
        (threads.UpdateThreadRequest, "ModifyThreadRequest"),
        (messages.CreateMessageRequest, "CreateMessageRequest"),
        (messages.UpdateMessageRequest, "ModifyMessageRequest"),
        (runs.CreateRunRequest, "CreateRunRequest"),
        (runs.CreateThreadAndRunRequest, "CreateThreadAndRunRequest"),
        (runs.UpdateRunRequest, "ModifyRunRequest"),
        (runs.SubmitToolOutputsRequest, "SubmitToolOutputsRunRequest"),
        (tools.FunctionRequest, "FunctionObject"),
        (tools.FileSearchToolRequest, "AssistantToolsFileSearch"),
        (tools.RankingOptionsRequest, "FileSearchRankingOptions"),
        (files.ExpiresAfterRequest, "FileExpirationAfter"),
        (uploads.CreateUploadRequest, "CreateUploadRequest"),
        (uploads.CompleteUploadRequest, "CompleteUploadRequest"),
    ],
)
def test_a_request_takes_the_official_fields_and_agentrts_object(model: type, name: str) -> None:
    official = official_schema(name)
    ours = TypeAdapter(model).json_schema()
    assert ours["properties"].keys() - {"agentrt"} == cast("dict[str, object]", official["properties"]).keys()
    assert set(ours.get("required", [])) == set(cast("list[str]", official.get("required", [])))
    assert ours["additionalProperties"] is False
    assert '"default": null' not in json.dumps(ours)


def test_every_shape_can_be_described_in_an_openapi_document() -> None:
    described = TypeAdapter(resources.ToolResourcesObject | tools.ToolChoiceObject | tools.ResponseFormatObject)
    assert "ToolResourcesObject" in described.json_schema()["$defs"]
