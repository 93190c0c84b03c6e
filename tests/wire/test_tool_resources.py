from __future__ import annotations

import pytest

from agentrt.wire.assistants import CreateAssistantRequest, UpdateAssistantRequest
from agentrt.wire.base import Body
from agentrt.wire.runs import CreateThreadAndRunRequest
from agentrt.wire.threads import CreateThreadRequest, UpdateThreadRequest
from agentrt.wire.tool_resources import read_tool_resources
from tests.wire.bodies import read, refused

CREATES: list[tuple[type[Body], dict[str, object]]] = [
    (CreateAssistantRequest, {"model": "m"}),
    (CreateThreadRequest, {}),
]
OTHERS: list[tuple[type[Body], dict[str, object]]] = [
    (UpdateAssistantRequest, {}),
    (UpdateThreadRequest, {}),
    (CreateThreadAndRunRequest, {"assistant_id": "a"}),
]


@pytest.mark.parametrize(
    "resources",
    [
        None,
        {},
        {"code_interpreter": {}},
        {"file_search": {}},
        {"code_interpreter": {"file_ids": ["file-1", "file-2"]}, "file_search": {"vector_store_ids": ["vs_1"]}},
    ],
)
def test_resources_are_read_as_they_were_sent(resources: object) -> None:
    assert read_tool_resources(read(CreateThreadRequest, {"tool_resources": resources}).tool_resources) == resources
    assert read_tool_resources(read(UpdateThreadRequest, {"tool_resources": resources}).tool_resources) == resources


@pytest.mark.parametrize(
    "helper",
    [
        {},
        {"file_ids": [], "chunking_strategy": {"type": "auto"}, "metadata": None},
        {
            "file_ids": ["file-1"],
            "chunking_strategy": {
                "type": "static",
                "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 50},
            },
            "metadata": {"a": "b"},
        },
    ],
)
def test_the_helper_is_passed_on(helper: object) -> None:
    sent = {"file_search": {"vector_stores": [helper]}}
    assert read_tool_resources(read(CreateThreadRequest, {"tool_resources": sent}).tool_resources) == sent
    body = {"model": "m", "tool_resources": sent}
    assert read_tool_resources(read(CreateAssistantRequest, body).tool_resources) == sent


@pytest.mark.parametrize(("model", "body"), OTHERS)
def test_only_creates_take_the_helper(model: type[Body], body: dict[str, object]) -> None:
    param = "tool_resources.file_search.vector_stores"
    assert refused(model, body | {"tool_resources": {"file_search": {"vector_stores": []}}}) == (
        param,
        "unknown_parameter",
        f"Unknown parameter: '{param}'.",
    )


@pytest.mark.parametrize(("model", "body"), CREATES)
def test_a_store_and_the_helper_exclude_each_other(model: type[Body], body: dict[str, object]) -> None:
    both = {"vector_store_ids": ["vs_1"], "vector_stores": [{}]}
    assert refused(model, body | {"tool_resources": {"file_search": both}}) == (
        "tool_resources.file_search",
        "invalid_value",
        "Invalid 'tool_resources.file_search': provide either 'vector_store_ids' or 'vector_stores', not both.",
    )


@pytest.mark.parametrize(("model", "body"), CREATES + OTHERS)
@pytest.mark.parametrize(
    ("tool", "field", "most"), [("code_interpreter", "file_ids", 20), ("file_search", "vector_store_ids", 1)]
)
def test_lists_of_ids_are_short(model: type[Body], body: dict[str, object], tool: str, field: str, most: int) -> None:
    assert read(model, body | {"tool_resources": {tool: {field: ["x"] * most}}})
    param = f"tool_resources.{tool}.{field}"
    assert refused(model, body | {"tool_resources": {tool: {field: ["x"] * (most + 1)}}}) == (
        param,
        "array_above_max_length",
        (
            f"Invalid '{param}': array too long. Expected an array with maximum length {most}, "
            f"but got an array with length {most + 1} instead."
        ),
    )


STATIC = "vector_stores[0].chunking_strategy.static"


@pytest.mark.parametrize(
    ("file_search", "param", "code"),
    [
        ({"vector_stores": [{}, {}]}, "vector_stores", "array_above_max_length"),
        ({"vector_stores": [{"name": "x"}]}, "vector_stores[0].name", "unknown_parameter"),
        ({"vector_stores": [{"file_ids": [1]}]}, "vector_stores[0].file_ids[0]", "invalid_type"),
        (
            {"vector_stores": [{"chunking_strategy": {"type": "x"}}]},
            "vector_stores[0].chunking_strategy.type",
            "invalid_value",
        ),
        (
            {"vector_stores": [{"chunking_strategy": {"type": "static"}}]},
            STATIC,
            "missing_required_parameter",
        ),
    ],
)
def test_a_wrong_helper_is_refused(file_search: object, param: str, code: str) -> None:
    body = {"tool_resources": {"file_search": file_search}}
    assert refused(CreateThreadRequest, body)[:2] == (f"tool_resources.file_search.{param}", code)


@pytest.mark.parametrize(
    ("size", "overlap", "field", "code"),
    [
        (99, 0, "max_chunk_size_tokens", "integer_below_min_value"),
        (4097, 0, "max_chunk_size_tokens", "integer_above_max_value"),
        (800, -1, "chunk_overlap_tokens", "integer_below_min_value"),
        (101, 51, "chunk_overlap_tokens", "integer_above_max_value"),
        (800.0, 400, "max_chunk_size_tokens", "invalid_type"),
    ],
)
def test_chunks_have_limits_and_overlap_by_half_at_most(size: float, overlap: int, field: str, code: str) -> None:
    static = {"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap}
    helper = {"chunking_strategy": {"type": "static", "static": static}}
    body = {"tool_resources": {"file_search": {"vector_stores": [helper]}}}
    assert refused(CreateThreadRequest, body)[:2] == (f"tool_resources.file_search.{STATIC}.{field}", code)
