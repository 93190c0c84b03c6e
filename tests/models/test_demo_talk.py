"""What the demo model says, remembers and owns up to. Read them as transcripts."""

from __future__ import annotations

import pytest

from agentrt.engine.message import ImageFilePart, ImageUrlPart
from agentrt.engine.spec import CodeInterpreterTool
from tests.models.demo_chat import WEATHER, Chat

HONEST = "I am agentrt's scripted demo model, not a language model"
PLUG = "For a real model, add a [models.NAME] table to agents.toml"


@pytest.mark.parametrize(
    "said",
    [
        "Who are you?", "What are you?", "are you ChatGPT?", "Are you a real person?", "which model is this?",
        "What is your name?", "introduce yourself",
    ],
)  # fmt: skip
async def test_it_says_what_it_is_and_how_to_get_a_real_one(said: str) -> None:
    heard = await Chat(WEATHER).say(said)
    assert HONEST in heard
    assert PLUG in heard


@pytest.mark.parametrize(
    "said", ["Explain quantum physics", "Write me an essay about bees", "Was ist das?", "foo", "🙂"]
)
async def test_what_it_cannot_do_it_says(said: str) -> None:
    heard = await Chat().say(said)
    assert HONEST in heard
    assert heard.count("\n") == 1
    assert heard.splitlines()[1].startswith(PLUG)


async def test_its_last_resort_differs_from_message_to_message() -> None:
    chat = Chat()
    assert len({await chat.say("Explain quantum physics") for _ in range(4)}) == 4


async def test_it_greets_by_name_once_it_knows_one() -> None:
    chat = Chat()
    assert (await chat.say("Hello!")).startswith("Hello! ")
    assert await chat.say("Hi, I'm Ada.") == "Nice to meet you, Ada."
    assert (await chat.say("hello again")).startswith("Hello, Ada! ")


async def test_it_says_what_it_can_do() -> None:
    heard = await Chat(WEATHER, CodeInterpreterTool()).say("What can you do?")
    assert "- `get_weather`: Get the current weather for a city" in heard
    assert "- `code_interpreter`: run Python." in heard
    assert HONEST in heard


async def test_its_instructions_may_call_it_names() -> None:
    heard = await Chat(instructions="You are Fritz, a grumpy pirate.").say("Who are you?")
    assert HONEST in heard
    assert "My instructions call me “Fritz”" in heard


@pytest.mark.parametrize(
    ("said", "heard"),
    [
        ("thanks!", "You are welcome. It was no trouble: I do not have any."),
        ("How are you?", "Deterministic, thank you: exactly as well as the last time you asked."),
        ("Bye", "Goodbye! I will be here, unchanged."),
        ("Say this is a test!", "This is a test!"),
        ("say hello to Bob", "Hello, Bob!"),
        ("Reply with exactly: PONG", "PONG"),
        ('echo "x  y"', "x  y"),
        ("repeat after me: I am a robot", "I am a robot"),
        ("count to 5", "1, 2, 3, 4, 5"),
        ("Please count from 3 to one", "3, 2, 1"),
        ("count down from three", "3, 2, 1"),
        ("list three fruits", "Apple, banana and cherry."),
        ("give me a list of 2 colors", "Red and green."),
        ("name all planets", "Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus and Neptune."),
        ("name nine planets", "Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus and Neptune. (I know only 8.)"),
        ("spell Oslo", "O-S-L-O"),
        ("reverse the word stressed", "desserts"),
        ("what is 6 * 7? Answer in one word.", "42"),
        ("say hello there in upper case", "HELLO THERE"),
        ("count to 9 in at most three words", "1, 2, 3,"),
    ],
)
async def test_simple_orders_are_followed(said: str, heard: str) -> None:
    assert await Chat().say(said) == heard


async def test_a_very_long_count_ends() -> None:
    heard = await Chat().say("count to 1000000")
    assert heard.endswith("199, 200 … and 999800 more, which I leave to you.")


async def test_it_says_it_again() -> None:
    chat = Chat()
    await chat.say("count to 3")
    assert await chat.say("say that again") == "1, 2, 3"


@pytest.mark.parametrize(
    ("instructions", "heard"),
    [
        ("Answer in upper case only.", "PONG IT IS"),
        ("answer in lowercase", "pong it is"),
        ("Answer in one word.", "Pong"),
        ("Never answer in upper case.", "Pong it is"),
    ],
)
async def test_the_form_may_stand_in_the_instructions(instructions: str, heard: str) -> None:
    assert await Chat(instructions=instructions).say("say Pong it is") == heard


async def test_it_remembers_what_it_was_told() -> None:
    chat = Chat()
    assert await chat.say("My name is Ada") == "Nice to meet you, Ada."
    assert await chat.say("Remember: my cat is Mia.") == "Noted: your cat is Mia."
    assert await chat.say("My favourite colour is green and my dog's name is Rex") == (
        "Noted: your favourite colour is green and your dog is Rex."
    )
    assert await chat.say("I live in Oslo and I work at Acme") == "Noted: you live in Oslo and you work at Acme."
    assert await chat.say("remember that the code word is swordfish") == "Noted: the code word is swordfish."
    assert await chat.say("please remember to water the plants") == "Noted: to water the plants."
    assert await chat.say("What is my name?") == "Your name is Ada."
    assert await chat.say("Who am I?") == "Your name is Ada."
    assert await chat.say("what is my cat called?") == "Your cat is Mia."
    assert await chat.say("What's the name of my dog?") == "Your dog is Rex."
    assert await chat.say("what's my favorite color?") == "Your favourite colour is green."
    assert await chat.say("Where do I live?") == "You live in Oslo."
    assert await chat.say("what is the code word?") == "The code word is swordfish."
    assert await chat.say("What do you know about me?") == (
        "You told me: your name is Ada, your cat is Mia, your favourite colour is green, your dog is Rex, "
        "you live in Oslo, you work at Acme, the code word is swordfish and to water the plants."
    )


async def test_the_newest_word_counts() -> None:
    chat = Chat()
    await chat.say("my cat is Mia")
    await chat.say("my cat is Tom")
    assert await chat.say("what is my cat's name?") == "Your cat is Tom."


async def test_a_question_is_no_fact() -> None:
    chat = Chat()
    await chat.say("is my name Bob?")
    assert (await chat.say("what is my name?")).startswith("You have not told me that")


async def test_it_knows_what_was_said() -> None:
    chat = Chat(WEATHER)
    await chat.say("Good morning")
    await chat.say("What is the weather in Oslo?")
    await chat.give("4 °C")
    assert await chat.say("What did I say first?") == "You began with: “Good morning”"
    assert await chat.say("what did I just say?") == "Before this you said: “What did I say first?”"
    assert await chat.say("how many messages have I sent?") == "I see 5 messages of yours, this one included."
    assert await chat.say("Summarise our conversation") == (
        "So far you wrote 5 messages:\n- “Good morning”\n- “What is the weather in Oslo?”\n- “What did I say first?”\n"
        "- “what did I just say?”\n- “how many messages have I sent?”\nOn the way I called `get_weather`."
    )


async def test_memory_needs_no_tools_but_does_not_mind_them() -> None:
    chat = Chat(WEATHER)
    await chat.say("My name is Ada. What is the weather in Oslo?")
    await chat.give("4 °C")
    assert await chat.say("What is my name?") == "Your name is Ada."


async def test_it_owns_up_that_it_cannot_see() -> None:
    png = ImageUrlPart("data:image/png;base64," + "A" * 4096)
    jpeg = ImageUrlPart("https://example.org/cat.jpg?size=1")
    assert (await Chat().say("What is in this picture?", png)).startswith(
        "You sent one image (PNG, about 3 KB). I cannot look at it: I am agentrt's scripted demo model"
    )
    assert (await Chat().say("", png, jpeg, ImageFilePart("file-1"))).startswith(
        "You sent 3 images (PNG, about 3 KB, JPG behind a link and a stored file). I cannot look at them"
    )
