"""Whatever JSON comes, a body is read or refused with one InvalidRequestError: never a 5xx."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TypeAlias

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentrt.engine.spec import ResponseFormat, ToolChoice, Truncation
from agentrt.errors import InvalidRequestError
from agentrt.wire.assistants import CreateAssistantRequest, UpdateAssistantRequest
from agentrt.wire.base import Body, UnknownFields, parse_body
from agentrt.wire.files import read_file_form
from agentrt.wire.messages import CreateMessageRequest, UpdateMessageRequest, read_content, render_content
from agentrt.wire.pages import read_metadata_filter, read_page_query, wants_search_content
from agentrt.wire.runs import (
    CreateRunRequest,
    CreateThreadAndRunRequest,
    SubmitToolOutputsRequest,
    UpdateRunRequest,
    read_truncation,
)
from agentrt.wire.threads import CreateThreadRequest, UpdateThreadRequest
from agentrt.wire.tools import (
    read_response_format,
    read_tool_choice,
    read_tools,
    render_response_format,
    render_tool_choice,
    render_tools,
)

FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": None}
MESSAGE: dict[str, object] = {
    "role": "user",
    "content": [
        {"type": "text", "text": "a"},
        {"type": "image_url", "image_url": {"url": "http://x", "detail": "low"}},
        {"type": "image_file", "image_file": {"file_id": "file-1"}},
    ],
    "attachments": [{"file_id": "file-1", "tools": [{"type": "file_search"}]}],
    "metadata": {"a": "b"},
}
RESOURCES = {"code_interpreter": {"file_ids": ["file-1"]}, "file_search": {"vector_store_ids": ["vs_1"]}}
HELPER = {
    "file_ids": ["file-1"],
    "chunking_strategy": {"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 5}},
}
THREAD: dict[str, object] = {
    "messages": [MESSAGE],
    "tool_resources": {"file_search": {"vector_stores": [HELPER]}},
    "agentrt": {"on_busy": "enqueue"},
}
ASSISTANT = {
    "model": "m",
    "name": "n",
    "tools": [
        {"type": "function", "function": FUNCTION},
        {"type": "file_search", "file_search": {"ranking_options": {"score_threshold": 0.5}}},
        {"type": "code_interpreter"},
    ],
    "tool_resources": RESOURCES,
    "temperature": 1,
    "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
}
RUN = {
    "assistant_id": "asst_1",
    "tools": [{"type": "function", "function": FUNCTION}],
    "stream": True,
    "max_prompt_tokens": 300,
    "truncation_strategy": {"type": "last_messages", "last_messages": 3},
    "tool_choice": {"type": "function", "function": {"name": "f"}},
}
# A body of every kind, with nearly all that it can hold.
BODIES: dict[type[Body], dict[str, object]] = {
    CreateAssistantRequest: ASSISTANT,
    UpdateAssistantRequest: ASSISTANT,
    CreateThreadRequest: THREAD,
    UpdateThreadRequest: {"tool_resources": RESOURCES, "metadata": {"a": "b"}},
    CreateMessageRequest: MESSAGE,
    UpdateMessageRequest: {"metadata": {"a": "b"}},
    CreateRunRequest: RUN | {"additional_messages": [MESSAGE]},
    CreateThreadAndRunRequest: RUN | {"thread": THREAD, "tool_resources": RESOURCES},
    UpdateRunRequest: {"metadata": {"a": "b"}},
    SubmitToolOutputsRequest: {"tool_outputs": [{"tool_call_id": "call_1", "output": "x"}], "stream": False},
}
CODES = {
    *(None, "missing_required_parameter", "unknown_parameter", "invalid_type", "invalid_value", "empty_array"),
    *("string_above_max_length", "string_below_min_length", "array_above_max_length"),
    *("integer_above_max_value", "integer_below_min_value", "decimal_above_max_value", "decimal_below_min_value"),
}
# Keys, types, and values that fit somewhere and not elsewhere.
KEYS = [
    *("model", "name", "type", "function", "parameters", "strict", "tools", "tool_choice", "response_format"),
    *("json_schema", "schema", "metadata", "messages", "role", "content", "text", "image_url", "image_file", "url"),
    *("file_id", "detail", "attachments", "tool_resources", "file_search", "code_interpreter", "file_ids"),
    *("vector_store_ids", "vector_stores", "chunking_strategy", "static", "max_chunk_size_tokens"),
    *("chunk_overlap_tokens", "ranking_options", "score_threshold", "max_num_results", "thread", "assistant_id"),
    *("truncation_strategy", "last_messages", "max_prompt_tokens", "stream", "agentrt", "on_busy", "tool_outputs"),
    *("tool_call_id", "output", "additional_messages", "temperature", "[key]", "", "a.b", "é"),
]
WORDS = [
    *KEYS,
    "auto",
    "none",
    "user",
    "assistant",
    "json_object",
    "last_messages",
    "http://x",
    "data:image/png;,",
    "x\0",
]

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([0, 1, 256, 2**31, 10**30]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(WORDS),
    st.text(max_size=5),
)
values: st.SearchStrategy[Json] = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=3), inner, max_size=5)
    ),
    max_leaves=20,
)
models = st.sampled_from(list(BODIES))


@st.composite
def spoilt(draw: st.DrawFn, value: object) -> object:
    """value with another value, or an unknown key, somewhere in it."""
    if isinstance(value, dict) and value and draw(st.integers(0, 9)):
        key = draw(st.sampled_from(sorted(value)))
        return value | {key: draw(spoilt(value[key]))}
    if isinstance(value, list) and value and draw(st.integers(0, 9)):
        return [draw(spoilt(value[0])), *value[1:]]
    if isinstance(value, dict) and draw(st.booleans()):
        return value | {draw(st.sampled_from(KEYS)): draw(values)}
    return draw(values)


def refusal_of(read: Callable[[], object]) -> InvalidRequestError | None:
    try:
        read()
    except InvalidRequestError as error:
        return error
    return None


def check(refusal: InvalidRequestError | None) -> None:
    if refusal is not None:
        assert refusal.code in CODES
        assert refusal.message
        assert "\0" not in f"{refusal.message}{refusal.param}"


@pytest.mark.parametrize("model", BODIES, ids=lambda model: model.__name__)
def test_the_body_that_is_to_be_spoilt_is_a_good_one(model: type[Body]) -> None:
    assert parse_body(model, msgspec.json.encode(BODIES[model])).model_fields_set == BODIES[model].keys()


@settings(max_examples=400, deadline=None)
@given(data=st.data(), model=models, unknown_fields=st.sampled_from(["error", "ignore"]))
def test_a_spoilt_body_is_read_or_refused(
    data: st.DataObject, model: type[Body], unknown_fields: UnknownFields
) -> None:
    raw = msgspec.json.encode(data.draw(spoilt(BODIES[model])))
    check(refusal_of(lambda: parse_body(model, raw, unknown_fields=unknown_fields)))


@settings(max_examples=200, deadline=None)
@given(raw=st.binary() | values.map(json.dumps).map(str.encode), model=models)
def test_any_bytes_are_read_or_refused(raw: bytes, model: type[Body]) -> None:
    check(refusal_of(lambda: parse_body(model, raw)))


@settings(max_examples=100, deadline=None)
@given(fields=st.lists(st.tuples(st.sampled_from(KEYS) | st.text(), st.text())), filename=st.none() | st.text())
def test_any_form_and_any_query_is_read_or_refused(fields: list[tuple[str, str]], filename: str | None) -> None:
    check(refusal_of(lambda: read_file_form(fields, filename=filename)))
    check(refusal_of(lambda: read_page_query(fields)))
    check(refusal_of(lambda: read_metadata_filter(fields)))
    check(refusal_of(lambda: wants_search_content(fields)))


# Valid bodies, to see that reading and rendering lose nothing --------------------------------------------------------

names = st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=20)
free: st.SearchStrategy[Json] = st.dictionaries(
    texts, st.none() | st.integers() | texts | st.lists(texts, max_size=2), max_size=3
)


def closed(
    required: dict[str, st.SearchStrategy[Json]], **optional: st.SearchStrategy[Json]
) -> st.SearchStrategy[Json]:
    return st.fixed_dictionaries(required, optional=optional)


strict = st.none() | st.booleans()
functions = closed({"name": names}, description=texts, parameters=free, strict=strict)
ranking = closed({"score_threshold": st.floats(0, 1)}, ranker=st.sampled_from(["auto", "default_2024_08_21"]))
searches = closed({}, max_num_results=st.integers(1, 50), ranking_options=ranking)
tools = st.one_of(
    st.just({"type": "code_interpreter"}),
    closed({"type": st.just("file_search")}, file_search=searches),
    closed({"type": st.just("function"), "function": functions}),
)
choices = st.one_of(
    st.sampled_from(["auto", "none", "required"]),
    st.sampled_from(["code_interpreter", "file_search"]).map(lambda kind: {"type": kind}),
    names.map(lambda name: {"type": "function", "function": {"name": name}}),
)
formats = st.one_of(
    st.just("auto"),
    st.sampled_from(["text", "json_object"]).map(lambda kind: {"type": kind}),
    closed({"name": names}, description=texts, schema=free, strict=strict).map(
        lambda schema: {"type": "json_schema", "json_schema": schema}
    ),
)
details = st.sampled_from(["auto", "low", "high"])
parts = st.one_of(
    texts.map(lambda text: {"type": "text", "text": text}),
    closed({"url": texts.map(lambda text: f"https://{text}"), "detail": details}).map(
        lambda image: {"type": "image_url", "image_url": image}
    ),
    closed({"file_id": texts, "detail": details}).map(lambda file: {"type": "image_file", "image_file": file}),
)


@settings(max_examples=100, deadline=None)
@given(
    sent_tools=st.lists(tools, max_size=4),
    choice=choices,
    response_format=formats,
    content=st.lists(parts, min_size=1, max_size=4),
    last_messages=st.integers(1, 2**31 - 1),
)
def test_what_was_sent_comes_back_through_the_engine(
    sent_tools: list[Json], choice: Json, response_format: Json, content: list[dict[str, str]], last_messages: int
) -> None:
    body = {
        "assistant_id": "asst_1",
        "tools": sent_tools,
        "tool_choice": choice,
        "response_format": response_format,
        "truncation_strategy": {"type": "last_messages", "last_messages": last_messages},
        "thread": {"messages": [{"role": "user", "content": content}]},
    }
    read = parse_body(CreateThreadAndRunRequest, msgspec.json.encode(body))
    assert read.thread is not None
    assert read.thread.messages is not None
    assert render_tools(read_tools(read.tools) or ()) == sent_tools
    assert render_tool_choice(read_tool_choice(read.tool_choice) or ToolChoice("none")) == choice
    assert render_response_format(read_response_format(read.response_format) or ResponseFormat("text")) == (
        response_format
    )
    assert read_truncation(read.truncation_strategy) == Truncation("last_messages", last_messages)
    assert render_content(read_content(read.thread.messages[0].content)) == [
        {"type": "text", "text": {"value": part["text"], "annotations": []}} if part["type"] == "text" else part
        for part in content
    ]
