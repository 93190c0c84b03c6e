from __future__ import annotations

import pytest

from agentrt.engine.message import ImageFilePart, ImageUrlPart, RefusalPart, TextPart
from agentrt.wire.messages import (
    CreateMessageRequest,
    UpdateMessageRequest,
    read_content,
    render_content,
)
from tests.wire.bodies import read, refused


def message(content: object, **fields: object) -> dict[str, object]:
    return {"role": "user", "content": content} | fields


def text(value: str) -> dict[str, object]:
    return {"type": "text", "text": value}


def test_a_string_is_one_text_part() -> None:
    content = read_content(read(CreateMessageRequest, message("Hi")).content)
    assert content == (TextPart("Hi"),)
    assert render_content(content) == [{"type": "text", "text": {"value": "Hi", "annotations": []}}]


def test_parts_keep_their_order_and_their_detail() -> None:
    sent = [
        text("What is this?"),
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "high"}},
        text("And this?"),
    ]
    content = read_content(read(CreateMessageRequest, message(sent)).content)
    assert content == (
        TextPart("What is this?"),
        ImageUrlPart("https://example.com/a.png", "low"),
        ImageUrlPart("data:image/png;base64,AAAA", "auto"),
        ImageFilePart("file-1", "high"),
        TextPart("And this?"),
    )
    assert render_content(content) == [
        {"type": "text", "text": {"value": "What is this?", "annotations": []}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "auto"}},
        {"type": "image_file", "image_file": {"file_id": "file-1", "detail": "high"}},
        {"type": "text", "text": {"value": "And this?", "annotations": []}},
    ]


def test_an_answer_may_hold_refusals_and_nothing_at_all() -> None:
    assert render_content((RefusalPart("No."),)) == [{"type": "refusal", "refusal": "No."}]
    assert render_content(()) == []


def test_a_callers_message_may_be_the_assistants() -> None:
    assert read(CreateMessageRequest, {"role": "assistant", "content": "Hello"}).role == "assistant"


@pytest.mark.parametrize(
    ("content", "param", "code", "words"),
    [
        ("", "content", "string_below_min_length", "but got an empty string instead."),
        ([], "content", "empty_array", "Expected an array with minimum length 1, but got an empty array instead."),
        ([text("")], "content[0].text", "string_below_min_length", "but got an empty string instead."),
        (None, "content", "invalid_type", "expected one of a string or array of objects, but got null instead."),
        ({}, "content", "invalid_type", "expected one of a string or array of objects, but got an object instead."),
        (["Hi"], "content[0]", "invalid_type", "expected an object, but got a string instead."),
        ([text("Hi"), {}], "content[1].type", "missing_required_parameter", "'content[1].type'."),
        (
            [{"type": "refusal", "refusal": "No."}],
            "content[0].type",
            "invalid_value",
            "Invalid value: 'refusal'. Supported values are: 'image_file', 'image_url', and 'text'.",
        ),
        ([{"type": "text", "text": {"value": "Hi"}}], "content[0].text", "invalid_type", "but got an object instead."),
        ([{"type": "image_url"}], "content[0].image_url", "missing_required_parameter", "'content[0].image_url'."),
        (
            [{"type": "image_url", "image_url": "https://example.com"}],
            "content[0].image_url",
            "invalid_type",
            "expected an object, but got a string instead.",
        ),
        (
            [{"type": "image_url", "image_url": {"url": "https://example.com", "detail": "huge"}}],
            "content[0].image_url.detail",
            "invalid_value",
            "Invalid value: 'huge'. Supported values are: 'auto', 'low', and 'high'.",
        ),
        (
            [{"type": "image_url", "image_url": {"url": "file:///etc/passwd"}}],
            "content[0].image_url.url",
            "invalid_value",
            "expected an http(s) URL or a data URL with an image (data:image/…).",
        ),
        (
            [{"type": "image_file", "image_file": {}}],
            "content[0].image_file.file_id",
            "missing_required_parameter",
            "'content[0].image_file.file_id'.",
        ),
    ],
)
def test_wrong_content_is_refused_at_its_place(content: object, param: str, code: str, words: str) -> None:
    found_param, found_code, found_message = refused(CreateMessageRequest, message(content))
    assert (found_param, found_code) == (param, code)
    assert found_message.endswith(words)


def test_a_text_has_256000_characters_at_most_in_one_part_or_in_all() -> None:
    assert read(CreateMessageRequest, message("é" * 256_000))
    assert read(CreateMessageRequest, message([text("a" * 128_000)] * 2))
    for content, param, length in (
        ("a" * 256_001, "content", 256_001),
        ([text("a" * 256_001)], "content[0].text", 256_001),
        ([text("a" * 128_000), text("b" * 128_001)], "content", 256_001),
    ):
        assert refused(CreateMessageRequest, message(content)) == (
            param,
            "string_above_max_length",
            (
                f"Invalid '{param}': string too long. Expected a string with maximum length 256000, "
                f"but got a string with length {length} instead."
            ),
        )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"content": "Hi"}, ("role", "missing_required_parameter", "Missing required parameter: 'role'.")),
        ({"role": "user"}, ("content", "missing_required_parameter", "Missing required parameter: 'content'.")),
        (
            {"role": "system", "content": "Hi"},
            ("role", "invalid_value", "Invalid value: 'system'. Supported values are: 'user' and 'assistant'."),
        ),
        (
            {"role": None, "content": "Hi"},
            ("role", "invalid_type", "Invalid type for 'role': expected a string, but got null instead."),
        ),
        (message("Hi", file_ids=[]), ("file_ids", "unknown_parameter", "Unknown parameter: 'file_ids'.")),
    ],
)
def test_a_message_has_a_role_and_content(body: dict[str, object], expected: tuple[str, str, str]) -> None:
    assert refused(CreateMessageRequest, body) == expected


def test_attachments_name_files_and_the_tools_that_see_them() -> None:
    sent = [
        {"file_id": "file-1", "tools": [{"type": "code_interpreter"}, {"type": "file_search"}]},
        {"file_id": "file-2", "tools": []},
    ]
    attachments = read(CreateMessageRequest, message("Hi", attachments=sent)).attachments or []
    assert [(attachment.file_id, [tool.type for tool in attachment.tools]) for attachment in attachments] == [
        ("file-1", ["code_interpreter", "file_search"]),
        ("file-2", []),
    ]
    assert read(CreateMessageRequest, message("Hi", attachments=None)).attachments is None


@pytest.mark.parametrize(
    ("attachment", "param", "code"),
    [
        ({"tools": []}, "attachments[0].file_id", "missing_required_parameter"),
        ({"file_id": "file-1"}, "attachments[0].tools", "missing_required_parameter"),
        ({"file_id": "file-1", "tools": [{}]}, "attachments[0].tools[0].type", "missing_required_parameter"),
        ({"file_id": "file-1", "tools": [{"type": "function"}]}, "attachments[0].tools[0].type", "invalid_value"),
        (
            {"file_id": "file-1", "tools": [{"type": "file_search", "file_search": {}}]},
            "attachments[0].tools[0].file_search",
            "unknown_parameter",
        ),
        ("file-1", "attachments[0]", "invalid_type"),
    ],
)
def test_a_wrong_attachment_is_refused(attachment: object, param: str, code: str) -> None:
    assert refused(CreateMessageRequest, message("Hi", attachments=[attachment]))[:2] == (param, code)


def test_an_update_takes_metadata_only() -> None:
    assert read(UpdateMessageRequest, {"metadata": {"a": "b"}}).metadata == {"a": "b"}
    assert refused(UpdateMessageRequest, {"content": "Hi"})[:2] == ("content", "unknown_parameter")
