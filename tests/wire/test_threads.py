from __future__ import annotations

from agentrt.wire.threads import CreateThreadRequest, UpdateThreadRequest
from tests.wire.bodies import read, refused


def test_a_thread_may_begin_with_messages() -> None:
    messages = [
        {"role": "user", "content": "Hi", "metadata": {"n": "1"}},
        {"role": "assistant", "content": [{"type": "text", "text": "Hello"}]},
    ]
    body = read(CreateThreadRequest, {"messages": messages, "metadata": {"user": "ada"}})
    assert [message.role for message in body.messages or ()] == ["user", "assistant"]
    assert body.metadata == {"user": "ada"}


def test_a_wrong_message_of_a_thread_is_refused_at_its_place() -> None:
    messages: list[object] = [{"role": "user", "content": "Hi"}, {"role": "user", "content": ""}]
    assert refused(CreateThreadRequest, {"messages": messages})[:2] == (
        "messages[1].content",
        "string_below_min_length",
    )
    assert refused(CreateThreadRequest, {"messages": [7]})[:2] == ("messages[0]", "invalid_type")
    assert refused(CreateThreadRequest, {"messages": None})[:2] == ("messages", "invalid_type")


def test_a_message_of_a_new_thread_cannot_say_what_happens_on_a_busy_one() -> None:
    message = {"role": "user", "content": "Hi", "agentrt": {"on_busy": "enqueue"}}
    assert refused(CreateThreadRequest, {"messages": [message]})[:2] == ("messages[0].agentrt", "unknown_parameter")


def test_an_update_takes_tool_resources_and_metadata() -> None:
    body = read(UpdateThreadRequest, {"tool_resources": None, "metadata": None})
    assert body.model_fields_set == {"tool_resources", "metadata"}
    assert refused(UpdateThreadRequest, {"messages": []})[:2] == ("messages", "unknown_parameter")
