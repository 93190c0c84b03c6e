"""The demo model as a model client: chunks, usage, limits, ids, tool choice."""

from __future__ import annotations

from contextlib import aclosing

import pytest

from agentrt.engine.message import ImageUrlPart, Message, Role, TextPart, assistant, system, user
from agentrt.engine.spec import CodeInterpreterTool, FileSearchTool, ToolChoice
from agentrt.models.client import CallChunk, Chunk, EndChunk, ModelClient, ModelRequest, TextChunk
from agentrt.models.demo import Demo
from tests.models.demo_chat import CLOCK, REFUND, WEATHER, Chat, function, read_calls, read_end, read_text


async def answer(request: ModelRequest, model: ModelClient | None = None) -> list[Chunk]:
    return [chunk async for chunk in (model or Demo()).stream(request)]


def ask(*messages: Message, max_completion_tokens: int | None = None) -> ModelRequest:
    return ModelRequest(model="demo", messages=messages, max_completion_tokens=max_completion_tokens)


class NotingClock:
    """A clock whose sleep takes no time and is noted."""

    def __init__(self) -> None:
        self.slept: list[float] = []

    def now(self) -> float:
        raise AssertionError("the demo model does not look at the clock")

    def monotonic(self) -> float:
        raise AssertionError("the demo model does not look at the clock")

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


async def test_an_answer_streams_word_by_word() -> None:
    chunks = await answer(ask(user("count to 5")))
    assert chunks[:-1] == [TextChunk("1,"), TextChunk(" 2,"), TextChunk(" 3,"), TextChunk(" 4,"), TextChunk(" 5")]
    assert read_end(chunks).finish_reason == "stop"


async def test_a_call_streams_its_name_first_and_its_arguments_in_pieces() -> None:
    chat = Chat(WEATHER)
    await chat.say("What is the weather in Oslo?")
    chunks = await answer(ModelRequest(model="demo", messages=tuple(chat.messages[:1]), tools=(WEATHER,)))
    head, *pieces, end = chunks
    assert head == CallChunk(0, chat.pending[0].id, "get_weather")
    assert pieces == [CallChunk(0, arguments='{"city": "Os'), CallChunk(0, arguments='lo"}')]
    assert isinstance(end, EndChunk)
    assert end.finish_reason == "tool_calls"


async def test_a_citation_marker_is_never_split() -> None:
    marker = "【4:0†my handbook.pdf】"
    chunks = await answer(ask(user(f"say this: see {marker} there")))
    assert f" {marker}" in [chunk.text for chunk in chunks if isinstance(chunk, TextChunk)]


async def test_usage_counts_four_characters_a_token() -> None:
    usage = read_end(await answer(ask(system("x" * 40), user("count to 5")))).usage
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (13, 4)  # 50 and 13 characters, rounded up


async def test_tools_calls_and_images_count_too() -> None:
    plain = read_end(await answer(ask(user("hello")))).usage
    image = ImageUrlPart("data:image/png;base64," + "A" * 4000)
    rich = ModelRequest(
        model="demo", messages=(Message(Role.USER, (TextPart("hello"), image)),), tools=(WEATHER, FileSearchTool())
    )
    more = read_end(await answer(rich)).usage
    assert plain is not None
    assert more is not None
    assert 85 + 100 < more.prompt_tokens - plain.prompt_tokens < 300


async def test_an_answer_that_is_too_long_is_cut() -> None:
    chunks = await answer(ask(user("count to 50"), max_completion_tokens=3))
    end = read_end(chunks)
    assert read_text(chunks) == "1, 2, 3, 4, "
    assert end.finish_reason == "length"
    assert end.usage is not None
    assert end.usage.completion_tokens == 3


async def test_a_call_that_does_not_fit_is_left_out_whole() -> None:
    question = (user("weather in Oslo and Rome"),)
    request = ModelRequest(model="demo", messages=question, tools=(WEATHER,), max_completion_tokens=9)
    chunks = await answer(request)
    assert [call.arguments for call in read_calls(chunks)] == ['{"city": "Oslo"}']
    assert read_end(chunks).finish_reason == "length"


async def test_the_pause_is_the_clocks() -> None:
    clock = NotingClock()
    chunks = await answer(ask(user("count to 5")), Demo(delay_s=0.02, clock=clock))
    assert clock.slept == [0.02] * len(chunks)


async def test_nobody_waits_when_no_pause_is_asked_for() -> None:
    clock = NotingClock()
    await answer(ask(user("count to 5")), Demo(clock=clock))
    assert clock.slept == []


async def test_a_stream_can_be_left_at_any_time() -> None:
    async with aclosing(Demo().stream(ask(user("count to 50")))) as chunks:
        first = await anext(chunks)
    assert first == TextChunk("1,")
    with pytest.raises(StopAsyncIteration):
        await anext(chunks)


async def test_the_window_is_what_it_was_made_with() -> None:
    client: ModelClient = Demo(context_window=8_000)
    assert client.context_window == 8_000
    assert client.takes_images
    assert Demo().context_window == 128_000


async def test_the_same_question_asked_twice_gets_calls_of_different_ids() -> None:
    chat = Chat(WEATHER)
    ids = []
    for _ in range(3):
        await chat.say("weather in Oslo and Rome")
        ids += [call.id for call in chat.pending]
        await chat.give("4", "14")
    assert len(set(ids)) == 6


async def test_a_request_without_messages_gets_an_answer() -> None:
    assert "scripted demo model" in read_text(await answer(ask()))


async def test_a_run_on_a_thread_whose_last_word_was_the_models_answers_the_user_again() -> None:
    assert read_text(await answer(ask(user("count to 2"), assistant("1, 2")))) == "1, 2"


@pytest.mark.parametrize(
    ("choice", "said", "expected"),
    [
        (ToolChoice("none"), "weather in Oslo", None),
        (ToolChoice("auto"), "good morning", None),
        (ToolChoice("required"), "weather in Oslo", 'get_weather(city="Oslo")'),
        (ToolChoice("required"), "good morning", 'get_weather(city="good morning")'),
        (ToolChoice("function", "refund"), "weather in Oslo", 'refund(order="Oslo", amount=0)'),
        (ToolChoice("function", "refund"), "$20 for order A-17", 'refund(order="A-17", amount=20)'),
        (ToolChoice("function", "unknown"), "weather in Oslo", None),
        (ToolChoice("code_interpreter"), "what is 6 * 7?", 'code_interpreter(code="print(6 * 7)")'),
        (
            ToolChoice("code_interpreter"),
            "good morning",
            "code_interpreter(code=\"text = 'good morning'\\nprint(len(text.split()), 'words')\")",
        ),
        (ToolChoice("file_search"), "good morning", 'file_search(queries=["good morning"])'),
    ],
)
async def test_the_tool_choice_is_obeyed(choice: ToolChoice, said: str, expected: str | None) -> None:
    chat = Chat(WEATHER, REFUND, CodeInterpreterTool(), FileSearchTool(), choice=choice)
    heard = await chat.say(said)
    assert bool(chat.pending) == (expected is not None)
    assert expected in (None, heard)


async def test_a_forced_call_is_made_once_and_then_answered() -> None:
    chat = Chat(WEATHER, choice=ToolChoice("required"))
    await chat.say("good morning")
    assert await chat.give("no such city") == "good morning: no such city."


async def test_a_forced_argument_is_the_example_of_its_description() -> None:
    tool = function("locate", "Find it", "place", place="City and state, e.g. San Francisco, CA")
    assert await Chat(tool, choice=ToolChoice("required")).say("hm") == 'locate(place="San Francisco, CA")'


async def test_without_parallel_calls_they_come_one_after_the_other() -> None:
    chat = Chat(WEATHER, parallel=False)
    assert await chat.say("What is the weather in Oslo and in Rome?") == 'get_weather(city="Oslo")'
    assert await chat.give("4 °C") == 'get_weather(city="Rome")'
    assert await chat.give("14 °C") == "- Oslo: 4 °C\n- Rome: 14 °C"


async def test_a_call_that_failed_is_not_made_again() -> None:
    chat = Chat(WEATHER, CLOCK)
    await chat.say("What is the weather in Oslo?")
    assert await chat.give("Error: timed out") == "`get_weather` failed: timed out. I have not tried again."
