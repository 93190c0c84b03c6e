from __future__ import annotations

from typing import TypeAlias

import pytest

from agentrt.wire.errors import error_envelope
from tests.compat.contract import (
    ContractError,
    event_names,
    needs_contract,
    template_of,
    validate_event,
    validate_response,
)

pytestmark = needs_contract

Object: TypeAlias = dict[str, object]

ASSISTANT: Object = {
    "id": "asst_1",
    "object": "assistant",
    "created_at": 1,
    "name": None,
    "description": None,
    "model": "demo",
    "instructions": None,
    "tools": [],
    "metadata": {},
}
THREAD: Object = {"id": "thread_1", "object": "thread", "created_at": 1, "tool_resources": {}, "metadata": {}}
MESSAGE: Object = {
    "id": "msg_1",
    "object": "thread.message",
    "created_at": 1,
    "thread_id": "thread_1",
    "status": "completed",
    "incomplete_details": None,
    "completed_at": 1,
    "incomplete_at": None,
    "role": "user",
    "content": [{"type": "text", "text": {"value": "Hi", "annotations": []}}],
    "assistant_id": None,
    "run_id": None,
    "attachments": [],
    "metadata": {},
}
RUN: Object = {
    "id": "run_1",
    "object": "thread.run",
    "created_at": 1,
    "thread_id": "thread_1",
    "assistant_id": "asst_1",
    "status": "queued",
    "required_action": None,
    "last_error": None,
    "expires_at": 601,
    "started_at": None,
    "cancelled_at": None,
    "failed_at": None,
    "completed_at": None,
    "incomplete_details": None,
    "model": "demo",
    "instructions": "",
    "tools": [],
    "metadata": {},
    "usage": None,
    "temperature": 1.0,
    "top_p": 1.0,
    "max_prompt_tokens": None,
    "max_completion_tokens": None,
    "truncation_strategy": {"type": "auto", "last_messages": None},
    "tool_choice": "auto",
    "parallel_tool_calls": True,
    "response_format": "auto",
}
STEP: Object = {
    "id": "step_1",
    "object": "thread.run.step",
    "created_at": 1,
    "assistant_id": "asst_1",
    "thread_id": "thread_1",
    "run_id": "run_1",
    "type": "message_creation",
    "status": "in_progress",
    "step_details": {"type": "message_creation", "message_creation": {"message_id": "msg_1"}},
    "last_error": None,
    "expired_at": None,
    "cancelled_at": None,
    "failed_at": None,
    "completed_at": None,
    "metadata": {},
    "usage": None,
}
FILE: Object = {
    "id": "file-1",
    "object": "file",
    "bytes": 3,
    "created_at": 1,
    "expires_at": None,
    "filename": "a.txt",
    "purpose": "assistants",
    "status": "processed",
}
FUNCTION_CALL: Object = {
    "type": "tool_calls",
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "", "output": None}}],
}


def page(*items: Object) -> Object:
    first, last = (items[0]["id"], items[-1]["id"]) if items else (None, None)
    return {"object": "list", "data": list(items), "first_id": first, "last_id": last, "has_more": False}


GOOD: list[tuple[str, str, Object]] = [
    ("POST", "/assistants", ASSISTANT),
    ("get", "/assistants/{assistant_id}", ASSISTANT | {"tools": [{"type": "file_search"}], "response_format": None}),
    ("delete", "/assistants/{assistant_id}", {"id": "asst_1", "object": "assistant.deleted", "deleted": True}),
    ("post", "/threads", THREAD),
    ("get", "/threads", page(THREAD)),
    ("post", "/threads/runs", RUN),
    ("get", "/threads/{thread_id}/messages", page(MESSAGE)),
    ("get", "/threads/{thread_id}/messages", page()),
    ("get", "/threads/{thread_id}/runs", page(RUN, RUN)),
    ("get", "/threads/{thread_id}/runs/{run_id}/steps", page(STEP)),
    ("get", "/threads/{thread_id}/runs/{run_id}/steps/{step_id}", STEP | {"step_details": FUNCTION_CALL}),
    ("post", "/files", FILE),
    ("get", "/models", {"object": "list", "data": [{"id": "m", "object": "model", "created": 1, "owned_by": "me"}]}),
    # What the page tells a validator to let pass:
    ("post", "/files", FILE | {"purpose": "evals"}),
    ("post", "/threads/runs", RUN | {"tools": [{"type": "code_interpreter"}] * 128}),
    ("post", "/threads/runs", RUN | {"temperature": None, "response_format": None, "tool_choice": None}),
    ("post", "/threads", THREAD | {"tool_resources": {"code_interpreter": None}, "metadata": None}),
]
BAD: list[tuple[str, str, Object, str]] = [
    ("post", "/threads", THREAD | {"object": "threads"}, "$.object"),
    ("post", "/threads", THREAD | {"created_at": 1.5}, "$.created_at"),
    ("post", "/threads", THREAD | {"metadata": {"a": 1}}, "$.metadata.a"),
    ("post", "/threads", {key: THREAD[key] for key in THREAD if key != "tool_resources"}, "'tool_resources'"),
    ("post", "/threads/runs", RUN | {"instructions": None}, "$.instructions"),
    ("post", "/threads/runs", RUN | {"status": "done"}, "$.status"),
    ("post", "/threads/runs", RUN | {"tools": [{"type": "code_interpreter"}] * 129}, "$.tools"),
    ("post", "/threads/runs", RUN | {"max_prompt_tokens": 5}, "$.max_prompt_tokens"),
    ("post", "/threads/runs", RUN | {"truncation_strategy": {"last_messages": 3}}, "$.truncation_strategy"),
    ("get", "/threads/{thread_id}/messages", page(MESSAGE) | {"first_id": None}, "$.first_id"),
    ("get", "/threads/{thread_id}/messages", page(MESSAGE | {"content": [{"type": "text", "text": "Hi"}]}), "text"),
    ("get", "/threads", page(THREAD | {"id": 5}), "$.data[0].id"),
    ("post", "/files", FILE | {"purpose": "fun"}, "$.purpose"),
]


@pytest.mark.parametrize(("method", "template", "body"), GOOD)
@pytest.mark.parametrize("closed", [False, True])
def test_what_the_document_says_passes(method: str, template: str, body: Object, closed: bool) -> None:
    validate_response(method, template, 200, body, closed=closed)


@pytest.mark.parametrize(("method", "template", "body", "words"), BAD)
def test_what_the_document_does_not_say_fails_and_names_the_place(
    method: str, template: str, body: Object, words: str
) -> None:
    with pytest.raises(ContractError) as caught:
        validate_response(method, template, 200, body)
    assert f"{method.upper()} {template} 200" in str(caught.value)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("template", "body"),
    [
        ("/threads", THREAD | {"messages": []}),
        ("/threads/runs", RUN | {"truncation_strategy": {"type": "auto", "last": 3}}),
        ("/threads/{thread_id}/messages", MESSAGE | {"content": [{"type": "refusal", "refusal": "No.", "text": ""}]}),
    ],
)
def test_unknown_keys_fail_at_any_depth_when_objects_are_closed(template: str, body: Object) -> None:
    validate_response("post", template, 200, body)
    with pytest.raises(ContractError):
        validate_response("post", template, 200, body, closed=True)


def test_agentrts_own_fields_may_stand_in_closed_objects() -> None:
    validate_response("post", "/threads", 200, THREAD | {"agentrt": {"on_busy": "enqueue"}}, closed=True)
    validate_response("post", "/assistants", 200, ASSISTANT | {"reasoning_effort": "low"}, closed=True)


def test_free_objects_stay_free_when_objects_are_closed() -> None:
    function = {"name": "f", "parameters": {"type": "object", "properties": {"city": {}}}}
    tools = [{"type": "function", "function": function}]
    validate_response("post", "/assistants", 200, ASSISTANT | {"tools": tools, "metadata": {"a": "b"}}, closed=True)


@pytest.mark.parametrize("template", ["/assistants/{assistant_id}", "/what/ever"])
def test_every_failure_is_an_envelope_with_all_four_keys(template: str) -> None:
    envelope = error_envelope("No.", kind="invalid_request_error")
    validate_response("get", template, 404, envelope)
    for body in ({"detail": "Not Found"}, {"error": {"message": "No."}}, {"error": None}, "No."):
        with pytest.raises(ContractError):
            validate_response("get", template, 404, body)


@pytest.mark.parametrize(("method", "template"), [("get", "/what/ever"), ("put", "/assistants")])
def test_an_endpoint_of_nobodys_is_named(method: str, template: str) -> None:
    with pytest.raises(ContractError, match=f"no {method.upper()} {template}"):
        validate_response(method, template, 200, {})


@pytest.mark.parametrize(
    ("event_name", "data"),
    [
        ("thread.created", THREAD),
        ("thread.run.cancelling", RUN),
        ("thread.run.step.created", STEP),
        ("thread.message.created", MESSAGE | {"status": "in_progress", "content": []}),
        (
            "thread.message.delta",
            {
                "id": "msg_1",
                "object": "thread.message.delta",
                "delta": {"content": [{"index": 0, "type": "text", "text": {"value": "H", "annotations": []}}]},
            },
        ),
        (
            "thread.run.step.delta",
            {
                "id": "step_1",
                "object": "thread.run.step.delta",
                "delta": {
                    "step_details": {
                        "type": "tool_calls",
                        "tool_calls": [{"index": 0, "type": "function", "function": {"arguments": "{"}}],
                    }
                },
            },
        ),
        ("error", error_envelope("Gone.", kind="server_error")["error"]),
        ("done", "[DONE]"),
    ],
)
def test_an_events_data_is_checked_by_the_events_name(event_name: str, data: object) -> None:
    validate_event(event_name, data, closed=True)
    with pytest.raises(ContractError, match=f"event {event_name}"):
        validate_event(event_name, {"id": 5})


def test_an_event_of_nobodys_is_named() -> None:
    assert len(event_names()) == 25
    with pytest.raises(ContractError, match=r"no event thread\.run\.paused"):
        validate_event("thread.run.paused", RUN)


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/v1/threads", "/threads"),
        ("/v1/threads/runs", "/threads/runs"),
        ("/v1/threads/thread_1", "/threads/{thread_id}"),
        ("/v1/threads/thread_1/runs?limit=2", "/threads/{thread_id}/runs"),
        ("/v1/threads/thread_1/runs/run_1", "/threads/{thread_id}/runs/{run_id}"),
        ("/v1/threads/thread_1/runs/run_1/stream", "/threads/{thread_id}/runs/{run_id}/stream"),
        ("/threads/thread_1/messages/msg_1", "/threads/{thread_id}/messages/{message_id}"),
        ("/files/file-1/content", "/files/{file_id}/content"),
    ],
)
def test_a_path_is_an_endpoints(path: str, template: str) -> None:
    assert template_of(path) == template


@pytest.mark.parametrize("path", ["/v1/what", "/v1/threads/", "/v1/threads//runs", "/v1/threads/a/b/c/d/e/f"])
def test_a_path_of_nobodys_is_refused(path: str) -> None:
    with pytest.raises(ContractError, match="no endpoint has the path"):
        template_of(path)
