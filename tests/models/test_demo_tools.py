"""Which function the demo model calls, with what, and how it tells the results. Read them as transcripts."""

from __future__ import annotations

import json

import pytest

from agentrt.engine.message import JsonValue
from agentrt.engine.spec import FunctionTool
from tests.models.demo_chat import CLOCK, REFUND, WEATHER, Chat, function

NUMBER: JsonValue = {"type": "number"}
COUNT: JsonValue = {"type": "integer", "description": "how many dice"}
CALCULATOR = function("calculate", "Calculate an arithmetic expression", "expression", expression="such as 2 * 3")
UNITS = function(
    "convert_units",
    "Convert a measurement",
    "value",
    "from_unit",
    "to_unit",
    value=NUMBER,
    from_unit="unit it is in",
    to_unit="unit it is wanted in",
)
MONEY = function(
    "convert_currency",
    "Convert money",
    "amount",
    "from_currency",
    "to_currency",
    amount=NUMBER,
    from_currency="ISO code",
    to_currency="ISO code",
)
EMAIL = function(
    "send_email", "Send an email", "to", "body", to="address of the recipient", subject="subject line", body="the text"
)
FLIGHTS = function(
    "find_flights",
    "Find flights between two cities",
    "origin",
    "destination",
    origin="city of departure",
    destination="city of arrival",
    date="day of the flight",
    passengers={"type": "integer", "description": "number of passengers"},
)
MEETING = function(
    "schedule_meeting",
    "Schedule a meeting",
    "title",
    "attendees",
    title="what it is about",
    attendees={"type": "array", "items": {"type": "string"}, "description": "names of the people"},
    date="day",
    time="time of day",
)
LIGHT = function(
    "set_light",
    "Switch a light on or off",
    "room",
    "on",
    room={"type": "string", "enum": ["kitchen", "living room"]},
    on={"type": "boolean"},
)
REMINDER = function("create_reminder", "Create a reminder", "text", "when", text="what to do", when="date or time")
CHORE = function("add_todo", "Add an item to the shopping list", "item", item="what to buy")
TRANSLATE = function("translate", "Translate a text", "text", "target_language", text="the text", target_language="")
ORDER = function("get_order_status", "Look up an order", "order_id", order_id="id of the order")
DAYS = function(
    "date_difference",
    "Days between two dates",
    "start",
    "end",
    start={"type": "string", "format": "date"},
    end={"type": "string", "format": "date"},
)
SEARCH = function("web_search", "Search the web", "query", query="what to search for")
MULTIPLY = function("multiply", "Multiply two numbers", "a", "b", a=NUMBER, b=NUMBER)
ADD = function("add", "Add two numbers", "a", "b", a=NUMBER, b=NUMBER)
DICE = function("roll_dice", "Roll dice", sides={"type": "integer", "description": "sides of a die"}, count=COUNT)
DISTANCE = function(
    "distance",
    "Distance between places",
    "places",
    places={"type": "array", "items": {"type": "string"}, "minItems": 2},
)
ALL = (
    WEATHER, CLOCK, REFUND, CALCULATOR, UNITS, MONEY, EMAIL, FLIGHTS, MEETING, LIGHT, REMINDER, CHORE, TRANSLATE, ORDER,
    DAYS, SEARCH, MULTIPLY, ADD, DICE, DISTANCE,
)  # fmt: skip


@pytest.mark.parametrize(
    ("said", "called"),
    [
        ("What is the weather in Oslo?", 'get_weather(city="Oslo")'),
        ("weather in new york please", 'get_weather(city="new york")'),
        ("WEATHER IN OSLO", 'get_weather(city="OSLO")'),
        ("weather: Oslo", 'get_weather(city="Oslo")'),
        ("Give me the forecast for Oslo, Norway", 'get_weather(city="Oslo, Norway")'),
        ("call get_weather for Oslo", 'get_weather(city="Oslo")'),
        ("My name is Ada. What is the weather in Oslo?", 'get_weather(city="Oslo")'),
        ("What is the weather in Oslo and in Rome?", 'get_weather(city="Oslo") & get_weather(city="Rome")'),
        (
            "Weather in Boston, MA, Oslo and Rome",
            'get_weather(city="Boston, MA") & get_weather(city="Oslo") & get_weather(city="Rome")',
        ),
        (
            "The weather in Oslo and the time in Rome",
            'get_weather(city="Oslo") & current_time(time_zone="Europe/Rome")',
        ),
        ("What time is it?", "current_time()"),
        (
            "What time is it in Tokyo and Berlin?",
            'current_time(time_zone="Asia/Tokyo") & current_time(time_zone="Europe/Berlin")',
        ),
        ("what is 12 * 7?", 'calculate(expression="12 * 7")'),
        ("What is 15% of 80?", 'calculate(expression="15 / 100 * 80")'),
        ("the average of 3, 9 and 12", 'calculate(expression="mean(3, 9, 12)")'),
        ("multiply 6 by 7", "multiply(a=6, b=7)"),
        ("add 3 and 5", "add(a=3, b=5)"),
        ("roll two dice with 20 sides", "roll_dice(sides=20, count=2)"),
        ("convert 5 km to miles", 'convert_units(value=5, from_unit="km", to_unit="miles")'),
        ("How much is 72 °F in celsius?", 'convert_units(value=72, from_unit="°F", to_unit="celsius")'),
        ("how many kilometers are 26 miles?", 'convert_units(value=26, from_unit="miles", to_unit="kilometers")'),
        (
            "Convert 5 km to miles and 10 kg to pounds",
            (
                'convert_units(value=5, from_unit="km", to_unit="miles") & '
                'convert_units(value=10, from_unit="kg", to_unit="pounds")'
            ),
        ),
        ("convert $1,200.50 to EUR", 'convert_currency(amount=1200.5, from_currency="USD", to_currency="EUR")'),
        ("How much is 20 euros in dollars?", 'convert_currency(amount=20, from_currency="EUR", to_currency="USD")'),
        ("Refund order A-17, $20 please", 'refund(order="A-17", amount=20)'),
        ("where is order #4711?", 'get_order_status(order_id="4711")'),
        ("send an email to ann@x.org saying see you at 5", 'send_email(to="ann@x.org", body="see you at 5")'),
        (
            'mail bob@x.org with the subject "Hi" and the body "All well?"',
            'send_email(to="bob@x.org", subject="Hi", body="All well?")',
        ),
        (
            "book me a flight from Berlin to Paris tomorrow for 3 passengers",
            'find_flights(origin="Berlin", destination="Paris", date="tomorrow", passengers=3)',
        ),
        ("find flights from oslo to rome", 'find_flights(origin="oslo", destination="rome")'),
        (
            "Schedule a meeting called Sync with Ann, Bob and Eve next Friday at 10am",
            'schedule_meeting(title="Sync", attendees=["Ann", "Bob", "Eve"], date="next Friday", time="10am")',
        ),
        ("turn off the kitchen light", 'set_light(room="kitchen", on=false)'),
        ("turn on the lights in the living room", 'set_light(room="living room", on=true)'),
        ("Remind me to call mom tomorrow at 5pm", 'create_reminder(text="call mom", when="tomorrow at 5pm")'),
        ("Add milk to my shopping list", 'add_todo(item="milk")'),
        ("translate 'good morning' into German", 'translate(text="good morning", target_language="German")'),
        ("How many days from 2025-03-01 to 2025-04-15?", 'date_difference(start="2025-03-01", end="2025-04-15")'),
        ("days between March 1st, 2025 and 15.4.2025", 'date_difference(start="2025-03-01", end="2025-04-15")'),
        ("search the web for cats in hats", 'web_search(query="cats in hats")'),
        ("Who painted the night watch?", 'web_search(query="painted the night watch")'),
        ("How far is Oslo from Rome?", 'distance(places=["Oslo", "Rome"])'),
    ],
)
async def test_words_become_calls(said: str, called: str) -> None:
    assert await Chat(*ALL).say(said) == called


@pytest.mark.parametrize(
    "said",
    [
        "hello", "thanks!", "my name is Ada", "count to 5", "tell me a joke", "I like trains", "",
        "don't use any tools: what is the weather in Oslo?", "we won 3-5 yesterday",
    ],
)  # fmt: skip
async def test_other_words_do_not(said: str) -> None:
    chat = Chat(*ALL)
    await chat.say(said)
    assert not chat.pending


@pytest.mark.parametrize(
    ("schema", "said", "value"),
    [
        ({"type": "integer"}, "adjust the level to 7", 7),
        ({"type": "integer", "maximum": 5}, "adjust the level to 7 or 4", 4),
        ({"type": "number"}, "adjust the level to -2.5", -2.5),
        ({"type": "number"}, "adjust the level to twenty five", 25),
        ({"type": "boolean"}, "adjust the level to true", True),
        ({"type": "boolean"}, "adjust the level: no", False),
        ({"enum": ["low", "high"]}, "adjust the level to high", "high"),
        ({"enum": [1, 2, 3]}, "adjust the level to 2", 2),
        ({"type": "string"}, 'adjust the level to "two words"', "two words"),
        ({"type": "string", "format": "email"}, "adjust the level to ann@example.org.", "ann@example.org"),
        (
            {"type": "string", "format": "uri"},
            "adjust the level to https://example.org/a?b=1.",
            "https://example.org/a?b=1",
        ),
        ({"type": "string", "format": "date"}, "adjust the level to 3 March 2026", "2026-03-03"),
        ({"type": "string", "pattern": "^[A-Z]{2}[0-9]+$"}, "adjust the level to LH2030", "LH2030"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, "adjust the level to 7", 7),
        ({"$ref": "#/$defs/size"}, "adjust the level to large", "large"),
        ({"type": "array", "items": {"type": "number"}}, "adjust the level to 3, 4 and 5", [3, 4, 5]),
        ({"type": "array", "items": {"enum": ["red", "blue"]}}, "adjust the level to red and blue", ["red", "blue"]),
        (
            {
                "type": "object",
                "properties": {"x": {"type": "number"}, "y": {"type": "number"}},
                "required": ["x", "y"],
            },
            "adjust the level to 3 and 4",
            {"x": 3, "y": 4},
        ),
    ],
)
async def test_a_value_is_read_by_its_schema(schema: JsonValue, said: str, value: JsonValue) -> None:
    tool = FunctionTool(
        "adjust_level",
        "Adjust the level",
        {
            "type": "object",
            "properties": {"level": schema},
            "required": ["level"],
            "$defs": {"size": {"enum": ["small", "large"]}},
        },
    )
    chat = Chat(tool)
    await chat.say(said)
    assert chat.pending, "no call was made"
    assert json.loads(chat.pending[0].arguments) == {"level": value}


async def test_defaults_and_what_nobody_said_are_left_out() -> None:
    tool = function(
        "get_weather",
        "Weather of a city",
        "city",
        city="name of the city",
        days={"type": "integer", "default": 1, "description": "number of days"},
        unit={"enum": ["celsius", "fahrenheit"]},
    )
    assert await Chat(tool).say("weather in Oslo") == 'get_weather(city="Oslo")'
    assert await Chat(tool).say("weather in Oslo for 3 days") == 'get_weather(city="Oslo", days=3)'
    assert await Chat(tool).say("weather in Oslo in fahrenheit") == 'get_weather(city="Oslo", unit="fahrenheit")'


async def test_the_example_of_the_guide_works_with_two_tools_and_strict_enums() -> None:
    temperature = function(
        "get_current_temperature",
        "Get the current temperature for a specific location",
        "location",
        "unit",
        location="The city and state, e.g., San Francisco, CA",
        unit={"type": "string", "enum": ["Celsius", "Fahrenheit"], "description": "The temperature unit to use."},
    )
    rain = function(
        "get_rain_probability",
        "Get the probability of rain for a specific location",
        "location",
        location="The city and state, e.g., San Francisco, CA",
    )
    chat = Chat(temperature, rain)
    assert await chat.say("What's the weather in San Francisco today and the likelihood it'll rain?") == (
        'get_current_temperature(location="San Francisco", unit="Celsius") & '
        'get_rain_probability(location="San Francisco")'
    )
    assert await chat.give("57", "0.06") == "- San Francisco, Celsius: 57\n- San Francisco: 0.06"


async def test_a_missing_argument_is_asked_for_by_its_description() -> None:
    chat = Chat(REFUND)
    assert await chat.say("I want a refund") == (
        "To use `refund` I need `order` (number of the order). What should it be?"
    )
    assert await chat.say("order 17") == "To use `refund` I need `amount`. What should it be?"
    assert await chat.say("20 dollars") == 'refund(order="17", amount=20)'


async def test_a_bare_word_answers_the_question() -> None:
    chat = Chat(WEATHER)
    await chat.say("What's the weather like?")
    assert await chat.say("oslo") == 'get_weather(city="oslo")'


async def test_a_question_can_be_dropped() -> None:
    chat = Chat(WEATHER)
    await chat.say("What's the weather like?")
    assert await chat.say("never mind") == "Consider it never asked."


async def test_a_follow_up_changes_what_is_new() -> None:
    chat = Chat(FLIGHTS, WEATHER)
    await chat.say("find flights from Oslo to Rome for 2 passengers")
    await chat.give("none")
    assert await chat.say("And to Paris?") == 'find_flights(origin="Oslo", destination="Paris", passengers=2)'
    await chat.give("none")
    await chat.say("What is the weather in Oslo?")
    await chat.give("4 °C")
    assert await chat.say("what about Rome and Cairo?") == 'get_weather(city="Rome") & get_weather(city="Cairo")'


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ('{"temp_c": 4, "sky": "clear"}', "Oslo: temp c: 4, sky: clear."),
        ('{"wind": {"speed": 3, "unit": "m/s"}, "rain": false}', "Oslo: wind: (speed: 3, unit: m/s), rain: no."),
        ("4 °C", "Oslo: 4 °C."),
        ("It is 4 °C and sunny.", "It is 4 °C and sunny."),
        ('["cold", "wet", null]', "Oslo: cold, wet and none."),
        ('[{"day": 1, "c": 4}, {"day": 2, "c": 5}]', "- day: 1, c: 4\n- day: 2, c: 5"),
        ("", "Oslo: done (it returned nothing)."),
        ('{"error": "no such city"}', "`get_weather` failed: no such city. I have not tried again."),
        ('{"error": {"message": "no such city"}}', "`get_weather` failed: no such city. I have not tried again."),
        ("Error: no such city", "`get_weather` failed: no such city. I have not tried again."),
        (
            "interrupted, outcome unknown",
            "`get_weather` failed: interrupted, outcome unknown. I have not tried again.",
        ),
    ],
)
async def test_a_result_is_told_in_words(output: str, told: str) -> None:
    chat = Chat(WEATHER)
    await chat.say("What is the weather in Oslo?")
    assert await chat.give(output) == told
    assert not chat.pending


async def test_several_results_become_a_list_with_their_failures() -> None:
    chat = Chat(WEATHER)
    await chat.say("What is the weather in Oslo, Rome and Atlantis?")
    assert await chat.give('{"temp_c": 4}', '{"temp_c": 14}', "Error: no such city") == (
        "- Oslo: temp c: 4\n- Rome: temp c: 14\n- Atlantis: failed, no such city"
    )


async def test_in_a_list_a_sentence_that_names_its_subject_has_no_label() -> None:
    chat = Chat(WEATHER)
    await chat.say("What is the weather in Oslo and Rome?")
    assert await chat.give("It is 4 °C in Oslo now.", "It is warm, 14 °C.") == (
        "- It is 4 °C in Oslo now.\n- Rome: It is warm, 14 °C."
    )


async def test_a_long_result_is_cut_and_says_so() -> None:
    chat = Chat(WEATHER)
    await chat.say("What is the weather in Oslo?")
    told = await chat.give("rain " * 1000)
    assert len(told) < 1_600
    assert told.endswith("characters more)")
